package alotwebhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks (https://www.standardwebhooks.com), which
// [Config.StandardWebhooks] adds and [Verifier.AcceptStandard] takes. All three
// are covered by the signature.
const (
	// StandardIDHeader is the event's id, the same over all attempts.
	StandardIDHeader = "Webhook-Id"
	// StandardTimestampHeader is the time of the attempt, in seconds since 1970.
	StandardTimestampHeader = "Webhook-Timestamp"
	// StandardSignatureHeader is "v1," and a MAC in base64; while a secret is
	// rotated several of them, with a space between.
	StandardSignatureHeader = "Webhook-Signature"
)

// DefaultStandardTolerance is how far an attempt's signed time may lie from the
// verifier's own, if [StandardConfig.Tolerance] does not say otherwise.
const DefaultStandardTolerance = 5 * time.Minute

// Why an attempt is refused for its signed time. A sender that tries again signs
// the time anew, so what was good and slow comes again as good.
var (
	// ErrAttemptTooOld: the attempt was signed longer ago than the tolerance.
	// Either it is a replay, or it was held up on the way (verify before
	// queueing, or allow for the queue in the tolerance), or this clock is fast.
	ErrAttemptTooOld = errors.New("alotwebhook: attempt too old")
	// ErrAttemptTooNew: the attempt was signed further in the future than the
	// tolerance: this clock is slow, or the sender's is fast. Set them by NTP.
	ErrAttemptTooNew = errors.New("alotwebhook: attempt from the future")
)

const (
	secretPrefix    = "whsec_"
	standardVersion = "v1,"
	// standardSumLen is the length of a MAC in base64, with its padding.
	standardSumLen = (sha256.Size + 2) / 3 * 4
	// maxStandardID bounds what is copied of a header, in bytes.
	maxStandardID = 256
)

// Standard returns the secret as a Standard Webhooks library takes it: "whsec_"
// and the base64 of the key.
//
// The key of that scheme is what the base64 behind "whsec_" stands for, if the
// secret is of this form, with or without padding; such a secret, as [NewSecret]
// makes it, can be given to a library as it is. Of any other secret the key is
// its UTF-8 bytes. [Sign] knows no such difference: there the key is always the
// UTF-8 bytes of the whole secret.
func (s Secret) Standard() Secret {
	if s == "" {
		return ""
	}
	return secretPrefix + Secret(base64.StdEncoding.EncodeToString([]byte(s.standardKey())))
}

// standardKey returns the bytes of the key.
func (s Secret) standardKey() Secret {
	text, ok := strings.CutPrefix(string(s), secretPrefix)
	if !ok || strings.ContainsAny(text, "\r\n") { // which package base64 would skip
		return s
	}
	encoding := base64.RawStdEncoding
	if len(text)%4 == 0 {
		encoding = base64.StdEncoding
	}
	key, err := encoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return s
	}
	return Secret(key)
}

// SignStandard returns the value of [StandardSignatureHeader] for an attempt at
// a time: "v1," and the base64 of the HMAC-SHA256 over the id, the time in whole
// seconds and the body, with dots between them. An id with a dot in it signs,
// but is not verified. For the key see [Secret.Standard].
func SignStandard(body []byte, id string, at time.Time, secret Secret) string {
	m := macs.Get().(*mac)
	defer macs.Put(m)
	m.standardHead(id, strconv.FormatInt(at.Unix(), 10))
	sum := m.standardSum(body, secret.standardKey())
	return standardVersion + string(sum[:])
}

// standardHead fills in what is signed in front of the body.
func (m *mac) standardHead(id, timestamp string) {
	m.head = append(m.head[:0], id...)
	m.head = append(m.head, '.')
	m.head = append(m.head, timestamp...)
	m.head = append(m.head, '.')
}

func (m *mac) standardSum(body []byte, key Secret) (text [standardSumLen]byte) {
	m.sumOf(key, m.head, body)
	base64.StdEncoding.Encode(text[:], m.sum[:])
	return text
}

// StandardConfig says how a [Verifier] takes the headers of Standard Webhooks;
// nil works.
type StandardConfig struct {
	// Tolerance is how far the attempt's signed time may lie from now, before
	// or after. Longer gives a replay more time, shorter refuses what was slow
	// on the way or meets a clock that is off. Zero or less: default.
	// Defaults to [DefaultStandardTolerance].
	Tolerance time.Duration

	// Only refuses what has no Standard Webhooks headers, even if
	// [SignatureHeader] is good. Without it, whoever replays an old request can
	// leave the signed time out. Defaults to false: either form.
	Only bool
}

// AcceptStandard returns a verifier with the same secrets that takes requests
// with the headers of Standard Webhooks too, from [Config.StandardWebhooks] or
// another sender that keeps that specification. Where a request has
// [StandardSignatureHeader], that decides, and [SignatureHeader] is not looked
// at; the methods that are given the value of SignatureHeader alone are as before.
//
// Of several signatures one must match; versions other than v1 are skipped.
// What is refused for its signed time is an [ErrAttemptTooOld] or an
// [ErrAttemptTooNew], before the body is read.
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

// standardClaim holds the three headers, well formed.
type standardClaim struct{ id, timestamp, signatures string }

// standardError is what is wrong with the headers: a sentinel in other words.
type standardError struct {
	sentinel error
	text     string
}

func (e *standardError) Error() string { return errorPrefix + e.text }

func (e *standardError) Unwrap() error { return e.sentinel }

var (
	errStandardMissing   = &standardError{ErrNotSigned, "not signed: webhook-id, webhook-timestamp or webhook-signature is missing"}
	errStandardDoubled   = &standardError{ErrMalformedSignature, "malformed signature: webhook-id, webhook-timestamp or webhook-signature stands there several times"}
	errStandardID        = &standardError{ErrMalformedSignature, "malformed signature: webhook-id has a dot, or more than " + strconv.Itoa(maxStandardID) + " bytes"}
	errStandardTimestamp = &standardError{ErrMalformedSignature, "malformed signature: webhook-timestamp is not a number of seconds since 1970"}
	errStandardSignature = &standardError{ErrMalformedSignature, "malformed signature: webhook-signature has no v1, and 44 characters of base64"}
)

// claim refuses what the header alone condemns.
func (cfg *StandardConfig) claim(h http.Header) (c standardClaim, err error) {
	for _, header := range [...]struct {
		name  string
		value *string
	}{{StandardIDHeader, &c.id}, {StandardTimestampHeader, &c.timestamp}, {StandardSignatureHeader, &c.signatures}} {
		values := h[header.name]
		switch {
		case len(values) == 0 || values[0] == "":
			return c, errStandardMissing
		case len(values) > 1:
			return c, errStandardDoubled
		}
		*header.value = values[0]
	}
	// A dot would let one signed text be read as another id, time and body.
	if len(c.id) > maxStandardID || strings.Contains(c.id, ".") {
		return c, errStandardID
	}
	at, ok := parseStandardTimestamp(c.timestamp)
	if !ok {
		return c, errStandardTimestamp
	}
	if !c.hasSignature() {
		return c, errStandardSignature
	}
	return c, cfg.checkTime(at)
}

// parseStandardTimestamp takes the one spelling of a number of up to 12 digits:
// it is the text that is signed.
func parseStandardTimestamp(text string) (at time.Time, ok bool) {
	if text == "" || len(text) > 12 || text[0] == '0' {
		return time.Time{}, false
	}
	var seconds int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return time.Time{}, false
		}
		seconds = 10*seconds + int64(text[i]-'0')
	}
	return time.Unix(seconds, 0), true
}

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

func (c *standardClaim) hasSignature() bool {
	for entry := range strings.SplitSeq(c.signatures, " ") {
		if isStandardSignature(entry) {
			return true
		}
	}
	return false
}

func isStandardSignature(entry string) bool {
	return len(entry) == len(standardVersion)+standardSumLen && entry[:len(standardVersion)] == standardVersion
}

// matchesStandard compares every signature, whichever matches, as text: base64
// has several spellings for the same bytes, and one is published.
func (m *mac) matchesStandard(body []byte, key Secret, c *standardClaim) bool {
	m.standardHead(c.id, c.timestamp)
	want := m.standardSum(body, key)
	matched := 0
	for entry := range strings.SplitSeq(c.signatures, " ") {
		if isStandardSignature(entry) {
			var claimed [standardSumLen]byte // a conversion of the text would allocate
			copy(claimed[:], entry[len(standardVersion):])
			matched |= subtle.ConstantTimeCompare(want[:], claimed[:])
		}
	}
	return matched == 1
}
