package interop_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// token authenticates the customer of the API that serves the generated clients.
const token = "a-token-of-the-customer"

// served is an API as a host serves it, and what its customer can find there.
type served struct {
	url      string
	receiver string
	events   []string // that happened before he came
}

// serve serves the API on loopback to one customer, and delivers.
func serve(t *testing.T) served {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	logger := slog.New(slog.DiscardHandler)
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		Logger: logger, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	api, err := settings.NewAPI(d, &settings.Options{Logger: logger, Organization: func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			return "", nil
		}
		return "org_123", nil
	}})
	require.NoError(t, err)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	s := served{url: server.URL, receiver: receiver.URL + "/"}
	for range 3 {
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]any{"score": 82.55})
		require.NoError(t, err)
		require.NoError(t, d.Emit(t.Context(), event))
		s.events = append(s.events, event.ID)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	return s
}

// facts are what a client says it got.
type facts struct {
	Types                 []string
	ID, Secret            string
	Rate                  float64
	Headers               []string
	Replayed, Other       string
	Listed                []string
	Removed               int
	Description           string
	Stale                 int
	Cleared               string
	Kept                  []string
	Rotated               string
	Next                  time.Time
	Tests                 []string
	Payload               string
	Duration              float64
	Header                string
	Deliveries            []string
	Redelivered, Recovery string
	Progress              float64
	Events                []string
	Pulled                string
	Paths                 int
}

// judge compares what a client got with what there is.
func judge(t *testing.T, s served, f facts) {
	t.Helper()
	require.Contains(t, f.Types, alotwebhook.EventCandidateCompleted)
	require.Regexp(t, "^wh_", f.ID)
	require.Regexp(t, "^whsec_", f.Secret)
	require.Equal(t, 82.55, f.Rate)
	require.Equal(t, []string{"X-Tenant", "Authorization"}, f.Headers)
	require.Equal(t, f.ID, f.Replayed, "the same Idempotency-Key")
	require.ElementsMatch(t, []string{f.ID, f.Other}, f.Listed, "a page each")
	require.Equal(t, http.StatusNoContent, f.Removed)
	require.Equal(t, "ATS", f.Description)
	require.Equal(t, http.StatusPreconditionFailed, f.Stale)
	require.Empty(t, f.Cleared, "null removes the description")
	require.Equal(t, []string{"X-Tenant"}, f.Kept)
	require.Regexp(t, "^whsec_", f.Rotated)
	require.NotEqual(t, f.Secret, f.Rotated)
	require.True(t, f.Next.After(time.Now()), f.Next)
	require.Len(t, f.Tests, 2)
	var event alotwebhook.Event
	require.NoError(t, json.Unmarshal([]byte(f.Payload), &event), f.Payload)
	require.Equal(t, alotwebhook.EventCandidateCompleted, event.Type)
	require.Equal(t, event.Type, f.Header, "of the request")
	require.Positive(t, f.Duration)
	require.ElementsMatch(t, f.Tests, f.Deliveries, "a page each")
	require.Equal(t, f.Tests[0], f.Redelivered)
	require.Contains(t, []string{"running", "done"}, f.Recovery)
	require.Subset(t, f.Events, s.events)
	require.Contains(t, f.Pulled, "82.55")
	require.Greater(t, f.Paths, 10)
}
