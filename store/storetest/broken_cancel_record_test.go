package storetest_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// The stores in this file cancel what they should, and record it wrongly.

// showsCanceled shows canceled deliveries in another way.
type showsCanceled struct {
	alotwebhook.Store
	change func(*alotwebhook.Delivery)
}

func (s showsCanceled) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if d.LastReason == alotwebhook.ReasonCanceled {
		s.change(&d)
	}
	return d, err
}

// cancelLate takes the outcomes of deliveries that were canceled meanwhile.
type cancelLate struct {
	alotwebhook.Store
	delivered, failed sync.Map // deliveries, and endpoints
}

func (s *cancelLate) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := s.Store.Finish(ctx, outcomes)
	for _, o := range outcomes {
		d, readErr := s.Store.Delivery(ctx, o.DeliveryID)
		if readErr != nil || !slices.Contains(lost, o.DeliveryID) || d.LastReason != alotwebhook.ReasonCanceled {
			continue
		}
		if o.State == alotwebhook.StateDelivered {
			s.delivered.Store(d.ID, true)
		} else if o.Attempt.Number != 0 {
			s.failed.Store(d.EndpointID, o.Attempt.StartedAt)
		}
	}
	return lost, err
}

// cancelLateSuccess shows them as delivered.
type cancelLateSuccess struct{ *cancelLate }

func (s cancelLateSuccess) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.cancelLate.Delivery(ctx, id)
	if _, late := s.delivered.Load(id); late {
		d.State, d.LastReason = alotwebhook.StateDelivered, ""
	}
	return d, err
}

// cancelLateFailure has their endpoints fail.
type cancelLateFailure struct{ *cancelLate }

func (s cancelLateFailure) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.cancelLate.Endpoint(ctx, id)
	if at, late := s.failed.Load(id); late {
		e.FailingSince = at.(time.Time)
	}
	return e, err
}

// cancelCounts counts what was canceled, for those that do something else after that.
type cancelCounts struct {
	alotwebhook.Store
	canceled atomic.Int64
}

func (s *cancelCounts) Cancel(ctx context.Context, ids []string) (int, error) {
	n, err := s.Store.Cancel(ctx, ids)
	s.canceled.Add(int64(n))
	return n, err
}

// cancelClearsFailing has an endpoint begin anew when something is canceled.
type cancelClearsFailing struct{ *cancelCounts }

func (s cancelClearsFailing) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.cancelCounts.Endpoint(ctx, id)
	if s.canceled.Load() > 0 {
		e.FailingSince = time.Time{}
	}
	return e, err
}

// canceledIsPending counts what was canceled as pending.
type canceledIsPending struct{ *cancelCounts }

func (s canceledIsPending) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.cancelCounts.Stats(ctx)
	st.Pending += s.canceled.Load()
	return st, err
}

// canceledFallsDue waits for what was canceled.
type canceledFallsDue struct{ *cancelCounts }

func (s canceledFallsDue) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.cancelCounts.Claim(ctx, c)
	if len(r.Deliveries) == 0 && s.canceled.Load() > 0 {
		r.NextIn = time.Hour
	}
	return r, err
}

// canceledPurge changes the times of a purge once something was canceled.
type canceledPurge struct {
	*cancelCounts
	time func(time.Duration) time.Duration
}

func (s canceledPurge) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if s.canceled.Load() > 0 {
		p.Payloads, p.History = s.time(p.Payloads), s.time(p.History)
	}
	return s.cancelCounts.Purge(ctx, p)
}

// cancelRecordMutants are stores with a fault in what they record of a cancelation.
func cancelRecordMutants() map[string]mutant {
	shows := func(change func(*alotwebhook.Delivery)) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store { return showsCanceled{s, change} }
	}
	purges := func(change func(time.Duration) time.Duration) func(alotwebhook.Store) alotwebhook.Store {
		return func(s alotwebhook.Store) alotwebhook.Store {
			return canceledPurge{&cancelCounts{Store: s}, change}
		}
	}
	return map[string]mutant{
		"CanceledIsDiscarded": {
			shows(func(d *alotwebhook.Delivery) { d.LastReason = alotwebhook.ReasonDiscarded }),
			[]string{"Cancel/Unfinished", "Cancel/Parked", "Cancel/Leased", "Cancel/LeaseOver", "Cancel/Held"},
		},
		"CanceledIsAttempt": {
			shows(func(d *alotwebhook.Delivery) { d.AttemptCount++ }),
			[]string{"Cancel/Unfinished", "Cancel/Parked", "Cancel/Leased"},
		},
		"CanceledWithoutAttempts": {
			shows(func(d *alotwebhook.Delivery) { d.Attempts = nil }),
			[]string{"Cancel/Unfinished"},
		},
		"CanceledWithoutStatus": {
			shows(func(d *alotwebhook.Delivery) { d.LastStatusCode = 0 }),
			[]string{"Cancel/Unfinished"},
		},
		"CanceledIsDue": {
			shows(func(d *alotwebhook.Delivery) { d.NextAttemptAt = time.Now().UTC() }),
			[]string{"Cancel/Unfinished"},
		},
		"CanceledWithoutEnd": {
			shows(func(d *alotwebhook.Delivery) { d.FinishedAt = time.Time{} }),
			[]string{"Cancel/Unfinished"},
		},
		"CancelLateSuccess": {
			func(s alotwebhook.Store) alotwebhook.Store { return cancelLateSuccess{&cancelLate{Store: s}} },
			[]string{"Cancel/Leased", "Cancel/LeaseOver", "Cancel/Held"},
		},
		"CancelLateFailure": {
			func(s alotwebhook.Store) alotwebhook.Store { return cancelLateFailure{&cancelLate{Store: s}} },
			[]string{"Cancel/Leased"},
		},
		"CancelClearsFailing": {
			func(s alotwebhook.Store) alotwebhook.Store { return cancelClearsFailing{&cancelCounts{Store: s}} },
			[]string{"Cancel/Unfinished"},
		},
		"CanceledIsPending": {
			func(s alotwebhook.Store) alotwebhook.Store { return canceledIsPending{&cancelCounts{Store: s}} },
			[]string{"Cancel/Unfinished", "Cancel/Leased", "Cancel/LeaseOver"},
		},
		"CanceledFallsDue": {
			func(s alotwebhook.Store) alotwebhook.Store { return canceledFallsDue{&cancelCounts{Store: s}} },
			[]string{"Cancel/Unfinished"},
		},
		"CanceledPurgedAtOnce": {
			purges(func(of time.Duration) time.Duration { return min(of, 1) }),
			[]string{"Cancel/Purge"},
		},
		"CanceledKept": {
			purges(func(time.Duration) time.Duration { return 0 }),
			[]string{"Cancel/Purge"},
		},
	}
}
