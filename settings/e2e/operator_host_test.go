package e2e

import (
	"context"
	"fmt"
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

// shared is a store in memory that seems to be one that several processes share.
type shared struct {
	*memory.Store
	processes []alotwebhook.Process
}

func (s *shared) Processes(context.Context) ([]alotwebhook.Process, error) { return s.processes, nil }

// newOperators returns a host with the operators' pages, whose dispatcher delivers nothing.
func newOperators(t testing.TB) (*host, *shared) {
	t.Helper()
	store := &shared{Store: memory.New()}
	return newOperatorsOn(t, store), store
}

func newOperatorsOn(t testing.TB, store alotwebhook.Store, changes ...func(*alotwebhook.Config)) *host {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	cfg := &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, KeepResponseBody: 1024,
		Retry: alotwebhook.Schedule(), Logger: logger,
	}
	for _, change := range changes {
		change(cfg)
	}
	d, err := alotwebhook.NewDispatcher(store, cfg)
	require.NoError(t, err)
	h := &host{store: store, dispatcher: d}
	pages, err := settings.NewOperatorPages(d, &settings.OperatorOptions{
		Operator: func(*http.Request) (string, error) { return "ann@example.com", nil }, May: h.may,
		Product: "Acme", HomeURL: "/", Logger: logger,
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/operations/", pages)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.base = server.URL + "/operations/"
	return h
}

// runs has the dispatcher deliver until the test ends.
func (h *host) runs(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.dispatcher.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
}

// endpointOf registers an endpoint of an organization.
func (h *host) endpointOf(t testing.TB, organization, url string) alotwebhook.Endpoint {
	t.Helper()
	e, err := h.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: url, EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	return e
}

// emitTo emits events of an organization.
func (h *host) emitTo(t testing.TB, organization string, n int) {
	t.Helper()
	events := make([]alotwebhook.Event, n)
	for i := range events {
		var err error
		events[i], err = alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, organization, map[string]string{"sessionId": "sess_1"})
		require.NoError(t, err)
	}
	require.NoError(t, h.dispatcher.Emit(t.Context(), events...))
}

// finishAll finishes all deliveries that are due, as a dispatcher would.
func (h *host) finishAll(t testing.TB, state alotwebhook.DeliveryState, a alotwebhook.Attempt) {
	t.Helper()
	got, err := h.store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Minute})
	require.NoError(t, err)
	var outcomes []alotwebhook.Outcome
	for _, c := range got.Deliveries {
		a.Number, a.StartedAt = c.Attempt, time.Now()
		outcomes = append(outcomes, alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: state, NextAttemptIn: time.Hour, Attempt: a})
	}
	_, err = h.store.Finish(t.Context(), outcomes)
	require.NoError(t, err)
}

// odd is an organization whose id would end a path, if it were not escaped.
const odd = `a/b?ü%2f <i>`

// seedTrouble fills the host with organizations that are well, and with such that are not.
func (h *host) seedTrouble(t testing.TB, store *shared) {
	t.Helper()
	refused := alotwebhook.Attempt{StatusCode: http.StatusServiceUnavailable, Reason: alotwebhook.ReasonStatus, Duration: 80 * time.Millisecond, ResponseBody: "the database is down"}
	ok := alotwebhook.Attempt{StatusCode: http.StatusOK, Duration: 45 * time.Millisecond}
	h.endpointOf(t, "org_quiet", "https://hooks.quiet.test/alot")
	h.emitTo(t, "org_quiet", 3)
	h.finishAll(t, alotwebhook.StateDelivered, ok)
	for i := range 7 {
		h.endpointOf(t, "org_northwind", fmt.Sprintf("https://crm-%d.northwind.test/integrations/alot/webhook", i))
	}
	h.emitTo(t, "org_northwind", 2)
	h.finishAll(t, alotwebhook.StateFailed, refused)
	e := h.endpointOf(t, odd, "https://odd.example.test/alot")
	e.Disabled = true
	_, err := h.dispatcher.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	h.emitTo(t, odd, 12)
	h.endpointOf(t, "org_flood", "https://flood.example.test/alot")
	h.emitTo(t, "org_flood", 1500)
	seedDay(t, store.Store, e.ID)
	store.processes = []alotwebhook.Process{
		{ID: "web-7f9c4b-1", Seen: 400 * time.Millisecond, Left: 30 * time.Second, Share: 0.5},
		{ID: "web-7f9c4b-2", Seen: 90 * time.Second, Left: -30 * time.Second, Share: 0.5},
	}
}

// seedDay has the hours of a day behind an endpoint, some of them with failures.
func seedDay(t testing.TB, store *memory.Store, endpointID string) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Hour)
	var tallies []alotwebhook.Tally
	for i := range 24 {
		n := int64(4000 + 900*(i%7))
		tally := alotwebhook.Tally{EndpointID: endpointID, Hour: now.Add(-time.Duration(i) * time.Hour), Succeeded: n, Duration: time.Duration(n) * 60 * time.Millisecond, Slowest: 9 * time.Second}
		if i > 3 && i < 7 {
			tally.Reasons = map[alotwebhook.FailureReason]int64{alotwebhook.ReasonStatus: n / 4, alotwebhook.ReasonTimeout: 120}
		}
		tallies = append(tallies, tally)
	}
	require.NoError(t, store.AddTallies(t.Context(), tallies))
}
