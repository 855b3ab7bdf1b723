package wire

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"strings"
)

// The alerts of TLS that name their cause. Source: RFC 8446, section 6.2, and RFC 7301.
const (
	alertHandshakeFailure      = tls.AlertError(40)
	alertProtocolVersion       = tls.AlertError(70)
	alertInternalError         = tls.AlertError(80)
	alertUnrecognizedName      = tls.AlertError(112)
	alertNoApplicationProtocol = tls.AlertError(120)
)

// refusedDetails say why a server refuses a client certificate. Source: RFC 8446, section 6.2.
var refusedDetails = map[tls.AlertError]string{
	43: "it does not take its kind of key",
	44: "it was revoked",
	45: "it has expired or is not yet valid",
	48: "the server does not know the authority that signed it; is an intermediate certificate missing?",
	49: "it may not enter",
}

var alertDetails = map[tls.AlertError]string{
	alertHandshakeFailure:      "there is no cipher suite in common; TLS 1.3, or TLS 1.2 with ECDHE, is needed",
	alertProtocolVersion:       "there is no TLS version in common; TLS 1.2 or later is needed",
	alertInternalError:         "the server tells of an error of its own, as Caddy does without a certificate for this host name",
	alertUnrecognizedName:      "the server has no site for this host name",
	alertNoApplicationProtocol: "the server does not offer HTTP/1.1",
}

// alertOf returns the alert that a server has sent. Package tls gives those of a connection a type
// that it does not export.
func alertOf(err error) (tls.AlertError, bool) {
	var alert tls.AlertError
	if errors.As(err, &alert) {
		return alert, true
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return tls.AlertError(v.Uint()), true
}

// explainTLS returns a sentence about a failure of TLS, for people at the other end; ok is
// false for every other error.
func explainTLS(err error) (detail string, ok bool) {
	alert, isAlert := alertOf(err)
	switch {
	case errors.Is(err, ErrClientCertificate):
		return "the server demands a client certificate, and none is sent", true
	case errors.Is(err, ErrNoCertificate):
		return "the server demands a client certificate, and the sender's could not be had", true
	case errors.Is(err, ErrRefusedCertificate):
		detail := "the server refuses the client certificate that was sent"
		if why := refusedDetails[alert]; why != "" {
			detail += ": " + why
		}
		return detail, true
	case errors.As(err, new(tls.RecordHeaderError)):
		return "the server did not speak TLS; is this a plain http port?", true
	case isAlert:
		return cmp.Or(alertDetails[alert], "the TLS handshake failed: "+strings.TrimPrefix(alert.Error(), "tls: ")), true
	}
	if detail, ok := explainCertificate(err); ok {
		return detail, true
	}
	switch text := err.Error(); {
	case strings.Contains(text, "tls: server selected unsupported protocol version"):
		return alertDetails[alertProtocolVersion], true
	case strings.Contains(text, "requires the use of Extended Master Secret"):
		return "this sender runs in FIPS 140-3 mode, and the server speaks TLS 1.2 without the extended master secret", true
	case strings.Contains(text, "tls: failed to parse certificate"):
		return "the certificate breaks the rules for certificates and cannot be read", true
	case strings.Contains(text, "tls: "):
		return "the TLS handshake failed", true
	}
	return "", false
}
