package frameworks_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/examples/frameworks"
	"github.com/alot/alotwebhook/webhooktest"
)

const secret alotwebhook.Secret = "your-signing-secret"

// acts counts how often each event was handled.
type acts struct {
	mu   sync.Mutex
	seen map[string]int
	fail error
}

func (a *acts) times(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[id]
}

// newReceiver returns a receiver that handles each event once, and what it has handled.
func newReceiver(t *testing.T) (*alotwebhook.Receiver, *acts) {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	a := &acts{seen: map[string]int{}}
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{
		Deduper: dedupe.NewMemory(nil),
		Logger:  slog.New(slog.DiscardHandler),
	})
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(_ context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.fail == nil {
			a.seen[e.ID]++
		}
		return a.fail
	})
	return r, a
}

// passes runs the battery, with challenges, against a receiver that is reached by do.
func passes(t *testing.T, b webhooktest.Battery, do func(*http.Request) (*http.Response, error)) {
	t.Helper()
	b.Secret, b.Proves = secret, true
	for _, f := range b.Check(t.Context(), do) {
		require.True(t, f.OK(), f)
	}
}

func TestHuma(t *testing.T) {
	t.Parallel()
	r, a := newReceiver(t)
	server := httptest.NewServer(frameworks.Huma(r))
	t.Cleanup(server.Close)
	passes(t, webhooktest.Battery{URL: server.URL + frameworks.Path, Handled: a.times, MaxBodyBytes: 1 << 20}, server.Client().Do)
	resp, err := server.Client().Get(server.URL + "/openapi.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	document, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(document), "alot-webhook")
}

func TestFiber(t *testing.T) {
	t.Parallel()
	r, a := newReceiver(t)
	app := frameworks.Fiber(r)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		require.NoError(t, app.Shutdown())
		require.NoError(t, <-done)
	})
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	passes(t, webhooktest.Battery{URL: "http://" + listener.Addr().String() + frameworks.Path, Handled: a.times}, client.Do)
}

// The framework has one set of functions in each process, and serves until the process ends.
func TestGoogle(t *testing.T) {
	r, a := newReceiver(t)
	frameworks.Google("AlotWebhook", r)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	t.Setenv("FUNCTION_TARGET", "AlotWebhook")
	ended := make(chan error, 1)
	go func() { ended <- funcframework.StartHostPort(host, port) }()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	address := net.JoinHostPort(host, port)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err == nil
	}, time.Minute, time.Millisecond)
	passes(t, webhooktest.Battery{URL: "http://" + address + frameworks.Path, Handled: a.times}, client.Do)
	select {
	case err := <-ended:
		t.Fatal(errors.Join(errors.New("the framework has ended"), err))
	default:
	}
}
