package wire_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/certtest"
	"github.com/alot/alotwebhook/internal/wire"
)

// Each fault of a server's TLS is told apart, and has advice of its own.
func TestFaultsOfTLSNameTheirCause(t *testing.T) {
	t.Parallel()
	root := certtest.Issue(t, "root", nil, certtest.Authority)
	between := certtest.Issue(t, "between", root, certtest.Authority)
	company := certtest.Issue(t, "company", nil, certtest.Authority)
	good := certtest.Issue(t, "good", root, nil)
	old := good.Server()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 //nolint // servers have it
	noCipher := good.Server()
	noCipher.MaxVersion, noCipher.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	alerts := map[string]byte{ // nginx sends the first with ssl_reject_handshake, Caddy the second, and Node the last
		"no site for this host name": 112, "an error of its own": 80, "does not offer HTTP/1.1": 120,
	}
	with := func(change func(*x509.Certificate)) *tls.Config {
		return certtest.Issue(t, "leaf", root, change).Server()
	}

	seen := map[string]string{}
	for want, config := range map[string]*tls.Config{
		"self-signed":                 certtest.Issue(t, "self", nil, nil).Server(),
		"not a public one":            certtest.Issue(t, "inside", company, nil).Server(company),
		"unknown authority":           certtest.Issue(t, "leaf", between, nil).Server(),
		"too weak":                    with(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }),
		"no subject alternative name": with(func(c *x509.Certificate) { c.IPAddresses, c.Subject.CommonName = nil, "127.0.0.1" }),
		"for another host name":       with(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"b.example.com"} }),
		"not one for servers":         with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"has expired":                 with(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }),
		"not yet valid":               with(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour / 2) }),
		"no TLS version in common":    old,
		"no cipher suite in common":   noCipher,
		"does not offer HTTP/1.1":     nil,
		"no site for this host name":  nil,
		"an error of its own":         nil,
		"did not speak TLS":           {},
	} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			switch {
			case config == nil:
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, alerts[want]})
			case config.Certificates == nil:
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			default:
				_ = tls.Server(conn, config).Handshake()
			}
		})
		transport := newTransport(t, func(c *wire.Config) {
			c.RootCAs = root.Pool()
		})
		r := post(t, transport, "https"+s.url[len("http"):], 300)
		require.Error(t, r.err, want)
		kind, detail := wire.Explain(r.err)
		require.Equal(t, wire.TLS, kind, want)
		require.Contains(t, detail, want, r.err)
		advice := wire.Advice(detail)
		require.NotEmpty(t, advice, detail)
		require.Empty(t, seen[advice], "%s has the advice of another", detail)
		seen[advice] = detail
	}
}

// What the host's own function does wrong fails the attempt, and not the process.
func TestClientCertificateThatCannotBeHad(t *testing.T) {
	t.Parallel()
	self := certtest.Issue(t, "self", nil, nil)
	server := self.Server()
	server.ClientAuth = tls.RequireAnyClientCert
	for name, ask := range map[string]func() (*tls.Certificate, error){
		"an error": func() (*tls.Certificate, error) { return nil, errors.New("no card in the reader") },
		"a panic":  func() (*tls.Certificate, error) { panic("no card in the reader") },
	} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) { _ = tls.Server(conn, server).Handshake() })
		transport := newTransport(t, func(c *wire.Config) {
			c.RootCAs = self.Pool()
			c.ClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return ask() }
		})
		r := post(t, transport, "https"+s.url[len("http"):], 300)
		require.ErrorIs(t, r.err, wire.ErrNoCertificate, name)
		require.ErrorContains(t, r.err, map[string]string{"an error": "no card in the reader", "a panic": "Config.ClientCertificate panicked"}[name])
		kind, detail := wire.Explain(r.err)
		require.Equal(t, wire.TLS, kind, name)
		require.Equal(t, "the server demands a client certificate, and the sender's could not be had", detail, name)
	}
}

// A 3xx that leads nowhere is not called a redirect that leads somewhere.
func TestRedirectsWithoutLocation(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 304, 307} {
		kind, detail := wire.ExplainStatus(status, "")
		require.Equal(t, wire.Redirect, kind)
		require.NotContains(t, detail, "register")
		require.NotEmpty(t, wire.Advice(detail))
		kind, detail = wire.ExplainStatus(status, "/elsewhere")
		require.Equal(t, wire.Redirect, kind)
		require.Contains(t, detail, "register")
		require.Empty(t, wire.Advice(detail))
	}
}
