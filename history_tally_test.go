package alotwebhook_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestTallies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
			if r.URL.Host == "b.example.com" {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{Retry: alotwebhook.Schedule(time.Second)}, net)
		a, b := w.endpoint(t, "a.example.com"), w.endpoint(t, "b.example.com")
		stop := w.run(t)
		begun := time.Now()
		for range 2 {
			w.emit(t)
			time.Sleep(time.Hour)
		}
		w.emit(t)
		time.Sleep(2 * time.Minute)

		hour := begun.Truncate(time.Hour).UTC()
		want := []alotwebhook.Tally{
			{EndpointID: a.ID, Hour: hour, Succeeded: 1, Duration: 10 * time.Millisecond, Slowest: 10 * time.Millisecond},
			{EndpointID: a.ID, Hour: hour.Add(time.Hour), Succeeded: 1, Duration: 20 * time.Millisecond, Slowest: 20 * time.Millisecond},
			{EndpointID: a.ID, Hour: hour.Add(2 * time.Hour), Succeeded: 1, Duration: 30 * time.Millisecond, Slowest: 30 * time.Millisecond},
			{EndpointID: b.ID, Hour: hour, Reasons: two, Duration: 30 * time.Millisecond, Slowest: 20 * time.Millisecond},
			{EndpointID: b.ID, Hour: hour.Add(time.Hour), Reasons: two, Duration: 70 * time.Millisecond, Slowest: 40 * time.Millisecond},
			{EndpointID: b.ID, Hour: hour.Add(2 * time.Hour), Reasons: two, Duration: 110 * time.Millisecond, Slowest: 60 * time.Millisecond},
		}
		tallies := func(since time.Time, ids ...string) []alotwebhook.Tally {
			t.Helper()
			list, err := w.Tallies(t.Context(), since, ids...)
			require.NoError(t, err)
			return list
		}
		require.Equal(t, want, tallies(begun, b.ID, a.ID))
		require.Equal(t, want[4:], tallies(begun.Add(time.Hour), b.ID))
		require.Empty(t, tallies(begun))
		require.EqualValues(t, 2, want[5].Failed())
		require.Equal(t, 55*time.Millisecond, want[5].Average())
		require.Zero(t, alotwebhook.Tally{}.Average())
		stop()
		stored, err := w.store.(alotwebhook.Tallier).Tallies(t.Context(), []string{a.ID, b.ID}, hour)
		require.NoError(t, err)
		require.Equal(t, want, stored, "the end of a run leaves nothing behind")

		time.Sleep(8 * 24 * time.Hour)
		purged, err := w.Purge(t.Context())
		require.NoError(t, err)
		require.Equal(t, alotwebhook.PurgeResult{Tallies: 6}, purged)
	})
}

var two = map[alotwebhook.FailureReason]int64{alotwebhook.ReasonStatus: 2}

type noTallies struct{ alotwebhook.Store }

func TestTalliesNeedATallier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOn(t, noTallies{memory.New()}, alotwebhook.Config{}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emit(t)
		time.Sleep(time.Minute)
		require.Len(t, w.net.requests(), 1)
		_, err := w.Tallies(t.Context(), time.Time{}, e.ID)
		require.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

// While the store cannot store tallies, the dispatcher keeps them and shows them.
func TestTalliesOutliveFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := memory.New()
		store := &failingTallies{Store: memory, Tallier: memory}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		store.broken.Store(true)
		for range 3 {
			w.emit(t)
			time.Sleep(20 * time.Second)
		}
		list, err := w.Tallies(t.Context(), time.Now(), e.ID)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.EqualValues(t, 3, list[0].Succeeded)
		store.broken.Store(false)
		time.Sleep(time.Minute)
		list, err = memory.Tallies(t.Context(), []string{e.ID}, time.Time{})
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.EqualValues(t, 3, list[0].Succeeded)
	})
}

type failingTallies struct {
	alotwebhook.Store
	alotwebhook.Tallier
	broken atomic.Bool
}

func (s *failingTallies) AddTallies(ctx context.Context, list []alotwebhook.Tally) error {
	if s.broken.Load() {
		return context.DeadlineExceeded
	}
	return s.Tallier.AddTallies(ctx, list)
}
