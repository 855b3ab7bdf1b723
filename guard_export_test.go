package alotwebhook

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// What the guard's tests need of it, without a dispatcher around it.

type (
	AddressGuard    = addressGuard
	TransportConfig = transportConfig
	DialControl     = func(ctx context.Context, network, address string, c syscall.RawConn) error
)

var (
	CheckGuard   = (*addressGuard).check
	JudgeAddress = (*addressGuard).judge
	NewTransport = newTransport
)

// Control returns the guard's verdict on an address about to be dialled.
func Control(g *AddressGuard) DialControl { return g.control }

func CheckURL(raw string, allowHTTP bool, g *AddressGuard) (*url.URL, error) {
	return checkURL(raw, urlRules{AllowHTTP: allowHTTP, Guard: g})
}

// NewWatchedTransport is NewTransport with the dialer's control wrapped.
func NewWatchedTransport(c TransportConfig, wrap func(DialControl) DialControl) *http.Transport {
	t := newTransport(c)
	t.DialContext = watchedDialer(c, wrap).DialContext
	return t
}

func watchedDialer(c TransportConfig, wrap func(DialControl) DialControl) *net.Dialer {
	d := c.dialer()
	d.ControlContext = wrap(d.ControlContext)
	return d
}
