package alotwebhook

import (
	"errors"
	"net/http"
	"strings"
)

// DefaultMaxBodyBytes is how large a body a receiver takes, in bytes: 1 MiB.
const DefaultMaxBodyBytes = 1 << 20

// Why a request is refused, besides its signature.
var (
	// ErrBodyTooLarge: the body is larger than the receiver takes. It wraps an
	// [*http.MaxBytesError] that tells the limit.
	ErrBodyTooLarge = errors.New("alotwebhook: body too large")
	// ErrEncodedBody: the request has a Content-Encoding other than identity,
	// while signatures are over the plain bytes.
	ErrEncodedBody = errors.New("alotwebhook: body is encoded: it has a Content-Encoding")
	// ErrWrongOrganization: the event is not of [ReceiverConfig.OrganizationID].
	ErrWrongOrganization = errors.New("alotwebhook: event of another organization")
	// ErrTooOld: the event happened longer ago than [ReceiverConfig.MaxAge].
	ErrTooOld = errors.New("alotwebhook: event too old")
	// ErrTooNew: the event lies further in the future than [ReceiverConfig.MaxAge].
	ErrTooNew = errors.New("alotwebhook: event from the future")
	// ErrBodyMemory: the bodies of all requests at once would take more memory than
	// [ReceiverConfig.MaxBodyMemory].
	ErrBodyMemory = errors.New("alotwebhook: too many large bodies at once")
	// ErrBodyTimeout: the body took longer than [ReceiverConfig.BodyTimeout] or
	// the server's ReadTimeout.
	ErrBodyTimeout = errors.New("alotwebhook: body did not arrive in time")
)

var (
	errNotPost    = errors.New("alotwebhook: method is not POST")
	errUnreadable = errors.New("alotwebhook: cannot read the body")
)

// ParseRequest returns a request's event once its signature is verified: for a
// handler of your own, where neither [Receiver] nor [Receiver.Middleware] fits.
// Before it reads a byte, it refuses by the headers alone what cannot be good: a
// signature that is missing, malformed or doubled, an encoded body, or one said
// to be longer than [DefaultMaxBodyBytes] (put an [http.MaxBytesReader] around
// r.Body for less). It has no ResponseWriter to limit the time with: set the
// server's ReadTimeout.
//
// The errors are those of [Verify] and [ParseEvent], [ErrEncodedBody],
// [ErrBodyTooLarge], [ErrBodyMemory] past [DefaultMaxBodyMemory],
// [ErrBodyTimeout], or that of reading the body; [StatusCode] says how to answer
// them. Nothing in the event aliases the body, which is read and gone.
func (v *Verifier) ParseRequest(r *http.Request) (Event, error) {
	if !v.ready() {
		return Event{}, ErrNoSecret
	}
	buf, _, err := v.openRequest(r, DefaultMaxBodyBytes, v.memory)
	if err != nil {
		return Event{}, err
	}
	defer buf.free()
	return ParseEvent(buf.b)
}

// ParseBody is [Verifier.ParseRequest] apart from HTTP: for what comes out of a
// queue or a function service, with the headers that the sender sent. Make h
// with [http.Header.Add], which takes names in any case, and decode a body that
// was handed on as base64 first: signatures are over the bytes as sent.
func (v *Verifier) ParseBody(body []byte, h http.Header) (Event, error) {
	if _, err := v.openBody(body, h, DefaultMaxBodyBytes); err != nil {
		return Event{}, err
	}
	return ParseEvent(body)
}

// openRequest reads a body and verifies it. The caller frees the buffer, if
// there is no error.
func (v *Verifier) openRequest(r *http.Request, maxBytes int64, budget *bodyBudget) (buf *bodyBuffer, index int, err error) {
	c, err := v.checkHeader(r.Header, r.ContentLength, maxBytes)
	if err != nil {
		return nil, -1, err
	}
	if buf, err = readBody(r.Body, maxBytes, budget); err != nil {
		return nil, -1, err
	}
	if index, err = v.match(buf.b, &c); err != nil {
		buf.free()
		return nil, -1, err
	}
	return buf, index, nil
}

// openBody verifies a body that was read already.
func (v *Verifier) openBody(body []byte, h http.Header, maxBytes int64) (index int, err error) {
	c, err := v.checkHeader(h, int64(len(body)), maxBytes)
	if err != nil {
		return -1, err
	}
	return v.match(body, &c)
}

// checkHeader refuses what the header alone condemns and returns what it claims.
func (v *Verifier) checkHeader(h http.Header, length, maxBytes int64) (c claim, err error) {
	if c, err = v.claim(h); err != nil {
		return c, err
	}
	for _, encoding := range h["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return c, ErrEncodedBody
		}
	}
	if length > maxBytes {
		return c, tooLarge(&http.MaxBytesError{Limit: maxBytes})
	}
	return c, nil
}
