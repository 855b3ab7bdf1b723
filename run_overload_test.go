package alotwebhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// gauge counts the requests that are under way at each host.
type gauge struct {
	mu        sync.Mutex
	now, most map[string]int
}

func newGauge() *gauge { return &gauge{now: map[string]int{}, most: map[string]int{}} }

func (g *gauge) enter(host string) (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now[host]++
	g.now[""]++
	g.most[host] = max(g.most[host], g.now[host])
	g.most[""] = max(g.most[""], g.now[""])
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now[host]--
		g.now[""]--
	}
}

func (g *gauge) peak(host string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	peak := g.most[host]
	g.most[host] = 0
	return peak
}

// An endpoint that hangs uses its own slots only, and does not delay the others.
func TestHungEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGauge()
		net := &receivers{respond: func(r *http.Request, _ int) (*http.Response, error) {
			defer g.enter(r.URL.Host)()
			if r.URL.Host == "hung.example.com" {
				return hang(r)
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{InFlight: 16, InFlightPerEndpoint: 4}, net)
		hung := w.endpoint(t, "hung.example.com")
		defer w.run(t)()
		for range 200 {
			w.emit(t)
		}
		time.Sleep(100 * time.Millisecond) // the first claim may have found the first event only
		require.Equal(t, 2, g.peak("hung.example.com"), "nothing is known of it yet")

		healthy := w.endpoint(t, "healthy.example.com")
		start := time.Now()
		event := w.emit(t)
		time.Sleep(100 * time.Millisecond)
		d := w.delivery(t, event, healthy)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Less(t, d.Attempts[0].StartedAt.Sub(start), 10*time.Millisecond)
		require.Equal(t, alotwebhook.StatePending, w.delivery(t, event, hung).State)
	})
}

func TestInFlightIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes   time.Duration
		waiting int
		most    int
	}{
		"quick receivers":                  {10 * time.Millisecond, 0, 10},
		"slow ones, which wait beside":     {100 * time.Millisecond, 5, 15},
		"slow ones, where none may wait":   {100 * time.Millisecond, -1, 10},
		"slow ones, and room for them all": {100 * time.Millisecond, 0, 24},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGauge()
				answer := slowly(c.takes)
				net := &receivers{respond: func(r *http.Request, n int) (*http.Response, error) {
					defer g.enter(r.URL.Host)()
					return answer(r, n)
				}}
				w := newWorld(t, alotwebhook.Config{InFlight: 10, InFlightPerEndpoint: 3, Waiting: c.waiting}, net)
				for i := range 8 {
					w.endpoint(t, fmt.Sprintf("e%d.example.com", i))
				}
				defer w.run(t)()
				for range 50 {
					w.emit(t)
				}
				time.Sleep(time.Minute)
				require.Len(t, net.requests(), 400)
				require.LessOrEqual(t, g.peak(""), c.most)
				require.LessOrEqual(t, g.peak("e0.example.com"), 3)
			})
		})
	}
}

// The statuses 429, 502, 503 and 504 and timeouts halve an endpoint's slots. Each success
// gives one back.
func TestOverloadHalvesTheSlots(t *testing.T) {
	t.Parallel()
	for _, code := range []int{429, 502, 503, 504, 0, 500} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGauge()
				var healed atomic.Bool
				net := &receivers{respond: func(r *http.Request, _ int) (*http.Response, error) {
					defer g.enter(r.URL.Host)()
					time.Sleep(100 * time.Millisecond)
					switch {
					case healed.Load():
						return status(http.StatusOK), nil
					case code == 0:
						return hang(r)
					}
					return status(code), nil
				}}
				w := newWorld(t, alotwebhook.Config{InFlightPerEndpoint: 16, Timeout: time.Second, Retry: alotwebhook.Schedule()}, net)
				w.endpoint(t, "a.example.com")
				defer w.run(t)()
				healed.Store(true)
				for range 200 {
					w.emit(t)
				}
				time.Sleep(time.Minute)
				require.Equal(t, 16, g.peak("a.example.com"), "earned by successes")
				healed.Store(false)
				for range 200 {
					w.emit(t)
				}
				time.Sleep(1500 * time.Millisecond)
				require.Equal(t, 16, g.peak("a.example.com"))
				time.Sleep(time.Second)
				if code == 500 {
					return // 500 is a fault of the receiver, and not a sign of overload
				}
				require.LessOrEqual(t, g.peak("a.example.com"), 2)
				time.Sleep(5 * time.Minute)
				healed.Store(true)
				for range 200 {
					w.emit(t)
				}
				time.Sleep(time.Minute)
				require.Equal(t, 16, g.peak("a.example.com"))
			})
		})
	}
}

// A Retry-After delays the endpoint's other deliveries, too.
func TestRetryAfterHoldsTheEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusTooManyRequests, "Retry-After", "300"), nil
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{PollInterval: time.Second}, net)
		w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emit(t)
		synctest.Wait()
		start := time.Now()
		w.emit(t)
		time.Sleep(299 * time.Second)
		require.Len(t, net.requests(), 1)
		time.Sleep(10 * time.Second)
		require.Len(t, net.requests(), 3)
		require.GreaterOrEqual(t, net.requests()[1].at.Sub(start), 299*time.Second)
	})
}

func TestGoneDisablesAndParks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n == 1 {
				return status(http.StatusGone), nil
			}
			return status(http.StatusOK), nil
		}}
		var told []alotwebhook.Operation
		w := newWorld(t, alotwebhook.Config{OnOperation: func(_ context.Context, o alotwebhook.Operation) error {
			told = append(told, o)
			return nil
		}}, net)
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		first := w.emit(t)
		time.Sleep(time.Second)
		second := w.emit(t)
		time.Sleep(24 * time.Hour)
		synctest.Wait()

		require.Len(t, net.requests(), 1)
		require.Len(t, told, 2)
		require.Equal(t, alotwebhook.OpEndpointDisabled, told[1].Type)
		require.Equal(t, endpoint.ID, told[1].EndpointID)
		require.Equal(t, "gone", told[1].Note)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, first, endpoint).State)
		require.Equal(t, alotwebhook.StateParked, w.delivery(t, second, endpoint).State, "what comes meanwhile is parked, not dropped")

		stored, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.True(t, stored.Disabled)
		stored.Disabled = false
		stored, err = w.UpdateEndpoint(t.Context(), stored)
		require.NoError(t, err)
		require.Empty(t, stored.DisabledReason)
		time.Sleep(time.Hour)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, first, endpoint).State)
		require.Equal(t, alotwebhook.StateDelivered, w.delivery(t, second, endpoint).State)
	})
}

func TestFiveDaysOfFailuresDisable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		fail.Store(true)
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			if fail.Load() {
				return nil, errors.New("no way through")
			}
			return status(http.StatusOK), nil
		}}
		w := newWorld(t, alotwebhook.Config{}, net)
		endpoint := w.endpoint(t, "a.example.com")
		disabled := func() bool {
			e, err := w.Endpoint(t.Context(), endpoint.ID)
			require.NoError(t, err)
			return e.Disabled
		}
		days := func(n int) {
			for range n * 24 {
				w.emit(t)
				time.Sleep(time.Hour)
			}
		}
		defer w.run(t)()
		days(4)
		require.False(t, disabled())
		fail.Store(false)
		days(1)
		fail.Store(true) // the success in between starts the count again
		days(4)
		require.False(t, disabled())
		days(2)
		require.True(t, disabled())
		e, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.DisabledFailing, e.DisabledReason)
	})
}
