package wire

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

	"github.com/alot/alotwebhook/internal/egress"
	"github.com/alot/alotwebhook/internal/guard"
)

// Failure is the kind of a failed request, in the words of the root's failure reasons.
type Failure string

// The kinds that [Explain], [ExplainStatus] and [Unsendable] tell apart.
const (
	BlockedAddress    Failure = "blocked_address"
	DNS               Failure = "dns"
	Timeout           Failure = "timeout"
	ConnectionRefused Failure = "connection_refused"
	TLS               Failure = "tls"
	ResponseTooLarge  Failure = "response_too_large"
	Protocol          Failure = "protocol"
	ConnectionReset   Failure = "connection_reset"
	Network           Failure = "network"
	NoRoute           Failure = "no_route" // no packet was sent
	Redirect          Failure = "redirect"
	Status            Failure = "status"
	NotSendable       Failure = "unsendable" // no request was made
	NotConverted      Failure = "conversion" // no request was made
)

// ExplainStatus returns the kind of a response's status, and a sentence about it. Both are
// empty for 2xx; every other status is a failure. The location is where a redirect leads to, if anywhere.
func ExplainStatus(status int, location string) (Failure, string) {
	if status >= 200 && status < 300 {
		return "", ""
	}
	text := strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
	switch {
	case status >= 300 && status < 400 && location == "":
		return Redirect, "answered " + text + ", which is no success, and leads nowhere: there is no Location"
	case status >= 300 && status < 400:
		return Redirect, "answered " + text + "; redirects are not followed: register the URL that it leads to"
	default:
		return Status, "answered " + text
	}
}

// BlockedDetail does not name the address: whoever can register endpoints could
// otherwise look up names of the host's own network.
const BlockedDetail = "the URL leads to an address that is not on the public internet"

// Explain returns the kind of an error of the transport, and a sentence about it. Customers
// read the sentence, so it never holds an address.
func Explain(err error) (Failure, string) {
	var (
		dns     *net.DNSError
		timeout net.Error
		proxy   *egress.Error
	)
	switch {
	case errors.Is(err, guard.ErrBlocked):
		return BlockedAddress, BlockedDetail
	case errors.As(err, &proxy):
		return Failure(proxy.Kind), proxy.Detail()
	case errors.Is(err, egress.ErrNoRoute):
		return NoRoute, "the sender has no way to the host's address, as to one of IPv6 without having IPv6; no request was made"
	case errors.As(err, &dns):
		return DNS, "the host name has no address, or could not be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout, "no complete response in time"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, wsaECONNREFUSED):
		return ConnectionRefused, "nothing accepts connections at that host and port"
	}
	if detail, ok := explainTLS(err); ok {
		return TLS, detail
	}
	switch text := err.Error(); {
	case errors.Is(err, ErrHeaderTooLarge):
		return ResponseTooLarge, "the response's headers are larger than the limit"
	case errors.Is(err, errSpeaksTLS):
		return Protocol, "the server speaks TLS at this port; does the URL have to begin with https?"
	case errors.Is(err, errSpeaksHTTP2):
		return Protocol, "the server speaks HTTP/2 alone, and not HTTP/1.1"
	case containsAny(text, "malformed", "unexpected content", "unsupported transfer encoding", "Content-Length", "chunk", "trailer"):
		return Protocol, "the response is not HTTP"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, wsaECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), containsAny(text, "connection broken", "server closed"):
		return ConnectionReset, "the connection was closed before the response was complete"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Network, "the network says that the host cannot be reached"
	default:
		return Network, "the connection failed"
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

// IsOverload reports whether a status says that the receiver, or a proxy in front of it, has too
// much to do.
func IsOverload(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
