package alotwebhook_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// cancel cancels all deliveries of an endpoint.
func (w *world) cancel(t testing.TB, e alotwebhook.Endpoint) {
	t.Helper()
	_, err := w.CancelMany(t.Context(), alotwebhook.Recovery{EndpointID: e.ID})
	require.NoError(t, err)
}

// again sends a delivery again that has failed.
func (w *world) again(t testing.TB, event alotwebhook.Event, e alotwebhook.Endpoint) {
	t.Helper()
	d := w.delivery(t, event, e)
	require.Equal(t, alotwebhook.ReasonCanceled, d.LastReason)
	ok, err := w.Redeliver(t.Context(), d.ID)
	require.NoError(t, err)
	require.True(t, ok)
}

// A delivery is canceled while its attempt is under way. What comes of that attempt is no
// answer to a redelivery.
func TestRedeliveryOfWhatWasCanceledUnderWayIsSent(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(r *http.Request) (*http.Response, error){
		"which fails": hang,
		"which succeeds": func(*http.Request) (*http.Response, error) {
			time.Sleep(10 * time.Second)
			return status(http.StatusOK), nil
		},
	} {
		for after, wait := range map[string]time.Duration{"soon": 16 * time.Second, "later": time.Hour} {
			t.Run(name+" "+after, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
						if n == 1 {
							return first(r)
						}
						return status(http.StatusAccepted), nil
					}}
					w := newWorld(t, alotwebhook.Config{Retry: alotwebhook.Schedule()}, net)
					e := w.endpoint(t, "a.example.com")
					defer w.run(t)()
					event := w.emit(t)
					time.Sleep(time.Second)
					w.cancel(t, e)
					time.Sleep(wait)
					require.Zero(t, w.Health().Unrecorded, "nothing is to be recorded of it")
					w.again(t, event, e)
					time.Sleep(time.Second)
					d := w.delivery(t, event, e)
					require.Equal(t, alotwebhook.StateDelivered, d.State)
					require.Len(t, d.Attempts, 1)
					require.Equal(t, http.StatusAccepted, d.Attempts[0].StatusCode)
					require.Len(t, net.requests(), 2)
				})
			})
		}
	}
}

// A redelivery begins the schedule anew, also when it comes while the last attempt of the old
// one is under way. That attempt is its first one, since it is not made twice.
func TestRedeliveryDuringTheLastAttemptHasAScheduleOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if n <= 3 {
				return hang(r)
			}
			return status(http.StatusOK), nil
		}}
		var tries []int
		w := newWorld(t, alotwebhook.Config{ExhaustedOperations: true, Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				tries = append(tries, a.Try)
			}
		}}}, net)
		e := w.endpoint(t, "a.example.com")
		stop := w.run(t)
		event := w.emit(t)
		for len(net.requests()) < 3 {
			time.Sleep(time.Second)
		}
		w.cancel(t, e)
		time.Sleep(2 * time.Second)
		w.again(t, event, e)
		time.Sleep(5 * time.Hour)
		requireToldAsItWas(t, w, event, e)
		require.Len(t, net.requests(), 4)
		stop()
		require.Equal(t, []int{1, 2, 1, 2}, tries)
	})
}

// A store has stored an outcome although it has returned an error: it is recorded.
func TestOutcomeStoredInSpiteOfAnErrorIsRecorded(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"the last attempt": http.StatusOK, "a retry follows": http.StatusInternalServerError} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var refused atomic.Bool
				store := &refusing{Store: memory.New(), after: true, refuses: func(*alotwebhook.Outcome) bool { return !refused.Swap(true) }}
				w := newWorldOn(t, store, alotwebhook.Config{}, failing(code))
				e := w.endpoint(t, "a.example.com")
				defer w.run(t)()
				event := w.emit(t)
				time.Sleep(10 * time.Second)
				require.Len(t, w.delivery(t, event, e).Attempts, 1)
				require.Zero(t, w.Health().Unrecorded)
			})
		})
	}
}

// What waits because the store refuses it is given up when its delivery ends.
func TestRefusedOutcomeOfWhatIsCanceledIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var refuses atomic.Bool
		refuses.Store(true)
		store := &refusing{Store: memory.New(), refuses: func(o *alotwebhook.Outcome) bool {
			return refuses.Load() && !o.Held && o.Attempt.StatusCode == http.StatusTeapot
		}}
		net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
			if r.URL.Host == "a.example.com" && n == 1 {
				return status(http.StatusTeapot), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorldOn(t, store, alotwebhook.Config{}, net)
		e := w.endpoint(t, "a.example.com")
		w.endpoint(t, "b.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(15 * time.Second)
		require.Equal(t, 1, w.Health().Unrecorded)
		w.cancel(t, e)
		time.Sleep(2 * time.Minute)
		require.Zero(t, w.Health().Unrecorded)
		refuses.Store(false)
		w.again(t, event, e)
		time.Sleep(time.Second)
		d := w.delivery(t, event, e)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Equal(t, http.StatusOK, d.Attempts[0].StatusCode)
	})
}
