package credential

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/guard"
	"github.com/alot/alotwebhook/internal/text"
)

const (
	maxPEM     = 16 << 10 // bytes
	maxSubject = 256      // bytes
	minRSA     = 2048     // bits
)

// Certificate is what anybody may read of a client certificate.
type Certificate struct {
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
	// Changes counts how often it was replaced.
	Changes int64 `json:"changes"`
}

// describe returns what anybody may read of a certificate that is in use from now on in the place of
// another one, or a [guard.Refusal]. It returns nil for "".
func describe(pemText string, old *Certificate) (*Certificate, error) {
	if pemText == "" {
		return nil, nil
	}
	c, problem := parse(pemText)
	if problem == "" && time.Now().After(c.Leaf.NotAfter) {
		problem = "has expired, on " + c.Leaf.NotAfter.UTC().Format(time.DateOnly)
	}
	if problem != "" {
		return nil, &guard.Refusal{Field: "clientCertificate", Problem: problem}
	}
	described := &Certificate{Subject: text.Plain(c.Leaf.Subject.String(), maxSubject), NotAfter: c.Leaf.NotAfter.UTC()}
	if old != nil {
		described.Changes = old.Changes + 1
	}
	return described, nil
}

// parse reads a PEM text. Its problems are of its own words: those of the parsers might quote a key.
func parse(pemText string) (*tls.Certificate, string) {
	if len(pemText) > maxPEM {
		return nil, fmt.Sprintf("has %d bytes; at most %d are allowed", len(pemText), maxPEM)
	}
	certificates, keys, encrypted := 0, 0, false
	for block := range blocks(pemText) {
		switch {
		case isEncrypted(block):
			encrypted = true
		case isKey(block):
			keys++
		case block.Type == "CERTIFICATE":
			certificates++
		}
	}
	switch {
	case encrypted:
		return nil, "has an encrypted private key: give it without a passphrase"
	case certificates == 0:
		return nil, "has no certificate: give it in PEM, beginning with -----BEGIN CERTIFICATE-----, with its chain and its private key"
	case keys == 0:
		return nil, "has no private key: give it in PEM, behind the certificate and its chain"
	case keys > 1:
		return nil, "has several private keys: give the one that belongs to the certificate"
	}
	pair, err := tls.X509KeyPair([]byte(pemText), []byte(pemText))
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return nil, "does not fit together: the first certificate must be the one that the private key belongs to, followed by its chain"
	}
	if key, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return nil, fmt.Sprintf("has an RSA key of %d bits; at least %d are needed", key.N.BitLen(), minRSA)
	}
	return &pair, ""
}

// blocks returns the blocks of a PEM text.
func blocks(pemText string) iter.Seq[*pem.Block] {
	return func(yield func(*pem.Block) bool) {
		for block, rest := pem.Decode([]byte(pemText)); block != nil; block, rest = pem.Decode(rest) {
			if !yield(block) {
				return
			}
		}
	}
}

func isKey(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }

func isEncrypted(b *pem.Block) bool {
	return b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
}

// bare returns a PEM text with nothing but its certificates and its key: tools write about these
// between them, in whatever characters.
func bare(pemText string) string {
	var b strings.Builder
	for block := range blocks(pemText) {
		if isKey(block) || block.Type == "CERTIFICATE" {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
		}
	}
	return b.String()
}
