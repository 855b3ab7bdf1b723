package alotwebhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/mac"
)

// These are the headers of Standard Webhooks (https://www.standardwebhooks.com).
// [Config.StandardWebhooks] makes the sender add them, and
// [Verifier.AcceptStandard] makes a verifier accept them. The signature covers the
// id, the timestamp and the body.
const (
	// StandardIDHeader holds the event's id, the same in every attempt.
	StandardIDHeader = "Webhook-Id"
	// StandardTimestampHeader holds the time of the attempt, in whole seconds
	// since 1970.
	StandardTimestampHeader = "Webhook-Timestamp"
	// StandardSignatureHeader holds "v1," and a MAC in base64. During the
	// rotation of a secret it holds several of them with a space between.
	StandardSignatureHeader = "Webhook-Signature"
)

// DefaultStandardTolerance is the default of [StandardConfig.Tolerance]: 5 minutes.
const DefaultStandardTolerance = 5 * time.Minute

// These errors refuse an attempt because of its signed time. A sender signs the
// time anew with every attempt, so an honest event that was late comes again with
// a time that is accepted.
var (
	// ErrAttemptTooOld means that the attempt was signed longer ago than the
	// tolerance. Either it is a replay; or it was held up on the way (verify it
	// before you queue it, or add the time in the queue to the tolerance); or
	// the clock of this machine is fast.
	ErrAttemptTooOld = errors.New("alotwebhook: attempt too old")
	// ErrAttemptTooNew means that the attempt was signed further in the future
	// than the tolerance. The clock of this machine is slow, or the sender's is
	// fast. Set both by NTP.
	ErrAttemptTooNew = errors.New("alotwebhook: attempt from the future")
)

const (
	secretPrefix = "whsec_"
	// maxStandardID is the longest id that is accepted, in bytes. It bounds a
	// buffer that is kept for the next request.
	maxStandardID = 256
)

// Standard returns the secret in the form that a Standard Webhooks library takes:
// "whsec_" and the base64 of the key.
//
// If a secret is "whsec_" and base64, with or without padding, its key in that
// scheme is the decoded base64. [NewSecret] makes such secrets, and a library
// takes them unchanged. The key of every other secret is its UTF-8 bytes.
//
// [Sign] makes no such distinction: its key is always the UTF-8 bytes of the whole
// secret.
func (s Secret) Standard() Secret {
	if s == "" {
		return ""
	}
	return secretPrefix + Secret(base64.StdEncoding.EncodeToString([]byte(s.standardKey())))
}

// standardKey returns the bytes of the key in the scheme of Standard Webhooks.
func (s Secret) standardKey() string {
	text, ok := strings.CutPrefix(string(s), secretPrefix)
	if !ok || strings.ContainsAny(text, "\r\n") { // package base64 would skip line ends
		return string(s)
	}
	encoding := base64.RawStdEncoding
	if len(text)%4 == 0 {
		encoding = base64.StdEncoding
	}
	key, err := encoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return string(s)
	}
	return string(key)
}

// SignStandard returns the value of [StandardSignatureHeader] for an attempt at
// the given time: "v1," and the base64 of the HMAC-SHA256 over the id, the time in
// whole seconds and the body, with dots between them. [Secret.Standard] describes
// the key.
//
// The id must not contain a dot: SignStandard signs such an id, but no verifier of
// this package accepts it.
func SignStandard(body []byte, id string, at time.Time, secret Secret) string {
	return mac.SignStandard(body, id, strconv.FormatInt(at.Unix(), 10), secret.standardKey())
}

// StandardConfig configures how a [Verifier] accepts the headers of Standard
// Webhooks. A nil *StandardConfig stands for the defaults.
type StandardConfig struct {
	// Tolerance is the largest difference that is accepted between the
	// attempt's signed time and this machine's clock, in either direction. A
	// longer one gives a replay more time. A shorter one refuses honest
	// attempts that were slow on the way, and all of them if a clock is wrong.
	// Zero or less stands for the default.
	// Defaults to [DefaultStandardTolerance].
	Tolerance time.Duration

	// Only refuses a request without the headers of Standard Webhooks, even if
	// its [SignatureHeader] is good. Without Only, an attacker who replays an
	// old request can leave these headers out, and with them the signed time.
	// Defaults to false: the verifier accepts either form.
	Only bool
}

// AcceptStandard returns a verifier with the same secrets that also accepts the
// headers of Standard Webhooks, from a sender with [Config.StandardWebhooks] or
// from any other that keeps that specification. If a request has
// [StandardSignatureHeader], this signature decides, and the verifier ignores
// [SignatureHeader]. [Verifier.Verify] and [Verifier.VerifyMatch], which get the
// value of SignatureHeader alone, do not change.
//
// One of several signatures must match. Signatures of a version other than v1 are
// skipped. A signed time outside the tolerance is an [ErrAttemptTooOld] or an
// [ErrAttemptTooNew], and is refused before the body is read.
func (v *Verifier) AcceptStandard(cfg *StandardConfig) *Verifier {
	if !v.ready() {
		return new(Verifier)
	}
	var own StandardConfig
	if cfg != nil {
		own = *cfg
	}
	if own.Tolerance <= 0 {
		own.Tolerance = DefaultStandardTolerance
	}
	return &Verifier{keys: v.keys, standard: &own, memory: v.memory}
}

// standardClaim holds the values of the three headers, well formed but not yet
// compared with the body.
type standardClaim struct{ id, timestamp, signatures string }

// standardError is a sentinel error with a text that names the headers of Standard
// Webhooks; the sentinel's own text names [SignatureHeader].
type standardError struct {
	sentinel error
	text     string
}

func (e *standardError) Error() string { return errorPrefix + e.text }

func (e *standardError) Unwrap() error { return e.sentinel }

var (
	errStandardMissing   = &standardError{ErrNotSigned, "not signed: webhook-id, webhook-timestamp or webhook-signature is missing"}
	errStandardDoubled   = &standardError{ErrMalformedSignature, "malformed signature: webhook-id, webhook-timestamp or webhook-signature appears more than once"}
	errStandardID        = &standardError{ErrMalformedSignature, "malformed signature: webhook-id has a dot, or more than " + strconv.Itoa(maxStandardID) + " bytes"}
	errStandardTimestamp = &standardError{ErrMalformedSignature, "malformed signature: webhook-timestamp is not a number of seconds since 1970"}
	errStandardSignature = &standardError{ErrMalformedSignature, "malformed signature: webhook-signature has no v1, and 44 characters of base64"}
)

// claim parses the three headers. Its errors are those that need no body.
func (cfg *StandardConfig) claim(h http.Header) (c standardClaim, err error) {
	for _, header := range [...]struct {
		name  string
		value *string
	}{{StandardIDHeader, &c.id}, {StandardTimestampHeader, &c.timestamp}, {StandardSignatureHeader, &c.signatures}} {
		values := h[header.name]
		switch {
		case len(values) == 0 || values[0] == "":
			return c, errStandardMissing
		case len(values) > 1 && (header.name != StandardSignatureHeader || strings.Contains(values[0], ",")):
			return c, errStandardDoubled
		}
		*header.value = strings.Join(values, ",") // a proxy of AWS splits a signature at its comma
	}
	// With a dot in the id, one signed text could be divided in several ways
	// into id, time and body.
	if len(c.id) > maxStandardID || strings.Contains(c.id, ".") {
		return c, errStandardID
	}
	at, ok := mac.ParseTimestamp(c.timestamp)
	if !ok {
		return c, errStandardTimestamp
	}
	if !mac.HasStandard(c.signatures) {
		return c, errStandardSignature
	}
	return c, cfg.checkTime(at)
}

// checkTime refuses a signed time outside the tolerance.
func (cfg *StandardConfig) checkTime(at time.Time) error {
	now := time.Now()
	if age := now.Sub(at); age > cfg.Tolerance {
		return fmt.Errorf("%w: signed %s ago, and %s are allowed", ErrAttemptTooOld, age.Truncate(time.Second), cfg.Tolerance)
	}
	if ahead := at.Sub(now); ahead > cfg.Tolerance {
		return fmt.Errorf("%w: signed for %s from now, and %s are allowed", ErrAttemptTooNew, ahead.Truncate(time.Second), cfg.Tolerance)
	}
	return nil
}
