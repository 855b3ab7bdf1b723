package storetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// capable has all capabilities of a store in memory.
type capable struct {
	alotwebhook.Store
	alotwebhook.Tallier
	alotwebhook.Pauser
	alotwebhook.Surveyor
}

func newCapable(s alotwebhook.Store) *capable {
	return &capable{s, s.(alotwebhook.Tallier), s.(alotwebhook.Pauser), s.(alotwebhook.Surveyor)}
}

// removesBy removes in another way.
type removesBy struct {
	*capable
	remove func(ctx context.Context, of *capable, org string, limit int) (int, error)
}

func (s removesBy) Remove(ctx context.Context, org string, limit int) (int, error) {
	return s.remove(ctx, s.capable, org, limit)
}

// belongings is what there is of an organization.
type belongings struct {
	endpoints  []alotwebhook.Endpoint
	events     []alotwebhook.Event
	recoveries []alotwebhook.Recovery
	operations []alotwebhook.Operation
	tallies    []alotwebhook.Tally
	pauses     []alotwebhook.Pause
}

func (s *capable) belongings(ctx context.Context, org string) (b belongings) {
	b.endpoints, _, _ = s.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: org})
	deliveries, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{OrganizationID: org, Limit: many})
	for _, d := range deliveries {
		if e, err := s.Store.Event(ctx, d.EventID); err == nil {
			b.events = append(b.events, e)
		}
	}
	all, _, _ := s.Store.Recoveries(ctx, alotwebhook.RecoveryFilter{})
	for _, r := range all {
		if r.OrganizationID == org && !overMany(r) {
			b.recoveries = append(b.recoveries, r)
			some, _ := s.Tallier.Tallies(ctx, []string{r.EndpointID}, time.Time{})
			b.tallies = append(b.tallies, some...)
		}
	}
	b.operations, _, _ = s.Store.Operations(ctx, alotwebhook.OperationFilter{OrganizationID: org, Limit: many})
	pauses, _ := s.Pauser.Pauses(ctx)
	b.pauses = slices.DeleteFunc(pauses, func(p alotwebhook.Pause) bool { return p.OrganizationID != org })
	return b
}

// leaves returns a store that stores something again of what it has removed.
func leaves(again func(ctx context.Context, s *capable, b belongings) error) func(alotwebhook.Store) alotwebhook.Store {
	return func(s alotwebhook.Store) alotwebhook.Store {
		return removesBy{newCapable(s), func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			b := of.belongings(ctx, org)
			n, err := of.Store.Remove(ctx, org, limit)
			if err == nil {
				err = again(ctx, of, b)
			}
			return n, err
		}}
	}
}

// putBack stores endpoints anew.
func putBack(ctx context.Context, s *capable, endpoints []alotwebhook.Endpoint) error {
	for _, e := range endpoints {
		e.Version, e.FailingSince = 0, time.Time{}
		if err := s.PutEndpoint(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// removedLate takes the outcome of a delivery that was removed for that of the new one of the same id.
type removedLate struct {
	alotwebhook.Store
	removed sync.Map
}

func (s *removedLate) Remove(ctx context.Context, org string, limit int) (int, error) {
	list, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{OrganizationID: org, Limit: many})
	for _, d := range list {
		s.removed.Store(d.ID, true)
	}
	return s.Store.Remove(ctx, org, limit)
}

func (s *removedLate) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := s.Store.Finish(ctx, outcomes)
	return slices.DeleteFunc(lost, func(id string) bool { _, is := s.removed.Load(id); return is }), err
}

// removedEvents knows the ids of removed events still.
type removedEvents struct {
	alotwebhook.Store
	removed sync.Map
}

func (s *removedEvents) Remove(ctx context.Context, org string, limit int) (int, error) {
	list, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{OrganizationID: org, Limit: many})
	for _, d := range list {
		s.removed.Store(d.EventID, true)
	}
	return s.Store.Remove(ctx, org, limit)
}

func (s *removedEvents) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return s.Store.Enqueue(ctx, slices.DeleteFunc(slices.Clone(events), func(e alotwebhook.Event) bool {
		_, is := s.removed.Load(e.ID)
		return is
	}))
}

// removedTotals has the sums of all endpoints tell of those that were removed.
type removedTotals struct {
	*capable
	once sync.Once
	kept []alotwebhook.Tally
}

func (s *removedTotals) Remove(ctx context.Context, org string, limit int) (int, error) {
	s.once.Do(func() { s.kept, _ = s.Surveyor.Totals(ctx, time.Time{}) })
	return s.Store.Remove(ctx, org, limit)
}

func (s *removedTotals) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	if s.kept != nil {
		return s.kept, nil
	}
	return s.Surveyor.Totals(ctx, since)
}

// removeMutants are stores with a fault in what they remove.
func removeMutants() map[string]mutant {
	by := func(remove func(context.Context, *capable, string, int) (int, error), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return removesBy{newCapable(s), remove} }, found}
	}
	also := func(organizations func(org string) []string) mutant {
		return by(func(ctx context.Context, of *capable, org string, limit int) (n int, err error) {
			for _, other := range append(organizations(org), org) {
				if n, err = of.Store.Remove(ctx, other, limit); err != nil {
					return n, err
				}
			}
			return n, nil
		}, "Remove/OthersStay")
	}
	all := map[string]mutant{
		"RemoveTakesPrefix":   also(func(org string) []string { return []string{org + "0"} }),
		"RemoveTakesPattern":  also(func(string) []string { return []string{"org%"} }),
		"RemoveTakesAnyCase":  also(func(org string) []string { return []string{strings.ToUpper(org[:1]) + org[1:]} }),
		"RemoveTakesTrimmed":  also(func(org string) []string { return []string{org + " "} }),
		"RemoveTakesNoneOwns": also(func(string) []string { return []string{""} }),
		"RemoveTakesMany": {
			func(s alotwebhook.Store) alotwebhook.Store {
				broken := &recoveriesShown{Store: s}
				broken.change = func(page []alotwebhook.Recovery) []alotwebhook.Recovery {
					return slices.DeleteFunc(page, func(r alotwebhook.Recovery) bool { return overMany(r) && r.OrganizationID == "org_1" })
				}
				return removesThen{broken, func() { broken.purged.Store(true) }}
			},
			[]string{"Remove/OthersStay"},
		},
		"RemoveWithoutLimit": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			n, err := of.Store.Remove(ctx, org, many)
			return min(n, limit), err
		}, "Remove/Limit"),
		"RemoveCountsMore": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			n, err := of.Store.Remove(ctx, org, limit)
			return n + 1, err
		}, "Remove/Limit", "Remove/Again"),
		"RemoveCountsEndpoints": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			page, _, _ := of.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: org})
			_, err := of.Store.Remove(ctx, org, limit)
			return min(len(page), limit), err
		}, "Remove/Limit"),
		"RemoveEndpointsLast": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			b := of.belongings(ctx, org)
			n, err := of.Store.Remove(ctx, org, limit)
			if err == nil && n == limit {
				err = putBack(ctx, of, b.endpoints)
			}
			return n, err
		}, "Remove/Limit"),
		"RemoveUnknownFails": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			if page, _, _ := of.Store.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: org}); len(page) == 0 {
				return 0, alotwebhook.ErrNotFound
			}
			return of.Store.Remove(ctx, org, limit)
		}, "Remove/Again"),
		"RemoveAfterTheEnd": by(func(ctx context.Context, of *capable, org string, limit int) (int, error) {
			return of.Store.Remove(context.WithoutCancel(ctx), org, limit)
		}, "Concurrency/Cancelled"),
		"RemoveLate":        {func(s alotwebhook.Store) alotwebhook.Store { return &removedLate{Store: s} }, []string{"Remove/Late", "Remove/ForgetsID"}},
		"RemoveKnowsIDs":    {func(s alotwebhook.Store) alotwebhook.Store { return &removedEvents{Store: s} }, []string{"Remove/ForgetsID"}},
		"RemoveKeepsTotals": {func(s alotwebhook.Store) alotwebhook.Store { return &removedTotals{capable: newCapable(s)} }, []string{"Remove/Tallies"}},
		"RemoveInTwoSteps":  {leaveUnfinished, []string{"Concurrency/RemoveCutShort"}},
	}
	for kind, again := range map[string]func(ctx context.Context, s *capable, b belongings) error{
		"Endpoints": func(ctx context.Context, s *capable, b belongings) error { return putBack(ctx, s, b.endpoints) },
		"Events":    func(ctx context.Context, s *capable, b belongings) error { return s.Enqueue(ctx, b.events) },
		"Deliveries": func(ctx context.Context, s *capable, b belongings) error {
			if err := putBack(ctx, s, b.endpoints); err != nil {
				return err
			}
			if err := s.Enqueue(ctx, b.events); err != nil {
				return err
			}
			for _, e := range b.endpoints {
				if err := s.DeleteEndpoint(ctx, e.ID); err != nil {
					return err
				}
			}
			return nil
		},
		"Recoveries": func(ctx context.Context, s *capable, b belongings) error {
			for _, r := range b.recoveries {
				r.Version = 0
				if err := s.PutRecovery(ctx, r); err != nil {
					return err
				}
			}
			return nil
		},
		"Operations": func(ctx context.Context, s *capable, b belongings) error {
			if err := s.PutPause(ctx, alotwebhook.Pause{OrganizationID: "org_none"}, b.operations...); err != nil {
				return err
			}
			return s.DeletePause(ctx, "org_none", "")
		},
		"Tallies": func(ctx context.Context, s *capable, b belongings) error { return s.AddTallies(ctx, b.tallies) },
		"Pauses": func(ctx context.Context, s *capable, b belongings) error {
			for _, p := range b.pauses {
				if err := s.PutPause(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		all["RemoveLeaves"+kind] = mutant{leaves(again), []string{"Remove/Everything"}}
	}
	return all
}

// removesThen does something after each removal.
type removesThen struct {
	alotwebhook.Store
	then func()
}

func (s removesThen) Remove(ctx context.Context, org string, limit int) (int, error) {
	defer s.then()
	return s.Store.Remove(ctx, org, limit)
}

// leaveUnfinished deletes the endpoints first and, unless it is cut short, what they have left. It takes
// what is left for unfinished.
func leaveUnfinished(s alotwebhook.Store) alotwebhook.Store {
	var left sync.Map
	return statsOf{removesBy{newCapable(s), func(ctx context.Context, of *capable, org string, limit int) (int, error) {
		for _, e := range of.belongings(context.WithoutCancel(ctx), org).endpoints {
			left.Store(org, true)
			if err := of.DeleteEndpoint(context.WithoutCancel(ctx), e.ID); err != nil {
				return 0, err
			}
		}
		n, err := of.Store.Remove(ctx, org, limit)
		if err == nil {
			left.Delete(org)
		}
		return n, err
	}}, func(st *alotwebhook.Stats) { left.Range(func(any, any) bool { st.Pending++; return true }) }}
}

// statsOf has other stats.
type statsOf struct {
	alotwebhook.Store
	change func(*alotwebhook.Stats)
}

func (s statsOf) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	s.change(&st)
	return st, err
}
