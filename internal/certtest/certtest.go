// Package certtest issues certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Certificate is a certificate with its key.
type Certificate struct {
	Leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issue makes a certificate that another one signs, or itself if by is nil. It is one for servers at
// 127.0.0.1, and holds for an hour; change makes it another one.
func Issue(t testing.TB, name string, by *Certificate, change func(*x509.Certificate)) *Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	model := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(model)
	}
	parent, with := model, key
	if by != nil {
		parent, with = by.Leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, model, parent, &key.PublicKey, with)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &Certificate{leaf, key}
}

// Authority makes a certificate one that signs others.
func Authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.IPAddresses, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil, nil
}

// Server is the configuration of a server that sends this certificate and others.
func (c *Certificate) Server(others ...*Certificate) *tls.Config {
	pair := tls.Certificate{Certificate: [][]byte{c.Leaf.Raw}, PrivateKey: c.key}
	for _, other := range others {
		pair.Certificate = append(pair.Certificate, other.Leaf.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// Pool has this certificate alone.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}
