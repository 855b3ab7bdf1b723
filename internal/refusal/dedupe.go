package refusal

import (
	"net/http"

	"github.com/alot/alotwebhook/internal/fault"
)

// NotClaimed returns the error for an event of which nobody knows whether it was
// handled. Its status makes the sender repeat the event.
func NotClaimed(err error) error {
	return &Error{Status: http.StatusServiceUnavailable, Cause: "dedupe_failed", Err: err}
}

// NotSettled adds to the error of a handler, nil included, that its claim could not be settled. After
// nil that is of the kind notMarked.
func NotSettled(err, failure, notMarked error) error {
	if err == nil {
		return &Error{Status: http.StatusOK, Cause: NotMarked, Err: fault.Both(notMarked, ": ", failure)}
	}
	e := Carried(err) // whatever the failure carries
	e.Err = fault.Both(err, "; nor was its key settled: ", failure)
	return e
}
