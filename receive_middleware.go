package alotwebhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

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
	defer buf.free()
	received.SecretIndex = index
	if received.Event, err = r.accept(buf.b, index); err != nil {
		return Received{}, nil, err
	}
	return received, bytes.Clone(buf.b), nil
}
