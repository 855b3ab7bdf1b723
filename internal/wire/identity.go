package wire

import (
	"crypto/tls"
	"fmt"
)

// Identity is who makes requests, for servers that demand a client certificate. TLS proves it for a
// whole connection, and so each identity has connections of its own: no other request uses them, not
// even one to the same host.
type Identity struct {
	// Certificate is sent with its chain to every server that demands one.
	Certificate *tls.Certificate
}

// identityKey is the key of the identity of a request's context, an *Identity.
type identityKey struct{}

// certificate returns the certificate for a server that demands one. An empty one is none. That of an
// identity is sent whichever authorities the server names: it was given for this server, which then
// says why it refuses it.
func (t *Transport) certificate(as *Identity, asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	own := new(tls.Certificate)
	var err error
	switch {
	case as != nil:
		own = as.Certificate
	case t.ClientCertificate != nil:
		err = t.Host.Call("Config.ClientCertificate", func() (err error) { own, err = t.ClientCertificate(asked); return err })
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCertificate, err)
	}
	if own == nil {
		own = new(tls.Certificate)
	}
	return own, nil
}
