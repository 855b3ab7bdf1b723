package alotwebhook_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// parkSome disables an endpoint and emits n events to it, each an hour after the other.
func parkSome(t *testing.T, w *world, n int) (alotwebhook.Endpoint, []alotwebhook.Event) {
	t.Helper()
	e := w.endpoint(t, "a.example.com")
	e.Disabled = true
	e, err := w.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = w.emit(t)
		time.Sleep(time.Hour)
	}
	return e, events
}

// Whoever enables an endpoint chooses what becomes of the parked deliveries.
func TestEnableEndpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options func(now time.Time) alotwebhook.EnableOptions
		sent    int // of six
	}{
		"send all": {func(time.Time) alotwebhook.EnableOptions { return alotwebhook.EnableOptions{} }, 6},
		"send since": {func(now time.Time) alotwebhook.EnableOptions {
			return alotwebhook.EnableOptions{Since: now.Add(-3 * time.Hour)}
		}, 3},
		"discard": {func(time.Time) alotwebhook.EnableOptions { return alotwebhook.EnableOptions{Discard: true} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, alotwebhook.Config{}, &receivers{})
				e, events := parkSome(t, w, 6)
				defer w.run(t)()
				enabled, err := w.EnableEndpoint(t.Context(), e.ID, c.options(time.Now()))
				require.NoError(t, err)
				require.False(t, enabled.Disabled)
				require.Empty(t, enabled.Secret)
				fresh := w.emit(t)
				time.Sleep(time.Minute)
				require.Len(t, w.net.requests(), c.sent+1)
				require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, fresh, e).State)
				for i, event := range events {
					d := w.delivery(t, event, e)
					if i >= 6-c.sent {
						require.Equal(t, alotwebhook.StateDelivered, d.State)
						continue
					}
					require.Equal(t, alotwebhook.StateFailed, d.State)
					require.Equal(t, alotwebhook.ReasonDiscarded, d.LastReason)
					require.Empty(t, d.Attempts)
				}
				if c.sent < 6 { // still redeliverable
					made, err := w.Redeliver(t.Context(), w.delivery(t, events[0], e).ID)
					require.NoError(t, err)
					require.True(t, made)
					time.Sleep(time.Minute)
					require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, events[0], e).State)
				}
			})
		})
	}
}

// An event of the very millisecond is discarded with the others.
func TestDiscardAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		e, _ := parkSome(t, w, 1)
		last := w.emit(t)
		_, err := w.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{Discard: true})
		require.NoError(t, err)
		require.Equal(t, alotwebhook.ReasonDiscarded, w.delivery(t, last, e).LastReason)
	})
}

func TestEnableEndpointRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		e, _ := parkSome(t, w, 1)
		enable := func(o alotwebhook.EnableOptions) error {
			_, err := w.EnableEndpoint(t.Context(), e.ID, o)
			return err
		}
		require.ErrorIs(t, enable(alotwebhook.EnableOptions{Since: time.Now().Add(time.Second)}), alotwebhook.ErrInvalid)
		require.ErrorIs(t, enable(alotwebhook.EnableOptions{Version: e.Version - 1}), alotwebhook.ErrConflict)
		require.ErrorIs(t, enable(alotwebhook.EnableOptions{Version: e.Version - 1, Discard: true}), alotwebhook.ErrConflict)
		_, err := w.EnableEndpoint(t.Context(), "wh_unknown", alotwebhook.EnableOptions{Discard: true})
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = w.Recover(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		require.ErrorIs(t, enable(alotwebhook.EnableOptions{Discard: true}), alotwebhook.ErrRecovering)
		stats, err := w.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, stats, "nothing was changed")
		require.NoError(t, enable(alotwebhook.EnableOptions{Version: e.Version}))
		before, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.NoError(t, enable(alotwebhook.EnableOptions{Discard: true}), "it is enabled already")
		after, err := w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

// dyingStore discards as often as it may, and then fails, as one whose process is killed.
type dyingStore struct {
	alotwebhook.Store
	may atomic.Int64
}

func (s *dyingStore) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	if s.may.Add(-1) < 0 {
		return 0, errors.New("the process was killed")
	}
	return s.Store.Discard(ctx, endpointID, before, limit)
}

// A process that is killed while it discards leaves the endpoint disabled. Another one
// goes on, and nothing that was to be discarded is ever sent.
func TestDiscardingOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	const parked = 25_500
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		dying := &dyingStore{Store: store}
		dying.may.Store(7)
		killed := newWorldOn(t, dying, alotwebhook.Config{}, &receivers{})
		e, _ := parkSome(t, killed, 1)
		events := make([]alotwebhook.Event, parked-1)
		for i := range events {
			events[i] = newEvent(t)
		}
		require.NoError(t, killed.Emit(t.Context(), events...))
		time.Sleep(10 * time.Millisecond) // a UUIDv7 counts in its time, and so many at one moment run ahead of the clock
		shown, err := killed.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{Discard: true})
		require.NoError(t, err)
		require.True(t, shown.Disabled, "there is more to discard")
		r, err := killed.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryDiscarding, r.State)
		require.EqualValues(t, 7000, r.Skipped)
		_, err = killed.Recover(t.Context(), e.ID, time.Time{})
		require.ErrorIs(t, err, alotwebhook.ErrRecovering)

		time.Sleep(time.Second) // events after that are sent
		fresh := killed.emit(t)
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		defer w.run(t)()
		time.Sleep(time.Minute)
		shown, err = w.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.False(t, shown.Disabled)
		r, err = w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryDiscarded, r.State)
		require.EqualValues(t, parked, r.Skipped)
		require.InDelta(t, 1, r.Progress(), 0)
		require.Len(t, w.net.requests(), 1)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, fresh, e).State)
	})
}

// Somebody may change his mind while deliveries are being discarded.
func TestStopDiscarding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dying := &dyingStore{Store: memory.New()}
		w := newWorldOn(t, dying, alotwebhook.Config{}, &receivers{})
		e, _ := parkSome(t, w, 3)
		_, err := w.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{Discard: true})
		require.NoError(t, err)
		r, err := w.StopRecovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryStopped, r.State)
		defer w.run(t)()
		time.Sleep(time.Hour)
		require.Empty(t, w.net.requests(), "the endpoint is disabled still")
		_, err = w.EnableEndpoint(t.Context(), e.ID, alotwebhook.EnableOptions{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Len(t, w.net.requests(), 3)
	})
}
