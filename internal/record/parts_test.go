package record_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/record"
)

// parted is a store of two parts. The second has the deliveries whose ids begin with "bad".
type parted struct{ of func(id string) int }

func (p parted) Parts() int           { return 2 }
func (p parted) PartOf(id string) int { return p.of(id) }

func byName(id string) int {
	if strings.HasPrefix(id, "bad") {
		return 1
	}
	return 0
}

func newParts(of any, most int, put func(context.Context, []outcome) ([]string, error), s *store) *record.Parts[string] {
	return record.NewParts(of, most, record.Config[string]{
		Store: put, Extend: s.extend, Lease: lease, Over: s.isOver, Stored: func(*outcome) { s.stored.Add(1) },
		Strip: func(o *outcome) { o.Value = "" }, More: func() bool { return true },
		Capacity: 10, Log: slog.New(slog.DiscardHandler),
	})
}

// attempt claims a delivery and gives its outcome.
func attempt(t *testing.T, p *record.Parts[string], name string, i int) {
	t.Helper()
	id := fmt.Sprint(name, i)
	require.True(t, p.Claimed(claim(id, 1, 1)))
	p.Add(outcome{claim(id, 1, 1), name})
}

// A part that is away or hangs holds up nobody: neither the outcomes of others nor whoever
// brings its own. The claims go on, too.
func TestPartsFailByThemselves(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) error{
		"away":  func(context.Context) error { return errStore },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, down := newStore(), make(chan struct{})
				put := func(ctx context.Context, batch []outcome) ([]string, error) {
					for _, o := range batch {
						require.Equal(t, byName(batch[0].ID), byName(o.ID), "a batch is of one part")
					}
					select {
					case <-down:
					default:
						if byName(batch[0].ID) == 1 {
							return nil, fail(ctx)
						}
					}
					return s.put(ctx, batch)
				}
				p := newParts(parted{byName}, 1000, put, s)
				time.Sleep(time.Minute)
				began := time.Now()
				for i := range 900 { // far more than Capacity, and as many as there can be
					attempt(t, p, "bad", i)
				}
				for i := range 100 {
					attempt(t, p, "good", i)
				}
				time.Sleep(time.Second)
				require.Equal(t, 100, s.len())
				require.Less(t, time.Since(began), 5*time.Second)
				time.Sleep(2 * time.Minute)
				require.False(t, p.Away(), "one part is there")
				require.True(t, p.AwaitStore(t.Context()))
				require.Less(t, time.Since(began), 3*time.Minute, "nobody waits for a part")
				close(down)
				require.Zero(t, p.Close())
				require.Equal(t, 1000, s.len())
				require.EqualValues(t, 1000, s.stored.Load())
			})
		})
	}
}

// Whoever brings outcomes waits for a part that does not keep up. Otherwise ever more would
// be sent and not recorded.
func TestPartsKeepUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.during = func() { time.Sleep(100 * time.Millisecond) }
		p := newParts(parted{byName}, 100_000, s.put, s)
		attempt(t, p, "bad", 0)
		time.Sleep(time.Second)
		for i := range 2000 {
			time.Sleep(time.Microsecond)
			attempt(t, p, "bad", 1+i)
			require.LessOrEqual(t, i-s.len(), 600, "what waits, and what is on its way")
		}
		require.Zero(t, p.Close())
	})
}

// When all parts are away, claims wait as for a single store.
func TestPartsAllAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.refuses = func(*outcome) bool { return true }
		p := newParts(parted{byName}, 100, s.put, s)
		for i := range 5 {
			attempt(t, p, "bad", i)
		}
		time.Sleep(time.Minute)
		require.False(t, p.Away())
		for i := range 5 {
			attempt(t, p, "good", i)
		}
		time.Sleep(time.Minute)
		require.True(t, p.Away())
		began := time.Now()
		require.True(t, p.AwaitStore(t.Context()))
		require.Equal(t, time.Second, time.Since(began))
		p.GiveUpIn(10 * time.Second)
		require.Equal(t, 10, p.Close())
	})
}

// wrapping is a store on top of another.
type wrapping struct{ inner any }

func (w wrapping) Unwrap() any { return w.inner }

// A wrapper that says so does not hide the parts.
func TestPartsOfAWrappedStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, store := range []any{parted{byName}, wrapping{parted{byName}}, wrapping{wrapping{parted{byName}}}} {
			s := newStore()
			s.refuses = func(o *outcome) bool { return byName(o.ID) == 1 }
			p := newParts(store, 100, s.put, s)
			attempt(t, p, "bad", 0)
			attempt(t, p, "bad", 1)
			time.Sleep(time.Minute)
			require.False(t, p.Away(), "%T", store)
			p.GiveUpIn(time.Second)
			require.Equal(t, 2, p.Close())
		}
		s := newStore()
		s.refuses = func(o *outcome) bool { return byName(o.ID) == 1 }
		p := newParts(wrapping{}, 100, s.put, s)
		attempt(t, p, "bad", 0)
		attempt(t, p, "bad", 1)
		time.Sleep(time.Minute)
		require.True(t, p.Away(), "it has no parts")
		p.GiveUpIn(time.Second)
		require.Equal(t, 2, p.Close())
	})
}

// A delivery whose outcome waits in one part is not sent again although it comes from
// another part. A store without parts has one recorder.
func TestPartsNeverSendTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, at := newStore(), 0
		p := newParts(parted{func(string) int { return at }}, 100, s.put, s)
		require.True(t, p.Claimed(claim("a", 1, 1)))
		at = 1
		require.False(t, p.Claimed(claim("a", 1, 2)))
		require.True(t, p.Claimed(claim("a", 2, 3)), "another attempt")
		p.Add(outcome{claim("a", 1, 1), "sent"})
		require.Zero(t, p.Close())
		require.Equal(t, 1, s.len())

		one := newParts(s, 100, s.put, s)
		require.True(t, one.Claimed(claim("b", 1, 1)))
		require.False(t, one.Claimed(claim("b", 1, 2)))
		one.Add(outcome{Claim: claim("b", 1, 1)})
		require.Zero(t, one.Close())
		require.Equal(t, 2, s.len())
	})
}

// An outcome whose delivery this process has just claimed again, without knowing it yet, is
// recorded under that claim: no log line says that it came too late. One that another process
// has claimed did.
func TestLateIsToldWhenItIsSure(t *testing.T) {
	t.Parallel()
	for name, ours := range map[string]bool{"claimed by this process": true, "claimed by another one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStore()
				s.newest["dlv0"] = 2
				var logged strings.Builder
				p := record.NewParts(any(nil), 10, record.Config[string]{
					Store: s.put, Extend: s.extend, Lease: lease, Over: s.isOver, Stored: func(*outcome) {}, Strip: func(*outcome) {},
					More: func() bool { return false }, Capacity: 10, Log: slog.New(slog.NewTextHandler(&logged, nil)),
				})
				attempt(t, p, "dlv", 0)
				synctest.Wait()
				require.Empty(t, logged.String(), "a claim may be under way")
				if ours {
					require.False(t, p.Claimed(claim("dlv0", 1, 2)))
				}
				require.True(t, p.AwaitStore(t.Context()))
				synctest.Wait()
				_, kept := s.get("dlv0")
				require.Equal(t, ours, kept)
				require.Equal(t, !ours, strings.Contains(logged.String(), "deliveries=1 first=dlv0"), logged.String())
				require.Zero(t, p.Close())
			})
		})
	}
}
