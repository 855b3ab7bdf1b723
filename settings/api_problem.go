package settings

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/alot/alotwebhook"
)

// newProblem returns a problem of the API. Its type is about:blank, for which RFC
// 9457 wants the words of the status as the title.
func newProblem(status int, detail string, fields ...fieldProblem) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}
}

func (p *problem) with(header, value string) *problem {
	p.header = http.Header{header: {value}}
	return p
}

var (
	errUnauthenticated = newProblem(http.StatusUnauthorized, "The request is not authenticated. Send valid credentials, such as a bearer token.").
				with("Www-Authenticate", "Bearer")
	errNotFound    = newProblem(http.StatusNotFound, "Nothing was found at this path.")
	errNoEvent     = newProblem(http.StatusNotFound, "Your organization has no event of this id: it is mistyped or another organization's, or the event and its deliveries were deleted after their retention time.")
	errTooLarge    = newProblem(http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB.")
	errCrossOrigin = newProblem(http.StatusForbidden, "A page of another site sent this request, so nothing was done. "+
		"To call the API from such a page, send a bearer token in the Authorization header.")
	errOutdated = newProblem(http.StatusPreconditionFailed, "The endpoint was changed, so nothing was done. "+
		"Read it again, then repeat the request with its current ETag.", fieldProblem{"If-Match", "is not the endpoint's current ETag"})
	errSame = newProblem(http.StatusPreconditionFailed, "The endpoint has an ETag that If-None-Match excludes, so nothing was done. "+
		"To change it only if nobody else has, send its ETag as If-Match.", fieldProblem{"If-None-Match", "has the endpoint's current ETag"})
	errBusy = newProblem(http.StatusConflict, "Other requests changed the endpoint at the same moment, so nothing was done. Repeat the request.").
		with("Retry-After", "1")
	errInProgress = newProblem(http.StatusConflict, "The first request with this Idempotency-Key is still being processed. Repeat this request in a moment.",
		fieldProblem{keyHeader, "belongs to a request that is still being processed"}).
		with("Retry-After", "1")
	errKeyReused   = invalid(fieldProblem{keyHeader, "was used before for a different request; use a new key for each request"})
	errRecovering  = newProblem(http.StatusConflict, "A recovery of this endpoint is already running. Wait until it ends, or stop it with DELETE.")
	errNotDue      = newProblem(http.StatusConflict, "The delivery was not sent again: an attempt is under way, its endpoint is disabled or deleted, or its payload was erased.")
	errUnsupported = newProblem(http.StatusNotImplemented, "The store of this server cannot do this.")
	errInternal    = newProblem(http.StatusInternalServerError, "The request failed because of an error of this server. Repeat it later.")
)

// notAllowed refuses what the request may not do.
func notAllowed(missing []Action) *problem {
	p := newProblem(http.StatusForbidden, "This takes the right to "+inWords(missing)+", which the request does not have, so nothing was done.")
	p.Missing = missing
	return p
}

// overLimit refuses what goes over a limit of the organization. Retry-After is in whole
// seconds (RFC 9110).
func overLimit(e *alotwebhook.LimitError) *problem {
	if e.RetryAfter == 0 {
		return newProblem(http.StatusConflict, fmt.Sprintf("Your organization has as many endpoints as it may have: %d. Delete one that is not needed any more.", e.Most))
	}
	wait := seconds(e.RetryAfter)
	return newProblem(http.StatusTooManyRequests, fmt.Sprintf("Your organization may do this %d times a minute. Repeat the request in %s.", e.Most, count(wait, "second", "seconds"))).
		with("Retry-After", strconv.Itoa(wait))
}

// notJSONType refuses a content type. The header of the problem lists the types
// that a request with the method may have (RFC 9110 and RFC 5789).
func notJSONType(method string) *problem {
	p := newProblem(http.StatusUnsupportedMediaType, "The body must be JSON, with Content-Type: application/json.")
	if method == http.MethodPatch {
		return p.with("Accept-Patch", "application/json, "+mergePatchType)
	}
	return p.with("Accept-Post", "application/json")
}

func methodNotAllowed(allowed []string) *problem {
	list := allow(allowed)
	return newProblem(http.StatusMethodNotAllowed, "This path accepts only "+list+".").with("Allow", list)
}

// malformed refuses a request that cannot be read.
func malformed(detail string, fields ...fieldProblem) *problem {
	return newProblem(http.StatusBadRequest, detail, fields...)
}

// invalid refuses a request that can be read, but whose values are not accepted.
func invalid(fields ...fieldProblem) *problem {
	return newProblem(http.StatusUnprocessableEntity, summary(fields), fields...)
}
