package webhooktest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/certtest"
	"github.com/alot/alotwebhook/internal/wire"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

// behaviour is what a server does that somebody runs, and what the history says of it.
type behaviour struct {
	server  string // where it was met
	answers []webhooktest.Answer
	tls     *tls.Config // nil for http
	bytes   int         // of the text in the payload
	timeout time.Duration
	scheme  string // of the URL, if it is not that of the server

	status         int
	reason         alotwebhook.FailureReason // "" for a delivery
	detail, advice string                    // parts
}

// large is more than the buffers on the way take, so that it is still under way when it is answered.
const large = 200_000

// answered are the behaviours over http.
var answered = map[string]behaviour{
	"401 before the body":         {server: "Node, HAProxy", answers: []webhooktest.Answer{{Status: 401, Early: true}}, bytes: large, status: 401, reason: "status", detail: "answered 401"},
	"410 before the body":         {server: "HAProxy", answers: []webhooktest.Answer{{Status: 410, Early: true}}, bytes: large, status: 410, reason: "status", detail: "answered 410"},
	"413 before the body":         {server: "fastify", answers: []webhooktest.Answer{{Status: 413, Early: true}}, bytes: large, status: 413, reason: "status", detail: "answered 413"},
	"429 before the body":         {server: "HAProxy", answers: []webhooktest.Answer{{Status: 429, Early: true}}, bytes: large, status: 429, reason: "status", detail: "answered 429"},
	"2xx before the body":         {server: "Node", answers: []webhooktest.Answer{{Status: 202, Early: true}}, bytes: large, status: 202},
	"a body behind a 204":         {server: "gunicorn", answers: []webhooktest.Answer{{Status: 204, Stray: "hello"}}, status: 204},
	"a body that breaks off":      {server: "gunicorn", answers: []webhooktest.Answer{{Body: "partly", Broken: true}}, status: 200, detail: "broke off"},
	"an error that breaks off":    {server: "gunicorn", answers: []webhooktest.Answer{{Status: 500, Body: "partly", Broken: true}}, status: 500, reason: "status", detail: "answered 500 Internal Server Error; the response's body broke off"},
	"a body without an end":       {server: "an event stream", answers: []webhooktest.Answer{{Body: "ab", Drip: time.Hour}}, status: 200, detail: "did not end"},
	"304":                         {server: "Apache", answers: []webhooktest.Answer{{Status: 304}}, status: 304, reason: "redirect", detail: "leads nowhere", advice: "Answer with a 2xx"},
	"301":                         {server: "nginx", answers: []webhooktest.Answer{{Status: 301, Header: http.Header{"Location": {"/hook/"}}}}, status: 301, reason: "redirect", detail: "register the URL"},
	"large headers":               {server: "Node", answers: []webhooktest.Answer{{Header: http.Header{"X-Long": {strings.Repeat("x", 40<<10)}}}}, reason: "response_too_large"},
	"an end without an answer":    {server: "a crash", answers: []webhooktest.Answer{{Reset: true}}, reason: "connection_reset"},
	"an end before it has read":   {server: "a crash", answers: []webhooktest.Answer{{Reset: true, Early: true}}, bytes: large, reason: "connection_reset"},
	"silence":                     {server: "a server that hangs", answers: []webhooktest.Answer{{Delay: time.Hour}}, timeout: 50 * time.Millisecond, reason: "timeout"},
	"no TLS at the port of https": {server: "nginx", scheme: "https", reason: "tls", detail: "did not speak TLS", advice: "Check the port"},
}

// secured returns the behaviours over TLS, with the authority that the sender trusts.
func secured(t *testing.T) (all map[string]behaviour, trusted *x509.CertPool) {
	root := certtest.Issue(t, "root", nil, certtest.Authority)
	with := func(change func(*x509.Certificate)) *tls.Config {
		return certtest.Issue(t, "leaf", root, change).Server()
	}
	change := func(do func(*tls.Config)) *tls.Config {
		config := with(nil)
		do(config)
		return config
	}
	clients := root.Pool()
	return map[string]behaviour{
		"a good certificate":          {tls: with(nil), status: 200},
		"no subject alternative name": {tls: with(func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }), detail: "no subject alternative name", advice: "SAN"},
		"another name":                {tls: with(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"b.example.com"} }), detail: "for another host name", advice: "correct the host"},
		"expired":                     {tls: with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), detail: "has expired", advice: "Renew"},
		"self-signed":                 {tls: certtest.Issue(t, "self", nil, nil).Server(), detail: "self-signed", advice: "public authority"},
		"a client certificate demanded, TLS 1.3": {
			server: "HAProxy", bytes: large, detail: "demands a client certificate", advice: "Give the endpoint a client certificate",
			tls: change(func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients }),
		},
		"a client certificate demanded, TLS 1.2": {
			server: "HAProxy", bytes: large, detail: "demands a client certificate", advice: "Give the endpoint a client certificate",
			tls: change(func(c *tls.Config) {
				c.ClientAuth, c.ClientCAs, c.MaxVersion = tls.RequireAndVerifyClientCert, clients, tls.VersionTLS12
			}),
		},
		"old protocols alone": {
			tls:    change(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), //nolint // servers have it
			detail: "no TLS version in common", advice: "TLS 1.2 or 1.3",
		},
		"no such virtual host": {
			server: "nginx", detail: "no site for this host name", advice: "virtual hosts",
			tls: change(func(c *tls.Config) {
				c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return &tls.Config{}, nil } //nolint // it has no certificate
			}),
		},
		"no certificate for the host": {
			server: "Caddy", detail: "an error of its own", advice: "has a certificate",
			tls: change(func(c *tls.Config) {
				c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, http.ErrNotSupported }
			}),
		},
		"HTTP/2 alone": { // package tls itself lets a client of HTTP/1.1 in, if it is told "h2"
			server: "Node", detail: "does not offer HTTP/1.1", advice: "Turn on HTTP/1.1",
			tls: change(func(c *tls.Config) { c.NextProtos = []string{"h2-16"} }),
		},
	}, root.Pool()
}

// Each behaviour of servers that people run has its word, its sentence and its advice, also while a payload
// is under way that is too large for any buffer.
func TestBehavioursOfServers(t *testing.T) {
	t.Parallel()
	all, trusted := secured(t)
	for name, b := range all {
		if b.status == 0 {
			b.reason = alotwebhook.ReasonTLS
		}
		all[name] = b
	}
	for name, b := range answered {
		all[name] = b
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := b.attempt(t, trusted)
			require.Equal(t, b.reason, got.Reason, got.Detail)
			require.Equal(t, b.status, got.StatusCode, got.Detail)
			require.Contains(t, got.Detail, b.detail)
			require.Equal(t, b.advice != "", wire.Advice(got.Detail) != "", got.Detail)
			require.Contains(t, wire.Advice(got.Detail), b.advice)
		})
	}
}

// attempt has an event sent to the server, and returns the attempt.
func (b behaviour) attempt(t *testing.T, trusted *x509.CertPool) alotwebhook.Attempt {
	t.Helper()
	s := webhooktest.NewUnstartedServer(t)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if s.TLS = b.tls; s.TLS != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	s.Answer(b.answers...)
	attempts := make(chan alotwebhook.AttemptInfo, 10)
	d, endpoint := b.dispatcherTo(t, s, trusted, attempts)
	s.AddSecret(endpoint.Secret)
	event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, map[string]string{"text": strings.Repeat("x", b.bytes)})
	require.NoError(t, d.Emit(t.Context(), event))
	return (<-attempts).Attempt
}

func (b behaviour) dispatcherTo(t *testing.T, s *webhooktest.Server, trusted *x509.CertPool, attempts chan<- alotwebhook.AttemptInfo) (*alotwebhook.Dispatcher, alotwebhook.Endpoint) {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, RootCAs: trusted,
		Timeout: max(b.timeout, 0), Retry: alotwebhook.Schedule(), Logger: slog.New(slog.DiscardHandler),
		Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				attempts <- a
			}
		}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	url := s.URL
	if b.scheme != "" {
		_, rest, _ := strings.Cut(url, ":")
		url = b.scheme + ":" + rest
	}
	endpoint, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: webhooktest.OrganizationID, URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(t, err)
	return d, endpoint
}

// A kept connection that a server ends as a payload is under way costs no attempt: the request is repeated.
func TestAKeptConnectionThatEnds(t *testing.T) {
	t.Parallel()
	s := webhooktest.NewServer(t)
	attempts := make(chan alotwebhook.AttemptInfo, 10)
	d, endpoint := behaviour{timeout: time.Minute}.dispatcherTo(t, s, nil, attempts)
	s.AddSecret(endpoint.Secret)
	s.Answer(webhooktest.Answer{}, webhooktest.Answer{Early: true, Reset: true}, webhooktest.Answer{Status: 202}, webhooktest.Answer{Reset: true})
	for _, want := range []int{200, 202, 200} {
		event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, map[string]string{"text": strings.Repeat("x", large)})
		require.NoError(t, d.Emit(t.Context(), event))
		a := <-attempts
		require.Equal(t, alotwebhook.StateDelivered, a.State, a.Attempt.Detail)
		require.Equal(t, want, a.Attempt.StatusCode)
	}
	require.Len(t, s.Received(), 5)
}
