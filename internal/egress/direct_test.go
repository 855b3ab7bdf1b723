package egress_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/proxytest"
)

// loopback is what the tests may connect to.
func loopback() *guard.Guard {
	return &guard.Guard{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// losing is a resolver whose first questions get no answer.
func losing(zone map[string][]string, questions int) *net.Resolver {
	var mu sync.Mutex
	working := proxytest.Resolver(zone)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if questions--; questions >= 0 {
			client, silent := net.Pipe()
			go func() { _, _ = silent.Read(make([]byte, 512)) }()
			return client, nil
		}
		return working.Dial(ctx, network, server)
	}}
}

// A packet of a look-up that is lost costs a moment, and not the attempt: package net itself asks again
// only after five seconds, which is all the time that there is by default.
func TestALostPacketCostsNoLookUp(t *testing.T) {
	t.Parallel()
	here := receiver(t)
	_, port, err := net.SplitHostPort(here)
	require.NoError(t, err)
	const bothFamiliesTwice = 4
	d := egress.New(loopback(), losing(map[string][]string{"a.example.com": {"127.0.0.1"}}, bothFamiliesTwice), 5*time.Second, nil, nil)
	conn, err := dial(t, d, "a.example.com:"+port)
	require.NoError(t, err)
	requireHere(t, conn)

	d = egress.New(loopback(), losing(nil, 1000), 10*time.Millisecond, nil, nil)
	_, err = dial(t, d, "a.example.com:"+port)
	var lookUp *net.DNSError
	require.ErrorAs(t, err, &lookUp)
	require.True(t, lookUp.IsTimeout)
	require.NotContains(t, lookUp.Error(), "127.0.0.1")
}

// slowly has the connections to some addresses hang until they are given up, and notes which were tried.
type slowly struct {
	mu    sync.Mutex
	tried []string
	hang  map[string]bool
}

func (s *slowly) control(d *egress.Dialer) {
	verdict := d.Direct.ControlContext
	d.Direct.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		host, _, _ := net.SplitHostPort(address)
		s.mu.Lock()
		s.tried = append(s.tried, host)
		hangs := s.hang[host]
		s.mu.Unlock()
		if hangs {
			<-ctx.Done()
			return ctx.Err()
		}
		return verdict(ctx, network, address, c)
	}
}

// An address that hangs holds up the others of its name once, and not each connection.
func TestASilentAddressComesLast(t *testing.T) {
	t.Parallel()
	_, port, err := net.SplitHostPort(receiver(t))
	require.NoError(t, err)
	zone := map[string][]string{"two.example.com": {"127.0.0.9", "127.0.0.1"}, "refuses.example.com": {"127.0.0.7", "127.0.0.8"}}
	d := egress.New(loopback(), proxytest.Resolver(zone), patience, nil, nil)
	network := &slowly{hang: map[string]bool{"127.0.0.9": true}}
	network.control(d)
	const dials = 5
	for range dials {
		conn, err := dial(t, d, "two.example.com:"+port)
		require.NoError(t, err)
		requireHere(t, conn)
	}
	network.mu.Lock()
	times := map[string]int{}
	for _, host := range network.tried {
		times[host]++
	}
	network.mu.Unlock()
	require.Equal(t, dials, times["127.0.0.1"])
	require.LessOrEqual(t, times["127.0.0.9"], 1, "it is remembered")

	_, err = dial(t, d, "refuses.example.com:"+port)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "each was tried")
}

// A machine without IPv6 says so, and does not blame the host that has nothing else. What a router on the
// way says is about that host.
func TestNoRouteFromHere(t *testing.T) {
	t.Parallel()
	for _, routed := range []bool{false, true} {
		d := egress.New(new(guard.Guard), nil, patience, nil, nil)
		d.Direct.ControlContext = func(context.Context, string, string, syscall.RawConn) error { return syscall.ENETUNREACH }
		d.HasRoute = func(netip.AddrPort) bool { return routed }
		_, err := dial(t, d, "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443")
		if routed {
			require.ErrorIs(t, err, syscall.ENETUNREACH)
			require.NotErrorIs(t, err, egress.ErrNoRoute)
			continue
		}
		require.ErrorIs(t, err, egress.ErrNoRoute)
	}
	require.True(t, egress.New(loopback(), nil, patience, nil, nil).HasRoute(netip.MustParseAddrPort("127.0.0.1:9")))
}
