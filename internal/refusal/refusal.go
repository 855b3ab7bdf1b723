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

// IsPermanent reports whether another attempt cannot mend what err says.
func IsPermanent(err error) bool {
	s := (*Error)(nil)
	return errors.As(err, &s) && s.Cause == Permanent
}

// The causes that make a difference to the response or to the log.
const (
	Permanent    = "permanent"
	Method       = "method"
	BodyTooLarge = "body_too_large"
	BodyMemory   = "body_memory"
	BodyTimeout  = "body_timeout"
	NotMarked    = "not_marked"
)

// OfHandler returns a handler's error with its response. Only an error that carries a status gets
// another than 500: a handler may well return one that a [Table] lists, about something else that it
// did.
func OfHandler(err error) *Error {
	e, p := (*Error)(nil), (*caught.Panic)(nil)
	panicked := errors.As(err, &p)
	if errors.As(err, &e) && !(panicked && errors.As(error(p), new(*Error))) { // a panic whose value is an Error is a panic
		return &Error{e.Status, e.Cause, e.After, err}
	}
	if panicked {
		return &Error{Status: http.StatusInternalServerError, Cause: "handler_panicked", Err: err}
	}
	return &Error{Status: http.StatusInternalServerError, Cause: "handler_failed", Err: err}
}

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
	return OfHandler(err)
}

// Status returns the status of an error of a request or of a handler; 200 for nil.
func (t Table) Status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return OfHandler(err).Status
	}
	return t.OfRequest(err).Status
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
