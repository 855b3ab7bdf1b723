package storetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// ackBeforeSend marks deliveries as delivered when they are claimed.
type ackBeforeSend struct{ alotwebhook.Store }

func (s ackBeforeSend) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Token: d.Token, State: alotwebhook.StateDelivered}})
	}
	return r, err
}

func (s ackBeforeSend) Finish(context.Context, []alotwebhook.Outcome) ([]string, error) {
	return nil, nil
}

// withoutFence accepts any token as the newest.
type withoutFence struct {
	alotwebhook.Store
	newest sync.Map
}

func (s *withoutFence) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.newest.Store(d.DeliveryID, d.Token)
	}
	return r, err
}

func (s *withoutFence) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i, o := range outcomes {
		if lease, ok := s.newest.Load(o.DeliveryID); ok {
			outcomes[i].Token = lease.(int64)
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// lostNotReported does not return the lost outcomes.
type lostNotReported struct{ alotwebhook.Store }

func (s lostNotReported) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	_, err := s.Store.Finish(ctx, outcomes)
	return nil, err
}

// withoutLease gives leases that end at once.
type withoutLease struct{ alotwebhook.Store }

func (s withoutLease) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Lease = time.Nanosecond
	return s.Store.Claim(ctx, c)
}

// starving claims all deliveries of one endpoint before those of the next.
type starving struct{ alotwebhook.Store }

func (s starving) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	all, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
	var sum alotwebhook.ClaimResult
	for _, e := range all {
		if len(sum.Deliveries) == c.Limit || err != nil {
			break
		}
		one := c
		one.Limit = c.Limit - len(sum.Deliveries)
		one.Busy = map[string]int{}
		for _, other := range all {
			one.Busy[other.ID] = c.PerEndpoint
		}
		one.Busy[e.ID] = c.Busy[e.ID]
		var r alotwebhook.ClaimResult
		r, err = s.Store.Claim(ctx, one)
		sum.Deliveries = append(sum.Deliveries, r.Deliveries...)
		sum.NextIn = r.NextIn
	}
	return sum, err
}

// busyIgnored claims as if all slots were free.
type busyIgnored struct{ alotwebhook.Store }

func (s busyIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Busy = nil
	return s.Store.Claim(ctx, c)
}

// unlistedIgnored gives endpoints that Busy lacks all of their slots.
type unlistedIgnored struct{ alotwebhook.Store }

func (s unlistedIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Unlisted = 0
	return s.Store.Claim(ctx, c)
}

// withheldIgnored claims for every organization.
type withheldIgnored struct{ alotwebhook.Store }

func (s withheldIgnored) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	c.Withheld = nil
	return s.Store.Claim(ctx, c)
}

// newestFirst claims the newest delivery first.
type newestFirst struct{ alotwebhook.Store }

func (s newestFirst) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	slices.Reverse(r.Deliveries)
	return r, err
}

// noNextIn never says when the next delivery falls due.
type noNextIn struct{ alotwebhook.Store }

func (s noNextIn) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	r.NextIn = 0
	return r, err
}

// tryNeverAnew does not start Try again after a redelivery.
type tryNeverAnew struct{ alotwebhook.Store }

func (s tryNeverAnew) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i := range r.Deliveries {
		r.Deliveries[i].Try = r.Deliveries[i].Attempt
	}
	return r, err
}

// releaseKeepsPlace has a released delivery claimed before all others.
type releaseKeepsPlace struct {
	alotwebhook.Store
	released sync.Map
}

func (s *releaseKeepsPlace) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	for _, o := range outcomes {
		if o.Attempt.Number == 0 && o.State == alotwebhook.StatePending {
			s.released.Store(o.DeliveryID, true)
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *releaseKeepsPlace) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	slices.SortStableFunc(r.Deliveries, func(a, b alotwebhook.Claimed) int {
		_, aFirst := s.released.Load(a.DeliveryID)
		_, bFirst := s.released.Load(b.DeliveryID)
		switch {
		case aFirst == bFirst:
			return 0
		case aFirst:
			return -1
		}
		return 1
	})
	return r, err
}
