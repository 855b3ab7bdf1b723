package webhookclient_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhookclient"
)

// lateStore stores endpoints, but only after a while, whether anybody still waits for it or not.
type lateStore struct {
	alotwebhook.Store
	after time.Duration
}

func (s lateStore) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	time.Sleep(s.after)
	return s.Store.PutEndpoint(context.WithoutCancel(ctx), e, ops...)
}

// impatient makes requests to a handler that works on while its client has gone away.
type impatient struct{ http.Handler }

func (h impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	done := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		done <- w.Result()
	}()
	select {
	case resp := <-done:
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// A secret is shown to the request that made it and to its repetitions alone: a new call cannot get it.
func TestARequestThatTakesLongIsRepeatedUntilItIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := lateStore{memory.New(), 1500 * time.Millisecond}
		dispatcher, err := alotwebhook.NewDispatcher(store, nil)
		require.NoError(t, err)
		api, err := settings.NewAPI(dispatcher, &settings.Options{Organization: func(*http.Request) (string, error) { return "org_1", nil }})
		require.NoError(t, err)
		client, err := webhookclient.New("https://app.example.com", &webhookclient.Options{Timeout: 500 * time.Millisecond, HTTPClient: &http.Client{Transport: impatient{api}}})
		require.NoError(t, err)
		made, err := client.CreateEndpoint(t.Context(), webhookclient.NewEndpoint{URL: "https://example.com/", Events: []string{alotwebhook.EventCandidateCompleted}})
		require.NoError(t, err)
		require.NotEmpty(t, made.Secret)
		n := 0
		for e, err := range client.Endpoints(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, made.ID, e.ID)
			n++
		}
		require.Equal(t, 1, n)
	})
}

// posts are all calls that the API does once for a key.
func posts(ctx context.Context, c *webhookclient.Client) map[string]func() error {
	only := func(_ any, err error) error { return err }
	return map[string]func() error{
		"create":      func() error { return only(c.CreateEndpoint(ctx, webhookclient.NewEndpoint{})) },
		"rotate":      func() error { return only(c.RotateSecret(ctx, "wh_1", "", time.Time{})) },
		"test":        func() error { return only(c.SendTest(ctx, "wh_1", "")) },
		"redeliver":   func() error { return only(c.Redeliver(ctx, "dlv_1")) },
		"recover":     func() error { return only(c.Recover(ctx, "wh_1", time.Time{})) },
		"send missed": func() error { return only(c.SendMissed(ctx, "wh_1", time.Time{})) },
		"enable":      func() error { return only(c.EnableEndpoint(ctx, "wh_1", time.Time{})) },
		"prove":       func() error { return only(c.ProveEndpoint(ctx, "wh_1")) },
	}
}

// answersAll has what any of the calls of posts waits for.
const answersAll = `{"id":"wh_1","eventId":"evt_1","deliveryId":"dlv_1","endpointId":"wh_1","status":"running"}`

// fake returns a client of a server that is answer.
func fake(t *testing.T, answer http.HandlerFunc) *webhookclient.Client {
	t.Helper()
	c, err := webhookclient.New("https://app.example.com", &webhookclient.Options{Token: token, HTTPClient: &http.Client{Transport: impatient{answer}}})
	require.NoError(t, err)
	return c
}

func TestConflictsThatPassAreRepeated(t *testing.T) {
	t.Parallel()
	const inProgress = `{"status":409,"errors":[{"field":"Idempotency-Key","detail":"belongs to a request that is still being processed"}]}`
	for name, c := range map[string]struct {
		after, problem string
		again          bool
	}{
		"in progress, of an API that does not say when": {"", inProgress, true},
		"in progress":                      {"1", inProgress, true},
		"contested":                        {"1", `{"status":409}`, true},
		"in progress for too long":         {"3600", inProgress, false},
		"a limit, or a recovery that runs": {"", `{"status":409}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				keys := map[string]bool{}
				client := fake(t, func(w http.ResponseWriter, r *http.Request) {
					tries++
					keys[r.Header.Get("Idempotency-Key")] = true
					body := bytes.Replace([]byte(answersAll), []byte("wh_1"), []byte(idIn(r.URL.Path)), 1)
					if tries == 1 {
						w.Header().Set("Retry-After", c.after)
						w.WriteHeader(http.StatusConflict)
						body = []byte(c.problem)
					}
					_, _ = w.Write(body)
				})
				for call, does := range posts(t.Context(), client) {
					tries = 0
					clear(keys)
					err := does()
					if c.again {
						require.NoError(t, err, call)
						require.Equal(t, 2, tries, call)
						require.Len(t, keys, 1, call)
					} else {
						require.ErrorContains(t, err, "409", call)
						require.Equal(t, 1, tries, call)
					}
				}
			})
		})
	}
}

// idIn returns the id that an answer to a request at a path has.
func idIn(path string) string {
	if path == "/v1/webhooks/deliveries/dlv_1/redeliver" {
		return "dlv_1"
	}
	return "wh_1"
}
