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
	// Resolver looks up host names; nil is the system's.
	Resolver *net.Resolver
	// RootCAs are trusted in place of the system's; nil is the system's.
	RootCAs *x509.CertPool
	// ConnectTimeout bounds the look-up and the connection, TLSTimeout the handshake.
	ConnectTimeout, TLSTimeout time.Duration
	// MaxInFlight is how many requests run at once. The transport keeps as many
	// connections for the next requests.
	MaxInFlight int
	// MaxHeaderBytes bounds the headers of a response.
	MaxHeaderBytes int64
}

// Dialer makes the dialer of [NewTransport].
func (c *TransportConfig) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: c.ConnectTimeout, Resolver: c.Resolver, ControlContext: c.Guard.Control}
}

// NewTransport makes a transport that connects only to addresses that the guard
// allows. It uses no proxy, because a proxy would dial in its place. It speaks
// HTTP/1.1 alone, so that a connection that hangs holds up one request. It does not
// decompress responses, so that none grows past its limit.
//
// It follows no redirects either, since that is up to an [http.Client].
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
		WriteBufferSize:        8 << 10, // headers and a usual payload in one write
	}
}
