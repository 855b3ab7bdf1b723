package holds_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/holds"
)

// board is what a watch reads.
type board struct {
	mu            sync.Mutex
	organizations []string
	err           error
	reads         int
	changes       int
}

func (b *board) watch() *holds.Watch {
	return &holds.Watch{
		Read: func(_ context.Context, add func(organizationID, endpointID string)) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reads++
			for _, organization := range b.organizations {
				add(organization, "")
			}
			return b.err
		},
		Changed: func() { b.do(func() { b.changes++ }) },
	}
}

func (b *board) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func withheld(t *testing.T, w *holds.Watch) map[string]bool {
	t.Helper()
	set, err := w.Held(t.Context())
	require.NoError(t, err)
	got := map[string]bool{}
	set.Apply(map[string]int{}, got, 1)
	return got
}

func TestWatch(t *testing.T) {
	t.Parallel()
	b := &board{organizations: []string{"org_1"}, err: errors.New("not now")}
	w := b.watch()
	_, err := w.Held(t.Context())
	require.ErrorIs(t, err, b.err, "what was never read is not known")
	b.err = nil
	require.Equal(t, map[string]bool{"org_1": true}, withheld(t, w))
	require.Equal(t, map[string]bool{"org_1": true}, withheld(t, w))
	require.Equal(t, 2, b.reads, "it is read once")
	require.NoError(t, w.Refresh(t.Context()))
	require.Zero(t, b.changes, "nothing has changed")

	b.organizations = []string{"org_2"}
	require.Equal(t, map[string]bool{"org_1": true}, withheld(t, w))
	require.NoError(t, w.Refresh(t.Context()))
	require.Equal(t, map[string]bool{"org_2": true}, withheld(t, w))
	require.Equal(t, 1, b.changes)
	b.organizations, b.err = nil, errors.New("not now")
	require.ErrorIs(t, w.Refresh(t.Context()), b.err)
	require.Equal(t, map[string]bool{"org_2": true}, withheld(t, w), "what was read last holds")
}

func TestWatchKeepsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &board{}
		w := b.watch()
		require.Empty(t, withheld(t, w))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() { w.Keep(ctx, 2*time.Second, slog.New(slog.DiscardHandler)); close(ended) }()
		time.Sleep(time.Second)
		b.do(func() { b.organizations = []string{"org_1"} })
		time.Sleep(2 * time.Second)
		require.Equal(t, map[string]bool{"org_1": true}, withheld(t, w))
		b.do(func() {
			require.Equal(t, 1, b.changes)
			b.err = errors.New("not now")
		})
		time.Sleep(time.Minute)
		b.do(func() { b.organizations, b.err = nil, nil })
		time.Sleep(10 * time.Second)
		require.Empty(t, withheld(t, w), "it goes on after errors")
		cancel()
		<-ended
	})
}

// Who has paused something reads it at once, while a reading from before may be under way still.
func TestAnOlderReadingUndoesNoNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		paused := false
		w := holds.Watch{Changed: func() {}, Read: func(_ context.Context, add func(organizationID, endpointID string)) error {
			if !paused {
				time.Sleep(time.Second) // a slow store
				return nil
			}
			add("", "")
			return nil
		}}
		go func() { _ = w.Refresh(context.Background()) }()
		synctest.Wait()
		paused = true
		require.NoError(t, w.Refresh(t.Context()))
		time.Sleep(time.Minute)
		held, err := w.Held(t.Context())
		require.NoError(t, err)
		require.True(t, held.All)
	})
}
