package alotwebhook

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/bodybuf"
)

// ReceiverConfig is what a [Receiver] can be told; nil works. NewReceiver
// copies it.
type ReceiverConfig struct {
	// MaxBodyBytes bounds a request's body, in bytes; a larger one is answered
	// with 413. Below what the sender may send (256 KiB at its defaults), good
	// events are lost. Zero or less: default. Defaults to [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// OrganizationID refuses events of any other organization with 403: for
	// who gave several organizations the same secret. Defaults to "", any.
	OrganizationID string

	// MaxAge refuses with 400 an event that happened longer ago, or that lies
	// further in the future, than this. An event keeps its timestamp over all
	// its retries and redeliveries, so anything shorter than the sender's
	// whole retry horizon (a quarter of an hour at its defaults, 90 hours with
	// [StandardSchedule] at its longest), and than the outages you want to
	// recover from, loses good events. It is no replacement for a Deduper.
	// Zero or less: off. Defaults to off.
	MaxAge time.Duration

	// MaxBodyMemory bounds, in bytes, the memory of all bodies at once that are
	// larger than 4 KiB; one for which there is no room is answered with 503.
	// Smaller ones, which nearly all are, always have room, so that nobody who
	// sends large bodies slowly keeps them out: they cost no more than their
	// connections do. At least 8 × MaxBodyBytes.
	// Zero or less: default. Defaults to [DefaultMaxBodyMemory].
	MaxBodyMemory int64

	// BodyTimeout is how long a body may take to arrive; then it is answered
	// with 408. It replaces the server's ReadTimeout for the body, not its
	// ReadHeaderTimeout, which a server should have too. Where the
	// ResponseWriter has no deadlines, only the server's own count.
	// Negative: none. Defaults to 15 s, when the sender gives up.
	BodyTimeout time.Duration

	// Deduper keeps an event that was handled from being handled again, for as
	// long as it remembers. One in memory is for a single process and forgets
	// when it ends; package dedupe has one for your database. Events without a
	// handler are not asked about. Middleware does not use it: see [Once].
	// Defaults to nil: handlers must expect an event id again.
	Deduper Deduper

	// Name sets this receiver's events apart in the Deduper from those of
	// others that share it and act on the same events. It must stay the same
	// over restarts. Defaults to "".
	Name string

	// Lease is how long a handler has, with a Deduper: its context ends then,
	// and after a crash the event can be handled again. Longer than the 24 s
	// after which the sender comes again, a crash costs an attempt.
	// Zero or less: default. Defaults to [DefaultLease], 20 s.
	Lease time.Duration

	// Unknown is called for types that have no handler; it answers as a handler
	// does. Without it they are answered with 204: an error would only make the
	// sender repeat what nobody here is waiting for. Defaults to nil.
	Unknown func(ctx context.Context, e Event) error

	// OnMatch is called with the place of the secret, in [NewVerifier], that
	// verified a request: how to see that an old one is no longer used.
	// Several goroutines call it at once. Defaults to nil.
	OnMatch func(secretIndex int)

	// OnError is called for every request that was not handled, or could not be
	// marked as handled ([ErrNotMarked], status 200), before it is answered
	// with status: for metrics and error reports. The event is zero if none
	// could be trusted. The error may quote what a handler put into it; the
	// request's body is read already. Several goroutines call it at once.
	// Defaults to nil.
	OnError func(r *http.Request, e Event, status int, err error)

	// Logger gets one line wherever OnError is called: event id and type,
	// status and one stable word for the cause. Never an error's text, the
	// payload or a header, which OnError has. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Receiver is an [http.Handler] for an endpoint: it verifies a request, parses
// its event strictly, asks its [Deduper] whether it was handled before, and calls
// the handler that [On] registered for the type. It answers
//
//	200  the handler returned nil, now or when the event came before
//	202  the handler returned Permanent: received, not acted upon, not to be repeated
//	204  there is no handler for the type
//	400  signed, but not an event, data that does not fit the handler's type, or MaxAge
//	401  not signed, not with one of the secrets, or not within the tolerance of
//	     [Verifier.AcceptStandard]; always the same text
//	403  an event of another organization
//	405  not a POST
//	408  a body that took longer than BodyTimeout
//	409  the event is being handled already: come again when that is decided
//	413  a body over MaxBodyBytes
//	415  an encoded body: signatures are over the plain bytes
//	500  the handler failed or panicked, or there is no Verifier
//	503  the handler returned RetryAfter, the Deduper failed, or MaxBodyMemory is in use
//
// The sender repeats whatever is not 2xx, and ends a delivery as failed after
// its last attempt; 503 makes it send fewer at once, 409 concerns one delivery
// alone. The caller never learns more than the status. What can be refused by
// the headers alone is refused before a byte of the body is read.
//
// Delivery is at least once: without a Deduper, a handler must expect an event
// id again. With one, a handler that commits its work and [ClaimFromContext] in
// one transaction takes effect once.
//
// [Receiver.Middleware] puts the same checks before a handler of your own, and
// [Receiver.Receive] is for what did not come by HTTP.
type Receiver struct {
	verifier *Verifier
	config   ReceiverConfig
	memory   *bodybuf.Budget

	mu       sync.RWMutex
	handlers map[string]eventHandler
	warned   map[string]struct{} // event types of [Receiver.warnOnce]
}

type eventHandler func(ctx context.Context, e Event) error

const defaultBodyTimeout = 15 * time.Second

// DefaultMaxBodyMemory is how much memory large bodies take at once, in bytes: 64 MiB.
const DefaultMaxBodyMemory = 64 << 20

// NewReceiver returns a receiver without handlers; [On] adds them. With a nil
// or zero Verifier, every request is answered with 500 and an error is logged:
// nothing is ever handled unverified.
func NewReceiver(v *Verifier, cfg *ReceiverConfig) *Receiver {
	r := &Receiver{verifier: v, handlers: make(map[string]eventHandler), warned: make(map[string]struct{})}
	if cfg != nil {
		r.config = *cfg
	}
	if r.config.MaxBodyBytes <= 0 {
		r.config.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if r.config.BodyTimeout == 0 {
		r.config.BodyTimeout = defaultBodyTimeout
	}
	if r.config.MaxBodyMemory <= 0 {
		r.config.MaxBodyMemory = DefaultMaxBodyMemory
	}
	if m := r.config.MaxBodyBytes; m < math.MaxInt64/8 { // room for the largest body, whatever MaxBodyMemory is
		r.config.MaxBodyMemory = max(r.config.MaxBodyMemory, 8*m)
	}
	r.memory = bodybuf.NewBudget(r.config.MaxBodyMemory)
	return r
}

// On registers fn for an event type; data is the event's own, decoded as by
// [DecodeData]. T may be one of the published types, such as
// [CandidateCompleted], one of your own or [json.RawMessage]; data that does
// not fit is answered with 400.
//
// The handler's error decides the answer: nil is 200, [Permanent] 202,
// [RetryAfter] 503, anything else and a panic 500. Its context ends when the
// sender hangs up, after 15 seconds at its defaults, or with the lease of a
// Deduper: take longer work elsewhere.
//
// As [http.ServeMux.Handle], On panics if the type is registered already or is
// not a type's name (see [EventType]), or if fn is nil.
func On[T any](r *Receiver, eventType string, fn func(ctx context.Context, e Event, data T) error) {
	if fn == nil {
		panic("alotwebhook: nil handler for " + eventType)
	}
	r.register(eventType, func(ctx context.Context, e Event) error {
		data, err := DecodeData[T](e)
		if err != nil {
			return &answer{status: http.StatusBadRequest, cause: causeMalformedEvent, err: err}
		}
		return fn(ctx, e, data)
	})
}

func (r *Receiver) register(eventType string, h eventHandler) {
	if problem := eventTypeProblem(eventType); problem != "" {
		panic("alotwebhook: event type " + problem)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.handlers[eventType]; ok {
		panic("alotwebhook: several handlers for " + eventType)
	}
	r.handlers[eventType] = h
}

// ServeHTTP implements [http.Handler].
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e, err := r.open(w, req)
	if err != nil {
		r.fail(w, req, Event{}, refusal(err))
		return
	}
	status, err := r.handle(req.Context(), e)
	if err != nil {
		r.fail(w, req, e, outcome(err))
		return
	}
	w.WriteHeader(status)
}

// Receive is [Receiver.ServeHTTP] apart from HTTP: for what comes out of a queue
// or a cloud function, with the headers that the sender sent (see
// [Verifier.ParseBody] for both). [StatusCode] says how ServeHTTP would have
// answered: nil is success, and for an error whose status is 2xx, trying again
// is of no use. Errors are logged, but not given to OnError, which is for requests.
func (r *Receiver) Receive(ctx context.Context, body []byte, h http.Header) error {
	index, err := r.verifier.openBody(body, h, r.config.MaxBodyBytes)
	var e Event
	if err == nil {
		e, err = r.accept(body, index)
	}
	if err != nil {
		return r.report(ctx, Event{}, refusal(err))
	}
	if _, err := r.handle(ctx, e); err != nil {
		return r.report(ctx, e, outcome(err))
	}
	return nil
}

func (r *Receiver) report(ctx context.Context, e Event, a *answer) error {
	r.log(ctx, e, a)
	return a
}

// open returns the event of a request that may be handled.
func (r *Receiver) open(w http.ResponseWriter, req *http.Request) (Event, error) {
	buf, index, err := r.read(w, req)
	if err != nil {
		return Event{}, err
	}
	defer buf.Free()
	return r.accept(buf.Bytes(), index)
}

// read returns the verified body of a request.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request) (buf *bodybuf.Buffer, index int, err error) {
	if req.Method != http.MethodPost {
		return nil, -1, errNotPost
	}
	if r.config.BodyTimeout > 0 {
		// net/http takes the deadline away at the end of the body, so that it is
		// not the handler's, and keeps it for what a refusal leaves to read.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(r.config.BodyTimeout)) // not every writer has it
	}
	return r.verifier.openRequest(req, r.config.MaxBodyBytes, r.memory)
}

// accept parses a verified body and makes the checks of the event itself.
func (r *Receiver) accept(body []byte, index int) (Event, error) {
	if r.config.OnMatch != nil {
		r.config.OnMatch(index)
	}
	e, err := ParseEvent(body)
	if err != nil {
		return Event{}, err
	}
	if want := r.config.OrganizationID; want != "" && e.OrganizationID != want {
		return Event{}, fmt.Errorf("%w: not of %s", ErrWrongOrganization, want)
	}
	if r.config.MaxAge > 0 {
		switch age := time.Since(e.Timestamp); {
		case age > r.config.MaxAge:
			return Event{}, fmt.Errorf("%w: %s happened %s ago", ErrTooOld, e.ID, age.Truncate(time.Millisecond))
		case age < -r.config.MaxAge:
			return Event{}, fmt.Errorf("%w: %s happens in %s; is the clock right?", ErrTooNew, e.ID, -age.Truncate(time.Millisecond))
		}
	}
	return e, nil
}

// handle runs the handler of the event's type, once if there is a Deduper.
func (r *Receiver) handle(ctx context.Context, e Event) (status int, err error) {
	h, status := r.handler(e.Type), http.StatusOK
	if h == nil {
		h, status = r.config.Unknown, http.StatusNoContent
	}
	if h == nil {
		r.warnOnce(ctx, e, msgNoHandler)
		return status, nil
	}
	return status, Once(ctx, r.config.Deduper, r.key(e), r.config.Lease, func(ctx context.Context) error {
		return call(ctx, h, e)
	})
}

// handler returns the handler that [On] registered for an event type, or nil.
func (r *Receiver) handler(eventType string) eventHandler {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.handlers[eventType]
}

func (r *Receiver) key(e Event) string {
	if r.config.Name == "" {
		return e.ID
	}
	return r.config.Name + "/" + e.ID
}

// call turns a handler's panic into an error.
func call(ctx context.Context, h eventHandler, e Event) (err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler: // asks net/http to cut the connection
			panic(v)
		default:
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return h(ctx, e)
}
