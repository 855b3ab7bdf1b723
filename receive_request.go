package alotwebhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
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
)

var errNotPost = errors.New("alotwebhook: method is not POST")

// ParseRequest returns a request's event once its signature is verified: for a
// handler of your own, where [Receiver] does not fit. Before it reads a byte,
// it refuses by the headers alone what cannot be good: a signature that is
// missing, malformed or doubled, an encoded body, or one said to be longer than
// [DefaultMaxBodyBytes] (put an [http.MaxBytesReader] around r.Body for less).
//
// The errors are those of [Verify] and [ParseEvent], [ErrEncodedBody],
// [ErrBodyTooLarge], or that of reading the body. Nothing in the event aliases
// the body, which is read and gone.
func (v *Verifier) ParseRequest(r *http.Request) (Event, error) {
	e, _, err := v.parseRequest(r, DefaultMaxBodyBytes)
	return e, err
}

func (v *Verifier) parseRequest(r *http.Request, maxBytes int64) (e Event, index int, err error) {
	c, err := v.checkHeader(r, maxBytes)
	if err != nil {
		return Event{}, -1, err
	}
	buf := bodies.Get().(*bodyBuffer)
	defer buf.free()
	if err := buf.read(r.Body, maxBytes); err != nil {
		return Event{}, -1, err
	}
	if index, err = v.match(buf.b, &c); err != nil {
		return Event{}, -1, err
	}
	e, err = ParseEvent(buf.b)
	return e, index, err
}

// checkHeader refuses what the header alone condemns and returns what it claims.
func (v *Verifier) checkHeader(r *http.Request, maxBytes int64) (c claim, err error) {
	if c, err = v.claim(r.Header); err != nil {
		return c, err
	}
	for _, encoding := range r.Header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return c, ErrEncodedBody
		}
	}
	if r.ContentLength > maxBytes {
		return c, tooLarge(&http.MaxBytesError{Limit: maxBytes})
	}
	return c, nil
}

func tooLarge(err *http.MaxBytesError) error {
	return fmt.Errorf("%w: more than %d bytes: %w", ErrBodyTooLarge, err.Limit, err)
}

// bodyBuffer holds a body while it is verified and parsed.
type bodyBuffer struct{ b []byte }

// A buffer starts small and grows with what really comes, never by what
// Content-Length promises: many slow clients cost little. One that grew past
// the largest usual payload does not stay in the pool.
const (
	bodyBufferSize    = 4 << 10
	maxPooledBodySize = 512 << 10
)

var bodies = sync.Pool{New: func() any {
	return &bodyBuffer{b: make([]byte, 0, bodyBufferSize)}
}}

func (buf *bodyBuffer) free() {
	if cap(buf.b) <= maxPooledBodySize {
		buf.b = buf.b[:0]
		bodies.Put(buf)
	}
}

// read takes the whole body: never a part of it, which would pass for forged.
func (buf *bodyBuffer) read(body io.Reader, maxBytes int64) error {
	if body == nil {
		return nil
	}
	for {
		if len(buf.b) == cap(buf.b) {
			buf.b = slices.Grow(buf.b, cap(buf.b))
		}
		n, err := body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if int64(len(buf.b)) > maxBytes {
			return tooLarge(&http.MaxBytesError{Limit: maxBytes})
		}
		if err == io.EOF {
			return nil
		}
		if limit := (*http.MaxBytesError)(nil); errors.As(err, &limit) {
			return tooLarge(limit)
		}
		if err != nil {
			return fmt.Errorf("alotwebhook: cannot read the body: %w", err)
		}
	}
}
