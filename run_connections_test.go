package alotwebhook_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/proxytest"
	"github.com/alot/alotwebhook/store/memory"
)

// Connections are kept to more hosts than there are attempts at once: otherwise each delivery to one of
// many busy hosts would pay for a look-up, a connection and a handshake.
func TestConnectionsToManyHostsAreKept(t *testing.T) {
	t.Parallel()
	const hosts = 400 // more than Config.InFlight
	var connections atomic.Int64
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	receiver.Start()
	t.Cleanup(receiver.Close)
	_, port, ok := strings.Cut(receiver.Listener.Addr().String(), ":")
	require.True(t, ok)
	zone := map[string][]string{}
	for i := range hosts {
		zone[fmt.Sprintf("h%d.example.com", i)] = []string{"127.0.0.1"}
	}
	done := make(chan alotwebhook.AttemptInfo, hosts)
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Resolver: proxytest.Resolver(zone),
		ConnectTimeout: time.Minute, Timeout: time.Minute, MaxEndpoints: hosts, Logger: slog.New(slog.DiscardHandler),
		Observer: observeAttempts(func(a alotwebhook.AttemptInfo) { done <- a }),
	})
	require.NoError(t, err)
	w := &world{Dispatcher: d}
	for name := range zone {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: "org_1", URL: "http://" + name + ":" + port + "/hook", EventTypes: []string{"candidate.completed"},
		})
		require.NoError(t, err)
	}
	defer w.run(t)()
	round := func() (fresh int64) {
		before := connections.Load()
		w.emit(t)
		for range hosts {
			a := <-done
			require.Equal(t, alotwebhook.StateDelivered, a.State, a.Attempt.Detail)
		}
		return connections.Load() - before
	}
	require.EqualValues(t, hosts, round())
	// On a machine so slow that a round outlives the idle time, one of the next is faster.
	for until := time.Now().Add(patience); round() > 0; {
		require.True(t, time.Now().Before(until), "connections are made anew in each round")
	}
}
