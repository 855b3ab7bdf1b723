package alotwebhook

import (
	"context"
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
	return ReasonUnsendable, text.Clip(text.Storable(strings.TrimPrefix(err.Error(), errorPrefix)), maxDetail-len("…"))
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
		return ReasonDNS, "the host name has no address, or could not be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ReasonTimeout, "no complete response in time"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaECONNREFUSED):
		return ReasonConnectionRefused, "nothing accepts connections at that host and port"
	}
	if detail, ok := wire.ExplainTLS(err); ok {
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
