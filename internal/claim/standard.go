package claim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/mac"
)

// The headers of Standard Webhooks.
const (
	standardID        = "Webhook-Id"
	standardTimestamp = "Webhook-Timestamp"
	standardSignature = "Webhook-Signature"
)

// maxStandardID is the longest id that is accepted, in bytes. It bounds a buffer that is kept for
// the next request.
const maxStandardID = 256

// Standard says how the headers of Standard Webhooks are accepted.
type Standard struct {
	// Tolerance is the largest difference between the signed time and the clock, in either
	// direction.
	Tolerance time.Duration
	// Only refuses a request without these headers.
	Only bool
}

// standardClaim holds the values of the three headers, well formed but not yet
// compared with the body.
type standardClaim struct{ id, timestamp, signatures string }

// standardError is a sentinel error with a text that names the headers of Standard
// Webhooks; the sentinel's own text names the published one.
type standardError struct {
	sentinel error
	text     string
}

func (e *standardError) Error() string { return fault.Prefix + e.text }

func (e *standardError) Unwrap() error { return e.sentinel }

var (
	errStandardMissing   = &standardError{ErrNotSigned, "not signed: webhook-id, webhook-timestamp or webhook-signature is missing"}
	errStandardDoubled   = &standardError{ErrMalformed, "malformed signature: webhook-id, webhook-timestamp or webhook-signature appears more than once"}
	errStandardID        = &standardError{ErrMalformed, "malformed signature: webhook-id has a dot, or more than " + strconv.Itoa(maxStandardID) + " bytes"}
	errStandardTimestamp = &standardError{ErrMalformed, "malformed signature: webhook-timestamp is not a number of seconds since 1970"}
	errStandardSignature = &standardError{ErrMalformed, "malformed signature: webhook-signature has no v1, and 44 characters of base64"}
)

// claim parses the three headers. Its errors are those that need no body.
func (s *Standard) claim(h http.Header) (c standardClaim, err error) {
	for _, header := range [...]struct {
		name  string
		value *string
	}{{standardID, &c.id}, {standardTimestamp, &c.timestamp}, {standardSignature, &c.signatures}} {
		values := h[header.name]
		switch {
		case len(values) == 0 || values[0] == "":
			return c, missing(h, errStandardMissing)
		case len(values) > 1 && (header.name != standardSignature || strings.Contains(values[0], ",")):
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
	return c, s.checkTime(at)
}

// checkTime refuses a signed time outside the tolerance.
func (s *Standard) checkTime(at time.Time) error {
	now := time.Now()
	if age := now.Sub(at); age > s.Tolerance {
		return fmt.Errorf("%w: signed %s ago, and %s are allowed", ErrTooOld, age.Truncate(time.Second), s.Tolerance)
	}
	if ahead := at.Sub(now); ahead > s.Tolerance {
		return fmt.Errorf("%w: signed for %s from now, and %s are allowed", ErrTooNew, ahead.Truncate(time.Second), s.Tolerance)
	}
	return nil
}
