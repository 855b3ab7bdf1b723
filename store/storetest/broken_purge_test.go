package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// purgeTakesUnfinished also purges deliveries that are due.
type purgeTakesUnfinished struct{ alotwebhook.Store }

func (s purgeTakesUnfinished) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	r, err := s.Store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Minute})
	for _, d := range r.Deliveries {
		_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Token: d.Token, State: alotwebhook.StateFailed}})
	}
	if err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	return s.Store.Purge(ctx, p)
}

// parkedKept never expires what is parked.
type parkedKept struct{ alotwebhook.Store }

func (s parkedKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Parked = 0
	return s.Store.Purge(ctx, p)
}

// reasonForEver shows a delivery that has ended for that reason as such, also once it is redelivered.
type reasonForEver struct {
	alotwebhook.Store
	reason alotwebhook.FailureReason
	ended  sync.Map
}

func (s *reasonForEver) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if d.LastReason == s.reason {
		s.ended.Store(id, true)
	}
	if _, ok := s.ended.Load(id); ok {
		d.LastReason = s.reason
	}
	return d, err
}

// expiresAtOnce expires what is parked, however short a time.
type expiresAtOnce struct{ alotwebhook.Store }

func (s expiresAtOnce) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Parked = min(p.Parked, 1)
	return s.Store.Purge(ctx, p)
}

// expiresWithoutLimit expires all that is parked for too long in one call.
type expiresWithoutLimit struct{ alotwebhook.Store }

func (s expiresWithoutLimit) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if p.Parked > 0 {
		p.Limit = 0
	}
	return s.Store.Purge(ctx, p)
}

// purgeStuck looks at the oldest rows only.
type purgeStuck struct{ alotwebhook.Store }

func (s purgeStuck) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	all, _, err := s.Deliveries(ctx, alotwebhook.Filter{Limit: 100_000})
	if n := len(all) - max(p.Limit, 1); err == nil && n >= 0 {
		oldest := all[n:]
		if !slices.ContainsFunc(oldest, func(d alotwebhook.Delivery) bool { return !d.FinishedAt.IsZero() }) {
			return alotwebhook.PurgeResult{}, nil
		}
	}
	return s.Store.Purge(ctx, p)
}

// purgeFromFirstEnd counts the time of an event from when its first delivery was finished.
type purgeFromFirstEnd struct {
	alotwebhook.Store
	mu     sync.Mutex
	first  map[string]time.Time // by what the ids of an event's deliveries begin with
	spread time.Duration        // the longest time between the ends of two deliveries of an event
}

func (s *purgeFromFirstEnd) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outcomes {
		if o.State == alotwebhook.StatePending {
			continue
		}
		event := o.DeliveryID[:14] // the millisecond
		if _, ok := s.first[event]; !ok {
			s.first[event] = time.Now()
		}
		s.spread = max(s.spread, time.Since(s.first[event]))
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *purgeFromFirstEnd) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Payloads > 0 {
		p.Payloads = max(p.Payloads-2*s.spread, 1)
	}
	return s.Store.Purge(ctx, p)
}

// erasesUnderWay has no payload for what is claimed during a purge.
type erasesUnderWay struct {
	alotwebhook.Store
	purges atomic.Int64
}

func (s *erasesUnderWay) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	s.purges.Add(1)
	defer s.purges.Add(-1)
	time.Sleep(time.Millisecond) // the window
	return s.Store.Purge(ctx, p)
}

func (s *erasesUnderWay) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	if s.purges.Load() > 0 {
		for i := range r.Deliveries {
			r.Deliveries[i].Payload = nil
		}
	}
	return r, err
}

// countsTokens numbers the claims of each delivery, and forgets the numbers with the
// delivery.
type countsTokens struct {
	alotwebhook.Store
	mu   sync.Mutex
	last map[string]int64
	real map[string]int64 // by id and number
}

func (s *countsTokens) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.Store.Claim(ctx, c)
	for i, d := range r.Deliveries {
		s.last[d.DeliveryID]++
		r.Deliveries[i].Token = s.last[d.DeliveryID]
		s.real[fmt.Sprint(d.DeliveryID, s.last[d.DeliveryID])] = d.Token
	}
	return r, err
}

func (s *countsTokens) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes = slices.Clone(outcomes)
	for i, o := range outcomes {
		outcomes[i].Token = s.real[fmt.Sprint(o.DeliveryID, o.Token)]
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *countsTokens) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.Store.Purge(ctx, p)
	if r.Deliveries > 0 {
		clear(s.last)
	}
	return r, err
}
