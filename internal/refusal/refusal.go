// Package refusal says how a receiver responds to an event that it does not handle, and what its log
// says of it.
package refusal

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
)

// Error is an error together with the response that it leads to.
type Error struct {
	Status int
	Cause  string        // one stable word, for logs
	After  time.Duration // the Retry-After header; zero or less for none
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error alone.
func (e *Error) Unwrap() error { return e.Err }

// Of returns an [Error] around err, or nil if err is.
func Of(err error, status int, cause string, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &Error{status, cause, after, err}
}

// The causes that make a difference to the response or to the log.
const (
	Permanent    = "permanent"
	RetryAfter   = "retry_after"
	Malformed    = "malformed_event"
	Method       = "method"
	BodyTooLarge = "body_too_large"
	BodyMemory   = "body_memory"
	BodyTimeout  = "body_timeout"
	NotMarked    = "not_marked"
	InProgress   = "in_progress"
)

// Carried returns an error with the response that it carries, as those of a receiver's own do. Any other error
// is the failure of a handler: it may well be one that a [Table] lists, about something else that was done.
func Carried(err error) *Error {
	e, p, inside := (*Error)(nil), (*caught.Panic)(nil), (*Error)(nil)
	if errors.As(err, &p) {
		errors.As(error(p), &inside)
	}
	if errors.As(err, &e) && e != inside { // a panic whose value is an Error is a panic
		return &Error{e.Status, e.Cause, e.After, err}
	}
	return failed(err)
}

// OfHandler is [Carried] for what a handler returned. Of that, only a response that the handler chose counts:
// it may also pass on the error of another receiver, or of a Once inside it, before its own work is done.
func OfHandler(err error) *Error {
	e := Carried(err)
	switch e.Cause {
	case Permanent, RetryAfter, Malformed:
		return e
	}
	return failed(err)
}

func failed(err error) *Error {
	cause := "handler_failed"
	if errors.As(err, new(*caught.Panic)) {
		cause = "handler_panicked"
	}
	return &Error{Status: http.StatusInternalServerError, Cause: cause, Err: err}
}

// IsPermanent reports whether another attempt cannot mend what a handler's error says.
func IsPermanent(err error) bool { return err != nil && OfHandler(err).Cause == Permanent }

// Table lists kinds of errors of requests with their status and cause.
type Table []struct {
	Err    error
	Status int
	Cause  string
}

// OfRequest returns an error of the request itself with its response.
func (t Table) OfRequest(err error) *Error {
	for _, row := range t {
		if errors.Is(err, row.Err) {
			return &Error{Status: row.Status, Cause: row.Cause, Err: err}
		}
	}
	return Carried(err)
}

// Status returns the status of an error of a request, of a receiver or of Once; 200 for nil.
func (t Table) Status(err error) int {
	if err = caught.Look("error", err); err == nil {
		return http.StatusOK
	}
	if errors.As(err, new(*Error)) {
		return Carried(err).Status
	}
	return t.OfRequest(err).Status
}

// Handled returns what a handler returned as an error whose Status is that of [OfHandler]: err itself, unless
// that carries the response to something else or is an error that the table lists.
func (t Table) Handled(err error) error {
	if err = caught.Look("handler's error", err); err == nil {
		return nil
	}
	e := OfHandler(err)
	if e.Cause == Carried(err).Cause && e.Status == t.Status(err) {
		return err
	}
	return e
}

// Respond writes the response.
func (e *Error) Respond(w http.ResponseWriter) {
	switch e.Cause {
	case Method:
		w.Header().Set("Allow", http.MethodPost)
	case BodyTooLarge, BodyMemory, BodyTimeout:
		w.Header().Set("Connection", "close") // so that net/http does not read the rest of the body
	}
	if e.After > 0 {
		seconds := (e.After-1)/time.Second + 1
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	http.Error(w, http.StatusText(e.Status), e.Status)
}
