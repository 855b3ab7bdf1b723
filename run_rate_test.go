package alotwebhook_test

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// arrivals counts requests by host.
type arrivals struct {
	mu sync.Mutex
	n  map[string]int
}

func (a *arrivals) respond(r *http.Request, _ int) (*http.Response, error) {
	time.Sleep(3 * time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n[r.URL.Host]++
	return status(http.StatusNoContent), nil
}

// take returns how many have come since it was last called.
func (a *arrivals) take() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.n
	a.n = map[string]int{}
	return n
}

// withRate registers an endpoint.
func (w *world) withRate(t testing.TB, organization, host string, perSecond float64) alotwebhook.Endpoint {
	t.Helper()
	e, err := w.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: "https://" + host + "/hook", EventTypes: []string{"candidate.completed"}, Rate: perSecond,
	})
	require.NoError(t, err)
	require.Equal(t, perSecond, e.Rate)
	return e
}

// The rates of two endpoints hold over minutes, and hold up neither each other nor an
// endpoint of the same organization without one.
func TestRateOfEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := &arrivals{n: map[string]int{}}
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: got.respond})
		w.withRate(t, "org_1", "slow.example.com", 0.5)
		w.withRate(t, "org_1", "quick.example.com", 15)
		w.withRate(t, "org_1", "free.example.com", 0)
		stop := w.run(t)
		const events = 3000
		for range events {
			w.emitTo(t, "org_1")
		}
		for minute := range 3 {
			time.Sleep(time.Minute)
			n := got.take()
			require.InDelta(t, 30, n["slow.example.com"], 1, "minute %d", minute)
			require.InDelta(t, 900, n["quick.example.com"], 10, "minute %d", minute)
			require.Equal(t, map[int]int{0: events}[minute], n["free.example.com"])
		}
		stop()
	})
}

// A new dispatcher, as after a restart, does not know what was sent before it.
func TestRateOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, store := &arrivals{n: map[string]int{}}, memory.New()
		start := func() *world {
			return newWorldOn(t, store, alotwebhook.Config{Rate: 2}, &receivers{respond: got.respond})
		}
		w := start()
		w.withRate(t, "org_1", "a.example.com", 0)
		for range 200 {
			w.emitTo(t, "org_1")
		}
		const restarts = 20
		for range restarts {
			stop := start().run(t)
			time.Sleep(1600 * time.Millisecond)
			stop()
		}
		n := got.take()["a.example.com"]
		require.LessOrEqual(t, n, 2*16*restarts/10+restarts+1, "one more at each start")
		require.GreaterOrEqual(t, n, 3*restarts)
	})
}

// A change holds from the next request on.
func TestRateChangesWhileRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := &arrivals{n: map[string]int{}}
		w := newWorld(t, alotwebhook.Config{Rate: 1}, &receivers{respond: got.respond})
		e := w.withRate(t, "org_1", "a.example.com", 0)
		stop := w.run(t)
		for range 2000 {
			w.emitTo(t, "org_1")
		}
		for i, perSecond := range []float64{0, 20, 0.2, 5} {
			e.Rate = perSecond
			var err error
			e, err = w.UpdateEndpoint(t.Context(), e)
			require.NoError(t, err)
			time.Sleep(10 * time.Second) // the rate before it allows another request meanwhile
			got.take()
			time.Sleep(time.Minute)
			want := 60 * max(perSecond, 0.2)
			if perSecond == 0 {
				want = 60
			}
			require.InDelta(t, want, got.take()["a.example.com"], 2+want/50, "change %d", i)
		}
		stop()
	})
}

func TestRateIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, alotwebhook.Config{}, &receivers{})
	e := w.withRate(t, "org_1", "a.example.com", 10_000)
	for _, perSecond := range []float64{-1, 0.0099, 10_001, math.NaN(), math.Inf(1), math.Inf(-1)} {
		for name, try := range map[string]func() error{
			"rate": func() error {
				changed := e
				changed.Rate = perSecond
				_, err := w.UpdateEndpoint(t.Context(), changed)
				return err
			},
			"Rate": func() error {
				_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Rate: perSecond})
				return err
			},
		} {
			var field *alotwebhook.FieldError
			require.ErrorAs(t, try(), &field, "%v", perSecond)
			require.Equal(t, name, field.Field)
			require.Contains(t, field.Problem, fmt.Sprint(perSecond))
		}
	}
}
