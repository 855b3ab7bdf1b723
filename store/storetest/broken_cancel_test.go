package storetest_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// brokenCancel cancels in another way.
type brokenCancel struct {
	alotwebhook.Store
	cancel func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error)
}

func (s brokenCancel) Cancel(ctx context.Context, ids []string) (int, error) {
	return s.cancel(ctx, s.Store, ids)
}

// cancelsOnly returns a Cancel that leaves other deliveries alone.
func cancelsOnly(which func(alotwebhook.Delivery) bool) func(context.Context, alotwebhook.Store, []string) (int, error) {
	return func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
		return of.Cancel(ctx, slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			d, err := of.Delivery(ctx, id)
			return err == nil && !which(d)
		}))
	}
}

// cancelsFinished also cancels what has ended.
func cancelsFinished(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
	if _, err := of.Redeliver(ctx, ids); err != nil {
		return 0, err
	}
	return of.Cancel(ctx, ids)
}

// cancelsUntilUnknown stops at the first delivery that it does not find.
func cancelsUntilUnknown(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
	for i, id := range ids {
		if _, err := of.Delivery(ctx, id); err != nil {
			return of.Cancel(ctx, ids[:i])
		}
	}
	return of.Cancel(ctx, ids)
}

// cancelReadsFirst reads what is not finished, and takes all of that for canceled.
func cancelReadsFirst(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
	n := 0
	for _, id := range ids {
		if d, err := of.Delivery(ctx, id); err == nil && d.FinishedAt.IsZero() {
			n++
		}
	}
	time.Sleep(time.Millisecond) // the window
	_, err := of.Cancel(ctx, ids)
	return n, err
}

// cancelLeases knows what is leased, and until when.
type cancelLeases struct {
	alotwebhook.Store
	leave func(held bool) bool // whether Cancel leaves alone what is leased, or held
	wake  bool                 // what was canceled under a lease is due again when that has run out
	queue bool                 // of an ordered endpoint, what was canceled keeps the place
	late  bool                 // a late outcome of an ordered endpoint takes the place

	mu       sync.Mutex
	leased   map[string]alotwebhook.Claimed
	held     map[string]bool
	until    map[string]time.Time // by what is leased
	canceled map[string]time.Time
	stuck    map[string]bool // endpoints
}

func newCancelLeases(s alotwebhook.Store) *cancelLeases {
	return &cancelLeases{
		Store: s, leave: func(bool) bool { return false }, leased: map[string]alotwebhook.Claimed{}, held: map[string]bool{},
		until: map[string]time.Time{}, canceled: map[string]time.Time{}, stuck: map[string]bool{},
	}
}

func (s *cancelLeases) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	for id := range s.stuck {
		c.Busy[id] = c.PerEndpoint
	}
	for id, until := range s.canceled {
		if s.wake && time.Now().After(until) {
			if _, err := s.Store.Redeliver(ctx, []string{id}); err != nil {
				return alotwebhook.ClaimResult{}, err
			}
		}
	}
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.leased[d.DeliveryID], s.until[d.DeliveryID] = d, time.Now().Add(c.Lease)
	}
	return r, err
}

func (s *cancelLeases) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost, err := s.Store.Finish(ctx, outcomes)
	for _, o := range outcomes {
		if s.late && slices.Contains(lost, o.DeliveryID) && o.State == alotwebhook.StatePending {
			s.stuck[s.leased[o.DeliveryID].Endpoint.ID] = true
		}
		if s.held[o.DeliveryID] = o.Held; !o.Held {
			delete(s.leased, o.DeliveryID)
		}
	}
	return lost, err
}

func (s *cancelLeases) Cancel(ctx context.Context, ids []string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var free []string
	for _, id := range ids {
		_, leased := s.leased[id]
		if leased && s.leave(s.held[id]) {
			continue
		}
		free = append(free, id)
		if leased {
			s.canceled[id] = s.until[id]
		}
		behind, _, err := s.Store.Deliveries(ctx, alotwebhook.Filter{})
		if err != nil {
			return 0, err
		}
		for _, d := range behind {
			if s.queue && d.WaitsFor == id {
				s.stuck[d.EndpointID] = true
			}
		}
	}
	return s.Store.Cancel(ctx, free)
}

// cancelIsFinal redelivers nothing that was canceled.
type cancelIsFinal struct{ alotwebhook.Store }

func (s cancelIsFinal) Redeliver(ctx context.Context, ids []string) (int, error) {
	return s.Store.Redeliver(ctx, slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		d, err := s.Delivery(ctx, id)
		return err == nil && d.LastReason == alotwebhook.ReasonCanceled
	}))
}

// cancelMutants are stores with a fault in what they cancel.
func cancelMutants() map[string]mutant {
	by := func(cancel func(context.Context, alotwebhook.Store, []string) (int, error)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return brokenCancel{s, cancel} }
	}
	leases := func(change func(*cancelLeases)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store {
			broken := newCancelLeases(s)
			change(broken)
			return broken
		}
	}
	return map[string]mutant{
		"CancelTakesFinished": {by(cancelsFinished), []string{"Cancel/Finished"}},
		"CancelLeavesParked": {
			by(cancelsOnly(func(d alotwebhook.Delivery) bool { return d.State != alotwebhook.StateParked })),
			[]string{"Cancel/Parked", "Cancel/Redelivered", "Cancel/Ordered"},
		},
		"CancelLeavesWaiting": {
			by(cancelsOnly(func(d alotwebhook.Delivery) bool { return d.AttemptCount == 0 })),
			[]string{"Cancel/Unfinished", "Cancel/Ordered"},
		},
		"CancelStopsAtUnknown": {by(cancelsUntilUnknown), []string{"Cancel/Unknown", "Cancel/Many"}},
		"CancelReadsFirst":     {by(cancelReadsFirst), []string{"Concurrency/CancelBesideFinishes"}},
		"CancelCountsAll": {
			by(func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
				_, err := of.Cancel(ctx, ids)
				return len(ids), err
			}),
			[]string{"Cancel/Finished", "Cancel/Unknown", "Cancel/Many"},
		},
		"CancelCountsTwice": {
			by(func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
				n, err := of.Cancel(ctx, ids)
				return n + len(ids) - len(slices.Compact(slices.Sorted(slices.Values(ids)))), err
			}),
			[]string{"Cancel/Many"},
		},
		"CancelOneBatch": {
			by(func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
				return of.Cancel(ctx, ids[:min(len(ids), 1000)])
			}),
			[]string{"Cancel/Many"},
		},
		"CancelAfterTheEnd": {
			by(func(ctx context.Context, of alotwebhook.Store, ids []string) (int, error) {
				return of.Cancel(context.WithoutCancel(ctx), ids)
			}),
			[]string{"Concurrency/Cancelled"},
		},
		"CancelLeavesLeased": {
			leases(func(s *cancelLeases) { s.leave = func(bool) bool { return true } }),
			[]string{"Cancel/Leased", "Cancel/LeaseOver", "Cancel/Held", "Cancel/OrderedLeased"},
		},
		"CancelLeavesHeld": {
			leases(func(s *cancelLeases) { s.leave = func(held bool) bool { return held } }),
			[]string{"Cancel/Held"},
		},
		"CancelUntilLeaseEnds": {leases(func(s *cancelLeases) { s.wake = true }), []string{"Cancel/LeaseOver"}},
		"CancelKeepsPlace":     {leases(func(s *cancelLeases) { s.queue = true }), []string{"Cancel/Ordered", "Cancel/OrderedLeased"}},
		"CancelLateTakesPlace": {leases(func(s *cancelLeases) { s.late = true }), []string{"Cancel/OrderedLeased"}},
		"CancelIsFinal": {
			func(s alotwebhook.Store) alotwebhook.Store { return cancelIsFinal{s} },
			[]string{"Cancel/Redelivered", "Cancel/Ordered"},
		},
		"CanceledForEver": {
			func(s alotwebhook.Store) alotwebhook.Store {
				return &reasonForEver{Store: s, reason: alotwebhook.ReasonCanceled}
			},
			[]string{"Cancel/Redelivered"},
		},
	}
}
