package settings

import (
	"net/http"
	"strings"
)

// problem is a refusal as the customer reads it: problem details (RFC 9457).
// Its type is about:blank, so that its title is the status's own phrase.
type problem struct {
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Errors []fieldProblem `json:"errors,omitempty"`

	header http.Header
}

// fieldProblem says what is wrong with one key or parameter of the request.
type fieldProblem struct {
	Field  string `json:"field"` // as the request spells it, such as "events[1]"
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

func newProblem(status int, detail string, errs ...fieldProblem) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: errs}
}

func (p *problem) with(header, value string) *problem {
	p.header = http.Header{header: {value}}
	return p
}

var (
	errUnauthenticated = newProblem(http.StatusUnauthorized, "The request is not authenticated for an organization.").
				with("Www-Authenticate", "Bearer")
	errNotFound    = newProblem(http.StatusNotFound, "There is nothing at this path.")
	errTooLarge    = newProblem(http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB.")
	errCrossOrigin = newProblem(http.StatusForbidden, "A page of another site sent this request, so nothing was done. "+
		"A client that means it sends its token in an Authorization header.")
	errOutdated = newProblem(http.StatusPreconditionFailed, "The endpoint was changed since, so that If-Match does not hold. "+
		"Read it again and decide anew.", fieldProblem{"If-Match", "is not the endpoint's present ETag"})
	errBusy       = newProblem(http.StatusConflict, "Others change the endpoint at this moment, so nothing was done. Repeat the request.")
	errInProgress = newProblem(http.StatusConflict, "A request with this Idempotency-Key is being worked on. Repeat this one in a moment.",
		fieldProblem{keyHeader, "is that of a request that is being worked on"})
	errKeyReused  = invalid(fieldProblem{keyHeader, "came before with another request; make a new key for each"})
	errRecovering = newProblem(http.StatusConflict, "A recovery of this endpoint is running. Wait for its end, or stop it with DELETE.")
	errNotDue     = newProblem(http.StatusConflict, "Nothing was sent again: the delivery is being attempted at this moment, it waits for its disabled endpoint, or its endpoint or payload is gone.")
	errInternal   = newProblem(http.StatusInternalServerError, "The request failed on this side; it may be repeated.")
)

// notJSONType says what a request of the method may hold (RFC 9110 and RFC 5789).
func notJSONType(method string) *problem {
	p := newProblem(http.StatusUnsupportedMediaType, "The body must be JSON, with Content-Type: application/json.")
	if method == http.MethodPatch {
		return p.with("Accept-Patch", "application/json, "+mergePatchType)
	}
	return p.with("Accept-Post", "application/json")
}

func methodNotAllowed(method string, allowed []string) *problem {
	list := strings.Join(allowed, ", ")
	return newProblem(http.StatusMethodNotAllowed, "This path takes "+list+".").with("Allow", list)
}

// malformed refuses what cannot be read as what it should be.
func malformed(detail string, errs ...fieldProblem) *problem {
	return newProblem(http.StatusBadRequest, detail, errs...)
}

// invalid refuses what can be read, but not accepted.
func invalid(errs ...fieldProblem) *problem {
	return newProblem(http.StatusUnprocessableEntity, summary(errs), errs...)
}

// summary says it in a sentence each, for who reads only the detail.
func summary(errs []fieldProblem) string {
	parts := make([]string, len(errs))
	for i, e := range errs {
		parts[i] = e.Field + " " + e.Detail
	}
	return strings.Join(parts, ". ") + "."
}
