// Package tally sums up what a process has counted and its store does not know of yet.
package tally

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

const (
	// interval is how often pending sums go to the store.
	interval = 5 * time.Second
	// patience bounds one call of the store.
	patience = 10 * time.Second
	// most bounds the memory of pending sums while the store fails. Past it, nothing is counted
	// under further keys.
	most = 50_000
)

// Config says what is summed up: values T under keys K. All fields are needed.
type Config[K comparable, T any] struct {
	Key   func(T) K
	New   func(K) T
	Add   func(sum *T, other T) // keeps nothing of other
	Order func(a, b T) int
	// Store adds a batch to what is stored: all of it or, with an error, nothing.
	Store func(ctx context.Context, batch []T) error
	Log   *slog.Logger
}

// Sums are pending sums. Their methods may be called from many goroutines at once.
type Sums[K comparable, T any] struct {
	cfg Config[K, T]

	mu      sync.Mutex
	pending map[K]*T

	// moving is held while pending sums go to the store and while they are read, so that a
	// reader counts everything once. It is locked before mu.
	moving sync.Mutex
}

// New returns sums of nothing.
func New[K comparable, T any](cfg Config[K, T]) *Sums[K, T] {
	return &Sums[K, T]{cfg: cfg, pending: map[K]*T{}}
}

// Count has f change the sum under a key.
func (s *Sums[K, T]) Count(key K, f func(sum *T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.under(key))
}

// under returns the pending sum under a key. The caller holds mu.
func (s *Sums[K, T]) under(key K) *T {
	sum := s.pending[key]
	if sum == nil {
		fresh := s.cfg.New(key)
		sum = &fresh
		if len(s.pending) < most {
			s.pending[key] = sum
		}
	}
	return sum
}

// Run moves pending sums to the store every few seconds until ctx is done.
func (s *Sums[K, T]) Run(ctx context.Context) {
	episode := pace.Episode{Log: s.cfg.Log, Operation: "tally"}
	for pace.Pause(ctx, interval-rand.N(interval/4)) {
		if err := s.flush(); err != nil {
			episode.Failed(err)
		} else {
			episode.Over()
		}
	}
}

// Close moves what is pending after the end of Run to the store.
func (s *Sums[K, T]) Close() {
	if err := s.flush(); err != nil {
		s.cfg.Log.Error("alotwebhook: the last tallies could not be stored; the charts lack some seconds", "error", err)
	}
}

// flush moves the pending sums to the store. After an error they are pending again. The end
// of a run does not cut it off, because that would leave open whether they were stored.
func (s *Sums[K, T]) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.moving.Lock()
	defer s.moving.Unlock()
	batch := s.take()
	if len(batch) == 0 {
		return nil
	}
	err := s.cfg.Store(ctx, batch)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range batch {
			s.cfg.Add(s.under(s.cfg.Key(t)), t)
		}
	}
	return err
}

// take takes all that is pending, in order.
func (s *Sums[K, T]) take() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := make([]T, 0, len(s.pending))
	for _, sum := range s.pending {
		batch = append(batch, *sum)
	}
	clear(s.pending)
	slices.SortFunc(batch, s.cfg.Order)
	return batch
}

// Read returns the stored sums and the pending ones that match, added up and in order.
func (s *Sums[K, T]) Read(stored func() ([]T, error), match func(T) bool) ([]T, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	all, err := stored()
	if err != nil {
		return nil, err
	}
	sums := make(map[K]T, len(all))
	add := func(t T) {
		key := s.cfg.Key(t)
		sum, ok := sums[key]
		if !ok {
			sum = s.cfg.New(key)
		}
		s.cfg.Add(&sum, t)
		sums[key] = sum
	}
	for _, t := range all {
		add(t)
	}
	s.mu.Lock()
	for _, sum := range s.pending {
		if match(*sum) {
			add(*sum)
		}
	}
	s.mu.Unlock()
	return slices.SortedFunc(maps.Values(sums), s.cfg.Order), nil
}
