// Package egress opens the connections to customers' endpoints: directly, or through a forward proxy
// of the host's. Either way the guard judges the addresses, unless the proxy is said to do so.
//
// Through a proxy each connection is a tunnel, for http targets as well: by CONNECT (RFC 9110,
// section 9.3.6) or by SOCKS5 (RFC 1928, RFC 1929). So TLS and the kept connections are as they are
// without a proxy, and the proxy sees host and port, and of https nothing else. No variable of the
// environment is read.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/guard"
)

// Proxy is a forward proxy.
type Proxy struct {
	// URL is where it is; see [Problem]. User and password may be in it.
	URL *url.URL
	// Credentials returns them instead, for each tunnel. Nil: those of URL.
	Credentials func(ctx context.Context) (user, password string, err error)
	// Resolves has the proxy look up names and judge their addresses.
	Resolves bool
	// RootCAs are the authorities for an https proxy; nil is the system's.
	RootCAs *x509.CertPool
}

var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

// Problem says what is wrong with the URL of a proxy, after its name; "" for nothing. It never
// quotes the URL, which may hold a password.
func Problem(u *url.URL) string {
	switch {
	case u == nil:
		return "is missing; write it as http://host:port, https://host:port or socks5://host:port"
	case u.Scheme == "socks5h":
		return "begins with socks5h://; write socks5://, and set Resolves to have the proxy look up the names"
	case defaultPorts[u.Scheme] == "":
		return "has a scheme other than http, https and socks5"
	case u.Hostname() == "":
		return "has no host; write it as " + u.Scheme + "://host:port"
	case !isHost(u):
		return "has a host that is none: give a name or an address, one of IPv6 in brackets, and a port from 1 to 65535"
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return "has something behind host and port; leave it out"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "has a port that is not one of 1 to 65535"
		}
	}
	if u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return credentialsProblem(u.Scheme, u.User.Username(), password)
}

// isHost reports whether the host of a URL, which may be no parser's work, can be one. It would be sent
// to the proxy and logged as it is.
func isHost(u *url.URL) bool {
	again, err := url.Parse((&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
	return err == nil && again.Host == u.Host && len(u.Hostname()) <= 253
}

// Addr returns the proxy's address if its URL has one and no name; otherwise, as without a proxy, the
// zero Addr.
func (p *Proxy) Addr() netip.Addr {
	if p == nil || p.URL == nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(p.URL.Hostname())
	return addr.Unmap().WithZone("")
}

// Redacted returns a URL without its password, and without its user.
func Redacted(u *url.URL) string {
	if u == nil {
		return "no proxy"
	}
	return u.Scheme + "://" + u.Host
}

// Dialer opens connections. Make one with [New].
type Dialer struct {
	guard     *guard.Guard
	resolvers [lookUps]*net.Resolver
	timeout   time.Duration // of all that a proxy takes; without one of the look-up, and of the connection
	proxy     *Proxy        // nil for direct connections
	silent    silent
	host      *caught.Host

	// Direct connects to addresses without a proxy, and has the guard judge them.
	Direct *net.Dialer
	// HasRoute asks the system whether it knows a way to an address.
	HasRoute func(netip.AddrPort) bool
	// Watch knows how the proxy does; it is nil without one.
	Watch *Watch
}

// New returns a dialer of connections to what g allows. A nil resolver stands for the system's, which
// looks up the proxy's own name in any case; a nil proxy for direct connections, which have no Watch.
func New(g *guard.Guard, r *net.Resolver, timeout time.Duration, proxy *Proxy, log *slog.Logger) *Dialer {
	host := caught.New(log)
	d := &Dialer{guard: g, resolvers: lookUpers(r, host), host: host, timeout: timeout, proxy: proxy, Direct: g.Dialer(), HasRoute: hasRoute}
	if proxy != nil {
		d.Watch = newWatch(proxy.URL, log)
	}
	return d
}

// DialContext connects to an address such as "example.com:443". The error is a [*Error] if the proxy
// is the cause, [guard.ErrBlocked] if the address may not be dialled, and otherwise what kept the
// connection to the target from being made.
//
// Of several addresses that a name has, one after the other is tried. Two at once, as without a proxy
// (RFC 8305), would gain nothing: it is the proxy that knows which networks it reaches.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.proxy == nil {
		return d.connectTo(ctx, network, address)
	}
	within, cancel := context.WithTimeout(ctx, d.time(ctx))
	defer cancel()
	targets, err := d.targets(within, address)
	if err != nil {
		return nil, err
	}
	var first error
	for i, to := range targets {
		conn, err := d.attempt(ctx, within, to, len(targets)-i)
		if err == nil {
			return conn, nil
		}
		if _, isFault := IsFault(err); isFault {
			return nil, err
		}
		if first == nil {
			first = err
		}
		if within.Err() != nil {
			break
		}
	}
	return nil, first
}

// time returns how long a dial may take: its time-out, and no more than two thirds of what is left of the
// attempt. The rest is for finding out who was slow.
func (d *Dialer) time(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(d.timeout, time.Until(deadline)*2/3)
	}
	return d.timeout
}

// target is where a tunnel leads to.
type target struct {
	host string // a name, or an address without brackets
	port uint16
	addr netip.Addr // of host; the zero Addr for a name
}

func (t target) String() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// targets returns what the proxy is asked for: the addresses that the guard allows, or the name if
// the proxy resolves it.
func (d *Dialer) targets(ctx context.Context, address string) (list []target, err error) {
	host, port, err := split(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil && d.proxy.Resolves {
		if guard.CheckName(host) != nil || strings.EqualFold(host, d.proxy.URL.Hostname()) {
			return nil, guard.ErrBlocked
		}
		return []target{{host: host, port: port}}, nil
	}
	addrs, err := d.addresses(ctx, host, port)
	for _, addr := range addrs {
		list = append(list, target{host: addr.Addr().String(), port: port, addr: addr.Addr()})
	}
	return list, err
}

// split parts an address such as "example.com:443".
func split(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, errors.New("the port is not a number") // it comes from a URL that was checked
	}
	return host, uint16(n), nil
}

// attempt asks for one tunnel within its share of the time: others are to have theirs, as when
// package net dials. It finds out whose fault it is when no answer comes.
func (d *Dialer) attempt(ctx, within context.Context, to target, left int) (net.Conn, error) {
	if deadline, ok := within.Deadline(); ok && left > 1 {
		share, cancel := context.WithTimeout(within, max(time.Until(deadline)/time.Duration(left), leastShare))
		defer cancel()
		within = share
	}
	d.Watch.begin()
	conn, err := d.tunnel(within, to)
	if silence := (noAnswer{}); errors.As(err, &silence) {
		err = d.whoIsSilent(ctx, silence)
	}
	return conn, d.Watch.end(err, errors.Is(ctx.Err(), context.Canceled))
}

// leastShare is the least time that one of several addresses gets, as in package net.
const leastShare = 2 * time.Second

// tunnel connects to the proxy and has it connect to the target.
func (d *Dialer) tunnel(ctx context.Context, to target) (_ net.Conn, err error) {
	conn, err := d.reach(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if d.isOwn(to, conn.RemoteAddr()) {
		return nil, guard.ErrBlocked
	}
	stop := bind(ctx, conn)
	if d.proxy.URL.Scheme == "socks5" {
		err = d.socks(ctx, conn, to)
	} else {
		err = d.connect(ctx, conn, to)
	}
	if ended := !stop(); err == nil && ended {
		err = noAnswer{context.Cause(ctx)}
	}
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// bind has a connection end what is under way when the context ends.
func bind(ctx context.Context, conn net.Conn) (stop func() bool) {
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// reach connects to the proxy, without the guard: its address is the host's own.
func (d *Dialer) reach(ctx context.Context) (net.Conn, error) {
	u := d.proxy.URL
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, unreachable("cannot be reached", err)
	}
	if u.Scheme != "https" {
		return conn, nil
	}
	secure := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.proxy.RootCAs, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, unreachable("does not complete TLS", err)
	}
	return secure, nil
}

// isOwn reports whether a target is the proxy itself, or another port of its address that no net of
// the operator's allows: what listens there may trust the proxy's own network.
func (d *Dialer) isOwn(to target, proxy net.Addr) bool {
	at, err := netip.ParseAddrPort(proxy.String())
	if err != nil || !to.addr.IsValid() {
		return false
	}
	own := at.Addr().Unmap().WithZone("")
	if to.addr == own && to.port == at.Port() {
		return true
	}
	judge := *d.guard
	judge.Own = own
	return judge.Judge(to.addr) != nil
}

// whoIsSilent explains that no answer came. A proxy that answers others is well: then the target keeps it
// waiting, or the proxy wants no tunnel to it.
func (d *Dialer) whoIsSilent(ctx context.Context, silence noAnswer) error {
	if !d.answers(ctx) {
		return unreachable("does not answer", silence.error)
	}
	var timeout net.Error
	if errors.Is(silence, context.DeadlineExceeded) || errors.As(silence.error, &timeout) && timeout.Timeout() {
		return context.DeadlineExceeded
	}
	return refused("ended the connection without an answer")
}

// IsAway reports whether the proxy does not answer, and how long to wait then. It is for an attempt
// through a tunnel that ended, or hung, before there was a response: the proxy may have.
func (d *Dialer) IsAway(ctx context.Context) (wait time.Duration, away bool) {
	if d.proxy == nil || d.answers(ctx) {
		return 0, false
	}
	d.Watch.begin()
	return IsFault(d.Watch.end(unreachable("does not answer", nil), ctx.Err() != nil))
}

const (
	// probeTime bounds the question whether the proxy is there.
	probeTime = 2 * time.Second
	// fresh is how long an answer says that it is.
	fresh = 250 * time.Millisecond
)

// answers reports whether the proxy answers at all. It is asked for something that needs no target.
func (d *Dialer) answers(ctx context.Context) bool {
	if d.Watch.answeredSince(time.Now().Add(-fresh)) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	conn, err := d.reach(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer bind(ctx, conn)()
	question, answer := "OPTIONS * HTTP/1.1\r\nHost: "+d.proxy.URL.Host+"\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n", "HTTP/"
	if d.proxy.URL.Scheme == "socks5" {
		question, answer = string([]byte{socksVersion, 2, noCredentials, userAndPassword}), string([]byte{socksVersion})
	}
	_, _ = io.WriteString(conn, question)
	begin := make([]byte, len(answer))
	if _, err = io.ReadFull(conn, begin); err != nil || string(begin) != answer {
		return false
	}
	d.Watch.answersNow()
	return true
}
