package record_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/record"
)

type outcome = record.Outcome[string]

func claim(id string, attempt int, token int64) record.Claim {
	return record.Claim{ID: id, Attempt: attempt, Try: attempt, Token: token}
}

var errStore = errors.New("the store has refused")

// store keeps outcomes by delivery. It refuses a batch with one that refuses names.
type store struct {
	mu      sync.Mutex
	kept    map[string]outcome
	refuses func(*outcome) bool
	newest  map[string]int64 // the tokens of the newest claims; without one, every token counts
	during  func()           // is called in each call
	calls   atomic.Int64
	// extended has when the lease of each delivery was extended last.
	extended map[string]time.Time
	stored   atomic.Int64
	ended    map[string]bool // the deliveries that have ended without an outcome
}

func (s *store) put(ctx context.Context, batch []outcome) (lost []string, err error) {
	s.calls.Add(1)
	if s.during != nil {
		s.during()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != nil && slices.ContainsFunc(batch, func(o outcome) bool { return s.refuses(&o) }) {
		return nil, errStore
	}
	for _, o := range batch {
		if newest, ok := s.newest[o.ID]; ok && newest != o.Token {
			lost = append(lost, o.ID)
			continue
		}
		s.kept[o.ID] = o
	}
	return lost, ctx.Err()
}

// lease is the lease of all claims.
const lease = 30 * time.Second

func (s *store) extend(_ context.Context, batch []record.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range batch {
		s.extended[o.ID] = time.Now()
	}
	return nil
}

// isOver is as for a store that knows nothing of a delivery but its outcome.
func (s *store) isOver(_ context.Context, id string, attempt int) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.kept[id]
	return s.ended[id] || ok && o.Attempt >= attempt, nil
}

func (s *store) get(id string) (outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.kept[id]
	return o, ok
}

func (s *store) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

func (s *store) claimedAgain(id string, token int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest[id] = token
}

func newStore() *store {
	return &store{kept: map[string]outcome{}, newest: map[string]int64{}, extended: map[string]time.Time{}, ended: map[string]bool{}}
}

func newRecorder(s *store, capacity int) *record.Recorder[string] {
	return record.New(record.Config[string]{
		Store: s.put, Extend: s.extend, Lease: lease, Over: s.isOver, Stored: func(*outcome) { s.stored.Add(1) },
		Strip: func(o *outcome) { o.Value = "" }, More: func() bool { return true },
		Capacity: capacity, Log: slog.New(slog.DiscardHandler),
	})
}

// made claims so many deliveries and gives their outcomes.
func made(r *record.Recorder[string], n int, value string) {
	for i := range n {
		id := fmt.Sprint(value, i)
		if r.Claimed(claim(id, 1, 1)) {
			r.Add(outcome{claim(id, 1, 1), value})
		}
	}
}

// One outcome among many that the store refuses costs some calls, not one for each outcome.
func TestOneRefusedAmongMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.refuses = func(o *outcome) bool { return o.Value == "bad" }
		r := newRecorder(s, 1000)
		made(r, 250, "good")
		made(r, 1, "bad")
		made(r, 250, "fine")
		require.Zero(t, r.Close())
		require.Equal(t, 501, s.len())
		require.Empty(t, s.kept["bad0"].Value, "it is stored without its text")
		require.Equal(t, int64(501), s.stored.Load())
		require.Less(t, s.calls.Load(), int64(50))
	})
}

// Outcomes that are refused altogether hold up no others, whatever their share. Each is
// stored when its delivery was claimed again and the store takes it.
func TestManyRefusedAltogether(t *testing.T) {
	t.Parallel()
	for _, bad := range []int{1, 50, 200} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore()
			var mended atomic.Bool
			s.refuses = func(o *outcome) bool { return !mended.Load() && o.ID[:3] == "bad" }
			r := newRecorder(s, 1000)
			made(r, bad, "bad")
			made(r, 5, "good")
			time.Sleep(5 * time.Minute)
			require.Equal(t, 5, s.len())
			require.False(t, r.Away())
			mended.Store(true)
			for i := range bad {
				require.False(t, r.Claimed(claim(fmt.Sprint("bad", i), 1, 2)), "the attempt was made")
			}
			require.Zero(t, r.Close())
			require.Equal(t, 5+bad, s.len())
			require.Equal(t, "bad", s.kept["bad0"].Value)
			require.Equal(t, int64(2), s.kept["bad0"].Token)
		})
	}
}

// While the store is away, nothing is dropped and little is tried. Away says so.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		var back atomic.Bool
		s.refuses = func(*outcome) bool { return !back.Load() }
		r := newRecorder(s, 1000)
		made(r, 700, "good")
		time.Sleep(10 * time.Minute)
		require.True(t, r.Away())
		s.mu.Lock()
		require.Len(t, s.extended, 700)
		for id, at := range s.extended {
			require.Less(t, time.Since(at), lease/2, id)
		}
		s.mu.Unlock()
		require.Less(t, s.calls.Load(), int64(3*10*60), "three a second")
		back.Store(true)
		time.Sleep(10 * time.Second)
		require.False(t, r.Away())
		require.Zero(t, r.Close())
		require.Equal(t, 700, s.len())
		require.Equal(t, "good", s.kept["good699"].Value)
	})
}

// Close ends although the store is away, and says how many outcomes were not stored.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.refuses = func(*outcome) bool { return true }
		r := newRecorder(s, 1000)
		made(r, 700, "good")
		r.GiveUpIn(10 * time.Second)
		began := time.Now()
		require.Equal(t, 700, r.Close())
		require.Less(t, time.Since(began), 20*time.Second)
	})
}

// A delivery that is claimed again before its outcome is stored is not sent again. Its
// outcome is stored under the newest claim, whichever reply comes first.
func TestClaimedAgain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"the claim is known before the reply": true, "and after it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				r := newRecorder(s, 10)
				once := sync.OnceFunc(func() {
					s.claimedAgain("dlv", 2)
					if before {
						require.False(t, r.Claimed(claim("dlv", 1, 2)))
					}
				})
				s.during = once
				require.True(t, r.Claimed(claim("dlv", 1, 1)))
				r.Add(outcome{claim("dlv", 1, 1), "sent"})
				time.Sleep(time.Second)
				if !before {
					_, ok := s.get("dlv")
					require.False(t, ok)
					require.False(t, r.Claimed(claim("dlv", 1, 2)))
					time.Sleep(time.Second)
				}
				kept, _ := s.get("dlv")
				require.Equal(t, outcome{claim("dlv", 1, 2), "sent"}, kept)
				require.True(t, r.Claimed(claim("dlv", 2, 3)), "the next attempt is another one")
				require.False(t, r.Claimed(claim("dlv", 2, 4)))
				require.Zero(t, r.Close())
			})
		})
	}
}

// A claim never waits for the recorder, which may wait for the store for long.
func TestClaimNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		var away atomic.Bool
		s.refuses = func(*outcome) bool { return away.Load() }
		const n = 50
		for i := range n {
			s.newest[fmt.Sprint("a", i)] = 2 // claimed again, which this process does not know yet
		}
		r := newRecorder(s, 1)
		made(r, n, "a")
		time.Sleep(time.Second)
		away.Store(true)
		made(r, 1, "b")
		time.Sleep(time.Second)
		for i := range n {
			require.False(t, r.Claimed(claim(fmt.Sprint("a", i), 1, 2)), "more than the recorder has room for")
		}
		away.Store(false)
		for range n { // one claim after the other, as their leases run out
			time.Sleep(time.Minute)
			for i := range n {
				if _, ok := s.get(fmt.Sprint("a", i)); !ok {
					require.False(t, r.Claimed(claim(fmt.Sprint("a", i), 1, 2)))
					time.Sleep(time.Second)
				}
			}
		}
		require.Zero(t, r.Close())
		require.Equal(t, n+1, s.len())
	})
}

// Outcomes that came too late are remembered for a while, and not without end.
func TestForgetsWhatCameTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		const n = 5000
		for i := range n {
			s.newest[fmt.Sprint("a", i)] = 7
		}
		r := newRecorder(s, n)
		made(r, n, "a")
		time.Sleep(time.Second)
		require.True(t, r.Claimed(claim("a0", 1, 7)))
		require.False(t, r.Claimed(claim(fmt.Sprint("a", n-1), 1, 7)))
		require.Zero(t, r.Close())
	})
}

func BenchmarkRecord(b *testing.B) {
	r := record.New(record.Config[string]{
		Store:  func(context.Context, []outcome) ([]string, error) { return nil, nil },
		Extend: func(context.Context, []record.Claim) error { return nil }, Lease: lease,
		Over:   func(context.Context, string, int) (bool, error) { return false, nil },
		Stored: func(*outcome) {}, Strip: func(*outcome) {}, More: func() bool { return false },
		Capacity: 256, Log: slog.New(slog.DiscardHandler),
	})
	ids := make([]string, 1024)
	for i := range ids {
		ids[i] = fmt.Sprint("dlv_", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := ids[i%len(ids)]
		r.Claimed(claim(id, i, 1))
		r.Add(outcome{Claim: claim(id, i, 1)})
	}
	r.Close()
}

// One outcome on which the store hangs holds up the others for a minute or two, not for good.
func TestStoreHangsOnOneOutcome(t *testing.T) {
	t.Parallel()
	for _, at := range []int{0, 101, 299} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore()
			hangs := func(batch []outcome) bool {
				return slices.ContainsFunc(batch, func(o outcome) bool { return o.ID == fmt.Sprint("a", at) })
			}
			r := record.New(record.Config[string]{
				Store: func(ctx context.Context, batch []outcome) ([]string, error) {
					if hangs(batch) {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return s.put(ctx, batch)
				},
				Extend: s.extend, Lease: lease, Over: s.isOver, Stored: func(*outcome) {}, Strip: func(*outcome) {}, More: func() bool { return true },
				Capacity: 1000, Log: slog.New(slog.DiscardHandler),
			})
			made(r, 300, "a")
			time.Sleep(3 * time.Minute)
			require.Equal(t, 299, s.len())
			made(r, 300, "b")
			time.Sleep(time.Second)
			require.Equal(t, 599, s.len())
			r.GiveUpIn(time.Minute)
			require.Equal(t, 1, r.Close())
		})
	}
}
