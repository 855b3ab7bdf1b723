package alotwebhook_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/proxytest"
	"github.com/alot/alotwebhook/store/memory"
)

// publicAddress is one of the public internet. No test connects to it: the proxies lead elsewhere.
const publicAddress = "93.184.215.14"

// proxied is a dispatcher that sends through a proxy to one receiver on loopback.
type proxied struct {
	*world
	proxy    *proxytest.Proxy
	arrived  chan string // bodies
	attempts chan alotwebhook.AttemptInfo
}

// leadTo has a proxy lead every tunnel to a server.
func leadTo(s *httptest.Server) func(proxytest.Ask) proxytest.Answer {
	return func(proxytest.Ask) proxytest.Answer { return proxytest.Answer{Dial: s.Listener.Addr().String()} }
}

// newProxied starts a receiver, over https at example.com if secure is set, and a proxy that leads to it.
func newProxied(t *testing.T, secure bool, start func(func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy, change func(*alotwebhook.Config)) *proxied {
	t.Helper()
	p := &proxied{arrived: make(chan string, 100), attempts: make(chan alotwebhook.AttemptInfo, 100)}
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(r.Header["Proxy-Authorization"]) > 0 {
			body = []byte("the receiver got the proxy's credentials")
		}
		p.arrived <- string(body)
		w.WriteHeader(http.StatusNoContent)
	}))
	roots := x509.NewCertPool()
	if secure {
		receiver.StartTLS()
		roots.AddCert(receiver.Certificate())
	} else {
		receiver.Start()
	}
	t.Cleanup(receiver.Close)
	p.proxy = start(leadTo(receiver))
	cfg := alotwebhook.Config{
		Proxy: &alotwebhook.Proxy{URL: p.proxy.URL}, RootCAs: roots, AllowHTTP: true, PollInterval: 10 * time.Millisecond,
		Timeout: time.Minute, ConnectTimeout: time.Minute, TLSTimeout: time.Minute,
		Retry:    alotwebhook.Schedule(time.Millisecond, time.Millisecond),
		Resolver: proxytest.Resolver(map[string][]string{"example.com": {publicAddress}, "private.example.com": {"10.1.2.3"}}),
		Logger:   slog.New(slog.DiscardHandler), Observer: observeAttempts(func(a alotwebhook.AttemptInfo) { p.attempts <- a }),
	}
	if change != nil {
		change(&cfg)
	}
	d, err := alotwebhook.NewDispatcher(memory.New(), &cfg)
	require.NoError(t, err)
	p.world = &world{Dispatcher: d}
	return p
}

func httpProxy(t *testing.T) func(func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy {
	return func(do func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy { return proxytest.HTTP(t, nil, do) }
}

// next returns the next attempt.
func (p *proxied) next(t *testing.T) alotwebhook.AttemptInfo {
	t.Helper()
	select {
	case a := <-p.attempts:
		return a
	case <-time.After(patience):
		require.FailNow(t, "there was no attempt")
		return alotwebhook.AttemptInfo{}
	}
}

// Deliveries go through each kind of proxy, to the address that was judged, over one tunnel.
func TestSendsThroughAProxy(t *testing.T) {
	t.Parallel()
	socks := func(password string) func(func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy {
		return func(do func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy {
			return proxytest.SOCKS(t, password, do)
		}
	}
	for name, c := range map[string]struct {
		start    func(func(proxytest.Ask) proxytest.Answer) *proxytest.Proxy
		to       string
		resolves bool
		target   string
	}{
		"an address":               {httpProxy(t), "https://example.com/hook", false, publicAddress + ":443"},
		"a name":                   {httpProxy(t), "https://example.com/hook", true, "example.com:443"},
		"plain http":               {httpProxy(t), "http://example.com/hook", false, publicAddress + ":80"},
		"an address by SOCKS5":     {socks("s3cret"), "https://example.com:8443/hook", false, publicAddress + ":8443"},
		"a name by SOCKS5":         {socks("s3cret"), "https://example.com/hook", true, "example.com:443"},
		"plain http by SOCKS5":     {socks(""), "http://" + publicAddress + "/hook", false, publicAddress + ":80"},
		"a literal, with Resolves": {httpProxy(t), "http://" + publicAddress + ":8080/hook", true, publicAddress + ":8080"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, strings.HasPrefix(c.to, "https"), c.start, func(cfg *alotwebhook.Config) {
				cfg.Proxy.URL.User = url.UserPassword("user", "s3cret")
				cfg.Proxy.Resolves = c.resolves
			})
			register(t, p.Dispatcher, c.to)
			defer p.run(t)()
			for range 3 {
				event := p.emit(t)
				a := p.next(t)
				require.Empty(t, a.Attempt.Reason, a.Attempt.Detail)
				require.Equal(t, string(event.Payload()), <-p.arrived)
			}
			require.Equal(t, []string{c.target}, p.proxy.Targets(), "the tunnel is kept")
			require.Empty(t, p.Health().ProxyReason)
		})
	}
}

// A proxy is no way around the guard, nor to itself.
func TestAProxyIsNoWayAround(t *testing.T) {
	t.Parallel()
	for _, resolves := range []bool{false, true} {
		p := newProxied(t, false, httpProxy(t), func(cfg *alotwebhook.Config) { cfg.Proxy.Resolves = resolves })
		for _, to := range []string{p.proxy.URL.String(), "https://127.0.0.1:4443/", "https://10.0.0.1/", "https://[::1]/", "https://0x7f.1/"} {
			_, err := p.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
				OrganizationID: "org_1", URL: to, EventTypes: []string{"candidate.completed"}, Secret: "a secret of some length",
			})
			require.ErrorIs(t, err, alotwebhook.ErrInvalid, to)
		}
	}
	p := newProxied(t, false, httpProxy(t), nil)
	register(t, p.Dispatcher, "https://private.example.com/")
	defer p.run(t)()
	p.emit(t)
	require.Equal(t, alotwebhook.ReasonBlockedAddress, p.next(t).Attempt.Reason)
	require.Empty(t, p.proxy.Asked(), "the proxy is not even asked")

	public := &alotwebhook.Proxy{URL: &url.URL{Scheme: "http", Host: publicAddress + ":3128"}}
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Proxy: public})
	require.NoError(t, err)
	_, err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: "https://" + publicAddress + ":9090/", EventTypes: []string{"candidate.completed"}, Secret: "a secret of some length",
	})
	require.ErrorIs(t, err, alotwebhook.ErrBlockedAddress, "the proxy's own address, though it is public")
}

// The environment is not read, though net/http does so.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	if !alone(t) { // it changes the environment
		return
	}
	trap := proxytest.HTTP(t, nil, nil)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, trap.URL.String())
	}
	p := newProxied(t, false, httpProxy(t), func(cfg *alotwebhook.Config) {
		cfg.Proxy, cfg.AllowNets = nil, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer receiver.Close()
	register(t, p.Dispatcher, receiver.URL)
	defer p.run(t)()
	p.emit(t)
	require.Empty(t, p.next(t).Attempt.Reason)
	require.Zero(t, trap.Connections())
}

// While a proxy fails, whatever is wrong with it, nothing is lost, no attempt is counted, and no endpoint
// is said to fail. What waits goes out once the proxy works.
func TestAProxyThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  proxytest.Answer
		reason alotwebhook.FailureReason
	}{
		"it is no proxy":               {proxytest.Answer{Raw: "SSH-2.0-OpenSSH_9.2p1\r\n"}, alotwebhook.ReasonProxyUnreachable},
		"it does not know us any more": {proxytest.Answer{Status: http.StatusProxyAuthRequired}, alotwebhook.ReasonProxyAuthentication},
		"it takes no more":             {proxytest.Answer{Status: http.StatusTooManyRequests}, alotwebhook.ReasonProxyUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, true, httpProxy(t), nil)
			works := p.proxy.Do()
			p.proxy.Set(func(proxytest.Ask) proxytest.Answer { return c.fault })
			endpoint := register(t, p.Dispatcher, "https://example.com/hook")
			defer p.run(t)()
			const deliveries = 5
			for range deliveries {
				p.emit(t)
			}
			for len(p.proxy.Asked()) < deliveries+3 { // more often than there are deliveries, in spite of the waits
				time.Sleep(10 * time.Millisecond)
			}
			h := p.Health()
			require.Equal(t, c.reason, h.ProxyReason)
			require.False(t, h.ProxySince.IsZero())
			require.Empty(t, p.attempts)
			stored, err := p.Endpoint(t.Context(), endpoint.ID)
			require.NoError(t, err)
			require.True(t, stored.FailingSince.IsZero())

			p.proxy.Set(works)
			for range deliveries {
				a := p.next(t)
				require.Equal(t, 1, a.Attempt.Number)
				require.Equal(t, alotwebhook.StateDelivered, a.State)
			}
			require.Empty(t, p.Health().ProxyReason)
		})
	}
}

// A proxy that dies cuts off attempts that are under way; they do not count.
func TestAProxyThatDiesUnderWay(t *testing.T) {
	t.Parallel()
	p := newProxied(t, false, httpProxy(t), nil)
	hanging, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { hanging.Close() })
	reached := make(chan struct{})
	go func() {
		conn, err := hanging.Accept()
		if err == nil {
			_, _ = io.ReadFull(conn, make([]byte, 100))
			close(reached)
			_, _ = io.Copy(io.Discard, conn)
		}
	}()
	p.proxy.Set(func(proxytest.Ask) proxytest.Answer { return proxytest.Answer{Dial: hanging.Addr().String()} })
	register(t, p.Dispatcher, "http://example.com/hook")
	defer p.run(t)()
	p.emit(t)
	<-reached
	time.Sleep(time.Second) // the proxy's answer is no news any more
	p.proxy.Close()
	for p.Health().ProxyReason == "" {
		time.Sleep(10 * time.Millisecond)
	}
	require.Empty(t, p.attempts)
}

// faultsOf returns the errors of a dial through a proxy that fails, and through one that refuses.
func faultsOf(t *testing.T) (fault, refusal error) {
	t.Helper()
	p := proxytest.HTTP(t, nil, func(proxytest.Ask) proxytest.Answer { return proxytest.Answer{Status: http.StatusProxyAuthRequired} })
	d := egress.New(new(guard.Guard), nil, time.Minute, &egress.Proxy{URL: p.URL}, slog.New(slog.DiscardHandler))
	_, fault = d.DialContext(t.Context(), "tcp", publicAddress+":443")
	p.Set(func(proxytest.Ask) proxytest.Answer { return proxytest.Answer{Status: http.StatusForbidden} })
	_, refusal = d.DialContext(t.Context(), "tcp", publicAddress+":443")
	return fault, refusal
}

// After faults for longer than DisableAfter, deliveries go out with their first attempt, and no endpoint
// was disabled. (The fake receivers know no waits of the proxy: each minute is some hundred tries.)
func TestAProxyThatFailsForLong(t *testing.T) {
	t.Parallel()
	fault, _ := faultsOf(t)
	synctest.Test(t, func(t *testing.T) {
		const outage = 10 * time.Minute
		began := time.Now()
		w := newWorld(t, alotwebhook.Config{PollInterval: time.Minute, DisableAfter: time.Minute, WarnFailing: time.Second}, &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			if time.Since(began) < outage {
				return nil, fmt.Errorf("wrapped by the host: %w", fault)
			}
			return status(http.StatusNoContent), nil
		}})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(outage / 2)
		d := w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StatePending, d.State)
		require.Zero(t, d.AttemptCount)
		time.Sleep(outage)
		d = w.delivery(t, event, endpoint)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Len(t, d.Attempts, 1)
		require.Equal(t, 1, d.Attempts[0].Number)
		stored, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, stored.Disabled)
	})
}

// A host that the proxy refuses has its attempts, and its reason; nobody is told that the endpoint
// fails, and it is not disabled, however long.
func TestAHostThatTheProxyRefuses(t *testing.T) {
	t.Parallel()
	_, refusal := faultsOf(t)
	synctest.Test(t, func(t *testing.T) {
		var operations []alotwebhook.Operation
		cfg := alotwebhook.Config{OnOperation: func(_ context.Context, o alotwebhook.Operation) error {
			operations = append(operations, o)
			return nil
		}}
		w := newWorld(t, cfg, &receivers{respond: func(*http.Request, int) (*http.Response, error) { return nil, refusal }})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		for range 8 {
			event := w.emit(t)
			time.Sleep(24 * time.Hour)
			d := w.delivery(t, event, endpoint)
			require.Equal(t, alotwebhook.StateFailed, d.State)
			require.Equal(t, alotwebhook.ReasonProxyRefused, d.LastReason)
			require.Len(t, d.Attempts, 3)
			require.Equal(t, "the sender's own proxy let no connection through to that host; no request was made", d.Attempts[0].Detail)
			require.Zero(t, d.Attempts[0].StatusCode)
		}
		stored, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, stored.Disabled)
		require.True(t, stored.FailingSince.IsZero())
		for _, o := range operations {
			require.Equal(t, alotwebhook.OpEndpointCreated, o.Type)
		}
	})
}

// An endpoint that has failed for long is not disabled by what the proxy refuses.
func TestARefusalOfTheProxyDisablesNothing(t *testing.T) {
	t.Parallel()
	_, refusal := faultsOf(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, &receivers{respond: func(_ *http.Request, n int) (*http.Response, error) {
			if n <= 3 {
				return status(http.StatusInternalServerError), nil
			}
			return nil, refusal
		}})
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		w.emit(t)
		time.Sleep(6 * 24 * time.Hour)
		w.emit(t)
		time.Sleep(time.Hour)
		stored, err := w.Endpoint(t.Context(), endpoint.ID)
		require.NoError(t, err)
		require.False(t, stored.Disabled)
		require.False(t, stored.FailingSince.IsZero())
	})
}

func TestProxyConfig(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"ftp://u:s3cret@proxy.test", "http://u:s3cret@", "socks5h://u:s3cret@proxy.test", "http://u:s3cret@proxy.test/x"} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		_, err = alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Proxy: &alotwebhook.Proxy{URL: u}})
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "Proxy.URL", field.Field)
		require.NotContains(t, err.Error(), "s3cret")
	}
	_, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{Proxy: &alotwebhook.Proxy{}})
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)

	u, err := url.Parse("http://u:s3cret@proxy.test:3128")
	require.NoError(t, err)
	p := alotwebhook.Proxy{URL: u, Credentials: func(context.Context) (string, string, error) { return "", "", errors.New("none") }}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Equal(t, "http://proxy.test:3128", fmt.Sprintf(verb, p))
		require.NotContains(t, fmt.Sprintf(verb, alotwebhook.Config{Proxy: &p}), "s3cret")
		require.NotContains(t, fmt.Sprintf(verb, &p), "s3cret")
	}
}
