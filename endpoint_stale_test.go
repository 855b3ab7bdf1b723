package alotwebhook_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// meddledStore calls before ahead of the first PutEndpoint of a stored endpoint: what it
// does happens between the reading of the endpoint and the writing.
type meddledStore struct {
	alotwebhook.Store
	once   sync.Once
	before func()
}

func (s *meddledStore) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if e.Version > 0 {
		s.once.Do(s.before)
	}
	return s.Store.PutEndpoint(ctx, e, ops...)
}

// A success that is recorded while somebody saves the endpoint is not undone, and the
// saving succeeds with the version that was read.
func TestSavingDoesNotBringAnOldFailureBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &meddledStore{Store: memory.New()}
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusInternalServerError), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorldOn(t, store, alotwebhook.Config{Retry: alotwebhook.Schedule()}, net)
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emit(t)
		time.Sleep(time.Second)
		failing, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, failing.FailingSince.IsZero())
		store.before = func() {
			w.emit(t)
			time.Sleep(time.Second)
		}
		failing.Description = "saved"
		_, err = w.UpdateEndpoint(t.Context(), failing)
		require.NoError(t, err)
		saved, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.Equal(t, "saved", saved.Description)
		require.True(t, saved.FailingSince.IsZero(), "it has succeeded since")
	})
}

// straggler answers the first attempt with 500, the second with the given status after 1.5
// seconds, and all others with 200 at once.
func straggler(late int) *receivers {
	return &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
		switch {
		case n == 1:
			return status(http.StatusInternalServerError), nil
		case n == 2:
			time.Sleep(1500 * time.Millisecond)
			return status(late), nil
		}
		return status(http.StatusOK), nil
	}}
}

// An endpoint that has succeeded since is not disabled for an attempt that began before.
func TestStragglerDoesNotDisable(t *testing.T) {
	t.Parallel()
	for _, late := range []int{http.StatusInternalServerError, http.StatusGone} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, alotwebhook.Config{DisableAfter: 2 * time.Second, Retry: alotwebhook.Schedule()}, straggler(late))
			endpoint := w.endpoint(t, "a.example.com")
			defer w.run(t)()
			w.emit(t)
			time.Sleep(2100 * time.Millisecond)
			events := make([]alotwebhook.Event, 20)
			for i := range events {
				events[i] = newEvent(t)
			}
			require.NoError(t, w.Emit(t.Context(), events...))
			time.Sleep(time.Minute)
			e, err := w.Endpoint(t.Context(), endpoint.ID)
			require.NoError(t, err)
			require.Len(t, w.net.requests(), 21)
			require.False(t, e.Disabled, "disabled as %q after 19 successes and a straggler that got %d", e.DisabledReason, late)
		})
	}
}

// A success that is recorded after the failure was judged, and before the endpoint is
// disabled, counts as well.
func TestSuccessWhileDisabling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		fail.Store(true)
		store := &meddledStore{Store: memory.New()}
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			if fail.Load() {
				return nil, errors.New("no way through")
			}
			return status(http.StatusOK), nil
		}}
		w := newWorldOn(t, store, alotwebhook.Config{DisableAfter: 2 * time.Second, Retry: alotwebhook.Schedule()}, net)
		endpoint := w.endpoint(t, "a.example.com")
		store.before = func() { // as another process does
			e := newEvent(t)
			require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{e}))
			got, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Hour})
			require.NoError(t, err)
			c := got.Deliveries[0]
			_, err = store.Finish(t.Context(), []alotwebhook.Outcome{{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
				Attempt: alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), StatusCode: 200}}})
			require.NoError(t, err)
		}
		defer w.run(t)()
		w.emit(t)
		time.Sleep(3 * time.Second)
		w.emit(t)
		time.Sleep(time.Minute)
		e, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, e.Disabled)
		require.True(t, e.FailingSince.IsZero())
	})
}
