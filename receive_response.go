package alotwebhook

import (
	"net/http"
	"time"

	"github.com/alot/alotwebhook/internal/refusal"
)

// Permanent marks a handler's error as one that another attempt cannot mend. The response is 202, because the
// sender repeats every delivery whose status is not 2xx. The sender's history then shows a delivery that was
// received but, by its status 202, not acted upon. On this side the error is logged and passed to
// [ReceiverConfig.OnError].
//
// Use it for an event that you give up on. If you want to receive the event again after you have mended a
// fault of your own, return an ordinary error: the delivery then ends as failed, and can be redelivered.
//
// Permanent(nil) is nil.
func Permanent(err error) error {
	return refusal.Of(err, http.StatusAccepted, refusal.Permanent, 0)
}

// RetryAfter marks a handler's error as one for which the next attempt should not come before d has passed. The
// response is 503 with a Retry-After header of d in whole seconds, rounded up; without that header if d is zero
// or less. The sender counts the attempt like any other failed one.
//
// RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	return refusal.Of(err, http.StatusServiceUnavailable, refusal.RetryAfter, d)
}

// requestErrors lists the errors of requests and of [Once] with their status and
// cause.
var requestErrors = refusal.Table{
	{errNotPost, http.StatusMethodNotAllowed, refusal.Method},
	{ErrNoSecret, http.StatusInternalServerError, "no_secret"},
	{ErrNotSigned, http.StatusUnauthorized, "not_signed"},
	{ErrMalformedSignature, http.StatusUnauthorized, "malformed_signature"},
	{ErrSignatureMismatch, http.StatusUnauthorized, "signature_mismatch"},
	{ErrAttemptTooOld, http.StatusUnauthorized, "attempt_too_old"},
	{ErrAttemptTooNew, http.StatusUnauthorized, "attempt_too_new"},
	{ErrEncodedBody, http.StatusUnsupportedMediaType, "encoded_body"},
	{ErrBodyTooLarge, http.StatusRequestEntityTooLarge, refusal.BodyTooLarge},
	{ErrBodyMemory, http.StatusServiceUnavailable, refusal.BodyMemory},
	{ErrBodyTimeout, http.StatusRequestTimeout, refusal.BodyTimeout},
	{errUnreadable, http.StatusBadRequest, "unreadable_body"},
	{ErrMalformedEvent, http.StatusBadRequest, refusal.Malformed},
	{ErrWrongOrganization, http.StatusForbidden, "wrong_organization"},
	{ErrTooOld, http.StatusBadRequest, "too_old"},
	{ErrTooNew, http.StatusBadRequest, "too_new"},
	{ErrInProgress, http.StatusConflict, refusal.InProgress},
	{ErrNotMarked, http.StatusOK, refusal.NotMarked},
}

// StatusCode returns the status that a [Receiver] responds with after an error of
// [Verifier.ParseRequest], [Verifier.ParseBody], [Receiver.Receive] or [Once]; 200 for
// nil. Call a handler of your own by Once, with a Deduper or nil: its error may wrap one
// of these for another reason. The response should say no more than the status.
func StatusCode(err error) int { return requestErrors.Status(err) }

// fail reports a request that was not handled and writes the response.
func (r *Receiver) fail(w http.ResponseWriter, req *http.Request, e Event, err *refusal.Error) {
	r.log.Refused(req.Context(), e.ID, e.Type, err)
	if r.config.OnError != nil {
		r.log.Call("ReceiverConfig.OnError", func() { r.config.OnError(req, e, err.Status, err.Err) })
	}
	err.Respond(w)
}
