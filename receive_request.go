package alotwebhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/alot/alotwebhook/internal/bodybuf"
)

// DefaultMaxBodyBytes is how large a body a receiver takes, in bytes: 1 MiB.
const DefaultMaxBodyBytes = 1 << 20

// Why a request is refused, besides its signature.
var (
	// ErrBodyTooLarge: the body is larger than the receiver takes. It wraps an
	// [*http.MaxBytesError] that tells the limit.
	ErrBodyTooLarge = bodybuf.ErrTooLarge
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
	ErrBodyMemory = bodybuf.ErrMemory
	// ErrBodyTimeout: the body took longer than [ReceiverConfig.BodyTimeout] or
	// the server's ReadTimeout.
	ErrBodyTimeout = bodybuf.ErrTimeout
)

var (
	errNotPost    = errors.New("alotwebhook: method is not POST")
	errUnreadable = bodybuf.ErrUnreadable
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
	defer buf.Free()
	return ParseEvent(buf.Bytes())
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
func (v *Verifier) openRequest(r *http.Request, maxBytes int64, budget *bodybuf.Budget) (buf *bodybuf.Buffer, index int, err error) {
	c, err := v.checkHeader(r.Header, r.ContentLength, maxBytes)
	if err != nil {
		return nil, -1, err
	}
	if buf, err = bodybuf.Read(r.Body, maxBytes, budget); err != nil {
		return nil, -1, err
	}
	if index, err = v.match(buf.Bytes(), &c); err != nil {
		buf.Free()
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
		return c, bodybuf.TooLarge(maxBytes)
	}
	return c, nil
}

// Received is a verified request, as [Receiver.Middleware] hands it on.
type Received struct {
	// Event is parsed strictly, and aliases nothing.
	Event Event
	// SecretIndex is the place, in [NewVerifier], of the secret that signed it.
	SecretIndex int
}

type receivedKey struct{}

// FromContext returns what [Receiver.Middleware] verified; ok is false where it
// does not stand in front.
func FromContext(ctx context.Context) (received Received, ok bool) {
	received, ok = ctx.Value(receivedKey{}).(Received)
	return received, ok
}

// Middleware puts the receiver's checks before a handler of your own: next is
// called for requests that are verified, and only for those, with the same bytes
// in r.Body again and the event in [FromContext]. Everything else is answered as
// [Receiver] does, reported to OnError and logged. It has the form that routers
// take:
//
//	mux.Handle("POST /alot/webhook", receiver.Middleware(next))       // net/http
//	router.With(receiver.Middleware).Post("/alot/webhook", next)      // chi
//	e.POST("/alot/webhook", next, echo.WrapMiddleware(receiver.Middleware))
//
// The answer is next's alone: handlers added by [On], Unknown and Deduper are
// not used. [Once] keeps next from doing twice what it does, and [StatusCode]
// gives its errors their status.
//
// It must stand before anything that reads, decodes or rewrites the body.
func (r *Receiver) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		received, body, err := r.receive(w, req)
		if err != nil {
			r.fail(w, req, Event{}, refusal(err))
			return
		}
		if r.handler(received.Event.Type) != nil {
			r.warnOnce(req.Context(), received.Event, msgHandlerUnused)
		}
		verified := req.WithContext(context.WithValue(req.Context(), receivedKey{}, received))
		verified.Body = io.NopCloser(bytes.NewReader(body))
		verified.ContentLength = int64(len(body))
		verified.TransferEncoding = nil
		next.ServeHTTP(w, verified)
	})
}

// receive returns a request's event and a copy of its body, which next may keep.
func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) (received Received, body []byte, err error) {
	buf, index, err := r.read(w, req)
	if err != nil {
		return Received{}, nil, err
	}
	defer buf.Free()
	received.SecretIndex = index
	if received.Event, err = r.accept(buf.Bytes(), index); err != nil {
		return Received{}, nil, err
	}
	return received, bytes.Clone(buf.Bytes()), nil
}
