package alotwebhook_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// gaps returns the waits between the requests that the only receiver saw.
func gaps(w *world) (waits []time.Duration) {
	seen := w.net.requests()
	for i := 1; i < len(seen); i++ {
		waits = append(waits, seen[i].at.Sub(seen[i-1].at))
	}
	return waits
}

func failing(code int, header ...string) *receivers {
	return &receivers{respond: func(*http.Request, int) (*http.Response, error) { return status(code, header...), nil }}
}

func TestThreeAttemptsByDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, failing(http.StatusInternalServerError))
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Minute)
		d := w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StatePending, d.State)
		require.Equal(t, 2, d.AttemptCount)
		require.InDelta(t, 10*time.Minute, d.NextAttemptAt.Sub(w.net.requests()[1].at), float64(2*time.Minute+time.Second))

		time.Sleep(24 * time.Hour)
		d = w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Len(t, d.Attempts, 3)
		for i, a := range d.Attempts {
			require.Equal(t, i+1, a.Number)
			require.Equal(t, 500, a.StatusCode)
			require.Equal(t, alotwebhook.ReasonStatus, a.Reason)
			require.Equal(t, "answered 500 Internal Server Error", a.Detail)
		}
		waits := gaps(w)
		require.Len(t, waits, 2)
		require.InDelta(t, 30*time.Second, waits[0], float64(6*time.Second+10*time.Millisecond))
		require.InDelta(t, 10*time.Minute, waits[1], float64(2*time.Minute+10*time.Millisecond))
		require.Equal(t, []string{"1", "2", "3"}, attemptHeaders(w))
	})
}

func attemptHeaders(w *world) (numbers []string) {
	for _, r := range w.net.requests() {
		numbers = append(numbers, r.head.Get("X-Alot-Attempt"))
	}
	return numbers
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	exponential := func() backoff.BackOff {
		b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second), backoff.WithMultiplier(3), backoff.WithRandomizationFactor(0))
		return backoff.WithMaxRetries(b, 3)
	}
	standard := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	for name, c := range map[string]struct {
		policy alotwebhook.RetryPolicy
		waits  []time.Duration
		jitter float64
	}{
		"standard":    {alotwebhook.StandardSchedule(), standard, 0.2},
		"one attempt": {alotwebhook.Schedule(), nil, 0},
		"exponential": {exponential, []time.Duration{time.Second, 3 * time.Second, 9 * time.Second}, 0},
		"constant":    {func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Hour), 1) }, []time.Duration{time.Hour}, 0},
		"stop":        {func() backoff.BackOff { return &backoff.StopBackOff{} }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, alotwebhook.Config{Retry: c.policy, DisableAfter: -1}, failing(http.StatusInternalServerError))
				endpoint := w.endpoint(t, "a.example.com")
				defer w.run(t)()
				event := w.emit(t)
				time.Sleep(100 * time.Hour)
				waits := gaps(w)
				require.Len(t, waits, len(c.waits))
				for i, wait := range waits {
					require.InDelta(t, c.waits[i], wait, c.jitter*float64(c.waits[i])+float64(10*time.Millisecond))
				}
				require.Equal(t, alotwebhook.StateFailed, w.delivery(t, event, endpoint).State)
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code        int
		value       func() string
		least, most time.Duration
	}{
		"longer than the schedule":      {429, func() string { return "3600" }, time.Hour, time.Hour},
		"shorter than the schedule":     {503, func() string { return "1" }, 24 * time.Second, 36 * time.Second},
		"a date":                        {503, func() string { return time.Now().Add(2 * time.Hour).UTC().Format(http.TimeFormat) }, 2*time.Hour - time.Second, 2 * time.Hour},
		"on another status":             {500, func() string { return "3600" }, time.Hour, time.Hour},
		"more than a day":               {429, func() string { return "864000" }, 24 * time.Hour, 24 * time.Hour},
		"a date in the past":            {503, func() string { return "Fri, 01 Jan 1999 00:00:00 GMT" }, 24 * time.Second, 36 * time.Second},
		"garbage":                       {429, func() string { return "soon" }, 24 * time.Second, 36 * time.Second},
		"negative":                      {429, func() string { return "-5" }, 24 * time.Second, 36 * time.Second},
		"a fraction":                    {429, func() string { return "3599.5" }, time.Hour, time.Hour},
		"more than an integer can hold": {429, func() string { return "99999999999999999999" }, 24 * time.Hour, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, alotwebhook.Config{}, failing(c.code, "Retry-After", c.value()))
				w.endpoint(t, "a.example.com")
				defer w.run(t)()
				w.emit(t)
				time.Sleep(25 * time.Hour)
				waits := gaps(w)
				require.NotEmpty(t, waits)
				require.GreaterOrEqual(t, waits[0], c.least)
				require.LessOrEqual(t, waits[0], c.most+time.Second)
			})
		})
	}
}
