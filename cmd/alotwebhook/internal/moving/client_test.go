package moving_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/cmd/alotwebhook/internal/moving"
)

// responder responds to requests without a network.
type responder func() *http.Response

func (r responder) RoundTrip(*http.Request) (*http.Response, error) { return r(), nil }

func tooMany(retryAfter string) *http.Response {
	return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {retryAfter}}, Body: io.NopCloser(strings.NewReader(""))}
}

// An API that asks to wait is waited for as it says, but not for ever.
func TestAClientWaitsAsItIsAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after func() string
		waits time.Duration // between two requests; 0 for longer ones each time
		total time.Duration
	}{
		"seconds":  {func() string { return "60" }, time.Minute, 15 * time.Minute},
		"a date":   {func() string { return time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat) }, 90 * time.Second, 15 * time.Minute},
		"the past": {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0, 15 * time.Minute},
		"negative": {func() string { return "-60" }, 0, 15 * time.Minute},
		"nothing":  {func() string { return "" }, 0, 15 * time.Minute},
		"too long": {func() string { return "3600" }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				told := 0
				client := moving.Client{Timeout: time.Minute, Waits: func() { told++ }, HTTP: &http.Client{Transport: responder(func() *http.Response {
					at = append(at, time.Now())
					return tooMany(c.after())
				})}}
				start := time.Now()
				_, err := client.Get(t.Context(), "http://127.0.0.1/", nil)
				require.ErrorContains(t, err, "429 Too Many Requests")
				require.LessOrEqual(t, time.Since(start), c.total)
				require.GreaterOrEqual(t, time.Since(start), c.total-time.Minute)
				require.Less(t, len(at), 40)
				if c.waits > 0 {
					require.InDelta(t, c.waits, at[1].Sub(at[0]), float64(time.Second))
				}
				require.Equal(t, min(len(at)-1, 1), told)
			})
		})
	}
}

// slow is a body that ends with the context of its request.
type slow struct{ ctx context.Context }

func (s slow) Read([]byte) (int, error) { <-s.ctx.Done(); return 0, s.ctx.Err() }
func (slow) Close() error               { return nil }

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestABodyThatDoesNotEndIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := moving.Client{Timeout: time.Minute, HTTP: &http.Client{Transport: transport(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusOK, Body: slow{r.Context()}}
		})}}
		_, err := client.Get(t.Context(), "http://127.0.0.1/", nil)
		require.EqualError(t, err, "GET 127.0.0.1/: 200 OK, but the response's body was cut off or did not end in time")
	})
}

func TestAWaitCanBeInterrupted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	client := moving.Client{Timeout: time.Minute, HTTP: &http.Client{Transport: responder(func() *http.Response { stop(); return tooMany("100") })}}
	_, err := client.Get(ctx, "http://127.0.0.1/", nil)
	require.ErrorContains(t, err, "interrupted")
}
