package alotwebhook

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/alot/alotwebhook/internal/bodybuf"
	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/named"
	"github.com/alot/alotwebhook/internal/proof"
	"github.com/alot/alotwebhook/internal/refusal"
)

// ReceiverConfig configures a [Receiver]. A nil *ReceiverConfig stands for the
// defaults. NewReceiver copies it.
type ReceiverConfig struct {
	// MaxBodyBytes is the largest request body, in bytes; a larger one gets the status 413. If it is
	// below what the sender may send (256 KiB at its defaults), good events are lost. Zero or less
	// stands for the default. Defaults to [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// OrganizationID refuses an event of any other organization with 403. It is for receivers that
	// gave several organizations the same secret. Defaults to "", any organization.
	OrganizationID string

	// MaxAge refuses with 400 an event that happened longer ago than this, or that lies further in
	// the future. An event keeps its timestamp over all retries and redeliveries. A MaxAge below the
	// time over which the sender retries (a quarter of an hour at its defaults, up to 90 hours with
	// [StandardSchedule]), or below the longest outage that you want to recover from, therefore
	// loses good events. It does not replace a Deduper. Zero or less disables the check. Defaults to
	// disabled.
	MaxAge time.Duration

	// MaxBodyMemory bounds the memory for all bodies above 4 KiB that are read at the same time, in
	// bytes. If there is no room for a body, the one that is furthest behind a pace of 256 KiB a
	// second makes room and gets 503. So clients that send large bodies slowly keep no others out.
	// Smaller bodies, as nearly all are, are not counted: they cost no more than their connections
	// do. NewReceiver raises it to at least 8 × MaxBodyBytes. Zero or less stands for the default.
	// Defaults to [DefaultMaxBodyMemory].
	MaxBodyMemory int64

	// BodyTimeout is how long a body may take to arrive; after that the request gets 408. It
	// replaces the server's ReadTimeout for the body, but not its ReadHeaderTimeout: set that on the
	// server. If the ResponseWriter does not support deadlines, only the server's timeouts apply,
	// and Logger gets one line: behind [http.TimeoutHandler], the adaptors of fasthttp and fiber,
	// those for AWS Lambda, and other wrappers without an Unwrap method. A negative value disables
	// it. Defaults to 15 s, after which the sender gives up.
	BodyTimeout time.Duration

	// Deduper prevents an event from being handled again, for as long as it remembers the event. The
	// one in memory serves a single process and forgets everything when that ends; package dedupe
	// also has one for your database. The Deduper is not asked about events without a handler.
	// Middleware does not use it: see [Once]. Defaults to nil: handlers must expect the same event
	// id again.
	Deduper Deduper

	// Name separates the events of this receiver from those of other receivers
	// that share the Deduper and handle the same events for another purpose. It
	// must not change over restarts. Defaults to "".
	Name string

	// Lease is how long a handler may take if there is a Deduper: its context ends then. After a
	// crash, the event can be handled again once the lease has run out. With a lease above 24 s,
	// when the sender makes its next attempt at its defaults, a crash costs an attempt. Zero or less
	// stands for the default. Defaults to [DefaultLease], 20 s.
	Lease time.Duration

	// Unknown is called for an event whose type has no handler. Its error has the same effect as a
	// handler's. Without Unknown the status is 204, because an error would only make the sender
	// repeat an event that nobody here waits for, and Logger gets a warning. If you leave types
	// without a handler on purpose, set Unknown to a function that returns nil. With a Deduper,
	// their events are then claimed like others. Defaults to nil.
	Unknown func(ctx context.Context, e Event) error

	// Tests is called for an event with [TestHeader], in place of its type's handler, and its error
	// has the same effect: a function that returns nil has tests answered with 200 and does
	// nothing else. Middleware does not use it: see [Event.Test].
	// Defaults to nil: tests are handled as all events are, and so they test the whole way.
	Tests func(ctx context.Context, e Event) error

	// OnMatch is called for every verified request with the index, among the arguments of
	// [NewVerifier], of the secret that signed it. Count the indexes to see when an old secret is no
	// longer in use. Several goroutines call it at once. Defaults to nil.
	OnMatch func(secretIndex int)

	// OnError is called for every request that was not handled, or that was handled but could not be
	// marked as such ([ErrNotMarked], status 200). It is for metrics and error reports, and is
	// called before the response with status is written. The event is zero if the request was
	// refused before its event could be trusted. The error may quote anything that a handler put
	// into it. The body of r has been read already. Several goroutines call OnError at once.
	// Defaults to nil.
	OnError func(r *http.Request, e Event, status int, err error)

	// Logger gets one line for each request that was not handled: status, one stable word for the
	// cause, event id and type, and the text of the error. This package puts no secret, payload or
	// header into that text; the errors of your handlers and the values of their panics are logged
	// as they are. If OnError is set, it gets these, and lines about an event have no text. Each
	// cause that needs no signed event, which is what strangers can bring about, has ten lines a
	// minute; the next line says how many more there were.
	//
	// It also gets one warning for each event type that arrives and has no handler, with the types
	// that have one. Otherwise a typo in [On] would lose events in silence: the sender gets 204 and
	// counts them as delivered. A Receiver logs at most 64 such types. Defaults to [slog.Default];
	// slog.New(slog.DiscardHandler) turns it off.
	Logger *slog.Logger
}

// Receiver is an [http.Handler] for an endpoint. It verifies a request, parses its
// event strictly, asks its [Deduper] whether the event was handled before, and
// calls the handler that [On] registered for the event's type. These are the
// statuses of its responses:
//
//	200  the handler returned nil, now or when the event came before; or a challenge is answered
//	202  the handler returned Permanent: received, not acted upon, not to be repeated
//	204  no handler is registered for the type
//	400  signed, but not an event, or data that does not fit the handler's type, or MaxAge
//	401  not signed, not with one of the secrets, or not within the tolerance of
//	     [Verifier.AcceptStandard]; the text is always the same
//	403  an event of another organization
//	405  not a POST
//	408  a body that took longer than BodyTimeout
//	409  the event is being handled at this moment: repeat it later
//	413  a body over MaxBodyBytes
//	415  an encoded body: signatures are over the plain bytes
//	500  the handler failed or panicked, or there is no Verifier
//	503  the handler returned RetryAfter, the Deduper failed, or MaxBodyMemory is in use
//
// The sender repeats a delivery whose status is not 2xx, and marks it as failed
// after its last attempt. A 503 also makes it send fewer requests at once; a 409
// concerns one delivery alone. The response never says more than the status. A
// request whose headers are wrong is refused before its body is read.
//
// Delivery is at least once: without a Deduper, a handler must expect the same
// event id again. With one, a handler takes effect exactly once if it commits its
// work and the completion of [ClaimFromContext] in one transaction.
//
// [Receiver.Middleware] makes the same checks in front of a handler of your own,
// and [Receiver.Receive] is for events that do not come by HTTP.
type Receiver struct {
	verifier *Verifier
	config   ReceiverConfig
	memory   *bodybuf.Budget

	handlers named.Things[eventHandler]
	log      refusal.Log
}

type eventHandler func(ctx context.Context, e Event) error

const defaultBodyTimeout = 15 * time.Second

// DefaultMaxBodyMemory is the default of [ReceiverConfig.MaxBodyMemory] in bytes:
// 64 MiB.
const DefaultMaxBodyMemory = 64 << 20

// NewReceiver returns a receiver without handlers; add them with [On]. If the
// Verifier is nil or zero, every request gets 500 and is logged as an error: no
// event is ever handled unverified.
func NewReceiver(v *Verifier, cfg *ReceiverConfig) *Receiver {
	r := &Receiver{verifier: v}
	if cfg != nil {
		r.config = *cfg
	}
	r.config.MaxBodyBytes = cmp.Or(max(r.config.MaxBodyBytes, 0), DefaultMaxBodyBytes)
	r.config.BodyTimeout = cmp.Or(r.config.BodyTimeout, defaultBodyTimeout)
	r.config.MaxBodyMemory = cmp.Or(max(r.config.MaxBodyMemory, 0), DefaultMaxBodyMemory)
	if m := r.config.MaxBodyBytes; m < math.MaxInt64/8 { // the largest body must always find room
		r.config.MaxBodyMemory = max(r.config.MaxBodyMemory, 8*m)
	}
	r.memory = bodybuf.NewBudget(r.config.MaxBodyMemory)
	r.log.Logger, r.log.NoText = r.config.Logger, r.config.OnError != nil
	return r
}

// On registers the handler fn for an event type. The argument data is the event's
// data, decoded as by [DecodeData]. T is one of the published types, such as
// [CandidateCompleted], or a type of your own, or [json.RawMessage]. An event whose
// data does not fit T gets 400, and fn is not called.
//
// The error of fn decides the status: 200 for nil, 202 for [Permanent], 503 for
// [RetryAfter], 500 for any other error and for a panic. The context of fn ends
// when the sender hangs up, after 15 seconds at its defaults, or when the lease of
// the Deduper runs out: queue longer work, and do it outside of the handler.
//
// [Receiver.ServeHTTP] and [Receiver.Receive] call the handlers;
// [Receiver.Middleware] does not.
//
// Like [http.ServeMux.Handle], On panics if the type has a handler already, if
// eventType is not a valid name (see [EventType]), or if r or fn is nil.
func On[T any](r *Receiver, eventType string, fn func(ctx context.Context, e Event, data T) error) {
	if fn == nil {
		panic("alotwebhook: nil handler for " + eventType)
	}
	r.register(eventType, func(ctx context.Context, e Event) error {
		data, err := DecodeData[T](e)
		if err != nil {
			return &refusal.Error{Status: http.StatusBadRequest, Cause: refusal.Malformed, Err: err}
		}
		return fn(ctx, e, data)
	})
}

// register adds a handler, or panics as [On] says.
func (r *Receiver) register(eventType string, h eventHandler) {
	if r == nil {
		panic("alotwebhook: On needs a receiver; make it with NewReceiver")
	}
	if problem := eventtype.Problem(eventType); problem != "" {
		panic("alotwebhook: event type " + problem)
	}
	if !r.handlers.Add(eventType, h) {
		panic("alotwebhook: several handlers for " + eventType)
	}
}

// ServeHTTP implements [http.Handler]; see [Receiver] for the statuses.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e, index, err := r.open(w, req)
	if err != nil {
		r.fail(w, req, Event{}, requestErrors.OfRequest(err))
		return
	}
	if r.proved(w, e, index) {
		return
	}
	status, err := r.handle(req.Context(), e)
	if err != nil {
		r.fail(w, req, e, refusal.Carried(err))
		return
	}
	w.WriteHeader(status)
}

// Receive does the work of [Receiver.ServeHTTP] for an event that does not come by
// HTTP but, for example, out of a queue or a cloud function. It takes the body and
// the headers as the sender sent them; [Verifier.ParseBody] says how to make both.
//
// It returns nil after success and when there was no handler. [StatusCode] returns
// the status with which ServeHTTP would have responded to an error. If that is 2xx,
// do not try again. Errors are logged, but not passed to OnError, because there is
// no request. A challenge ([Prove]) gets no answer.
func (r *Receiver) Receive(ctx context.Context, body []byte, h http.Header) error {
	h, index, err := r.verifier.secrets().Verify(body, h, r.config.MaxBodyBytes)
	var e Event
	if err == nil {
		e, err = r.accept(body, h, index)
	}
	if err != nil {
		return r.log.Refused(ctx, "", "", requestErrors.OfRequest(err))
	}
	return r.Handle(ctx, e)
}

// Handle is [Receiver.Receive] for an event that you have asked the sender for, as package
// webhookclient does: there is nothing to verify, whatever its age and organization.
func (r *Receiver) Handle(ctx context.Context, e Event) error {
	if _, err := r.handle(ctx, e); err != nil {
		return r.log.Refused(ctx, e.ID, e.Type, refusal.Carried(err))
	}
	return nil
}

// open returns the event of a request that passed every check.
func (r *Receiver) open(w http.ResponseWriter, req *http.Request) (e Event, index int, err error) {
	buf, index, err := r.read(w, req)
	if err != nil {
		return Event{}, -1, err
	}
	defer buf.Free()
	e, err = r.accept(buf.Bytes(), req.Header, index)
	return e, index, err
}

// proved answers an event that is a challenge: see [Prove].
func (r *Receiver) proved(w http.ResponseWriter, e Event, index int) bool {
	answer := r.verifier.secrets().Answer(index, e.Type, e.Data)
	if answer != nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // the sender may have hung up
	}
	return answer != nil
}

// Prove returns the body of the 200 response to an event by which a sender asks for proof that the receiver
// has the secret: see [Config.ProveURLs]. It returns nil for every other event. A [Receiver] and its
// Middleware answer by themselves; after [Verifier.ParseRequest], call Prove with the endpoint's secret.
func Prove(e Event, secret Secret) []byte { return proof.Answer(e.Type, e.Data, string(secret)) }

// read returns the verified body of a request, and the index of its secret. The
// caller frees the buffer.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request) (buf *bodybuf.Buffer, index int, err error) {
	if req.Method != http.MethodPost {
		return nil, -1, errNotPost
	}
	if r.config.BodyTimeout > 0 {
		r.log.Deadline(req.Context(), w, bodybuf.SetDeadline(w, r.config.BodyTimeout))
	}
	return r.verifier.secrets().Read(req, r.config.MaxBodyBytes, r.memory)
}

// accept parses a verified body and checks the event's organization and age.
func (r *Receiver) accept(body []byte, header http.Header, index int) (Event, error) {
	if r.config.OnMatch != nil {
		r.log.Call("ReceiverConfig.OnMatch", func() { r.config.OnMatch(index) })
	}
	e, err := parseSent(body, header)
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

// handle runs the handler of the event's type, or Unknown, through the Deduper if
// there is one. The status is that of a nil error.
func (r *Receiver) handle(ctx context.Context, e Event) (status int, err error) {
	h, status := r.handlers.Get(e.Type), http.StatusOK
	if e.Test && r.config.Tests != nil {
		h = r.config.Tests
	} else if h == nil {
		h, status = r.config.Unknown, http.StatusNoContent
	}
	if h == nil {
		r.log.Unhandled(ctx, e.ID, e.Type, "alotwebhook: no handler for this event type", r.handlers.Names)
		return status, nil
	}
	return status, Once(ctx, r.config.Deduper, r.key(e), r.config.Lease, func(ctx context.Context) error {
		return caught.Handle(func() error { return h(ctx, e) })
	})
}

// key returns the Deduper's key for an event.
func (r *Receiver) key(e Event) string {
	if r.config.Name == "" {
		return e.ID
	}
	return r.config.Name + "/" + e.ID
}
