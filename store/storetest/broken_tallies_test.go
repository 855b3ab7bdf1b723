package storetest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
)

// tallyReplaces keeps the last batch of tallies only.
type tallyReplaces struct {
	alotwebhook.Store
	alotwebhook.Tallier
	mu   sync.Mutex
	last []alotwebhook.Tally
}

func (s *tallyReplaces) AddTallies(_ context.Context, tallies []alotwebhook.Tally) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.Clone(tallies)
	return nil
}

func (s *tallyReplaces) Tallies(context.Context, []string, time.Time) ([]alotwebhook.Tally, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last), nil
}

// tallySumsSlowest adds the slowest attempts up.
type tallySumsSlowest struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s tallySumsSlowest) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	list, err := s.Tallier.Tallies(ctx, endpointIDs, since)
	for i := range list {
		list[i].Slowest = list[i].Duration
	}
	return list, err
}

// tallySinceExclusive leaves out the tallies of the hour since.
type tallySinceExclusive struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s tallySinceExclusive) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	return s.Tallier.Tallies(ctx, endpointIDs, since.Add(1))
}

// talliesKept never purges tallies.
type talliesKept struct {
	alotwebhook.Store
	alotwebhook.Tallier
}

func (s talliesKept) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	p.Tallies = 0
	return s.Store.Purge(ctx, p)
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
