package sqlite_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// dispatch runs a dispatcher over a store of its own on the file, as a process does.
func dispatch(t *testing.T, path string) *alotwebhook.Dispatcher {
	t.Helper()
	d, stop := dispatchFor(t, path)
	t.Cleanup(stop)
	return d
}

// dispatchFor is dispatch until stop is called.
func dispatchFor(t *testing.T, path string) (d *alotwebhook.Dispatcher, stop func()) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	d, err = alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Retry:     alotwebhook.Schedule(20*time.Millisecond, 50*time.Millisecond),
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		PollInterval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, store.Close())
	}
}

// The rate of an endpoint holds for three processes together. Each time that an endpoint gets
// another process, one request more may come.
func TestRateOverProcesses(t *testing.T) {
	t.Parallel()
	const endpoints, perSecond, events = 4, 20, 60
	arrived := make(chan struct{}, endpoints*events)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }))
	t.Cleanup(receiver.Close)
	path := filepath.Join(t.TempDir(), "webhooks.db")
	d := dispatch(t, path)
	for range endpoints {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org", URL: receiver.URL, EventTypes: []string{completed}, Rate: perSecond,
		})
		require.NoError(t, err)
	}
	dispatch(t, path)
	dispatch(t, path)
	began := time.Now()
	for range events {
		require.NoError(t, d.Emit(t.Context(), newEvent(t, "org")))
	}
	for range endpoints * events {
		select {
		case <-arrived:
		case <-time.After(patience):
			t.Fatal("a request is missing")
		}
	}
	const atOnce, handedOver = 2, 18 // many more than there are
	require.Greater(t, time.Since(began), (events-atOnce-handedOver)*time.Second/perSecond)
}
