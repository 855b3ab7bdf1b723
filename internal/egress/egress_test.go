package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/proxytest"
)

// patience bounds every wait. It is a last resort for what will never come.
const patience = 10 * time.Minute

// public is an address of the public internet. No test connects to it: the proxies lead elsewhere.
const public = "93.184.215.14"

// receiver is a server on loopback that says "here".
func receiver(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// to has a proxy lead every tunnel to an address.
func to(address string) func(proxytest.Ask) proxytest.Answer {
	return func(proxytest.Ask) proxytest.Answer { return proxytest.Answer{Dial: address} }
}

func answers(a proxytest.Answer) func(proxytest.Ask) proxytest.Answer {
	return func(proxytest.Ask) proxytest.Answer { return a }
}

// log is what a dialer logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func dialer(p egress.Proxy, own guard.Guard, timeout time.Duration) (*egress.Dialer, *log) {
	l := new(log)
	return egress.New(&own, nil, timeout, &p, slog.New(slog.NewTextHandler(l, nil))), l
}

// dial dials once, within time enough.
func dial(t *testing.T, d *egress.Dialer, address string) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// requireHere asks whatever a connection leads to.
func requireHere(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(got), "here")
}

// Each kind of proxy makes a tunnel to the address, and gets its credentials.
func TestTunnels(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for name, start := range map[string]func(*testing.T, string) *proxytest.Proxy{
		"http": func(t *testing.T, at string) *proxytest.Proxy { return proxytest.HTTP(t, nil, to(at)) },
		"https": func(t *testing.T, at string) *proxytest.Proxy {
			return proxytest.HTTP(t, &tls.Config{Certificates: server.TLS.Certificates}, to(at))
		},
		"socks5": func(t *testing.T, at string) *proxytest.Proxy { return proxytest.SOCKS(t, "pass:word", to(at)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, receiver(t))
			p.URL.User = url.UserPassword("us er", "pass:word")
			d, logged := dialer(egress.Proxy{URL: p.URL, RootCAs: roots}, guard.Guard{}, patience)
			for _, address := range []string{public + ":443", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443"} {
				conn, err := dial(t, d, address)
				require.NoError(t, err)
				requireHere(t, conn)
			}
			require.Equal(t, []string{public + ":443", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443"}, p.Targets())
			asked := p.Asked()[0]
			if name == "socks5" {
				require.Equal(t, "us er", asked.User)
			} else {
				require.Equal(t, "Basic dXMgZXI6cGFzczp3b3Jk", asked.Header.Get("Proxy-Authorization"))
			}
			require.Empty(t, logged.String())
			kind, _ := d.Watch.Failing()
			require.Empty(t, kind)
		})
	}
}

func TestCredentialsAreAskedForEachTunnel(t *testing.T) {
	t.Parallel()
	p := proxytest.HTTP(t, nil, to(receiver(t)))
	p.URL.User = url.UserPassword("old", "old")
	password := "one"
	d, _ := dialer(egress.Proxy{URL: p.URL, Credentials: func(context.Context) (string, string, error) {
		defer func() { password += "+" }()
		return "u", password, nil
	}}, guard.Guard{}, patience)
	for range 2 {
		_, err := dial(t, d, public+":443")
		require.NoError(t, err)
	}
	require.Equal(t, "Basic dTpvbmU=", p.Asked()[0].Header.Get("Proxy-Authorization"))
	require.Equal(t, "Basic dTpvbmUr", p.Asked()[1].Header.Get("Proxy-Authorization"))
}

// The proxy is never asked for what the guard refuses, nor for itself.
func TestGuardJudgesBeforeTheProxy(t *testing.T) {
	t.Parallel()
	for _, resolves := range []bool{false, true} {
		p := proxytest.HTTP(t, nil, answers(proxytest.Answer{Status: 200}))
		d, _ := dialer(egress.Proxy{URL: p.URL, Resolves: resolves}, guard.Guard{}, patience)
		for _, address := range []string{
			"127.0.0.1:443", "10.0.0.1:443", "[::1]:443", "[::ffff:169.254.169.254]:443", "[fe80::1%25eth0]:443", p.URL.Host,
		} {
			_, err := dial(t, d, address)
			require.ErrorIs(t, err, guard.ErrBlocked, address)
		}
		if resolves {
			for _, name := range []string{"localhost:443", "2130706433:443", "0x7f.1:443", "127.1:443", "db.internal:443", "db:443"} {
				_, err := dial(t, d, name)
				require.ErrorIs(t, err, guard.ErrBlocked, name)
			}
		}
		require.Empty(t, p.Asked())
	}
}

// What the operator allows for himself does not open the proxy.
func TestTheProxyIsNotOpened(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	p := proxytest.HTTP(t, nil, to(receiver(t)))
	d, _ := dialer(egress.Proxy{URL: p.URL}, guard.Guard{AllowNets: []netip.Prefix{loopback}}, patience)
	_, err := dial(t, d, p.URL.Host)
	require.ErrorIs(t, err, guard.ErrBlocked, "by its address and port")
	_, err = dial(t, d, "127.0.0.1:4430")
	require.NoError(t, err, "another port of an address that the operator allows")
	require.Equal(t, []string{"127.0.0.1:4430"}, p.Targets())

	byName := &url.URL{Scheme: "http", Host: "localhost:" + p.URL.Port()}
	d, _ = dialer(egress.Proxy{URL: byName}, guard.Guard{AllowNets: []netip.Prefix{loopback}}, patience)
	_, err = dial(t, d, p.URL.Host)
	require.ErrorIs(t, err, guard.ErrBlocked, "by the address of its name")

	named := &url.URL{Scheme: "http", Host: "proxy.example.com:3128"}
	d, _ = dialer(egress.Proxy{URL: named, Resolves: true}, guard.Guard{}, patience)
	_, err = dial(t, d, "Proxy.Example.com:8443")
	require.ErrorIs(t, err, guard.ErrBlocked, "by its name")

	literal := egress.Proxy{URL: &url.URL{Scheme: "http", Host: public + ":3128"}}
	require.Equal(t, netip.MustParseAddr(public), literal.Addr())
	own := guard.Guard{Own: literal.Addr()}
	require.ErrorIs(t, own.Judge(literal.Addr()), guard.ErrBlocked)
	require.NoError(t, own.Judge(netip.MustParseAddr("93.184.215.15")))
}

// With Resolves, the proxy gets the name.
func TestTheProxyResolves(t *testing.T) {
	t.Parallel()
	for _, p := range []*proxytest.Proxy{proxytest.HTTP(t, nil, to(receiver(t))), proxytest.SOCKS(t, "", to(receiver(t)))} {
		d, _ := dialer(egress.Proxy{URL: p.URL, Resolves: true}, guard.Guard{}, patience)
		conn, err := dial(t, d, "shop.example.com:443")
		require.NoError(t, err)
		requireHere(t, conn)
		require.Equal(t, []string{"shop.example.com:443"}, p.Targets())
	}
}

const (
	unreachable    = egress.Unreachable
	authentication = egress.Authentication
	refused        = egress.Refused
)

// What a proxy answers is told apart: its own fault, a refusal, or something at the target.
func TestAnswersOfHTTPProxies(t *testing.T) {
	t.Parallel()
	smokescreen := func(words string) http.Header { return http.Header{"X-Smokescreen-Error": {words}} }
	squid := func(words string) http.Header { return http.Header{"X-Squid-Error": {words}} }
	raw := func(text string) proxytest.Answer { return proxytest.Answer{Raw: text} }
	status := func(n int, h http.Header) proxytest.Answer { return proxytest.Answer{Status: n, Header: h} }
	for name, c := range map[string]struct {
		answer proxytest.Answer
		kind   egress.Kind // "" for the target's
		is     error
	}{
		"wrong credentials":          {status(407, nil), authentication, nil},
		"tinyproxy, wrong password":  {status(401, nil), authentication, nil},
		"forbidden":                  {status(403, nil), refused, nil},
		"squid denies":               {status(403, squid("ERR_ACCESS_DENIED 0")), refused, nil},
		"smokescreen denies":         {status(407, smokescreen("Egress proxying is denied to host 'a.example.com:443': The destination address (10.0.0.1) was denied by rule 'Deny: Private Range'.")), refused, nil},
		"smokescreen knows no role":  {status(407, smokescreen("Egress proxying is denied to host 'a.example.com:443': Client role cannot be determined.")), authentication, nil},
		"smokescreen cannot resolve": {status(502, smokescreen("Failed to resolve remote hostname: lookup a.example.com: no such host")), "", &net.DNSError{}},
		"smokescreen is full":        {status(429, smokescreen("tunnel limit exceeded")), unreachable, nil},
		"legal reasons":              {status(451, nil), refused, nil},
		"timeout":                    {status(504, nil), "", context.DeadlineExceeded},
		"squid, refused":             {status(503, squid("ERR_CONNECT_FAIL 111")), "", syscall.ECONNREFUSED},
		"squid, no name":             {status(503, squid("ERR_DNS_FAIL 0")), "", &net.DNSError{}},
		"bad gateway":                {status(502, nil), "", nil},
		"no service":                 {status(503, nil), "", nil},
		"tinyproxy, refused":         {status(500, nil), "", nil},
		"no proxy":                   {status(405, nil), unreachable, nil},
		"a redirect":                 {status(302, http.Header{"Location": {"https://login.example.com"}}), unreachable, nil},
		"not HTTP":                   {raw("SSH-2.0-OpenSSH_9.2p1\r\n"), unreachable, nil},
		"half an answer":             {raw("HTTP/1.1 200 OK\r\nVia: "), unreachable, nil},
		"more than an answer":        {raw("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), unreachable, nil},
		"a header without end":       {raw("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20)), unreachable, nil},
		"informational without end":  {raw(strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 1<<16)), unreachable, nil},
		"no word":                    {proxytest.Answer{Drop: true}, refused, nil}, // it is there, and answers others
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.HTTP(t, nil, answers(c.answer))
			p.URL.User = url.UserPassword("user", "s3cret")
			d, logged := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
			_, err := dial(t, d, public+":443")
			requireKind(t, d, err, c.kind, c.is)
			require.NotContains(t, err.Error()+logged.String(), "s3cret")
			require.NotContains(t, err.Error()+logged.String(), "dXNlcjpzM2NyZXQ")
		})
	}
}

// requireKind holds an error against a kind, and "" for one of the target's own.
func requireKind(t *testing.T, d *egress.Dialer, err error, kind egress.Kind, is error) {
	t.Helper()
	require.Error(t, err)
	var e *egress.Error
	failing, _ := d.Watch.Failing()
	_, isFault := egress.IsFault(err)
	switch kind {
	case "":
		require.False(t, errors.As(err, &e), "%v", err)
		require.Empty(t, failing)
	case refused:
		require.ErrorAs(t, err, &e)
		require.Equal(t, refused, e.Kind)
		require.False(t, isFault)
		require.Empty(t, failing, "one target says nothing of the proxy")
	default:
		require.ErrorAs(t, err, &e)
		require.Equal(t, kind, e.Kind)
		require.True(t, isFault)
		require.Equal(t, kind, failing)
	}
	if _, isDNS := is.(*net.DNSError); isDNS {
		require.ErrorAs(t, err, new(*net.DNSError))
	} else if is != nil {
		require.ErrorIs(t, err, is)
	}
}

func TestRepliesOfSOCKSProxies(t *testing.T) {
	t.Parallel()
	for code, c := range map[int]struct {
		kind egress.Kind
		is   error
	}{
		1: {"", nil}, 2: {refused, nil}, 3: {"", nil}, 4: {"", nil}, 5: {"", syscall.ECONNREFUSED},
		6: {"", context.DeadlineExceeded}, 7: {unreachable, nil}, 8: {"", nil}, 99: {unreachable, nil},
	} {
		p := proxytest.SOCKS(t, "", answers(proxytest.Answer{Status: code}))
		d, _ := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
		_, err := dial(t, d, public+":443")
		requireKind(t, d, err, c.kind, c.is)
	}
	for _, a := range []proxytest.Answer{{Raw: "HTTP/1.1 400 Bad Request\r\n\r\n"}, {Raw: "\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00"}} {
		p := proxytest.SOCKS(t, "", answers(a))
		d, _ := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
		_, err := dial(t, d, public+":443")
		requireKind(t, d, err, unreachable, nil)
	}
	p := proxytest.SOCKS(t, "", answers(proxytest.Answer{Drop: true}))
	d, _ := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
	_, err := dial(t, d, public+":443")
	requireKind(t, d, err, refused, nil)
}

func TestSOCKSPasswords(t *testing.T) {
	t.Parallel()
	for _, user := range []*url.Userinfo{nil, url.UserPassword("u", "wrong")} {
		p := proxytest.SOCKS(t, "right", nil)
		p.URL.User = user
		d, logged := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
		_, err := dial(t, d, public+":443")
		requireKind(t, d, err, authentication, nil)
		require.NotContains(t, err.Error()+logged.String(), "wrong")
	}
}

func TestCredentialsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	p := proxytest.HTTP(t, nil, nil)
	for _, f := range []func(context.Context) (string, string, error){
		func(context.Context) (string, string, error) { return "", "", errors.New("s3cret is no password") },
		func(context.Context) (string, string, error) { panic("s3cret") },
		func(context.Context) (string, string, error) { return "a:b", "s3cret", nil },
	} {
		d, logged := dialer(egress.Proxy{URL: p.URL, Credentials: f}, guard.Guard{}, patience)
		_, err := dial(t, d, public+":443")
		requireKind(t, d, err, authentication, nil)
		require.NotContains(t, err.Error()+logged.String(), "s3cret")
	}
	require.Empty(t, p.Asked())
}

// A proxy that is not there, that is no proxy, or that hangs is found out. A target that keeps the
// proxy waiting is not its fault.
func TestWhoIsSlow(t *testing.T) {
	t.Parallel()
	const short, enough = 300 * time.Millisecond, 3 * time.Second

	gone := proxytest.HTTP(t, nil, nil)
	gone.Close()
	d, logged := dialer(egress.Proxy{URL: gone.URL}, guard.Guard{}, patience)
	_, err := dial(t, d, public+":443")
	requireKind(t, d, err, unreachable, nil)
	require.NotErrorIs(t, err, syscall.ECONNREFUSED, "it would be taken for the target's")
	require.Contains(t, logged.String(), "the proxy fails")

	plain := proxytest.HTTP(t, nil, nil)
	d, _ = dialer(egress.Proxy{URL: &url.URL{Scheme: "https", Host: plain.URL.Host}}, guard.Guard{}, patience)
	_, err = dial(t, d, public+":443")
	requireKind(t, d, err, unreachable, nil)

	silent, err := net.Listen("tcp4", "127.0.0.1:0") // it accepts, as a stopped process does, and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	for _, scheme := range []string{"http", "https", "socks5"} {
		d, _ = dialer(egress.Proxy{URL: &url.URL{Scheme: scheme, Host: silent.Addr().String()}}, guard.Guard{}, short)
		_, err = dial(t, d, public+":443")
		requireKind(t, d, err, unreachable, nil)
	}

	for _, p := range []*proxytest.Proxy{
		proxytest.HTTP(t, nil, answers(proxytest.Answer{Hang: true})), proxytest.SOCKS(t, "", answers(proxytest.Answer{Hang: true})),
	} {
		d, _ = dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, enough)
		_, err = dial(t, d, public+":443")
		requireKind(t, d, err, "", context.DeadlineExceeded)
	}
}

// Of a name's addresses the first that the proxy can reach is taken, and those that the guard refuses
// are left out.
func TestAddressesInTurn(t *testing.T) {
	t.Parallel()
	resolver := proxytest.Resolver(map[string][]string{
		"three.example.com":   {"93.184.215.1", "10.0.0.1", "93.184.215.2"},
		"private.example.com": {"10.0.0.1", "127.0.0.1"},
		"none.example.com":    {},
	})
	here := receiver(t)
	p := proxytest.HTTP(t, nil, func(a proxytest.Ask) proxytest.Answer {
		if strings.HasPrefix(a.Target, "93.184.215.1:") {
			return proxytest.Answer{Status: http.StatusBadGateway}
		}
		return proxytest.Answer{Dial: here}
	})
	d := egress.New(new(guard.Guard), resolver, patience, &egress.Proxy{URL: p.URL}, slog.New(slog.DiscardHandler))
	conn, err := dial(t, d, "three.example.com:443")
	require.NoError(t, err)
	requireHere(t, conn)
	require.Subset(t, []string{"93.184.215.1:443", "93.184.215.2:443"}, p.Targets())
	require.Contains(t, p.Targets(), "93.184.215.2:443")
	asked := len(p.Asked())

	_, err = dial(t, d, "private.example.com:443")
	require.ErrorIs(t, err, guard.ErrBlocked)
	_, err = dial(t, d, "none.example.com:443")
	require.ErrorAs(t, err, new(*net.DNSError))
	require.Len(t, p.Asked(), asked)

	p.Set(answers(proxytest.Answer{Status: http.StatusProxyAuthRequired}))
	_, err = dial(t, d, "three.example.com:443")
	requireKind(t, d, err, authentication, nil)
	require.Len(t, p.Asked(), asked+1, "the other addresses would fare no better")
}

// An attempt that had no response is the proxy's fault if that does not answer.
func TestIsAway(t *testing.T) {
	t.Parallel()
	for _, p := range []*proxytest.Proxy{proxytest.HTTP(t, nil, nil), proxytest.SOCKS(t, "password", nil)} {
		d, _ := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
		_, away := d.IsAway(t.Context())
		require.False(t, away)
		p.Close()
		for !away { // its last answer counts for a moment
			_, away = d.IsAway(t.Context())
		}
		kind, _ := d.Watch.Failing()
		require.Equal(t, unreachable, kind)
	}
	direct := egress.New(new(guard.Guard), nil, patience, nil, nil)
	_, away := direct.IsAway(t.Context())
	require.False(t, away)
	require.Nil(t, direct.Watch)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"http://proxy.test:3128": true, "https://u:p@proxy.test": true, "socks5://10.0.0.1": true, "http://[::1]:3128/": true,
		"socks5h://proxy.test:1080": false, "ftp://proxy.test": false, "proxy.test:3128": false, "http://": false,
		"http://proxy.test:0": false, "http://proxy.test:70000": false, "http://proxy.test/path": false, "http://proxy.test?x=s3cret": false,
		"socks5://u@proxy.test": false, "http://a%3Ab:s3cret@proxy.test": false, "socks5://u:" + strings.Repeat("x", 256) + "@proxy.test": false,
	} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		problem := egress.Problem(u)
		require.Equal(t, good, problem == "", "%s: %s", text, problem)
		require.NotContains(t, problem, "s3cret")
	}
	require.NotEmpty(t, egress.Problem(nil))
	for host, good := range map[string]bool{
		"proxy.test": true, "[fe80::1%eth0]:3128": true,
		"proxy.test\r\nX: y": false, "a b": false, "a\x00": false, "u:s3cret@proxy.test": false, "proxy.test:-1": false, "a/b": false,
		"::1": false, "[::1": false, strings.Repeat("x", 254): false,
	} {
		problem := egress.Problem(&url.URL{Scheme: "http", Host: host})
		require.Equal(t, good, problem == "", "%q: %s", host, problem)
		require.NotContains(t, problem, "s3cret")
	}
}

// While the proxy fails, claims come one at a time and with waits; its first answer ends that.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := proxytest.HTTP(t, nil, answers(proxytest.Answer{Status: http.StatusProxyAuthRequired}))
	d, logged := dialer(egress.Proxy{URL: p.URL}, guard.Guard{}, patience)
	require.False(t, d.Watch.Fails())
	require.True(t, d.Watch.Await(t.Context()))
	for range 20 {
		_, err := dial(t, d, public+":443")
		wait, isFault := egress.IsFault(err)
		require.True(t, isFault)
		require.Positive(t, wait)
	}
	kind, since := d.Watch.Failing()
	require.Equal(t, authentication, kind)
	require.False(t, since.IsZero())
	require.Equal(t, 1, strings.Count(logged.String(), "the proxy fails"), "one line for all")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for d.Watch.Await(ended) { // a wait may be over already; each is longer than the one before
		_, err := dial(t, d, public+":443")
		require.Error(t, err)
	}
	require.True(t, d.Watch.Await(t.Context()), "until a wait is over")

	p.Set(to(receiver(t)))
	_, err := dial(t, d, public+":443")
	require.NoError(t, err)
	require.False(t, d.Watch.Fails())
	require.True(t, d.Watch.Await(ended), "it does not wait")
	require.Contains(t, logged.String(), "the proxy works again")

	var none *egress.Watch
	require.True(t, none.Await(t.Context()))
	require.False(t, none.Fails())
}
