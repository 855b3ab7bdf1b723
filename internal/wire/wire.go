// Package wire is the HTTP/1.1 client of a dispatcher: an [http.RoundTripper] for
// small POST requests to servers that nobody here controls.
//
// It differs from [http.Transport] where a sender of webhooks must be certain:
//
//   - A request is repeated at most once, at once and on a fresh connection, and only
//     when a kept connection ended before any byte of the response, or with a 408, whatever
//     the size of the payload. [http.Transport] repeats on one kept connection after the other,
//     and not at all once a large payload is under way.
//   - Bytes that a server sends unasked, behind a complete response, are neither taken
//     for the next response nor printed.
//   - A response is read even if the server closed the connection before it had read
//     the whole request.
//   - A kept connection has an age limit, so that a changed DNS record is followed.
//   - An idle connection costs no goroutine, a request no more than its own.
//
// It follows no redirects and decompresses nothing; a proxy is a matter of Config.Dial. Responses are parsed by
// [http.ReadResponse].
package wire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
)

// ErrHeaderTooLarge says that a response's header, with all informational responses
// before it, has more bytes than Config.MaxHeaderBytes.
var ErrHeaderTooLarge = errors.New("the response's header is too large")

// ErrClientCertificate says that the server demanded a client certificate and ended the
// connection, since none was sent. ErrRefusedCertificate says that one was sent, and that the
// server ended the connection because of it, and ErrNoCertificate that the one of the host could
// not be had.
var (
	ErrClientCertificate  = errors.New("the server demands a client certificate")
	ErrRefusedCertificate = errors.New("the server refuses the client certificate")
	ErrNoCertificate      = errors.New("no client certificate")
)

// Config configures a [Transport]. There are no defaults but those named.
type Config struct {
	// Dial opens a connection to an address such as "example.com:443".
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RootCAs are the trusted authorities; nil is the system's.
	RootCAs *x509.CertPool
	// ClientCertificate returns the certificate for servers that demand one, of requests without an
	// [Identity] of their own. Nil is none, as in [tls.Config].
	ClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Host calls ClientCertificate.
	Host *caught.Host
	// TLSTimeout bounds a TLS handshake.
	TLSTimeout time.Duration
	// MaxHeaderBytes bounds the header of a response.
	MaxHeaderBytes int
	// MaxIdle is how many idle connections are kept for all hosts together.
	MaxIdle int
	// IdleTimeout is how long an idle connection is kept.
	// Defaults to 30 s.
	IdleTimeout time.Duration
	// MaxAge is how long after its handshake a connection is used for new requests. It bounds
	// how long a busy host is sent to at an address that its name may no longer have.
	// Defaults to 90 s.
	MaxAge time.Duration
}

// Transport is an [http.RoundTripper]. Any number of goroutines may use it at once.
type Transport struct {
	Config
	idle idleConns
}

// New makes a transport.
func New(c Config) *Transport {
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 30*time.Second)
	c.MaxAge = cmp.Or(c.MaxAge, 90*time.Second)
	return &Transport{Config: c, idle: newIdleConns(c.MaxIdle, c.IdleTimeout)}
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() { t.idle.closeAll() }

// RoundTrip sends a request and returns its response. The request's context bounds
// all of it, as far as the end of the response's body.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := newRequest(r)
	if err := sent.encode(); err != nil {
		return nil, err
	}
	host := hostOf(r)
	host.as, _ = sent.ctx.Value(identityKey{}).(*Identity)
	if c := t.idle.take(host, t.MaxAge); c != nil {
		resp, err := t.exchange(c, sent)
		if err == nil || !isStale(err) || sent.ctx.Err() != nil {
			return resp, sent.explain(err)
		}
		countRepeat(sent.ctx)
	}
	c, err := t.dial(sent.ctx, host)
	if err != nil {
		sent.free()
		return nil, sent.explain(err)
	}
	resp, err := t.exchange(c, sent)
	return resp, sent.explain(err)
}

// host is where a connection leads to, and whose it is.
type host struct {
	scheme, name string
	as           *Identity // nil for all that have none of their own
}

func hostOf(r *http.Request) host { return host{scheme: r.URL.Scheme, name: r.URL.Host} }

func (h host) isTLS() bool { return h.scheme == "https" }

// address is the host with its port, for dialling.
func (h host) address() string {
	name, port, err := net.SplitHostPort(h.name)
	if err == nil && port != "" {
		return h.name
	}
	if err != nil { // there is no port
		name = trimBrackets(h.name)
	}
	if h.isTLS() {
		return net.JoinHostPort(name, "443")
	}
	return net.JoinHostPort(name, "80")
}

// serverName is the name that a certificate must be for.
func (h host) serverName() string {
	name, _, err := net.SplitHostPort(h.address())
	if err != nil {
		return h.name
	}
	return name
}

func trimBrackets(name string) string {
	if n := len(name); n > 1 && name[0] == '[' && name[n-1] == ']' {
		return name[1 : n-1]
	}
	return name
}

// dial opens a connection, with its TLS handshake.
func (t *Transport) dial(ctx context.Context, h host) (*conn, error) {
	raw, err := t.Dial(ctx, "tcp", h.address())
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, raw: raw, quiet: newQuiet(raw), host: h, born: time.Now()}
	c.idle = newIdleConn(c)
	if !h.isTLS() {
		return c, nil
	}
	if err := t.handshake(ctx, c); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

func (t *Transport) handshake(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(ctx, t.TLSTimeout)
	defer cancel()
	secure := tls.Client(c.raw, &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    t.RootCAs,
		ServerName: c.host.serverName(),
		NextProtos: []string{"http/1.1"},
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.demands = true
			own, err := t.certificate(c.host.as, asked)
			c.shows = own != nil && len(own.Certificate) > 0
			return own, err
		},
	})
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := secure.HandshakeContext(ctx)
	if err == nil {
		state := secure.ConnectionState()
		c.Conn, c.tls = secure, &state
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(secure.ConnectionState(), err)
	}
	return c.blame(err)
}

// request is an encoded request.
type request struct {
	*http.Request
	ctx   context.Context
	uri   string        // of the request line
	bytes *bytes.Buffer // the whole request, header and body
}

func newRequest(r *http.Request) *request { return &request{Request: r, ctx: r.Context()} }

// explain prefers the reason why the context ended to the error that followed from it.
func (r *request) explain(err error) error {
	if err == nil || r.ctx.Err() == nil {
		return err
	}
	return context.Cause(r.ctx)
}

// staleError is the end of a kept connection before any byte of the response, or with a 408.
type staleError struct{ error }

func (e staleError) Unwrap() error { return e.error }

func isStale(err error) bool {
	var stale staleError
	return errors.As(err, &stale)
}

var errNoResponse = fmt.Errorf("the server closed the connection before it responded: %w", io.ErrUnexpectedEOF)
