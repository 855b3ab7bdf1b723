package alotwebhook

import (
	"cmp"
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

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/loglimit"
	"github.com/alot/alotwebhook/internal/text"
)

// statusError is an error together with the response that it leads to.
type statusError struct {
	status int
	cause  string        // one stable word, for logs
	after  time.Duration // the Retry-After header; zero or less for none
	err    error
}

func (s *statusError) Error() string { return s.err.Error() }

func (s *statusError) Unwrap() error { return s.err }

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

// Permanent marks a handler's error as one that another attempt cannot mend. The
// response is 202, because the sender repeats every delivery whose status is not
// 2xx. The sender's history then shows a delivery that was received but, by its
// status 202, not acted upon. On this side the error is logged and passed to
// [ReceiverConfig.OnError].
//
// Use it for an event that you give up on. If you want to receive the event again
// after you have mended a fault of your own, return an ordinary error: the
// delivery then ends as failed, and can be redelivered.
//
// Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status: http.StatusAccepted, cause: causePermanent, err: err}
}

func isPermanent(err error) bool {
	s := (*statusError)(nil)
	return errors.As(err, &s) && s.cause == causePermanent
}

// RetryAfter marks a handler's error as one for which the next attempt should not
// come before d has passed. The response is 503 with a Retry-After header of d in
// whole seconds, rounded up; without that header if d is zero or less. The sender
// counts the attempt like any other failed one.
//
// RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &statusError{status: http.StatusServiceUnavailable, cause: "retry_after", after: d, err: err}
}

// handlerError returns a handler's error with its response. Only an error that
// carries a status gets another than 500: a handler may well return a sentinel of
// this package, such as [ErrSignatureMismatch], about something else that it did.
func handlerError(err error) *statusError {
	if p := (*caught.Panic)(nil); errors.As(err, &p) {
		return &statusError{status: http.StatusInternalServerError, cause: "handler_panicked", err: err}
	}
	if s := (*statusError)(nil); errors.As(err, &s) {
		return &statusError{status: s.status, cause: s.cause, after: s.after, err: err}
	}
	return &statusError{status: http.StatusInternalServerError, cause: "handler_failed", err: err}
}

// requestErrors lists the errors of requests and of [Once] with their status and
// cause.
var requestErrors = []struct {
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

// requestError returns an error of the request itself with its response.
func requestError(err error) *statusError {
	for _, r := range requestErrors {
		if errors.Is(err, r.err) {
			return &statusError{status: r.status, cause: r.cause, err: err}
		}
	}
	return handlerError(err)
}

// StatusCode returns the status that a [Receiver] responds with after an error of
// [Verifier.ParseRequest], [Verifier.ParseBody], [Receiver.Receive], [Once] or a
// handler; 200 for nil. The response should say no more than the status.
func StatusCode(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if s := (*statusError)(nil); errors.As(err, &s) {
		return handlerError(err).status
	}
	return requestError(err).status
}

// fail reports a request that was not handled and writes the response.
func (r *Receiver) fail(w http.ResponseWriter, req *http.Request, e Event, s *statusError) {
	r.log(req.Context(), e, s)
	if r.config.OnError != nil {
		r.config.OnError(req, e, s.status, s.err)
	}
	switch s.cause {
	case causeMethod:
		w.Header().Set("Allow", http.MethodPost)
	case causeBodyTooLarge, causeBodyMemory, causeBodyTimeout:
		w.Header().Set("Connection", "close") // so that net/http does not read the rest of the body
	}
	if s.after > 0 {
		seconds := (s.after-1)/time.Second + 1
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	http.Error(w, http.StatusText(s.status), s.status)
}

// maxErrorText bounds an error's text in a log line, in bytes.
const maxErrorText = 2000

// log writes the line of an event that was not handled. Lines without a verified event
// are bounded for each cause, because anybody can cause them. The text of an error about
// an event may hold what a handler put into it, and is left out if OnError gets it.
func (r *Receiver) log(ctx context.Context, e Event, s *statusError) {
	level := slog.LevelWarn
	if s.status >= 500 || s.cause == causePermanent || s.cause == causeNotMarked {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.Int("status", s.status), slog.String("cause", s.cause)}
	if e.ID != "" {
		attrs = append(attrs, slog.String("event", e.ID), slog.String("type", e.Type))
	} else if unlogged, ok := r.lines.Allow(s.cause); !ok {
		return
	} else if unlogged > 0 {
		attrs = append(attrs, slog.Int("unlogged", unlogged))
	}
	if e.ID == "" || r.config.OnError == nil {
		// Sprint survives an Error method that panics, as that of a nil pointer may.
		attrs = append(attrs, slog.String("error", text.Clip(fmt.Sprint(s.err), maxErrorText)))
	}
	var p *caught.Panic
	if errors.As(s.err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	msg := "alotwebhook: event not handled"
	if s.cause == causeNotMarked {
		msg = "alotwebhook: event handled, but not marked as done"
	}
	cmp.Or(r.config.Logger, slog.Default()).LogAttrs(ctx, level, msg, attrs...)
}

const (
	msgNoHandler     = "alotwebhook: no handler for this event type"
	msgHandlerUnused = "alotwebhook: Middleware does not call the handler of this event type"
)

// maxHandlersText bounds the names of handlers in one log line, in bytes.
const maxHandlersText = 500

// warnOnce logs that an event reached no handler, and names the handlers that
// exist, so that a typo shows. It logs each event type once: the mistake is in the
// program, and a line for every further event would only repeat it.
func (r *Receiver) warnOnce(ctx context.Context, e Event, msg string) {
	eventType := text.Clip(e.Type, maxEventTypeLen) // no handler has a longer one
	n := r.warned.Add(eventType)
	if n == 0 {
		return
	}
	if n == loglimit.Most {
		msg += "; further types are not logged"
	}
	cmp.Or(r.config.Logger, slog.Default()).LogAttrs(ctx, slog.LevelWarn, msg,
		slog.String("type", eventType), slog.String("event", e.ID), slog.String("handlers", r.handlerNames()))
}

// handlerNames returns the event types that have a handler, in alphabetical order.
func (r *Receiver) handlerNames() string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.handlers) == 0 {
		return "none"
	}
	return text.Clip(strings.Join(slices.Sorted(maps.Keys(r.handlers)), ", "), maxHandlersText)
}
