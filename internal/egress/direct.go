package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/guard"
)

const (
	// askAgain is the wait before a name is asked for once more, and lookUps how often it is in all.
	// Package net waits five seconds for an answer, so that one packet that is lost would cost the attempt.
	askAgain = time.Second
	lookUps  = 3
	// nextAddress is the wait for one address before the next one is tried beside it, as in package net.
	nextAddress = 300 * time.Millisecond
)

// ErrNoRoute says that this machine has no way to any of the addresses, as to those of IPv6 where it
// has none itself. No packet was sent.
var ErrNoRoute = errors.New("alotwebhook: no route to the address from here")

// lookUpers returns resolvers that are alike. One gives all who ask the same at once the same answer,
// so that another is needed to ask again.
func lookUpers(r *net.Resolver, host *caught.Host) (all [lookUps]*net.Resolver) {
	if r == nil {
		r = net.DefaultResolver
	}
	dial := r.Dial
	if dial != nil { // package net calls it in goroutines of its own
		dial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = host.Call("Config.Resolver", func() (err error) { conn, err = r.Dial(ctx, network, address); return err })
			return conn, err
		}
	}
	all[0] = r
	for i := range all {
		if i > 0 || dial != nil {
			all[i] = &net.Resolver{PreferGo: r.PreferGo, StrictErrors: r.StrictErrors, Dial: dial}
		}
	}
	return all
}

// lookUp returns the addresses of a name.
func (d *Dialer) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	r := race[[]netip.Addr]{
		tries: lookUps, wait: askAgain, host: d.host,
		try: func(ctx context.Context, i int) ([]netip.Addr, error) {
			return d.resolvers[i].LookupNetIP(ctx, "ip", host)
		},
	}
	addrs, _, err := r.run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &net.DNSError{Err: "no answer in time", Name: host, IsTimeout: true}
	}
	return addrs, err
}

// connectTo connects to the first of a host's addresses that answers. The time-out bounds the look-up of
// the name, and once more the connection.
func (d *Dialer) connectTo(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := split(address)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	addrs, err := d.addresses(within, host, port)
	if err != nil {
		return nil, err
	}
	within, cancelConnect := context.WithTimeout(ctx, d.timeout)
	defer cancelConnect()
	addrs = d.silent.last(addrs)
	conn, i, err := d.connectFirst(within, network, addrs)
	switch {
	case err == nil:
		d.silent.note(addrs[:i], addrs[i])
	case isUnreachable(err) && !slices.ContainsFunc(addrs, d.HasRoute):
		return nil, ErrNoRoute
	}
	return conn, err
}

// connectFirst connects to the first of these addresses that answers, and returns its number.
func (d *Dialer) connectFirst(ctx context.Context, network string, addrs []netip.AddrPort) (net.Conn, int, error) {
	if len(addrs) == 1 {
		conn, err := d.Direct.DialContext(ctx, network, addrs[0].String())
		return conn, 0, err
	}
	r := race[net.Conn]{
		tries: len(addrs), wait: nextAddress, goesOn: true, host: d.host,
		try: func(ctx context.Context, i int) (net.Conn, error) {
			return d.Direct.DialContext(ctx, network, addrs[i].String())
		},
		drop: func(c net.Conn) { _ = c.Close() },
	}
	return r.run(ctx)
}

// addresses returns those of a host that the guard allows.
func (d *Dialer) addresses(ctx context.Context, host string, port uint16) (allowed []netip.AddrPort, err error) {
	var addrs []netip.Addr
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{addr}
	} else if addrs, err = d.lookUp(ctx, host); err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if d.guard.Judge(addr) == nil {
			allowed = append(allowed, netip.AddrPortFrom(addr.Unmap(), port))
		}
	}
	if len(allowed) == 0 {
		return nil, guard.ErrBlocked
	}
	return allowed, nil
}

// isUnreachable reports whether an error may be for want of a route here. A router on the way says the
// same of a network behind it.
func isUnreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// hasRoute asks the system for the way to an address: connecting a UDP socket sends nothing.
func hasRoute(addr netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
