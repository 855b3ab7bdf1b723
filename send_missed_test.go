package alotwebhook_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A new endpoint gets what happened before it, once, and a restart in between changes nothing.
func TestSendMissedGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) { return status(http.StatusOK), nil }}
		cfg := alotwebhook.Config{RecoverPerSecond: 10}
		w := newWorld(t, cfg, net)
		w.emit(t)
		time.Sleep(time.Hour)
		since := time.Now()
		for range 50 {
			w.emit(t)
			time.Sleep(time.Second)
		}
		e := w.endpoint(t, "a.example.com")
		stop := w.run(t)
		for range 5 { // these it gets anyway
			w.emit(t)
		}
		begun, err := w.SendMissed(t.Context(), e.ID, since)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoverySending, begun.State)
		require.Zero(t, begun.Progress())
		_, err = w.Recover(t.Context(), e.ID, since)
		require.ErrorIs(t, err, alotwebhook.ErrRecovering)
		time.Sleep(2500 * time.Millisecond)
		half, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.EqualValues(t, 30, half.Recovered)
		require.InDelta(t, 0.6, half.Progress(), 0.05)
		stop()

		w = newWorldOn(t, w.store, cfg, net)
		defer w.run(t)()
		time.Sleep(time.Minute)
		done, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoverySent, done.State)
		require.EqualValues(t, 50, done.Recovered)
		require.EqualValues(t, 5, done.Skipped)
		require.EqualValues(t, 1, done.Progress())
		require.Len(t, net.requests(), 55, "each event once, and not the one from before")
	})
}

func TestSendMissedNeedsAnEndpointAndAStoreForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	_, err := w.SendMissed(t.Context(), "wh_00000000000000000000000000", time.Time{})
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	e := w.endpoint(t, "a.example.com")
	_, err = w.SendMissed(t.Context(), e.ID, time.Now().Add(time.Hour))
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)

	bare, err := alotwebhook.NewDispatcher(struct{ alotwebhook.Store }{memory.New()}, nil)
	require.NoError(t, err)
	_, err = bare.SendMissed(t.Context(), e.ID, time.Time{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// An endpoint that is deleted meanwhile ends it.
func TestSendMissedStopsWithItsEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{})
		w.emit(t)
		e := w.endpoint(t, "a.example.com")
		_, err := w.SendMissed(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		require.NoError(t, w.DeleteEndpoint(t.Context(), e.ID))
		defer w.run(t)()
		time.Sleep(time.Minute)
		r, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryStopped, r.State)
	})
}

// A process whose store sends no missed events leaves that to the others.
func TestSendMissedIsLeftToAStoreThatDoesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) { return status(http.StatusOK), nil }}
		w := newWorld(t, alotwebhook.Config{}, net)
		w.emit(t)
		e := w.endpoint(t, "a.example.com")
		_, err := w.SendMissed(t.Context(), e.ID, time.Time{})
		require.NoError(t, err)
		stop := newWorldOn(t, hiding{w.store}, alotwebhook.Config{}, net).run(t)
		time.Sleep(time.Hour)
		stop()
		left, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoverySending, left.State)

		defer w.run(t)()
		time.Sleep(time.Minute)
		done, err := w.Recovery(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoverySent, done.State)
		require.Len(t, net.requests(), 1)
	})
}
