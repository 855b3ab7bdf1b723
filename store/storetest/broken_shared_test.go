package storetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// The stores in this file are several Store values over one database, which is in memory.
// Each keeps the contract by itself, as far as the rule goes, and breaks it beside others.

// values makes n values over one store.
func values(n int, one func(of alotwebhook.Store) alotwebhook.Store) []alotwebhook.Store {
	of := memory.New()
	all := make([]alotwebhook.Store, n)
	for i := range all {
		all[i] = one(of)
	}
	return all
}

// processLocks knows by itself alone what it has leased. The database keeps no lease.
type processLocks struct {
	alotwebhook.Store
	mu     sync.Mutex
	leased map[string]time.Time
}

func (s *processLocks) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, limit := c.Lease, c.Limit
	c.Lease, c.Limit = 1, limit+len(s.leased)
	r, err := s.Store.Claim(ctx, c)
	var free []alotwebhook.Claimed
	for _, d := range r.Deliveries {
		if time.Now().After(s.leased[d.DeliveryID]) && len(free) < limit {
			free = append(free, d)
			s.leased[d.DeliveryID] = time.Now().Add(lease)
		}
	}
	r.Deliveries = free
	return r, err
}

// cachedEndpoints keeps each endpoint that it has claimed for until it changes it itself.
type cachedEndpoints struct {
	alotwebhook.Store
	known sync.Map
}

func (s *cachedEndpoints) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	r, err := s.Store.Claim(ctx, c)
	for i, d := range r.Deliveries {
		known, _ := s.known.LoadOrStore(d.Endpoint.ID, d.Endpoint)
		if e := known.(*alotwebhook.Endpoint); e.FailingSince.Equal(d.Endpoint.FailingSince) {
			r.Deliveries[i].Endpoint = e
		}
	}
	return r, err
}

func (s *cachedEndpoints) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	defer s.known.Delete(e.ID)
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// tokenColumn is the column of the newest claims' tokens.
type tokenColumn struct {
	mu     sync.Mutex
	newest map[string][2]int64 // the token that was given, and the one below
}

// tokensOfProcess numbers its claims by itself, from 1.
type tokensOfProcess struct {
	alotwebhook.Store
	column *tokenColumn
	last   int64
}

func (s *tokensOfProcess) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	s.column.mu.Lock()
	defer s.column.mu.Unlock()
	r, err := s.Store.Claim(ctx, c)
	for i, d := range r.Deliveries {
		s.last++
		s.column.newest[d.DeliveryID] = [2]int64{s.last, d.Token}
		r.Deliveries[i].Token = s.last
	}
	return r, err
}

func (s *tokensOfProcess) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) ([]string, error) {
	s.column.mu.Lock()
	defer s.column.mu.Unlock()
	real := make([]alotwebhook.Outcome, len(outcomes))
	for i, o := range outcomes {
		newest := s.column.newest[o.DeliveryID]
		if o.Token = 0; outcomes[i].Token == newest[0] {
			o.Token = newest[1]
		}
		real[i] = o
	}
	return s.Store.Finish(ctx, real)
}

// pausesOfProcess keeps pauses by itself, and everything else in the database.
type pausesOfProcess struct {
	alotwebhook.Store
	alotwebhook.Pauser
}

// cachedPauses reads the pauses anew only when it has changed one itself.
type cachedPauses struct {
	alotwebhook.Store
	alotwebhook.Pauser
	mu     sync.Mutex
	known  []alotwebhook.Pause
	isRead bool
}

func (s *cachedPauses) Pauses(ctx context.Context) (_ []alotwebhook.Pause, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isRead {
		s.known, err = s.Pauser.Pauses(ctx)
		s.isRead = err == nil
	}
	return slices.Clone(s.known), err
}

func (s *cachedPauses) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isRead = false
	return s.Pauser.PutPause(ctx, p, ops...)
}

// cachedEvents keeps each event that it was asked for.
type cachedEvents struct {
	alotwebhook.Store
	known sync.Map
}

func (s *cachedEvents) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	if known, ok := s.known.Load(id); ok {
		return known.(alotwebhook.Event), nil
	}
	e, err := s.Store.Event(ctx, id)
	if err == nil {
		s.known.Store(id, e)
	}
	return e, err
}

// sharedMutants are broken stores of several values, and rules that find the fault.
var sharedMutants = map[string]struct {
	open  func() []alotwebhook.Store
	found []string
}{
	"ProcessLocks": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store {
				return &processLocks{Store: of, leased: map[string]time.Time{}}
			})
		},
		[]string{"Lease/Hides", "Concurrency/ClaimersShare"},
	},
	"CachedEndpoints": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return &cachedEndpoints{Store: of} })
		},
		[]string{"Endpoints/ClaimSeesChanges"},
	},
	"CachedEvents": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return &cachedEvents{Store: of} })
		},
		[]string{"Erase/Pages"},
	},
	"OrderOfProcess": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return newOrderOfProcess(of, 1) })
		},
		[]string{"Ordered/OneAtATime"},
	},
	"TokensOfProcess": {
		func() []alotwebhook.Store {
			column := &tokenColumn{newest: map[string][2]int64{}}
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return &tokensOfProcess{Store: of, column: column} })
		},
		[]string{"Lease/Token"},
	},
	"PausesOfProcess": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store { return pausesOfProcess{of, memory.New()} })
		},
		[]string{"Pauses/KeepsAllFields", "Pauses/Replaces", "Pauses/Deletes", "Pauses/Order"},
	},
	"CachedPauses": {
		func() []alotwebhook.Store {
			return values(3, func(of alotwebhook.Store) alotwebhook.Store {
				return &cachedPauses{Store: of, Pauser: of.(alotwebhook.Pauser)}
			})
		},
		[]string{"Pauses/Replaces", "Pauses/Deletes"},
	},
}
