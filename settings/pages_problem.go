package settings

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

var (
	errNotSignedIn = pageProblem(http.StatusUnauthorized, "You are not signed in", "Sign in, then come back to this page.")
	errNoPage      = pageProblem(http.StatusNotFound, "There is nothing here", "Check the address. The endpoint may have been deleted, or the delivery may be too old for the history.")
	errMethod      = pageProblem(http.StatusMethodNotAllowed, "That cannot be done here", "Go back to the first page and try it from there.")
	errCrossSite   = pageProblem(http.StatusForbidden, "Nothing was done", "Another site sent this form. Only the forms on these pages are accepted.")
	errStale       = pageProblem(http.StatusConflict, "The endpoint was changed", "It was changed after you opened the form, so nothing was done. Look at it again, then repeat what you did.")
	errAddress     = pageProblem(http.StatusBadRequest, "We could not read this address", "It has a part that this page does not know. Find the page from the first one.")
	errFormLarge   = pageProblem(http.StatusRequestEntityTooLarge, "The form is too large", "It is larger than 64 KiB, so nothing was done.")
	errNotAForm    = pageProblem(http.StatusUnsupportedMediaType, "This is not a form", "Use the form on the page.")
	errNoType      = pageProblem(http.StatusUnprocessableEntity, "No test event was sent", "Choose an event type from the list.")
	errOldForm     = pageProblem(http.StatusConflict, "The form was opened more than a day ago", "If you added this endpoint then, it is in the list of endpoints. If not, send the form again.")
	errRotated     = pageProblem(http.StatusConflict, "The secret was not rotated", "The endpoint was changed after you opened this form. "+
		"If you rotated the secret and then loaded the page again, the rotation is done; the new secret is not shown again.")
	errNoStore = pageProblem(http.StatusNotImplemented, "The store cannot do this", "The database that this host uses does not do it, so nothing was done.")
	errFailed  = pageProblem(http.StatusInternalServerError, "Something failed on our side", "Try again in a moment. Nothing that you saved before is lost.")
)

// pageProblem returns a problem of the pages.
func pageProblem(status int, title, detail string) *problem {
	return &problem{Status: status, Title: title, Detail: detail}
}

// notAllowed refuses what the visitor may not see or do.
func (v *visit) notAllowed(missing []Action) *problem {
	return pageProblem(http.StatusForbidden, "You may not do this",
		"This takes the right to "+inWords(missing)+", which you do not have. "+v.manner.ask)
}

// overLimit returns the problem of somebody whose organization is over a limit.
func (v *visit) overLimit(e *alotwebhook.LimitError) *problem {
	if e.RetryAfter == 0 {
		return pageProblem(http.StatusConflict, "The endpoint was not added", fmt.Sprintf("You have as many endpoints as you may have: %d. Delete one that is not needed any more, then add this one.", e.Most))
	}
	wait := seconds(e.RetryAfter)
	v.w.Header().Set("Retry-After", strconv.Itoa(wait))
	return pageProblem(http.StatusTooManyRequests, "That was too often",
		fmt.Sprintf("Nothing was done: your organization may do this %d times a minute. Try again in %s.", e.Most, count(wait, "second", "seconds")))
}

// seconds returns a time in whole seconds, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// badForm refuses a form that the page itself would not send.
func badForm(detail string) *problem {
	return pageProblem(http.StatusBadRequest, "We could not read the form", detail)
}

// fail shows the page of an error.
func (v *visit) fail(err error) {
	p := v.explain(err)
	if err := v.show(p.Status, "error", view{Heading: p.Title, Data: p}); err != nil {
		v.logger.ErrorContext(v.r.Context(), "alotwebhook: settings page failed", "path", v.r.URL.Path, "error", err)
		http.Error(v.w, p.Title, http.StatusInternalServerError)
	}
}

// explain returns the problem that the visitor gets for an error. An error that the
// visitor cannot mend is logged, and its problem says nothing about it.
func (v *visit) explain(err error) *problem {
	var p *problem
	var limit *alotwebhook.LimitError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &limit):
		return v.overLimit(limit)
	case errors.Is(err, alotwebhook.ErrNotFound):
		return errNoPage
	case errors.Is(err, alotwebhook.ErrUnproven):
		return pageProblem(http.StatusConflict, "The URL is not proven", "Nothing is sent to it before. Prove it on the endpoint's page.")
	case errors.Is(err, alotwebhook.ErrConflict), errors.Is(err, alotwebhook.ErrKeyReused):
		return errStale
	case errors.Is(err, alotwebhook.ErrInvalid) && v.canMend(err):
		return pageProblem(http.StatusUnprocessableEntity, "That cannot be", "Nothing was done. "+inSentences(err))
	case errors.Is(err, errors.ErrUnsupported):
		return errNoStore
	}
	v.logFailure(err)
	return errFailed
}

// canMend reports whether an error is about what the visitor has given. Customers name no
// organization: the host does.
func (v *visit) canMend(err error) bool {
	problems := problemsOf(err)
	return len(problems) > 0 && (v.manner.seek || !slices.ContainsFunc(problems, func(p fieldProblem) bool { return p.Field == "organizationId" }))
}

// inSentences returns what a dispatcher's error says of each field.
func inSentences(err error) string {
	var list []string
	for _, p := range problemsOf(err) {
		list = append(list, cmp.Or(endpointLabels[p.Field], operatorLabels[p.Field], "The "+p.Field)+" "+p.Detail+".")
	}
	return strings.Join(list, " ")
}

// logFailure logs what the visitor cannot mend, if the visitor is still there.
func (v *visit) logFailure(err error) {
	if v.r.Context().Err() == nil {
		v.logger.ErrorContext(v.r.Context(), "alotwebhook: settings page failed",
			"method", v.r.Method, "path", v.r.URL.Path, "organization", v.who.organization, "error", err)
	}
}
