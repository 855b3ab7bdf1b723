package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
)

// oneByOne stores each member of a batch by itself.
type oneByOne struct{ alotwebhook.Store }

func (s oneByOne) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	for i := range events {
		if err := s.Store.Enqueue(ctx, events[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s oneByOne) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	for i := range outcomes {
		one, err := s.Store.Finish(ctx, outcomes[i:i+1])
		if err != nil {
			return nil, err
		}
		lost = append(lost, one...)
	}
	return lost, nil
}

func (s oneByOne) Redeliver(ctx context.Context, ids []string) (n int, err error) {
	for i := range ids {
		one, err := s.Store.Redeliver(ctx, ids[i:i+1])
		if err != nil {
			return n, err
		}
		n += one
	}
	return n, nil
}

// talliesOneByOne adds each tally by itself.
type talliesOneByOne struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s talliesOneByOne) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	for i := range tallies {
		if err := s.Tallier.AddTallies(ctx, tallies[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// subscriptionsReadFirst finds the endpoints of an event, and then stores its deliveries,
// without a lock in between. A delivery to an endpoint that was deleted meanwhile stays
// pending.
type subscriptionsReadFirst struct {
	alotwebhook.Store
	orphans atomic.Int64
}

func (s *subscriptionsReadFirst) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	before, _, err := s.Endpoints(ctx, alotwebhook.EndpointFilter{Limit: 1000})
	if err != nil {
		return err
	}
	time.Sleep(time.Millisecond) // the window
	if err := s.Store.Enqueue(ctx, events); err != nil {
		return err
	}
	for _, e := range before {
		if _, err := s.Endpoint(ctx, e.ID); errors.Is(err, alotwebhook.ErrNotFound) && len(events) > 0 && e.OrganizationID == events[0].OrganizationID {
			s.orphans.Add(int64(len(events)))
		}
	}
	return nil
}

func (s *subscriptionsReadFirst) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	st, err := s.Store.Stats(ctx)
	st.Pending += s.orphans.Load()
	return st, err
}

// redeliverReadsFirst looks at a delivery and then makes it due, without a lock in
// between: one that was claimed meanwhile is due again.
type redeliverReadsFirst struct {
	alotwebhook.Store
	newest sync.Map // the token of each delivery's newest claim
}

func (s *redeliverReadsFirst) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for _, d := range r.Deliveries {
		s.newest.Store(d.DeliveryID, d.Token)
	}
	return r, err
}

func (s *redeliverReadsFirst) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	lost, err := s.Store.Finish(ctx, outcomes)
	for _, o := range outcomes {
		if !o.Held {
			s.newest.Delete(o.DeliveryID)
		}
	}
	return lost, err
}

func (s *redeliverReadsFirst) Redeliver(ctx context.Context, ids []string) (int, error) {
	var free []string
	for _, id := range ids {
		if _, leased := s.newest.Load(id); !leased {
			free = append(free, id)
		}
	}
	time.Sleep(3 * time.Millisecond) // the window
	n, err := s.Store.Redeliver(ctx, free)
	for _, id := range free {
		if token, leased := s.newest.Load(id); leased && err == nil {
			_, err = s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: id, Token: token.(int64), State: alotwebhook.StatePending}})
			n++
		}
	}
	return n, err
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

// disabledNotTested stores nothing for a disabled endpoint that is to get a test event.
type disabledNotTested struct{ alotwebhook.Store }

func (s disabledNotTested) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if e, err := s.Endpoint(ctx, endpointID); err != nil || e.Disabled {
		return err
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// resends sends an event that is stored already to another endpoint, under another id.
type resends struct{ alotwebhook.Store }

func (s resends) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if _, err := s.Event(ctx, event.ID); err == nil {
		again, err := alotwebhook.NewEvent(event.Type, event.OrganizationID, event.Data)
		if err != nil {
			return err
		}
		event.ID = again.ID
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
}

// refusesStored takes an event that is stored already for an error.
type refusesStored struct{ alotwebhook.Store }

func (s refusesStored) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if _, err := s.Event(ctx, event.ID); err == nil {
		return errors.New("stored already")
	}
	return s.Store.EnqueueTo(ctx, endpointID, event)
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

// reasonDropped forgets the reason of an outcome without an attempt.
type reasonDropped struct{ alotwebhook.Store }

func (s reasonDropped) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if outcomes[i].Attempt.Number == 0 {
			outcomes[i].Attempt.Reason = ""
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// successByReason takes every attempt without a reason for a success.
type successByReason struct {
	alotwebhook.Store
	failing sync.Map
}

func (s *successByReason) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	for _, o := range outcomes {
		d, err := s.Delivery(ctx, o.DeliveryID)
		if err == nil && o.Attempt.Number > 0 {
			s.failing.Store(d.EndpointID, o.Attempt.Reason != "")
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

func (s *successByReason) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	e, err := s.Store.Endpoint(ctx, id)
	e.FailingSince = time.Time{}
	if failing, ok := s.failing.Load(id); ok && failing.(bool) {
		e.FailingSince = time.Now()
	}
	return e, err
}

// statusGoesWithEndpoint shows no status code of a delivery whose endpoint was deleted.
type statusGoesWithEndpoint struct{ alotwebhook.Store }

func (s statusGoesWithEndpoint) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	if d.LastReason == alotwebhook.ReasonEndpointDeleted {
		d.LastStatusCode = 0
	}
	return d, err
}

// redeliverTwiceInBatch counts a delivery as often as it is in the batch.
type redeliverTwiceInBatch struct{ alotwebhook.Store }

func (s redeliverTwiceInBatch) Redeliver(ctx context.Context, ids []string) (int, error) {
	n, err := s.Store.Redeliver(ctx, ids)
	distinct := slices.Compact(slices.Sorted(slices.Values(ids)))
	return n + len(ids) - len(distinct), err
}

// tenDefects has most of the faults at once of a store that somebody wrote in an afternoon
// with other habits. It passed all rules that there were at first.
func tenDefects(s alotwebhook.Store) alotwebhook.Store {
	s = &redeliverReadsFirst{Store: s}
	s = &subscriptionsReadFirst{Store: s}
	s = purgeStuck{s}
	s = oneByOne{s}
	s = cutting{Store: s, secret: 255, url: 255}
	s = storesTheGood{s}
	return folding{Store: s, organization: func(org string) string { return strings.ToLower(withoutAccents(withoutBlanks(org))) }}
}
