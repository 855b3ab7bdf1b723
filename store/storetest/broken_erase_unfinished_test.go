package storetest_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// The stores in this file do something else with what is unfinished when its event is erased.

// eraseLeases knows what is leased, and until when.
type eraseLeases struct {
	*remembering
	leave bool // Erase leaves alone what is leased
	wake  bool // what was erased under a lease is sent again when that has run out
	queue bool // of an ordered endpoint, what was erased keeps the place
	late  bool // a late outcome of an erased delivery is kept
	takes bool // a late outcome of an ordered endpoint takes the place

	mu     sync.Mutex
	leased map[string]alotwebhook.Claimed
	until  map[string]time.Time
	erased map[string]time.Time // what was erased under a lease, and until when that was
	stuck  map[string]bool      // endpoints
	kept   map[string]alotwebhook.Attempt
}

func newEraseLeases(s alotwebhook.Store) *eraseLeases {
	return &eraseLeases{
		remembering: &remembering{Store: s}, leased: map[string]alotwebhook.Claimed{}, until: map[string]time.Time{},
		erased: map[string]time.Time{}, stuck: map[string]bool{}, kept: map[string]alotwebhook.Attempt{},
	}
}

func (s *eraseLeases) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	for id := range s.stuck {
		c.Busy[id] = c.PerEndpoint
	}
	r, err := s.Store.Claim(ctx, c)
	for id, until := range s.erased {
		if s.wake && time.Now().After(until) {
			r.Deliveries = append(r.Deliveries, s.leased[id])
			delete(s.erased, id)
		}
	}
	for _, d := range r.Deliveries {
		s.leased[d.DeliveryID], s.until[d.DeliveryID] = d, time.Now().Add(c.Lease)
	}
	return r, err
}

func (s *eraseLeases) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, err := s.Store.Finish(ctx, outcomes)
	for _, o := range outcomes {
		d, known := s.leased[o.DeliveryID]
		delete(s.leased, o.DeliveryID)
		if !known || !slices.Contains(lost, o.DeliveryID) || !s.isErased(ctx, d.EventID) {
			continue
		}
		if s.late && o.Attempt.Number != 0 {
			s.kept[o.DeliveryID] = o.Attempt
		}
		if s.takes && o.State == alotwebhook.StatePending {
			s.stuck[d.Endpoint.ID] = true
		}
	}
	return lost, err
}

func (s *eraseLeases) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.Store.Delivery(ctx, id)
	if a, late := s.kept[id]; late {
		d.Attempts = append(d.Attempts, a)
	}
	return d, err
}

func (s *eraseLeases) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.erasesEach(ctx, s.matching(r), limit, func(e alotwebhook.Event) bool {
		for _, d := range s.deliveriesOfEvent(ctx, e.ID) {
			if _, leased := s.leased[d.ID]; leased && s.leave {
				return true
			} else if leased {
				s.erased[d.ID] = s.until[d.ID]
			}
			behind, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{EndpointID: d.EndpointID, Limit: many})
			for _, b := range behind {
				if s.queue && b.WaitsFor == d.ID {
					s.stuck[d.EndpointID] = true
				}
			}
		}
		return false
	})
}

// eraseClearsFailing has endpoints begin anew when something is erased.
type eraseClearsFailing struct {
	*erasedPurge
}

func (s eraseClearsFailing) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	if s.erased.Load() {
		e.FailingSince = time.Time{}
	}
	return e, err
}

// detailsApart keeps what attempts tell beside the attempts, and stores it after them.
type detailsApart struct {
	*remembering
	details sync.Map // by delivery
}

func (s *detailsApart) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := s.remembering.Finish(ctx, outcomes)
	time.Sleep(time.Millisecond) // the window
	for _, o := range outcomes {
		if !slices.Contains(lost, o.DeliveryID) {
			s.details.Store(o.DeliveryID, o.Attempt.Detail)
		}
	}
	return lost, err
}

func (s *detailsApart) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	return s.erasesEach(ctx, s.matching(r), limit, func(e alotwebhook.Event) bool {
		for _, d := range s.deliveriesOfEvent(ctx, e.ID) {
			s.details.Delete(d.ID)
		}
		return false
	})
}

func (s *detailsApart) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if detail, ok := s.details.Load(id); ok && len(d.Attempts) > 0 {
		d.Attempts[len(d.Attempts)-1].Detail = detail.(string)
	}
	return d, err
}

// eraseUnfinishedMutants are stores with a fault in what becomes of unfinished deliveries.
func eraseUnfinishedMutants() map[string]mutant {
	leases := func(change func(*eraseLeases), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			broken := newEraseLeases(s)
			change(broken)
			return broken
		}, found}
	}
	leaves := func(which func(alotwebhook.Delivery) bool, found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return erasesBy{&remembering{Store: s}, func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
				return of.erasesEach(ctx, of.matching(r), limit, func(e alotwebhook.Event) bool {
					return slices.ContainsFunc(of.deliveriesOfEvent(ctx, e.ID), which)
				})
			}}
		}, found}
	}
	shows := func(change func(*alotwebhook.Delivery), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return showsErased{remembering: &remembering{Store: s}, delivery: func(_ *remembering, d *alotwebhook.Delivery) {
				if d.LastReason == alotwebhook.ReasonErased {
					change(d)
				}
			}}
		}, found}
	}
	return map[string]mutant{
		"EraseLeavesUnfinished": leaves(func(d alotwebhook.Delivery) bool { return d.FinishedAt.IsZero() },
			"Erase/Unfinished", "Erase/Parked", "Erase/Leased", "Erase/LeaseOver", "Erase/Ordered"),
		"EraseLeavesParked":  leaves(func(d alotwebhook.Delivery) bool { return d.State == alotwebhook.StateParked }, "Erase/Parked"),
		"EraseLeavesWaiting": leaves(func(d alotwebhook.Delivery) bool { return d.FinishedAt.IsZero() && d.AttemptCount > 0 }, "Erase/Unfinished", "Erase/Parked"),
		"EraseCancels": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return erasesBy{&remembering{Store: s}, func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
					var ids []string
					for _, e := range of.matching(r) {
						for _, d := range of.deliveriesOfEvent(ctx, e.ID) {
							ids = append(ids, d.ID)
						}
					}
					if _, err := of.Store.Cancel(ctx, ids); err != nil {
						return 0, "", err
					}
					return of.Store.Erase(ctx, r, limit)
				}}
			},
			[]string{"Erase/Unfinished", "Erase/Parked", "Erase/Leased", "Erase/LeaseOver"},
		},
		"ErasedIsAttempt":  shows(func(d *alotwebhook.Delivery) { d.AttemptCount++ }, "Erase/Unfinished", "Erase/Leased"),
		"ErasedWithoutEnd": shows(func(d *alotwebhook.Delivery) { d.FinishedAt = time.Time{} }, "Erase/Unfinished", "Erase/Leased"),
		"ErasedIsDue":      shows(func(d *alotwebhook.Delivery) { d.NextAttemptAt = time.Now().UTC() }, "Erase/Unfinished", "Erase/Leased"),
		"ErasedNoStatus":   shows(func(d *alotwebhook.Delivery) { d.LastStatusCode = 0 }, "Erase/Unfinished", "Erase/Attempts"),
		"EraseClearsFailing": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return eraseClearsFailing{&erasedPurge{remembering: &remembering{Store: s}, change: func(*alotwebhook.PurgeRequest, *alotwebhook.PurgeResult) {}}}
			},
			[]string{"Erase/Unfinished"},
		},
		"EraseLeavesLeased":    leases(func(s *eraseLeases) { s.leave = true }, "Erase/Leased", "Erase/LeaseOver", "Erase/OrderedLeased"),
		"EraseUntilLeaseEnds":  leases(func(s *eraseLeases) { s.wake = true }, "Erase/LeaseOver"),
		"EraseKeepsPlace":      leases(func(s *eraseLeases) { s.queue = true }, "Erase/Ordered", "Erase/OrderedLeased"),
		"EraseKeepsLate":       leases(func(s *eraseLeases) { s.late = true }, "Erase/Leased", "Erase/LeaseOver", "Erase/OrderedLeased"),
		"EraseLateTakesPlace":  leases(func(s *eraseLeases) { s.takes = true }, "Erase/OrderedLeased"),
		"EraseBeforeTheAnswer": {func(s alotwebhook.Store) alotwebhook.Store { return &detailsApart{remembering: &remembering{Store: s}} }, []string{"Concurrency/EraseBesideWork"}},
	}
}
