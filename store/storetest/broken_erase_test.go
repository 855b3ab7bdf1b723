package storetest_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// erasesBy erases in another way.
type erasesBy struct {
	*remembering
	erase func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error)
}

func (s erasesBy) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	return s.erase(ctx, s.remembering, r, limit)
}

// erasesEach erases the selected events one by one, in the order that it is given, but for those that it
// leaves.
func (s *remembering) erasesEach(ctx context.Context, events []alotwebhook.Event, limit int, leaves func(alotwebhook.Event) bool) (int, string, error) {
	n := min(len(events), limit)
	for _, e := range events[:n] {
		if leaves(e) {
			continue
		}
		if _, _, err := s.Store.Erase(ctx, alotwebhook.Recovery{EventID: e.ID}, 1); err != nil {
			return 0, "", err
		}
	}
	if n < len(events) {
		return n, events[n-1].ID, nil
	}
	return n, "", nil
}

// deliveriesOfEvent returns all deliveries of an event.
func (s *remembering) deliveriesOfEvent(ctx context.Context, id string) []alotwebhook.Delivery {
	list, _, _ := s.Store.Deliveries(ctx, alotwebhook.Filter{EventID: id, Limit: many})
	return list
}

// showsErased shows more of erased events than there is, or less.
type showsErased struct {
	*remembering
	event    bool // the event as it was
	delivery func(s *remembering, d *alotwebhook.Delivery)
	hidden   bool
}

func (s showsErased) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	e, err := s.Store.Event(ctx, id)
	if was, ok := s.events.Load(id); ok && err != nil && s.event {
		return was.(alotwebhook.Event), nil
	}
	return e, err
}

func (s showsErased) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if err == nil && s.delivery != nil && s.isErased(ctx, d.EventID) {
		s.delivery(s.remembering, &d)
	}
	return d, err
}

func (s showsErased) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	if s.hidden {
		page = slices.DeleteFunc(page, func(d alotwebhook.Delivery) bool { return s.isErased(ctx, d.EventID) })
	}
	return page, next, err
}

// was returns an attempt as it was stored.
func (s *remembering) was(d *alotwebhook.Delivery, i int) alotwebhook.Attempt {
	a, _ := s.attempts.Load(attemptKey{d.ID, d.Attempts[i].Number})
	was, _ := a.(alotwebhook.Attempt)
	return was
}

// eraseForgetsID stores an event anew that was erased.
type eraseForgetsID struct {
	*remembering
	again sync.Map
}

func (s *eraseForgetsID) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for _, e := range events {
		if _, known := s.events.Load(e.ID); known && s.isErased(ctx, e.ID) {
			s.again.Store(e.ID, e)
		}
	}
	return s.remembering.Enqueue(ctx, events)
}

func (s *eraseForgetsID) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	if e, ok := s.again.Load(id); ok {
		return e.(alotwebhook.Event), nil
	}
	return s.Store.Event(ctx, id)
}

// erasedPurge purges in another way once something was erased.
type erasedPurge struct {
	*remembering
	change func(p *alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult)
	erased atomic.Bool
}

func (s *erasedPurge) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (int, string, error) {
	s.erased.Store(true)
	return s.Store.Erase(ctx, r, limit)
}

func (s *erasedPurge) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	if s.erased.Load() {
		s.change(&p, &alotwebhook.PurgeResult{})
	}
	r, err = s.Store.Purge(ctx, p)
	if s.erased.Load() {
		s.change(&alotwebhook.PurgeRequest{}, &r)
	}
	return r, err
}

// eraseMutants are stores with a fault in what they erase.
func eraseMutants() map[string]mutant {
	by := func(erase func(context.Context, *remembering, alotwebhook.Recovery, int) (int, string, error), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store { return erasesBy{&remembering{Store: s}, erase} }, found}
	}
	with := func(change func(*alotwebhook.Recovery), found ...string) mutant {
		return by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			change(&r)
			return of.Store.Erase(ctx, r, limit)
		}, found...)
	}
	shows := func(change func(s *remembering, d *alotwebhook.Delivery), found ...string) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return showsErased{remembering: &remembering{Store: s}, delivery: change}
		}, found}
	}
	attempts := func(change func(was alotwebhook.Attempt, a *alotwebhook.Attempt, last bool), found ...string) mutant {
		return shows(func(s *remembering, d *alotwebhook.Delivery) {
			for i := range d.Attempts {
				change(s.was(d, i), &d.Attempts[i], i == len(d.Attempts)-1)
			}
		}, found...)
	}
	purges := func(change func(p *alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult)) mutant {
		return mutant{func(s alotwebhook.Store) alotwebhook.Store {
			return &erasedPurge{remembering: &remembering{Store: s}, change: change}
		}, []string{"Erase/Purge"}}
	}
	return map[string]mutant{
		"EraseKeepsEvent": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return showsErased{remembering: &remembering{Store: s}, event: true}
			},
			[]string{"Erase/Content", "Erase/Unheard", "Erase/Selects", "Erase/SinceUntil", "Erase/Unfinished", "Erase/Parked"},
		},
		"EraseHidesDeliveries": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return showsErased{remembering: &remembering{Store: s}, hidden: true}
			},
			[]string{"Erase/SameID", "Erase/Unfinished", "Model/RandomWalk"},
		},
		"EraseKeepsDetail":  attempts(func(was alotwebhook.Attempt, a *alotwebhook.Attempt, _ bool) { a.Detail = was.Detail }, "Erase/Content", "Erase/Attempts", "Erase/PayloadGone"),
		"EraseKeepsAnswer":  attempts(func(was alotwebhook.Attempt, a *alotwebhook.Attempt, _ bool) { a.ResponseBody = was.ResponseBody }, "Erase/Content", "Erase/Attempts", "Erase/PayloadGone"),
		"EraseForgetsStart": attempts(func(_ alotwebhook.Attempt, a *alotwebhook.Attempt, _ bool) { a.StartedAt = time.Time{} }, "Erase/Content", "Erase/Attempts"),
		"EraseForgetsWhy":   attempts(func(_ alotwebhook.Attempt, a *alotwebhook.Attempt, _ bool) { a.Reason = "" }, "Erase/Content", "Erase/Attempts"),
		"EraseKeepsNewestAttempt": attempts(func(was alotwebhook.Attempt, a *alotwebhook.Attempt, last bool) {
			if last {
				*a = was
			}
		}, "Erase/Content", "Erase/Attempts"),
		"EraseKeepsOlderAttempts": attempts(func(was alotwebhook.Attempt, a *alotwebhook.Attempt, last bool) {
			if !last {
				*a = was
			}
		}, "Erase/Attempts"),
		"EraseForgetsAttempts": shows(func(_ *remembering, d *alotwebhook.Delivery) { d.Attempts = nil }, "Erase/Content", "Erase/Attempts", "Erase/Unfinished"),
		"EraseForgetsOutcome": shows(func(_ *remembering, d *alotwebhook.Delivery) {
			d.State, d.LastReason = alotwebhook.StateFailed, alotwebhook.ReasonErased
		}, "Erase/Content"),
		"EraseEndsAgain": shows(func(_ *remembering, d *alotwebhook.Delivery) { d.FinishedAt = time.Now().UTC() }, "Erase/Again", "Erase/Content"),
		"EraseKeepsSubject": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return listsSubject{&remembering{Store: s}, func(s *remembering, ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
					subject := f.Subject
					f.Subject, f.Limit = "", many
					page, next, err := s.Store.Deliveries(ctx, f)
					return slices.DeleteFunc(page, func(d alotwebhook.Delivery) bool {
						e, _ := s.events.Load(d.EventID)
						return e.(alotwebhook.Event).Subject != subject
					}), next, err
				}}
			},
			[]string{"Erase/Content", "Erase/Many", "Texts/SubjectsDiffer"},
		},
		"EraseOfAllOrganizations": with(func(r *alotwebhook.Recovery) {
			if r.Subject+r.EventID != "" {
				r.OrganizationID = ""
			}
		}, "Erase/Selects"),
		"EraseOfAllSubjects": with(func(r *alotwebhook.Recovery) {
			if r.OrganizationID+r.EventID != "" {
				r.Subject = ""
			}
		}, "Erase/Selects"),
		"EraseOfAllEvents": with(func(r *alotwebhook.Recovery) {
			if r.OrganizationID+r.Subject != "" {
				r.EventID = ""
			}
		}, "Erase/Selects"),
		"EraseOfEndpoint": with(func(r *alotwebhook.Recovery) {
			if r.EndpointID != "" {
				r.EventID = r.EndpointID
			}
		}, "Erase/Content"),
		"EraseIgnoresSince":   with(func(r *alotwebhook.Recovery) { r.Since = time.Time{} }, "Erase/Selects", "Erase/SinceUntil"),
		"EraseIgnoresUntil":   with(func(r *alotwebhook.Recovery) { r.Until = time.Time{} }, "Erase/Selects", "Erase/SinceUntil"),
		"EraseSinceExclusive": with(func(r *alotwebhook.Recovery) { r.Since = millisecondLater(r.Since) }, "Erase/Selects", "Erase/SinceUntil"),
		"EraseUntilInclusive": with(func(r *alotwebhook.Recovery) { r.Until = millisecondLater(r.Until) }, "Erase/Selects", "Erase/SinceUntil"),
		"EraseOfEventAtAnyTime": with(func(r *alotwebhook.Recovery) {
			if r.EventID != "" {
				r.Since, r.Until = time.Time{}, time.Time{}
			}
		}, "Erase/Selects", "Erase/SinceUntil"),
		"EraseIgnoresCursor": with(func(r *alotwebhook.Recovery) { r.Cursor = "" }, "Erase/Pages"),
		"EraseStopsAtLimit": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, _, err := of.Store.Erase(ctx, r, limit)
			return n, "", err
		}, "Erase/Pages", "Erase/Many"),
		"EraseWithoutLimit": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, _ int) (int, string, error) {
			return of.Store.Erase(ctx, r, many)
		}, "Erase/Pages"),
		"EraseOneBatch": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			n, next, err := of.Store.Erase(ctx, r, min(limit, 500))
			if limit > n {
				next = ""
			}
			return n, next, err
		}, "Erase/Many"),
		"EraseOldestFirst": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			events := of.matching(r)
			slices.Reverse(events)
			return of.erasesEach(ctx, events, limit, func(alotwebhook.Event) bool { return false })
		}, "Erase/Pages"),
		"EraseByDeliveries": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			return of.erasesEach(ctx, of.matching(r), limit, func(e alotwebhook.Event) bool { return len(of.deliveriesOfEvent(ctx, e.ID)) == 0 })
		}, "Erase/Unheard"),
		"EraseSkipsPurged": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			return of.erasesEach(ctx, of.matching(r), limit, func(e alotwebhook.Event) bool { return of.isErased(ctx, e.ID) })
		}, "Erase/PayloadGone"),
		"EraseCountsDeliveries": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (n int, _ string, err error) {
			for _, e := range of.matching(r) {
				n += len(of.deliveriesOfEvent(ctx, e.ID))
			}
			_, next, err := of.Store.Erase(ctx, r, limit)
			return n, next, err
		}, "Erase/Content", "Erase/Unheard", "Erase/Selects"),
		"EraseForgetsID": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &eraseForgetsID{remembering: &remembering{Store: s}}
			},
			[]string{"Erase/SameID"},
		},
		"EraseOneByOne": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			return of.erasesEach(ctx, of.matching(r), limit, func(alotwebhook.Event) bool { return false })
		}, "Concurrency/EraseCutShort"),
		"EraseAfterTheEnd": by(func(ctx context.Context, of *remembering, r alotwebhook.Recovery, limit int) (int, string, error) {
			return of.Store.Erase(context.WithoutCancel(ctx), r, limit)
		}, "Concurrency/Cancelled"),
		"ErasedKept":          purges(func(p *alotwebhook.PurgeRequest, _ *alotwebhook.PurgeResult) { p.History = 0 }),
		"ErasedPurgedAtOnce":  purges(func(p *alotwebhook.PurgeRequest, _ *alotwebhook.PurgeResult) { p.History = min(p.History, 1) }),
		"ErasedIsPurgedTwice": purges(func(_ *alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult) { r.Payloads++ }),
	}
}

// millisecondLater returns a bound one millisecond later; zero is none.
func millisecondLater(bound time.Time) time.Time {
	if bound.IsZero() {
		return bound
	}
	return bound.Add(time.Millisecond)
}
