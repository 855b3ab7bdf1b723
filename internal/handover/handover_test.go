package handover_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/handover"
)

// shelf is a store of things. The time is that of the test's bubble.
type shelf struct {
	mu     sync.Mutex
	due    map[string]time.Time // of the things that are not finished
	claims map[string]int
	asked  int
	broken error // of Finish
	away   error // of Claim
}

func newShelf(ids ...string) *shelf {
	s := &shelf{due: map[string]time.Time{}, claims: map[string]int{}}
	s.put(ids...)
	return s
}

func (s *shelf) put(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.due[id] = time.Now()
	}
}

func (s *shelf) claim(_ context.Context, limit int, lease time.Duration) (claimed []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	longestDue := slices.SortedFunc(maps.Keys(s.due), func(a, b string) int {
		return cmp.Or(s.due[a].Compare(s.due[b]), strings.Compare(a, b))
	})
	for _, id := range longestDue {
		if s.away == nil && len(claimed) < limit && !time.Now().Before(s.due[id]) {
			s.due[id] = time.Now().Add(lease)
			s.claims[id]++
			claimed = append(claimed, id)
		}
	}
	return claimed, s.away
}

func (s *shelf) finish(_ context.Context, ids []string, again time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.broken != nil {
			return s.broken
		}
		if delete(s.due, id); again > 0 {
			s.due[id] = time.Now().Add(again)
		}
	}
	return nil
}

func (s *shelf) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

func (s *shelf) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.due)
}

// loop returns a loop over the shelf.
func (s *shelf) loop(call func(ctx context.Context, id string) error, log io.Writer) *handover.Loop[string] {
	return handover.New(handover.Config[string]{
		Describe: func(id string) handover.Thing { return handover.Thing{ID: id, Claims: s.claims[id]} },
		Claim:    s.claim, Finish: s.finish, Call: call, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
}

// running runs a loop for as long as during takes.
func running(t *testing.T, l *handover.Loop[string], during func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	during()
	stop()
	<-done
}

// took records the calls.
type took struct {
	mu  sync.Mutex
	ids []string
	at  []time.Time
}

func (c *took) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids, c.at = append(c.ids, id), append(c.at, time.Now())
}

func (c *took) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ids)
}

func (c *took) since(began time.Time) (waits []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at {
		waits = append(waits, at.Sub(began))
	}
	return waits
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestHandsOverOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf("a", "b"), &took{}
		l := s.loop(func(_ context.Context, id string) error { calls.add(id); return nil }, io.Discard)
		running(t, l, func() {
			synctest.Wait()
			require.Equal(t, []string{"a", "b"}, calls.got(), "in order, and at once")
			require.Zero(t, s.left())
			s.put("c") // by another process
			time.Sleep(6 * time.Second)
			require.Equal(t, []string{"a", "b", "c"}, calls.got())
			s.put("d") // by this process
			l.Wake()
			synctest.Wait()
			require.Equal(t, []string{"a", "b", "c", "d"}, calls.got())
		})
	})
}

func TestAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		running(t, s.loop(nil, io.Discard), func() { time.Sleep(time.Minute) })
		require.InDelta(t, 13, s.asked, 2)
	})
}

func TestManyAreHandedOverWithoutWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf(), &took{}
		for i := range 1000 {
			s.put(strings.Repeat("x", i+1))
		}
		running(t, s.loop(func(_ context.Context, id string) error { calls.add(id); return nil }, io.Discard), synctest.Wait)
		require.Len(t, calls.got(), 1000)
	})
}

func TestErrorsComeAgainLessAndLessOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, bad, good := newShelf("bad", "good"), &took{}, &took{}
		var log lines
		l := s.loop(func(_ context.Context, id string) error {
			if id == "good" {
				good.add(id)
				return nil
			}
			bad.add(id)
			return errors.New("no reception")
		}, &log)
		began := time.Now()
		running(t, l, func() { time.Sleep(200 * time.Second) })
		require.Equal(t, []string{"good"}, good.ids, "the others do not wait")
		at := bad.since(began)
		require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}, at[:4])
		for i, wait := range []time.Duration{8, 16, 32, 60, 60} { // seconds, and up to 5 until the store is asked
			require.InDelta(t, wait*time.Second+2500*time.Millisecond, at[4+i]-at[3+i], float64(2500*time.Millisecond))
		}
		require.Contains(t, log.String(), `operation=bad claims=1 in=1s error="no reception"`)
	})
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf("a", "b"), &took{}
		var log lines
		l := s.loop(func(_ context.Context, id string) error {
			calls.add(id)
			if len(calls.got()) == 1 {
				panic("of the host")
			}
			return nil
		}, &log)
		running(t, l, func() { time.Sleep(2 * time.Second) })
		require.Equal(t, []string{"a", "b", "a"}, calls.got())
		require.Contains(t, log.String(), "Config.OnOperation panicked")
		require.Contains(t, log.String(), `operation=a claims=1 in=1s`, "it comes again")
		require.NotContains(t, log.String(), "of the host", "the value may be a secret")
		require.Contains(t, log.String(), "handover_test.go", "the log says where")
	})
}

// A call must not outlast its lease, or another process would make it as well.
func TestCallsEndBeforeTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf("a", "b", "c"), &took{}
		l := s.loop(func(ctx context.Context, id string) error {
			calls.add(id)
			<-ctx.Done()
			s.set(func() { require.True(t, time.Now().Before(s.due[id]), "the lease of %s has run out", id) })
			return ctx.Err()
		}, io.Discard)
		began := time.Now()
		running(t, l, func() { time.Sleep(45 * time.Second) })
		require.Equal(t, []string{"a", "b", "c", "a"}, calls.got()[:4], "each has its turn")
		require.InDelta(t, 10*time.Second, calls.since(began)[1], float64(time.Millisecond))
	})
}

// The store fails after the call: the host must not hear of the thing again because of that.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf("a"), &took{}
		var log lines
		l := s.loop(func(_ context.Context, id string) error { calls.add(id); return nil }, &log)
		s.broken = errors.New("disk full")
		running(t, l, func() {
			time.Sleep(time.Minute) // twice the lease
			require.Equal(t, []string{"a"}, calls.got())
			require.Equal(t, 1, strings.Count(log.String(), "the store fails"))
			s.put("b")
			time.Sleep(6 * time.Second)
			require.Equal(t, []string{"a", "b"}, calls.got(), "others go on")
			s.set(func() { s.broken = nil })
			time.Sleep(6 * time.Second)
			require.Zero(t, s.left())
			require.Contains(t, log.String(), "the store has recovered")
			s.set(func() { s.away = errors.New("no connection") })
			s.put("c")
			time.Sleep(time.Minute)
			s.set(func() { s.away = nil })
			time.Sleep(6 * time.Second)
		})
		require.Equal(t, []string{"a", "b", "c"}, calls.got())
	})
}

func TestEndLetsTheCallFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, calls := newShelf("a", "b"), &took{}
		l := s.loop(func(ctx context.Context, id string) error {
			time.Sleep(3 * time.Second)
			calls.add(id)
			return ctx.Err()
		}, io.Discard)
		running(t, l, func() { time.Sleep(time.Second) })
		require.Equal(t, []string{"a"}, calls.got())
		require.Equal(t, 1, s.left())
		require.Less(t, time.Until(s.due["b"]), time.Second, "what was not begun is given back")
	})
}

func TestNilDoesNothing(t *testing.T) {
	t.Parallel()
	var l *handover.Loop[string]
	l.Wake()
	l.Run(t.Context())
}
