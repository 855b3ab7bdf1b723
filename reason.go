package alotwebhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/wire"
)

// judge returns the reason and the detail that a status stands for. Both are empty
// for 2xx; every other status is a failure.
func judge(status int) (FailureReason, string) {
	switch {
	case status >= 200 && status < 300:
		return "", ""
	case status >= 300 && status < 400:
		return ReasonRedirect, "answered " + statusText(status) + "; redirects are not followed: register the URL that it leads to"
	default:
		return ReasonStatus, "answered " + statusText(status)
	}
}

// statusText returns the status code and, if it has one, its name: "404 Not Found".
func statusText(status int) string {
	text := strconv.Itoa(status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	return text
}

// unsendable returns the reason and the detail of an endpoint that nothing can be sent
// to: its URL is not allowed, or its secret does not open. The detail is the text of
// err, which never holds a secret.
func unsendable(err error) (FailureReason, string) {
	if errors.Is(err, ErrBlockedAddress) {
		return ReasonBlockedAddress, blockedDetail
	}
	return ReasonUnsendable, text.Clip(storable(strings.TrimPrefix(err.Error(), errorPrefix)), maxDetail-len("…"))
}

// blockedDetail does not name the address: whoever can register endpoints could
// otherwise look up names of the host's own network.
const blockedDetail = "the URL leads to an address that is not on the public internet"

// classify returns the reason that an error of the transport stands for, and a sentence
// about it. Customers read the sentence, so it never holds an address.
func classify(err error) (FailureReason, string) {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.Is(err, ErrBlockedAddress):
		return ReasonBlockedAddress, blockedDetail
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return ReasonDNS, "the host name has no address"
		}
		return ReasonDNS, "the host name could not be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ReasonTimeout, "no complete response in time"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaECONNREFUSED):
		return ReasonConnectionRefused, "nothing accepts connections at that host and port"
	}
	if detail, ok := tlsDetail(err); ok {
		return ReasonTLS, detail
	}
	switch text := err.Error(); {
	case errors.Is(err, wire.ErrHeaderTooLarge):
		return ReasonResponseTooLarge, "the response's headers are larger than the limit"
	case containsAny(text, "malformed", "unexpected content", "unsupported transfer encoding", "Content-Length", "chunk", "trailer"):
		return ReasonProtocol, "the response is not HTTP"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, wsaECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "connection broken"), strings.Contains(text, "server closed"):
		return ReasonConnectionReset, "the connection was closed before the response was complete"
	default:
		return ReasonNetwork, "the connection failed"
	}
}

// containsAny reports whether text holds one of the parts. net/http has no error values
// for these failures, only texts.
func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// Windows has its own error numbers for sockets, which package syscall does not map.
const (
	wsaECONNRESET   = syscall.Errno(10054)
	wsaECONNREFUSED = syscall.Errno(10061)
)

// The alerts of TLS that name their cause. Source: RFC 8446, section 6.2, and RFC 7301.
const (
	alertHandshakeFailure      = tls.AlertError(40)
	alertProtocolVersion       = tls.AlertError(70)
	alertUnrecognizedName      = tls.AlertError(112)
	alertNoApplicationProtocol = tls.AlertError(120)
)

var alertDetails = map[tls.AlertError]string{
	alertHandshakeFailure:      "there is no cipher suite in common; TLS 1.3, or TLS 1.2 with ECDHE, is needed",
	alertProtocolVersion:       "there is no TLS version in common; TLS 1.2 or later is needed",
	alertUnrecognizedName:      "the server has no site for this host name",
	alertNoApplicationProtocol: "the server does not offer HTTP/1.1",
}

// tlsDetail returns a sentence about a failure of TLS; ok is false for every other error.
func tlsDetail(err error) (detail string, ok bool) {
	var (
		verification *tls.CertificateVerificationError
		header       tls.RecordHeaderError
		alert        tls.AlertError
		host         x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, wire.ErrClientCertificate):
		return "the server demands a client certificate, and none is sent", true
	case errors.As(err, &host):
		return "the certificate is for another host name", true
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority; is an intermediate certificate missing?", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not yet valid", true
	case errors.As(err, &verification), errors.As(err, &invalid):
		return "the certificate is not valid", true
	case errors.As(err, &header):
		return "the server did not speak TLS; is this a plain http port?", true
	case errors.As(err, &alert):
		return cmp.Or(alertDetails[alert], "the TLS handshake failed: "+strings.TrimPrefix(alert.Error(), "tls: ")), true
	case strings.Contains(err.Error(), "tls: server selected unsupported protocol version"):
		return alertDetails[alertProtocolVersion], true
	case strings.Contains(err.Error(), "tls: "):
		return "the TLS handshake failed", true
	}
	return "", false
}

// maxDetail is the longest Attempt.Detail, in bytes.
const maxDetail = 256

// isOverload reports whether an attempt failed because the receiver, or a proxy in
// front of it, has too much to do.
func isOverload(a *Attempt) bool {
	switch a.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.Reason == ReasonTimeout
}
