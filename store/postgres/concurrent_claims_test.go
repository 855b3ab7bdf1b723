package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// ledger notes which attempts were claimed, and demands that each is once.
type ledger struct {
	mu       sync.Mutex
	attempts map[string]int
	twice    []string
	lost     []string
	ended    atomic.Int64
}

// note notes claims, and returns the outcomes: due again at once until the last attempt.
func (l *ledger) note(claimed []alotwebhook.Claimed, attempts int) []alotwebhook.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcomes := again(claimed)
	for i, c := range claimed {
		if l.attempts[c.DeliveryID]++; l.attempts[c.DeliveryID] != c.Attempt || c.Claims != 1 {
			l.twice = append(l.twice, fmt.Sprintf("%s: attempt %d, claim %d", c.DeliveryID, c.Attempt, c.Claims))
		}
		if c.Attempt == attempts {
			outcomes[i] = outcomesOf(claimed[i : i+1])[0]
		}
	}
	return outcomes
}

// send claims and finishes on a store until n deliveries have ended, each with its last
// attempt, in small batches.
func (l *ledger) send(ctx context.Context, s alotwebhook.Store, n, attempts int, pauses func() error) error {
	for int(l.ended.Load()) < n && ctx.Err() == nil {
		r, err := s.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1 + rand.IntN(20), PerEndpoint: 5, Lease: time.Hour})
		if err != nil {
			return err
		}
		outcomes := l.note(r.Deliveries, attempts)
		if err := pauses(); err != nil {
			return err
		}
		lost, err := s.Finish(ctx, outcomes)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.lost = append(l.lost, lost...)
		l.mu.Unlock()
		for _, o := range outcomes {
			if o.State == alotwebhook.StateDelivered {
				l.ended.Add(1)
			}
		}
	}
	return ctx.Err()
}

// run has workers send on each store until n deliveries have ended, and requires that no
// attempt was claimed twice and no outcome lost.
func (l *ledger) run(t *testing.T, stores []*postgres.Store, workers, n, attempts int, pauses func(*postgres.Store) error) {
	t.Helper()
	l.attempts = map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results := make(chan error, workers*len(stores))
	for _, s := range stores {
		for range workers {
			go func() { results <- l.send(ctx, s, n, attempts, func() error { return pauses(s) }) }()
		}
	}
	for range cap(results) {
		if err := <-results; err != nil {
			cancel()
			require.NoError(t, err, "%d of %d have ended; twice: %v; lost: %v", l.ended.Load(), n, l.twice, l.lost)
		}
	}
	require.Empty(t, l.twice)
	require.Empty(t, l.lost)
	require.Zero(t, pendingOf(t, stores[0]))
}

// A claim may have read a row before a Finish changed it. Then it does not give that delivery
// again: each attempt is claimed once, although all are due again at once.
func TestFinishOvertakesClaims(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 1)
	const events, attempts = 300, 6
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 5), events)
	new(ledger).run(t, stores, 8, events, attempts, func(*postgres.Store) error { return nil })
}

// Processes join and leave all the time, so that slots move between all of them at once.
// Nobody fails or waits for ever, and each attempt is claimed once.
func TestSlotsMoveAllTheTime(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 4)
	const events, attempts = 1000, 3
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 50), events)
	new(ledger).run(t, stores, 2, events, attempts, func(s *postgres.Store) error {
		if rand.IntN(8) > 0 {
			return nil
		}
		_, err := s.Claim(context.Background(), alotwebhook.ClaimRequest{PerEndpoint: 5, Lease: time.Hour})
		return err
	})
}
