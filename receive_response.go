package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is an error with the status that the sender is told. Its cause is one
// stable word, for logs.
type answer struct {
	status int
	cause  string
	after  time.Duration
	err    error
}

func (a *answer) Error() string { return a.err.Error() }

func (a *answer) Unwrap() error { return a.err }

const (
	causeMalformedEvent = "malformed_event"
	causePermanent      = "permanent"
	causeMethod         = "method"
	causeBodyTooLarge   = "body_too_large"
	causeBodyMemory     = "body_memory"
	causeBodyTimeout    = "body_timeout"
	causeInProgress     = "in_progress"
	causeNotMarked      = "not_marked"
)

// Permanent marks a handler's error as one that trying again cannot mend. It is
// answered with 202, because the sender repeats whatever is not 2xx: the
// sender's history shows a delivery that was received but, by its status, not
// acted upon, while here it is logged and given to [ReceiverConfig.OnError].
// So it is for the event that you give up on. One that you want to receive
// again once a fault of yours is mended must fail with an ordinary error: then
// the delivery ends as failed and can be redelivered.
//
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &answer{status: http.StatusAccepted, cause: causePermanent, err: err}
}

func isPermanent(err error) bool {
	a := (*answer)(nil)
	return errors.As(err, &a) && a.cause == causePermanent
}

// RetryAfter marks a handler's error as one to try again not before d has
// passed. It is answered with 503 and a Retry-After of d in seconds, rounded
// up; without one if d is zero or less. It spares no attempt: the sender
// counts it as any other failure.
//
// RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &answer{status: http.StatusServiceUnavailable, cause: "retry_after", after: d, err: err}
}

// outcome is the answer to a handler's error.
func outcome(err error) *answer {
	if p := (*panicError)(nil); errors.As(err, &p) {
		return &answer{status: http.StatusInternalServerError, cause: "handler_panicked", err: err}
	}
	if a := (*answer)(nil); errors.As(err, &a) {
		return &answer{status: a.status, cause: a.cause, after: a.after, err: err}
	}
	return &answer{status: http.StatusInternalServerError, cause: "handler_failed", err: err}
}

// refusals gives every error that is not a handler's its status and cause.
var refusals = []struct {
	err    error
	status int
	cause  string
}{
	{errNotPost, http.StatusMethodNotAllowed, causeMethod},
	{ErrNoSecret, http.StatusInternalServerError, "no_secret"},
	{ErrNotSigned, http.StatusUnauthorized, "not_signed"},
	{ErrMalformedSignature, http.StatusUnauthorized, "malformed_signature"},
	{ErrSignatureMismatch, http.StatusUnauthorized, "signature_mismatch"},
	{ErrAttemptTooOld, http.StatusUnauthorized, "attempt_too_old"},
	{ErrAttemptTooNew, http.StatusUnauthorized, "attempt_too_new"},
	{ErrEncodedBody, http.StatusUnsupportedMediaType, "encoded_body"},
	{ErrBodyTooLarge, http.StatusRequestEntityTooLarge, causeBodyTooLarge},
	{ErrBodyMemory, http.StatusServiceUnavailable, causeBodyMemory},
	{ErrBodyTimeout, http.StatusRequestTimeout, causeBodyTimeout},
	{errUnreadable, http.StatusBadRequest, "unreadable_body"},
	{ErrMalformedEvent, http.StatusBadRequest, causeMalformedEvent},
	{ErrWrongOrganization, http.StatusForbidden, "wrong_organization"},
	{ErrTooOld, http.StatusBadRequest, "too_old"},
	{ErrTooNew, http.StatusBadRequest, "too_new"},
	{ErrInProgress, http.StatusConflict, causeInProgress},
	{ErrNotMarked, http.StatusOK, causeNotMarked},
}

// refusal is the answer to an error of the request itself.
func refusal(err error) *answer {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &answer{status: r.status, cause: r.cause, err: err}
		}
	}
	return outcome(err)
}

// StatusCode is the status with which a [Receiver] answers an error of
// [Verifier.ParseRequest], [Verifier.ParseBody], [Receiver.Receive], [Once] or a
// handler; 200 for nil. Tell the sender nothing more than that.
func StatusCode(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if a := (*answer)(nil); errors.As(err, &a) {
		return outcome(err).status
	}
	return refusal(err).status
}

// fail reports and answers a request that was not handled.
func (r *Receiver) fail(w http.ResponseWriter, req *http.Request, e Event, a *answer) {
	r.log(req.Context(), e, a)
	if r.config.OnError != nil {
		r.config.OnError(req, e, a.status, a.err)
	}
	switch a.cause {
	case causeMethod:
		w.Header().Set("Allow", http.MethodPost)
	case causeBodyTooLarge, causeBodyMemory, causeBodyTimeout:
		w.Header().Set("Connection", "close") // rather than read the rest of it
	}
	if a.after > 0 {
		seconds := (a.after-1)/time.Second + 1
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	http.Error(w, http.StatusText(a.status), a.status)
}

func (r *Receiver) logger() *slog.Logger {
	if r.config.Logger != nil {
		return r.config.Logger
	}
	return slog.Default()
}

func (r *Receiver) log(ctx context.Context, e Event, a *answer) {
	level := slog.LevelWarn
	if a.status >= 500 || a.cause == causePermanent || a.cause == causeNotMarked {
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
	what := "alotwebhook: event not handled"
	if a.cause == causeNotMarked {
		what = "alotwebhook: event handled, but not marked as done"
	}
	r.logger().LogAttrs(ctx, level, what, attrs...)
}

const (
	msgNoHandler     = "alotwebhook: no handler for this event type"
	msgHandlerUnused = "alotwebhook: Middleware does not call the handler of this event type"
)

const (
	// maxWarned bounds how many event types are remembered by warnOnce: a
	// sender could invent new ones without end.
	maxWarned = 64
	// maxHandlersText bounds the names of handlers in one log line, in bytes.
	maxHandlersText = 500
)

// warnOnce logs that an event does not reach any handler, with the names of the
// handlers there are, so that a typo shows. It logs each event type once: the
// cause is in the program, and each further event would only repeat it.
func (r *Receiver) warnOnce(ctx context.Context, e Event, msg string) {
	eventType := clipTo(e.Type, maxEventTypeLen) // no handler has a longer one
	n := r.warn(eventType)
	if n == 0 {
		return
	}
	if n == maxWarned {
		msg += "; further types are not logged"
	}
	r.logger().LogAttrs(ctx, slog.LevelWarn, msg,
		slog.String("type", eventType), slog.String("event", e.ID), slog.String("handlers", r.handlerNames()))
}

// warn remembers an event type and returns how many are remembered now, or zero
// if it is known already or there is no room for it.
func (r *Receiver) warn(eventType string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.warned[eventType]; known || len(r.warned) >= maxWarned {
		return 0
	}
	r.warned[strings.Clone(eventType)] = struct{}{} // an event's strings share memory
	return len(r.warned)
}

// handlerNames returns the event types with a handler, in alphabetical order.
func (r *Receiver) handlerNames() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.handlers) == 0 {
		return "none"
	}
	return clipTo(strings.Join(slices.Sorted(maps.Keys(r.handlers)), ", "), maxHandlersText)
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
