package alotwebhook

import (
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
)

// judge tells what a status means: any 2xx is success, all else a failure.
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

func statusText(status int) string {
	text := strconv.Itoa(status)
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	return text
}

func unsendable(err error) (FailureReason, string) {
	if errors.Is(err, ErrBlockedAddress) {
		return ReasonBlockedAddress, blockedDetail
	}
	return ReasonUnsendable, clipDetail(strings.TrimPrefix(err.Error(), errorPrefix))
}

const blockedDetail = "the URL leads to an address that is not on the public internet"

// classify gives an error of the transport its reason and a sentence without
// addresses: whoever registers an endpoint reads it.
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
		return ReasonTimeout, "no complete answer in time"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaECONNREFUSED):
		return ReasonConnectionRefused, "nothing accepts connections at that host and port"
	}
	if detail, ok := tlsDetail(err); ok {
		return ReasonTLS, detail
	}
	switch text := err.Error(); {
	case containsAny(text, "server response headers exceeded", "too many 1xx"):
		return ReasonResponseTooLarge, "the answer's headers are longer than is read"
	case containsAny(text, "malformed", "unexpected content", "unsupported transfer encoding", "Content-Length", "chunk", "trailer"):
		return ReasonProtocol, "the answer is not HTTP"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, wsaECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(text, "connection broken"), strings.Contains(text, "server closed"):
		return ReasonConnectionReset, "the connection was closed before the answer was complete"
	default:
		return ReasonNetwork, "the connection failed"
	}
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// Windows has error numbers of its own for sockets.
const (
	wsaECONNRESET   = syscall.Errno(10054)
	wsaECONNREFUSED = syscall.Errno(10061)
)

func tlsDetail(err error) (string, bool) {
	var (
		verification *tls.CertificateVerificationError
		header       tls.RecordHeaderError
		alert        tls.AlertError
		host         x509.HostnameError
		authority    x509.UnknownAuthorityError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is for another host name", true
	case errors.As(err, &authority):
		return "the certificate is signed by an authority that is not known; is an intermediate certificate missing?", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate has expired or is not yet valid", true
	case errors.As(err, &verification), errors.As(err, &invalid):
		return "the certificate does not hold", true
	case errors.As(err, &header):
		return "the answer to the TLS handshake is not TLS; is this a plain http port?", true
	case errors.As(err, &alert), strings.Contains(err.Error(), "tls: "):
		return "the TLS handshake failed", true
	}
	return "", false
}

// maxDetail bounds Attempt.Detail, in bytes.
const maxDetail = 256

func clipDetail(s string) string {
	if len(s) > maxDetail {
		return strings.ToValidUTF8(s[:maxDetail-3], "") + "…"
	}
	return s
}

// isOverload: the receiver, or what stands before it, has too much to do.
func isOverload(a *Attempt) bool {
	switch a.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.Reason == ReasonTimeout
}
