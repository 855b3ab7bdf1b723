package guard_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/wire"
)

// errAllowed replaces a connection that the guard allowed: the tests connect nowhere.
var errAllowed = errors.New("the guard allowed the connection")

type dialControl = func(ctx context.Context, network, address string, c syscall.RawConn) error

// watch records the addresses that the guard allowed, and prevents the connections.
type watch struct {
	mu      sync.Mutex
	allowed []netip.Addr
}

func (w *watch) wrap(verdict dialControl) dialControl {
	return func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := verdict(ctx, network, address, c); err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.allowed = append(w.allowed, netip.MustParseAddrPort(address).Addr())
		return errAllowed
	}
}

// transport returns a transport over the guard's dialer, which w watches.
func (w *watch) transport(g *guard.Guard, r *net.Resolver) *wire.Transport {
	dialer := egress.New(g, r, patience, nil, nil)
	dialer.Direct.ControlContext = w.wrap(dialer.Direct.ControlContext)
	return wire.New(wire.Config{Dial: dialer.DialContext, TLSTimeout: patience, MaxHeaderBytes: 32 << 10})
}

// patience bounds every wait. It is a last resort for what will never come.
const patience = 10 * time.Minute

// send sends a request as an attempt does, up to the connection. It returns the
// addresses that the guard allowed.
func send(t testing.TB, rawURL string, g *guard.Guard, dns *fakeDNS) (allowed []netip.Addr, err error) {
	w := new(watch)
	transport := w.transport(g, dns.resolver())
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post(rawURL, "application/json", strings.NewReader("{}"))
	if err == nil {
		resp.Body.Close()
	}
	require.Error(t, err, "a connection was made")
	return w.allowed, err
}

type ssrfCase struct{ url, verdict, comment string }

var unescape = strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\n`, "\n")

func loadCases(t testing.TB) []ssrfCase {
	text, err := os.ReadFile("../../testdata/ssrf_cases.tsv")
	require.NoError(t, err)
	var cases []ssrfCase
	for line := range strings.Lines(string(text)) {
		columns := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		require.Len(t, columns, 3, line)
		cases = append(cases, ssrfCase{unescape.Replace(columns[0]), columns[1], columns[2]})
	}
	require.Len(t, cases, 157)
	return cases
}

// Each row of the table is a URL with the expected verdict. It is tried through all of
// the way: the check of the URL, the look-up of the name and the dial.
func TestSSRFCases(t *testing.T) {
	t.Parallel()
	for _, c := range loadCases(t) {
		t.Run(c.url, func(t *testing.T) {
			t.Parallel()
			dns, own := loadDNS(t, "../../testdata/ssrf_dns.tsv"), new(guard.Guard)
			u, err := guard.CheckURL(c.url, guard.URLRules{Guard: own})
			isDialled := strings.HasPrefix(c.comment, "[dns]") && u != nil && strings.HasSuffix(u.Hostname(), ".test")
			if c.verdict == "deny" && !isDialled {
				require.ErrorAs(t, err, new(*guard.Refusal), c.comment)
				return // refused before any look-up
			}
			require.NoError(t, err, c.comment)
			if u.Hostname() == "rebind.test" {
				requirePublic(t, dns.resolver(), u.Hostname()) // the first look-up, at registration, gives a public address
			}
			allowed, err := send(t, u.String(), own, dns)
			for _, addr := range allowed {
				require.NoError(t, new(guard.Guard).Judge(addr), c.comment)
			}
			if c.verdict == "allow" {
				require.NotEmpty(t, allowed, c.comment)
				return
			}
			require.ErrorIs(t, err, guard.ErrBlocked, c.comment)
			require.Empty(t, allowed, c.comment)
		})
	}
}

func requirePublic(t *testing.T, r *net.Resolver, host string) {
	addrs, err := r.LookupNetIP(t.Context(), "ip", host)
	require.NoError(t, err)
	require.NotEmpty(t, addrs)
	for _, addr := range addrs {
		require.NoError(t, new(guard.Guard).Judge(addr))
	}
}

// The dial refuses a blocked address in a URL even if nobody called CheckURL.
func TestDialRefusesLiterals(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, c := range loadCases(t) {
		if c.verdict != "deny" || !strings.HasPrefix(c.comment, "[ip]") {
			continue
		}
		tried++
		allowed, err := send(t, c.url, new(guard.Guard), newDNS(nil))
		require.ErrorIs(t, err, guard.ErrBlocked, c.url)
		require.Empty(t, allowed, c.url)
	}
	require.Equal(t, 67, tried)
}

func TestNamesRefusedBeforeLookup(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"localhost", "LocalHost.", "foo.localhost", "db.internal", "printer.local", "intranet",
		"127.1", "2130706433", "0x7f.1", "a.0x", "a.0xfg.1", "1.2.3.08", "8.8.8.8.", "a..test", ".test", "a.test..",
		"a b.test", "a%2fb.test", "a,b.test", "a_b.7", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 125) + "test",
	} {
		_, err := guard.CheckURL("https://"+host+"/", guard.URLRules{Guard: new(guard.Guard)})
		var field *guard.Refusal
		require.ErrorAs(t, err, &field, host)
		require.Equal(t, "url", field.Field)
		require.NotErrorIs(t, err, guard.ErrBlocked, host)
	}
}

func TestMixedAnswersReachThePublicOne(t *testing.T) {
	t.Parallel()
	public := netip.MustParseAddr("93.184.216.34")
	for name, records := range map[string]string{
		"private first":    "A 10.0.0.5,A 93.184.216.34",
		"private last":     "A 93.184.216.34,A 10.0.0.5",
		"private IPv6 too": "AAAA ::1,AAAA fd00::1,A 10.0.0.5,A 93.184.216.34",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dns := newDNS(map[string][]string{"mixed.test": {records}})
			allowed, _ := send(t, "https://mixed.test/", new(guard.Guard), dns)
			require.Equal(t, []netip.Addr{public}, allowed)
		})
	}
}

func TestBlockedShowsThroughEveryWrapping(t *testing.T) {
	t.Parallel()
	for _, records := range []string{
		"A 127.0.0.1", "AAAA ::1", "A 10.0.0.1,A 10.0.0.2",
		"AAAA ::1,A 127.0.0.1", // of both families
	} {
		dns := newDNS(map[string][]string{"private.test": {records}})
		allowed, err := send(t, "https://private.test/", new(guard.Guard), dns)
		require.Empty(t, allowed)
		require.ErrorIs(t, err, guard.ErrBlocked, records)
		require.ErrorAs(t, err, new(*url.Error))
	}
}

func TestBlockedDoesNotNameTheAddress(t *testing.T) {
	t.Parallel()
	_, err := guard.CheckURL("https://10.1.2.3/", guard.URLRules{Guard: new(guard.Guard)})
	require.ErrorIs(t, err, guard.ErrBlocked)
	var refusal *guard.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "url", refusal.Field)
	require.NotContains(t, err.Error(), "10.1.2.3")
}

func TestControlFailsClosed(t *testing.T) {
	t.Parallel()
	control := (&guard.Guard{AllowNets: nets("0.0.0.0/0", "::/0")}).Control
	require.NoError(t, control(t.Context(), "tcp4", "8.8.8.8:443", nil))
	for _, c := range [][2]string{
		{"tcp4", ""}, {"tcp4", "8.8.8.8"}, {"tcp4", "example.com:443"}, {"tcp6", "[fe80::1%eth0]:443"},
		{"tcp", "8.8.8.8:443"}, {"udp4", "8.8.8.8:443"}, {"unix", "/run/docker.sock"}, {"", "8.8.8.8:443"},
	} {
		require.ErrorIs(t, control(t.Context(), c[0], c[1], nil), guard.ErrBlocked, c)
	}
	require.ErrorIs(t, new(guard.Guard).Judge(netip.Addr{}), guard.ErrBlocked)
	zoned := netip.MustParseAddr("::ffff:8.8.8.8%eth0") // Unmap drops the zone, so the zone must be checked before
	require.ErrorIs(t, new(guard.Guard).Judge(zoned), guard.ErrBlocked)
}

func TestOperatorsNets(t *testing.T) {
	t.Parallel()
	own := &guard.Guard{
		AllowNets: nets("10.0.0.0/8", "fd00::/8", "64:ff9b::/96", "64:ff9b:1::/48"),
		DenyNets:  nets("10.6.0.0/16", "93.184.216.0/24", "2606:4700::/32"),
	}
	open := *own
	open.AllowNAT64 = true
	for _, c := range []struct {
		addr         string
		plain, nat64 bool
	}{
		{"10.1.2.3", true, true},
		{"::ffff:10.1.2.3", true, true},
		{"10.6.0.1", false, false},
		{"::ffff:10.6.0.1", false, false},
		{"fd00::1", true, true},
		{"fc00::1", false, false},
		{"192.168.0.1", false, false},
		{"8.8.8.8", true, true},
		{"93.184.216.34", false, false},
		{"2606:4700:4700::1111", false, false},
		{"64:ff9b::8.8.8.8", false, true},
		{"64:ff9b::10.1.2.3", false, true},
		{"64:ff9b::10.6.0.1", false, false},
		{"64:ff9b::169.254.169.254", false, false},
		{"64:ff9b::93.184.216.34", false, false},
		{"64:ff9b:1::8.8.8.8", false, false},
	} {
		addr := netip.MustParseAddr(c.addr)
		require.Equal(t, c.plain, own.Judge(addr) == nil, c.addr)
		require.Equal(t, c.nat64, open.Judge(addr) == nil, c.addr)
	}
}

func TestNetsThatMatchNothingAreRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, (&guard.Guard{AllowNets: nets("127.0.0.0/8"), DenyNets: nets("::/0")}).Check())
	for field, g := range map[string]*guard.Guard{
		"AllowNets[1]": {AllowNets: append(nets("10.0.0.0/8"), netip.Prefix{})},
		"DenyNets[0]":  {DenyNets: nets("::ffff:10.0.0.0/104")},
	} {
		var fieldErr *guard.Refusal
		require.ErrorAs(t, g.Check(), &fieldErr)
		require.Equal(t, field, fieldErr.Field)
	}
}

func TestURLSpelling(t *testing.T) {
	t.Parallel()
	own := &guard.Guard{AllowNets: nets("127.0.0.0/8")}
	for _, c := range []struct{ raw, https, http string }{ // the result without and with AllowHTTP; "" if refused
		{"https://Example.COM./Hook?Q=1", "https://example.com/Hook?Q=1", "https://example.com/Hook?Q=1"},
		{"HTTPS://example.com:443", "https://example.com", "https://example.com"},
		{"https://example.com:0443/", "https://example.com/", "https://example.com/"},
		{"https://example.com:/", "https://example.com/", "https://example.com/"},
		{"https://example.com:08443/", "https://example.com:8443/", "https://example.com:8443/"},
		{"https://example.com:80/", "", ""},
		{"https://example.com:1023/", "", ""},
		{"https://example.com:1024/", "https://example.com:1024/", "https://example.com:1024/"},
		{"https://example.com:65535/", "https://example.com:65535/", "https://example.com:65535/"},
		{"https://example.com:65536/", "", ""},
		{"https://example.com:-1/", "", ""},
		{"https://[2606:4700:4700:0::1111]:443/", "https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"},
		{"https://[8.8.8.8]/", "", ""},
		{"https://2606:4700:4700::1111/", "", ""},
		{"http://example.com:80/", "", "http://example.com/"},
		{"http://example.com:443/", "", ""},
		{"http://example.com:22/", "", ""},
		{"http://127.0.0.1:8080/x", "", "http://127.0.0.1:8080/x"},
		{"https://127.0.0.1:8443/x", "https://127.0.0.1:8443/x", "https://127.0.0.1:8443/x"},
		{"http://localhost:8080/x", "", ""},
		{"https://@example.com/", "", ""},
		{"https://example.com/#", "", ""},
		{"https://example.com/a b", "", ""},
		{`https://example.com/a\b`, "", ""},
		{"https://example.com/%23%5C", "https://example.com/%23%5C", "https://example.com/%23%5C"},
		{"", "", ""},
		{"https://example.com/" + strings.Repeat("a", 2028), "https://example.com/" + strings.Repeat("a", 2028), "https://example.com/" + strings.Repeat("a", 2028)},
		{"https://example.com/" + strings.Repeat("a", 2029), "", ""},
	} {
		for allowHTTP, want := range map[bool]string{false: c.https, true: c.http} {
			u, err := guard.CheckURL(c.raw, guard.URLRules{AllowHTTP: allowHTTP, Guard: own})
			if want == "" {
				require.ErrorAs(t, err, new(*guard.Refusal), c.raw)
				continue
			}
			require.NoError(t, err, c.raw)
			require.Equal(t, want, u.String())
		}
	}
}

// The text of a refusal says what is wrong with this very URL.
func TestURLRefusalsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw, says   string
		development bool
	}{
		{"", "is missing", false},
		{" https://example.com/hook", "begins or ends with a space", false},
		{"https://example.com/hook\n", "begins or ends with a space or a line break", false},
		{"https://example.com/my hook", "has a space in it; write %20", false},
		{"https://example.com/\thook", "a tab", false},
		{"https://exämple.com/hook", "xn--", false},
		{"https://https://example.com/hook", "begins with https:// twice", false},
		{"https://http://example.com/hook", "begins with http:// twice", false},
		{"http://example.com/hook", "does not begin with https://", false},
		{"https://localhost:3000/hook", "has a host that is not public", false},
		{"https://127.0.0.1:3000/hook", "reachable from the public internet", false},
		{"http://localhost:3000/hook", "write 127.0.0.1, and allow 127.0.0.0/8 by Config.AllowNets", true},
		{"http://api.localhost/hook", "write 127.0.0.1", true},
		{"http://127.0.0.1:3000/hook", "in development, allow it by Config.AllowNets", true},
		{"http://[::1]:3000/hook", "in development, allow it by Config.AllowNets", true},
		{"http://10.1.2.3/hook", "reachable from the public internet", true},
	} {
		_, err := guard.CheckURL(c.raw, guard.URLRules{AllowHTTP: c.development, Guard: new(guard.Guard)})
		require.ErrorContains(t, err, c.says, "%q", c.raw)
	}
}

// A server on this machine is reached only if its net is allowed.
func TestDialer(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	address := server.Listener.Addr().String()

	_, err := new(guard.Guard).Dialer().DialContext(t.Context(), "tcp", address)
	require.ErrorIs(t, err, guard.ErrBlocked)
	require.Zero(t, connections.Load())

	own := &guard.Guard{AllowNets: nets("127.0.0.0/8")}
	conn, err := own.Dialer().DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func nets(cidrs ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range cidrs {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func FuzzCheckURL(f *testing.F) {
	for _, c := range loadCases(f) {
		f.Add(c.url, false)
	}
	f.Add("http://127.0.0.1:8080/x", true)
	own := new(guard.Guard)
	f.Fuzz(func(t *testing.T, raw string, allowHTTP bool) {
		u, err := guard.CheckURL(raw, guard.URLRules{AllowHTTP: allowHTTP, Guard: own})
		if err != nil {
			require.ErrorAs(t, err, new(*guard.Refusal))
			require.Nil(t, u)
			return
		}
		require.True(t, u.Scheme == "https" || allowHTTP && u.Scheme == "http", u)
		require.Nil(t, u.User)
		require.True(t, strings.Contains(u.Hostname(), ".") || strings.HasPrefix(u.Host, "["), u)
		if port := u.Port(); port != "" {
			ap, err := netip.ParseAddrPort("8.8.8.8:" + port)
			require.NoError(t, err)
			require.GreaterOrEqual(t, ap.Port(), uint16(1024))
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.NoError(t, new(guard.Guard).Judge(addr))
		}
		if len(u.String()) > 2048 { // a path can grow when it is escaped
			return
		}
		again, err := guard.CheckURL(u.String(), guard.URLRules{AllowHTTP: allowHTTP, Guard: own})
		require.NoError(t, err, "%q", u.String())
		require.Equal(t, u.String(), again.String())
	})
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{"8.8.8.8", "10.0.0.1", "::1", "64:ff9b::1.2.3.4", "2001:db8::1", "2606:4700::1"} {
		f.Add(netip.MustParseAddr(s).AsSlice(), "")
	}
	f.Add(netip.MustParseAddr("2606:4700::1").AsSlice(), "eth0")
	f.Fuzz(func(t *testing.T, raw []byte, zone string) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			require.Error(t, new(guard.Guard).Judge(addr))
			return
		}
		addr = addr.WithZone(zone)
		err := new(guard.Guard).Judge(addr)
		if err != nil {
			require.ErrorIs(t, err, guard.ErrBlocked)
			return
		}
		require.Empty(t, addr.Zone())
		addr = addr.Unmap()
		require.NoError(t, new(guard.Guard).Judge(addr))
		require.True(t, addr.IsGlobalUnicast() && !addr.IsPrivate(), addr)
		require.True(t, addr.Is4() || addr.AsSlice()[0]>>5 == 1, addr)
	})
}
