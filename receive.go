package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
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
	// whole retry horizon, and than the outages you want to recover from,
	// loses good events. It is no replacement for ignoring event ids that were
	// handled before. Zero or less: off. Defaults to off.
	MaxAge time.Duration

	// Unknown is called for types that have no handler; it answers as a handler
	// does. Without it they are answered with 204: an error would only make the
	// sender repeat what nobody here is waiting for. Defaults to nil.
	Unknown func(ctx context.Context, e Event) error

	// OnMatch is called with the place of the secret, in [NewVerifier], that
	// verified a request: how to see that an old one is no longer used.
	// Several goroutines call it at once. Defaults to nil.
	OnMatch func(secretIndex int)

	// OnError is called for every request that was not handled, before it is
	// answered with status: for metrics and error reports. The event is zero if
	// none could be trusted. The error may quote what a handler put into it;
	// the request's body is read already. Several goroutines call it at once.
	// Defaults to nil.
	OnError func(r *http.Request, e Event, status int, err error)

	// Logger gets one line for every request that was not handled: event id and
	// type, status and one stable word for the cause. Never an error's text,
	// the payload or a header, which OnError has. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Receiver is an [http.Handler] for an endpoint: it verifies a request, parses
// its event strictly and calls the handler that [On] registered for the type.
// It answers
//
//	200  the handler returned nil
//	202  the handler returned Permanent: received, not acted upon, not to be repeated
//	204  there is no handler for the type
//	400  signed, but not an event, data that does not fit the handler's type, or MaxAge
//	401  not signed, not with one of the secrets, or not within the tolerance of
//	     [Verifier.AcceptStandard]; always the same text
//	403  an event of another organization
//	405  not a POST
//	413  a body over MaxBodyBytes
//	415  an encoded body: signatures are over the plain bytes
//	500  the handler failed or panicked, or there is no Verifier
//	503  the handler returned RetryAfter
//
// The sender repeats whatever is not 2xx, and ends a delivery as failed after
// its last attempt. The caller never learns more than the status. What can be
// refused by the headers alone is refused before a byte of the body is read.
//
// Delivery is at least once: a handler must expect an event id again.
type Receiver struct {
	verifier *Verifier
	config   ReceiverConfig

	mu       sync.RWMutex
	handlers map[string]eventHandler
}

type eventHandler func(ctx context.Context, e Event) error

// NewReceiver returns a receiver without handlers; [On] adds them. With a nil
// or zero Verifier, every request is answered with 500 and an error is logged:
// nothing is ever handled unverified.
func NewReceiver(v *Verifier, cfg *ReceiverConfig) *Receiver {
	r := &Receiver{verifier: v, handlers: make(map[string]eventHandler)}
	if cfg != nil {
		r.config = *cfg
	}
	if r.config.MaxBodyBytes <= 0 {
		r.config.MaxBodyBytes = DefaultMaxBodyBytes
	}
	return r
}

// On registers fn for an event type; data is the event's own, decoded as by
// [DecodeData]. T may be one of the published types, such as
// [CandidateCompleted], one of your own or [json.RawMessage]; data that does
// not fit is answered with 400.
//
// The handler's error decides the answer: nil is 200, [Permanent] 202,
// [RetryAfter] 503, anything else and a panic 500. Its context ends when the
// sender hangs up, after 15 seconds at its defaults: take longer work elsewhere.
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
	e, err := r.admit(req)
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

// admit returns the event of a request that may be handled.
func (r *Receiver) admit(req *http.Request) (Event, error) {
	if req.Method != http.MethodPost {
		return Event{}, errNotPost
	}
	e, index, err := r.verifier.parseRequest(req, r.config.MaxBodyBytes)
	if err != nil {
		return Event{}, err
	}
	if r.config.OnMatch != nil {
		r.config.OnMatch(index)
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

// handle runs the handler of the event's type and turns its panic into an error.
func (r *Receiver) handle(ctx context.Context, e Event) (status int, err error) {
	r.mu.RLock()
	h := r.handlers[e.Type]
	r.mu.RUnlock()
	status = http.StatusOK
	if h == nil {
		h, status = r.config.Unknown, http.StatusNoContent
	}
	if h == nil {
		return status, nil
	}
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler: // asks net/http to cut the connection
			panic(v)
		default:
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return status, h(ctx, e)
}

// fail reports and answers a request that was not handled.
func (r *Receiver) fail(w http.ResponseWriter, req *http.Request, e Event, a *answer) {
	r.log(req.Context(), e, a)
	if r.config.OnError != nil {
		r.config.OnError(req, e, a.status, a.err)
	}
	switch a.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusRequestEntityTooLarge:
		w.Header().Set("Connection", "close") // rather than read the rest of it
	case http.StatusServiceUnavailable:
		if a.after > 0 {
			seconds := (a.after-1)/time.Second + 1
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	}
	http.Error(w, http.StatusText(a.status), a.status)
}

func (r *Receiver) log(ctx context.Context, e Event, a *answer) {
	logger := r.config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	level := slog.LevelWarn
	if a.status >= 500 || a.cause == causePermanent {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.Int("status", a.status), slog.String("cause", a.cause)}
	if e.ID != "" {
		attrs = append(attrs, slog.String("event", e.ID), slog.String("type", e.Type))
	}
	var p *panicError
	if errors.As(a.err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	logger.LogAttrs(ctx, level, "alotwebhook: event not handled", attrs...)
}

// panicError is a handler's panic. Its stack holds no values, so it may be logged.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("alotwebhook: handler panicked: %v", p.value) }

func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}
