package guard

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// TransportConfig configures [NewTransport].
type TransportConfig struct {
	Guard *Guard
	// Resolver looks up host names; nil stands for the system's.
	Resolver *net.Resolver
	// RootCAs are the certificates that are trusted; nil stands for the system's.
	RootCAs *x509.CertPool
	// ConnectTimeout bounds the look-up of the name and the connection together.
	// TLSTimeout bounds the handshake.
	ConnectTimeout, TLSTimeout time.Duration
	// MaxInFlight is how many requests run at the same time. The transport keeps as
	// many idle connections for later requests.
	MaxInFlight int
	// MaxHeaderBytes bounds the headers of a response, in bytes.
	MaxHeaderBytes int64
}

// Dialer returns the dialer that [NewTransport] uses.
func (c *TransportConfig) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: c.ConnectTimeout, Resolver: c.Resolver, ControlContext: c.Guard.Control}
}

// NewTransport returns a transport that connects only to addresses that the guard
// allows. It uses no proxy, because a proxy would make the connection in its place and
// without the guard. It speaks only HTTP/1.1, so that a connection that hangs holds up
// a single request. It does not decompress responses, so that none grows past its
// limit.
//
// A transport does not follow redirects: the [http.Client] must be told not to.
func NewTransport(c TransportConfig) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            c.Dialer().DialContext,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    c.TLSTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: c.MaxHeaderBytes,
		MaxIdleConns:           c.MaxInFlight,
		MaxIdleConnsPerHost:    c.MaxInFlight,
		IdleConnTimeout:        30 * time.Second,
		WriteBufferSize:        8 << 10, // holds the headers and a usual payload, so that both are sent in one write
	}
}
