package alotwebhook_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// A customer leaves, and the endpoint is disabled: what is parked expires, its payload is
// erased and its history deleted, all by itself.
func TestWhatIsParkedExpires(t *testing.T) {
	t.Parallel()
	const day = 144 * time.Minute // days in a tenth of the time
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{PayloadRetention: 30 * day, HistoryRetention: 90 * day}, &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			return status(http.StatusGone), nil
		}})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		first := w.emit(t)
		time.Sleep(10 * day)
		second := w.emit(t)
		time.Sleep(19 * day)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, first, endpoint).State)
		time.Sleep(2 * day)
		d := w.delivery(t, first, endpoint)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonExpired, d.LastReason)
		require.Len(t, d.Attempts, 1)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, second, endpoint).State, "it was stored ten days later")
		time.Sleep(10 * day)
		require.Equal(t, alotwebhook.ReasonExpired, w.delivery(t, second, endpoint).LastReason)

		made, err := w.Redeliver(t.Context(), second.ID) // an unknown id
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		require.False(t, made)
		made, err = w.Redeliver(t.Context(), w.delivery(t, second, endpoint).ID)
		require.NoError(t, err)
		require.True(t, made)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, second, endpoint).State)
		time.Sleep(29 * day)
		_, err = w.Event(t.Context(), first.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, "its payload is erased")
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, second, endpoint).State, "the time counts anew")
		time.Sleep(33 * day)
		_, err = w.Event(t.Context(), second.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		time.Sleep(62 * day)
		for d, err := range w.Deliveries(t.Context(), alotwebhook.Filter{}) {
			require.NoError(t, err)
			require.Fail(t, "still there", "%+v", d)
		}
	})
}

// A host that wants to keep what is parked says so.
func TestParkedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, cfg := range []alotwebhook.Config{{ParkedRetention: -1}, {PayloadRetention: -1, HistoryRetention: -1}} {
			w := newWorld(t, cfg, &receivers{})
			endpoint := w.endpoint(t, "a.example.com")
			endpoint.Disabled = true
			_, err := w.UpdateEndpoint(t.Context(), endpoint)
			require.NoError(t, err)
			event := w.emit(t)
			time.Sleep(400 * 24 * time.Hour)
			r, err := w.Purge(t.Context())
			require.NoError(t, err)
			if cfg.HistoryRetention == 0 {
				require.Equal(t, 2, r.Operations, "those of the endpoint")
				r.Operations = 0
			}
			require.Zero(t, r)
			require.Equal(t, alotwebhook.StateParked, w.delivery(t, event, endpoint).State)
		}
	})
}
