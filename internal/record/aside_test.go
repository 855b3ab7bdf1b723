package record_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/record"
)

func (s *store) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[id], s.newest[id] = true, -1
}

// An outcome that is lost since its delivery has ended is forgotten, at once or, if it ends while
// its outcome waits, within two leases. So the delivery is sent if it is claimed after all.
func TestForgetsWhatHasEnded(t *testing.T) {
	t.Parallel()
	for name, soon := range map[string]bool{"before the outcome comes": true, "while it waits": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				p := newParts(s, 10, s.put, s)
				require.True(t, p.Claimed(claim("dlv", 1, 1)))
				s.claimedAgain("dlv", 2)
				if soon {
					s.end("dlv")
				}
				p.Add(outcome{claim("dlv", 1, 1), "sent"})
				time.Sleep(time.Second)
				if !soon {
					require.Equal(t, 1, p.Held(), "the claim may be one of this process")
					s.end("dlv")
					time.Sleep(2 * lease)
				}
				require.Zero(t, p.Held())
				require.True(t, p.Claimed(claim("dlv", 1, 3)))
				require.Zero(t, p.Close())
			})
		})
	}
}

// What waits for a claim waits for as long as it takes: it is neither sent nor forgotten.
func TestKeepsWhatHasNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p := newParts(s, 10, s.put, s)
		require.True(t, p.Claimed(claim("dlv", 1, 1)))
		s.claimedAgain("dlv", 2)
		p.Add(outcome{claim("dlv", 1, 1), "sent"})
		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, p.Held())
		require.False(t, p.Claimed(claim("dlv", 1, 2)))
		require.Zero(t, p.Close())
		require.Equal(t, 1, s.len())
	})
}

// A call that has failed has stored the outcome all the same.
func TestForgetsWhatIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		var calls atomic.Int64
		p := newParts(s, 10, func(ctx context.Context, batch []outcome) ([]string, error) {
			lost, err := s.put(ctx, batch)
			if calls.Add(1) == 1 {
				s.claimedAgain("dlv", -1) // it is leased no more
				return nil, errStore
			}
			return lost, err
		}, s)
		require.True(t, p.Claimed(claim("dlv", 1, 1)))
		p.Add(outcome{claim("dlv", 1, 1), "sent"})
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 2, calls.Load())
		require.Zero(t, p.Held())
		require.Zero(t, p.Close())
	})
}

// An outcome is stored as one of the newest claim: under its token, and by its Try.
func TestOutcomeIsOfTheNewestClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, at := newStore(), 0
		p := newParts(parted{func(string) int { return at }}, 100, s.put, s)
		require.True(t, p.Claimed(record.Claim{ID: "dlv", Attempt: 3, Try: 3, Token: 1}))
		s.claimedAgain("dlv", 2)
		at = 1 // it was moved meanwhile
		newest := record.Claim{ID: "dlv", Attempt: 3, Try: 1, Token: 2, HoldsUp: time.Hour}
		require.False(t, p.Claimed(newest))
		p.Add(outcome{record.Claim{ID: "dlv", Attempt: 3, Try: 3, Token: 1}, "sent"})
		require.Zero(t, p.Close())
		kept, _ := s.get("dlv")
		require.Equal(t, outcome{newest, "sent"}, kept)
	})
}

// The leases of what is under way are extended as those of the claims, with all that these say.
func TestExtendsClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.refuses = func(*outcome) bool { return true }
		var extended []record.Claim
		p := record.NewParts(s, 10, record.Config[string]{
			Store: s.put, Lease: lease, Over: s.isOver, Stored: func(*outcome) {}, Strip: func(*outcome) {},
			Extend:   func(_ context.Context, batch []record.Claim) error { extended = append(extended, batch...); return nil },
			More:     func() bool { return false },
			Capacity: 10, Log: slog.New(slog.DiscardHandler),
		})
		underWay := record.Claim{ID: "under way", Attempt: 1, Try: 1, Token: 7, HoldsUp: time.Hour}
		require.True(t, p.Claimed(underWay))
		for i := range 3 {
			attempt(t, p, fmt.Sprint("dlv", i), i)
		}
		time.Sleep(lease / 2)
		p.GiveUpIn(time.Second)
		require.Equal(t, 3, p.Close())
		require.Contains(t, extended, underWay)
	})
}
