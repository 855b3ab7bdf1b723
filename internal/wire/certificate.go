package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// explainCertificate says what is wrong with a server's certificate; ok is false for every other error.
func explainCertificate(err error) (detail string, ok bool) {
	var (
		verification *tls.CertificateVerificationError
		host         x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
	)
	isVerification := errors.As(err, &verification)
	switch {
	case errors.As(err, &host) && namesNothing(host.Certificate):
		return "the certificate has no subject alternative name, and its common name does not count", true
	case errors.As(err, &host):
		return "the certificate is for another host name", true
	case errors.As(err, &authority):
		return explainAuthority(authority.Cert, verification), true
	case errors.As(err, &invalid):
		return explainInvalid(&invalid), true
	}
	return "the certificate is not valid", isVerification
}

func namesNothing(c *x509.Certificate) bool {
	return c != nil && len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses)+len(c.URIs) == 0
}

// explainAuthority says why the signature of a certificate counts for nothing. It may be that of the
// server, or one above it.
func explainAuthority(c *x509.Certificate, sent *tls.CertificateVerificationError) string {
	switch {
	case c != nil && isWeak(c.SignatureAlgorithm) && !isSelfSigned(c):
		return "the certificate is signed with an algorithm that is too weak, such as SHA-1"
	case c != nil && isSelfSigned(c) && sent != nil && len(sent.UnverifiedCertificates) > 0 && c.Equal(sent.UnverifiedCertificates[0]):
		return "the certificate is self-signed"
	case c != nil && isSelfSigned(c):
		return "the certificate is signed by an authority that is not a public one"
	}
	return "the certificate is signed by an unknown authority; is an intermediate certificate missing?"
}

func isSelfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func isWeak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

func explainInvalid(invalid *x509.CertificateInvalidError) string {
	switch {
	case invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return "the certificate is not yet valid"
	case invalid.Reason == x509.Expired:
		return "the certificate has expired"
	case invalid.Reason == x509.IncompatibleUsage:
		return "the certificate is not one for servers"
	}
	return "the certificate is not valid"
}
