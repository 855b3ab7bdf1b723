package e2e

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// host is a product that mounts the pages.
type host struct {
	store      alotwebhook.Store
	dispatcher *alotwebhook.Dispatcher
	base       string       // URL of the pages
	role       atomic.Value // []settings.Action, what the visitor may do; everything if it is not set
	signedOut  atomic.Bool
}

// may is what the pages ask.
func (h *host) may(_ *http.Request, a settings.Action) bool {
	role, limited := h.role.Load().([]settings.Action)
	return !limited || slices.Contains(role, a)
}

func (h *host) organization(*http.Request) (string, error) {
	if h.signedOut.Load() {
		return "", errors.New("the session has ended")
	}
	return "org_123", nil
}

// newHost returns a host whose dispatcher runs.
func newHost(t testing.TB, changes ...func(*alotwebhook.Config)) *host {
	t.Helper()
	h := newIdleHost(t, changes...)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.dispatcher.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return h
}

// newIdleHost returns a host whose dispatcher delivers nothing.
func newIdleHost(t testing.TB, changes ...func(*alotwebhook.Config)) *host {
	t.Helper()
	store := memory.New()
	logger := slog.New(slog.DiscardHandler)
	cfg := &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, KeepResponseBody: 1024,
		Retry: alotwebhook.Schedule(100 * time.Millisecond), Logger: logger,
	}
	for _, change := range changes {
		change(cfg)
	}
	d, err := alotwebhook.NewDispatcher(store, cfg)
	require.NoError(t, err)
	h := &host{store: store, dispatcher: d}
	pages, err := settings.NewPages(d, &settings.Options{
		Organization: h.organization, May: h.may,
		Product: "Acme", HomeURL: "/", LoginURL: "/login?next={return}", Prefix: "/settings/webhooks", Logger: logger,
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/settings/webhooks/", http.StripPrefix("/settings/webhooks", pages))
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.base = server.URL + "/settings/webhooks/"
	return h
}

// emit emits an event, as the product does.
func (h *host) emit(t testing.TB) alotwebhook.Event {
	t.Helper()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_123", map[string]string{"sessionId": "sess_1"})
	require.NoError(t, err)
	require.NoError(t, h.dispatcher.Emit(context.Background(), event))
	return event
}

// failFirst has the first attempt of the delivery that is due longest fail, as a dispatcher would.
func (h *host) failFirst(t testing.TB) {
	t.Helper()
	got, err := h.store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, got.Deliveries, 1)
	lost, err := h.store.Finish(t.Context(), []alotwebhook.Outcome{{
		DeliveryID: got.Deliveries[0].DeliveryID, Token: got.Deliveries[0].Token, State: alotwebhook.StatePending,
		NextAttemptIn: 10 * time.Minute, HoldsUp: time.Hour, Attempt: alotwebhook.Attempt{
			Number: 1, StartedAt: time.Now(), StatusCode: http.StatusServiceUnavailable, Reason: alotwebhook.ReasonStatus,
		},
	}})
	require.NoError(t, err)
	require.Empty(t, lost)
}

// receiver is the service of a customer.
type receiver struct {
	url string

	mu      sync.Mutex
	broken  bool
	any     bool // it does not know the secret, and takes everything for genuine
	secret  alotwebhook.Secret
	genuine int // how many events were signed with the secret
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/alot/webhook"
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.broken:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "<b>the database is down</b>")
	case !r.any && alotwebhook.Verify(body, req.Header.Get(alotwebhook.SignatureHeader), r.secret) != nil:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		r.genuine++
	}
}

func (r *receiver) set(change func(*receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *receiver) breaks() { r.set(func(r *receiver) { r.broken = true }) }
func (r *receiver) works()  { r.set(func(r *receiver) { r.broken = false }) }

func (r *receiver) received() (n int) {
	r.set(func(r *receiver) { n = r.genuine })
	return n
}
