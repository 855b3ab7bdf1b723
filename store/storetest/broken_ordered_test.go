package storetest_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// The stores in this file break the order of ordered endpoints.

// orderOfProcess keeps an order that the store below does not know of: no more than so many
// deliveries of an ordered endpoint at once, by what it has leased itself.
type orderOfProcess struct {
	alotwebhook.Store
	most int

	mu     sync.Mutex
	leased map[string]map[string]time.Time // by endpoint and delivery
}

// ordered is what every orderOfProcess knows of the endpoints.
var ordered sync.Map

func newOrderOfProcess(s alotwebhook.Store, most int) *orderOfProcess {
	return &orderOfProcess{Store: s, most: most, leased: map[string]map[string]time.Time{}}
}

func (s *orderOfProcess) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	ordered.Store(e.ID, e.Ordered)
	e.Ordered = false
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func isOrdered(id string) bool {
	v, ok := ordered.Load(id)
	return ok && v.(bool)
}

func (s *orderOfProcess) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (all alotwebhook.ClaimResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	now := time.Now()
	ordered.Range(func(id, _ any) bool {
		n := 0
		for _, until := range s.leased[id.(string)] {
			if until.After(now) {
				n++
			}
		}
		if isOrdered(id.(string)) {
			c.Busy[id.(string)] = max(c.Busy[id.(string)], c.PerEndpoint-max(s.most-n, 0))
		}
		return true
	})
	r, err := s.Store.Claim(ctx, c)
	for i, d := range r.Deliveries {
		id := d.Endpoint.ID
		if s.leased[id] == nil {
			s.leased[id] = map[string]time.Time{}
		}
		s.leased[id][d.DeliveryID] = now.Add(c.Lease)
		e := *d.Endpoint
		e.Ordered = isOrdered(id)
		r.Deliveries[i].Endpoint = &e
	}
	return r, err
}

func (s *orderOfProcess) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outcomes {
		for _, of := range s.leased {
			if o.Held && !of[o.DeliveryID].IsZero() {
				of[o.DeliveryID] = time.Now().Add(o.NextAttemptIn)
			} else {
				delete(of, o.DeliveryID)
			}
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// holdsUp changes HoldsUp of the outcomes of ordered endpoints that which selects.
type holdsUp struct {
	alotwebhook.Store
	which func(*alotwebhook.Outcome) bool
	to    time.Duration
}

func (s holdsUp) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	outcomes = slices.Clone(outcomes)
	for i := range outcomes {
		if o := &outcomes[i]; o.HoldsUp > 0 && s.which(o) {
			o.HoldsUp = s.to
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// holdsUpAgain has each delivery of an ordered endpoint hold up the others that is due again
// within HoldsUp, whether it was overtaken or not.
type holdsUpAgain struct {
	alotwebhook.Store
	mu     sync.Mutex
	until  map[string]time.Time
	latest []alotwebhook.Claimed
}

func (s *holdsUpAgain) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Busy = maps.Clone(c.Busy)
	if c.Busy == nil {
		c.Busy = map[string]int{}
	}
	for id, until := range s.until {
		if until.After(time.Now()) {
			c.Busy[id] = c.PerEndpoint
		}
	}
	r, err := s.Store.Claim(ctx, c)
	s.latest = append(s.latest, r.Deliveries...)
	return r, err
}

func (s *holdsUpAgain) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outcomes {
		for _, c := range s.latest {
			if c.DeliveryID == o.DeliveryID && o.Attempt.Number > 1 && o.NextAttemptIn <= o.HoldsUp {
				s.until[c.Endpoint.ID] = time.Now().Add(o.NextAttemptIn)
			}
		}
	}
	return s.Store.Finish(ctx, outcomes)
}

// batchReversed stores the last event of a batch first.
type batchReversed struct{ alotwebhook.Store }

func (s batchReversed) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	events = slices.Clone(events)
	slices.Reverse(events)
	return s.Store.Enqueue(ctx, events)
}

// parkedAnew puts what is parked into the queue anew when the endpoint is enabled.
type parkedAnew struct{ alotwebhook.Store }

func (s parkedAnew) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	before, err := s.Endpoint(ctx, e.ID)
	if err != nil || !before.Disabled || e.Disabled {
		return s.Store.PutEndpoint(ctx, e, ops...)
	}
	parked, _, err := s.Deliveries(ctx, alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StateParked})
	if err != nil {
		return err
	}
	if _, err := s.Discard(ctx, e.ID, time.Now().Add(time.Hour), len(parked)); err != nil {
		return err
	}
	slices.SortFunc(parked, func(a, b alotwebhook.Delivery) int { return b.CreatedAt.Compare(a.CreatedAt) })
	for _, d := range parked {
		if _, err := s.Redeliver(ctx, []string{d.ID}); err != nil {
			return err
		}
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// givesLeasesAway releases what it has claimed when it claims no more.
type givesLeasesAway struct {
	alotwebhook.Store
	mu    sync.Mutex
	given []alotwebhook.Claimed
}

func (s *givesLeasesAway) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Limit <= 0 {
		for _, d := range s.given {
			_, err := s.Store.Finish(ctx, []alotwebhook.Outcome{{DeliveryID: d.DeliveryID, Token: d.Token, State: alotwebhook.StatePending, HoldsUp: time.Hour}})
			if err != nil {
				return alotwebhook.ClaimResult{}, err
			}
		}
		s.given = nil
	}
	r, err := s.Store.Claim(ctx, c)
	s.given = append(s.given, r.Deliveries...)
	return r, err
}

// orderedForGood never makes an ordered endpoint one that is not.
type orderedForGood struct{ alotwebhook.Store }

func (s orderedForGood) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if before, err := s.Endpoint(ctx, e.ID); err == nil {
		e.Ordered = e.Ordered || before.Ordered
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// waitsForNothing does not tell what a delivery waits for.
type waitsForNothing struct{ alotwebhook.Store }

func (s waitsForNothing) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	page, next, err := s.Store.Deliveries(ctx, f)
	for i := range page {
		page[i].WaitsFor, page[i].WaitsUntil = "", time.Time{}
	}
	return page, next, err
}

func (s waitsForNothing) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	d, err := s.Store.Delivery(ctx, id)
	d.WaitsFor, d.WaitsUntil = "", time.Time{}
	return d, err
}
