package alotwebhook

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/alot/alotwebhook/internal/bodybuf"
	"github.com/alot/alotwebhook/internal/claim"
)

// DefaultMaxBodyBytes is the default of [ReceiverConfig.MaxBodyBytes] in bytes:
// 1 MiB.
const DefaultMaxBodyBytes = 1 << 20

// These errors refuse a request for a reason other than its signature.
var (
	// ErrBodyTooLarge means that the body is larger than the receiver accepts.
	// It wraps an [*http.MaxBytesError] that has the limit.
	ErrBodyTooLarge = bodybuf.ErrTooLarge
	// ErrEncodedBody means that the request has a Content-Encoding other than
	// identity. Signatures are over the plain bytes.
	ErrEncodedBody = claim.ErrIsEncoded
	// ErrWrongOrganization means that the event does not belong to
	// [ReceiverConfig.OrganizationID].
	ErrWrongOrganization = errors.New("alotwebhook: event of another organization")
	// ErrTooOld means that the event happened longer ago than
	// [ReceiverConfig.MaxAge].
	ErrTooOld = errors.New("alotwebhook: event too old")
	// ErrTooNew means that the event lies further in the future than
	// [ReceiverConfig.MaxAge].
	ErrTooNew = errors.New("alotwebhook: event from the future")
	// ErrBodyMemory means that the bodies that are being read would together
	// take more memory than [ReceiverConfig.MaxBodyMemory], and that no other
	// arrives more slowly than this one.
	ErrBodyMemory = bodybuf.ErrMemory
	// ErrBodyTimeout means that the body took longer than
	// [ReceiverConfig.BodyTimeout] or the server's ReadTimeout.
	ErrBodyTimeout = bodybuf.ErrTimeout
)

var (
	errNotPost    = errors.New("alotwebhook: method is not POST")
	errUnreadable = bodybuf.ErrUnreadable
)

// ParseRequest verifies a request and returns its event. It is for a handler of
// your own, if neither [Receiver] nor [Receiver.Middleware] fits.
//
// It refuses a request before it reads any of the body if the headers are enough to
// do so: the signature is missing, malformed or there twice, the body is encoded, or
// the Content-Length is above [DefaultMaxBodyBytes]. For a lower limit, put an
// [http.MaxBytesReader] around r.Body. ParseRequest cannot limit the time for the
// body, because it has no ResponseWriter: set the server's ReadTimeout.
//
// It returns the errors of [Verify] and [ParseEvent], [ErrEncodedBody],
// [ErrBodyTooLarge], [ErrBodyTimeout], or [ErrBodyMemory] if the bodies read by this
// verifier take more than [DefaultMaxBodyMemory]; or an error that wraps the one of
// reading the body. [StatusCode] returns the status for each. The body is consumed.
// The event shares no memory with it.
func (v *Verifier) ParseRequest(r *http.Request) (Event, error) {
	keys := v.secrets()
	if keys == nil {
		return Event{}, ErrNoSecret
	}
	buf, _, err := keys.Read(r, DefaultMaxBodyBytes, v.memory)
	if err != nil {
		return Event{}, err
	}
	defer buf.Free()
	return parseSent(buf.Bytes(), r.Header)
}

// parseSent parses a verified body, and fills in what the headers say of it.
func parseSent(body []byte, h http.Header) (Event, error) {
	e, err := ParseEvent(body)
	e.Test = err == nil && h.Get(TestHeader) == "true"
	return e, err
}

// ParseBody is [Verifier.ParseRequest] for an event that does not come by HTTP but, for example, out of a queue
// or a cloud function, with the headers that the sender sent: names in any case, each value once. If the body
// was passed on as base64, decode it first: the signature is over the bytes as sent.
func (v *Verifier) ParseBody(body []byte, h http.Header) (Event, error) {
	h, _, err := v.secrets().Verify(body, h, DefaultMaxBodyBytes)
	if err != nil {
		return Event{}, err
	}
	return parseSent(body, h)
}

// Received is a verified request, as [Receiver.Middleware] passes it to the next
// handler.
type Received struct {
	// Event was parsed strictly. It shares no memory with the body.
	Event Event
	// SecretIndex is the index, among the arguments of [NewVerifier], of the
	// secret that signed the request.
	SecretIndex int
}

type receivedKey struct{}

// FromContext returns the request that [Receiver.Middleware] verified; ok is false
// if the request did not pass through it.
func FromContext(ctx context.Context) (received Received, ok bool) {
	received, ok = ctx.Value(receivedKey{}).(Received)
	return received, ok
}

// Middleware makes the receiver's checks in front of a handler of your own. It calls
// next for verified requests only. In next, r.Body has the same bytes again, and
// [FromContext] has the event. Every other request gets the response that
// [Receiver] describes, is logged and is passed to OnError. Middleware has the
// signature that routers expect:
//
//	mux.Handle("POST /alot/webhook", receiver.Middleware(next))       // net/http
//	router.With(receiver.Middleware).Post("/alot/webhook", next)      // chi
//	e.POST("/alot/webhook", next, echo.WrapMiddleware(receiver.Middleware))
//
// The response is up to next alone: Middleware does not use the handlers of [On],
// nor Unknown, nor Deduper. If an event arrives for which On has registered a
// handler, the Logger gets a warning, once for each type. Use [Once] in next so that
// it does not do its work twice, and [StatusCode] for the status of its errors.
//
// Middleware must come before anything that reads, decodes or rewrites the body.
func (r *Receiver) Middleware(next http.Handler) http.Handler {
	if next == nil {
		panic("alotwebhook: Middleware needs a next handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		received, body, err := r.receive(w, req)
		if err != nil {
			r.fail(w, req, Event{}, requestErrors.OfRequest(err))
			return
		}
		if r.proved(w, received.Event, received.SecretIndex) {
			return
		}
		if r.handlers.Get(received.Event.Type) != nil {
			r.log.Unhandled(req.Context(), received.Event.ID, received.Event.Type, "alotwebhook: Middleware does not call the handler of this event type", r.handlers.Names)
		}
		verified := req.WithContext(context.WithValue(req.Context(), receivedKey{}, received))
		verified.Body = io.NopCloser(bytes.NewReader(body))
		verified.ContentLength = int64(len(body))
		verified.TransferEncoding = nil
		next.ServeHTTP(w, verified)
	})
}

// receive returns a request's event and a copy of its body. The copy belongs to the
// next handler, which may keep it.
func (r *Receiver) receive(w http.ResponseWriter, req *http.Request) (received Received, body []byte, err error) {
	buf, index, err := r.read(w, req)
	if err != nil {
		return Received{}, nil, err
	}
	defer buf.Free()
	received.SecretIndex = index
	if received.Event, err = r.accept(buf.Bytes(), req.Header, index); err != nil {
		return Received{}, nil, err
	}
	return received, bytes.Clone(buf.Bytes()), nil
}
