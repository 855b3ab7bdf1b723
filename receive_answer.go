package alotwebhook

import (
	"errors"
	"net/http"
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

// refusals gives every error of a request its status and cause.
var refusals = []struct {
	err    error
	status int
	cause  string
}{
	{errNotPost, http.StatusMethodNotAllowed, "method"},
	{ErrNoSecret, http.StatusInternalServerError, "no_secret"},
	{ErrNotSigned, http.StatusUnauthorized, "not_signed"},
	{ErrMalformedSignature, http.StatusUnauthorized, "malformed_signature"},
	{ErrSignatureMismatch, http.StatusUnauthorized, "signature_mismatch"},
	{ErrAttemptTooOld, http.StatusUnauthorized, "attempt_too_old"},
	{ErrAttemptTooNew, http.StatusUnauthorized, "attempt_too_new"},
	{ErrEncodedBody, http.StatusUnsupportedMediaType, "encoded_body"},
	{ErrBodyTooLarge, http.StatusRequestEntityTooLarge, "body_too_large"},
	{ErrMalformedEvent, http.StatusBadRequest, causeMalformedEvent},
	{ErrWrongOrganization, http.StatusForbidden, "wrong_organization"},
	{ErrTooOld, http.StatusBadRequest, "too_old"},
	{ErrTooNew, http.StatusBadRequest, "too_new"},
}

// refusal is the answer to an error of the request itself.
func refusal(err error) *answer {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &answer{status: r.status, cause: r.cause, err: err}
		}
	}
	return &answer{status: http.StatusBadRequest, cause: "unreadable_body", err: err}
}
