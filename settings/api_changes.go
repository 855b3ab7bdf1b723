package settings

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/proof"
)

// endpointPatch is a change to an endpoint: a JSON merge patch (RFC 7396). A field
// that is nil is not changed.
type endpointPatch struct {
	url, description *string
	events           []string
	disabled         *bool
	ordered          *bool
	rate             *float64
	payloadVersion   string
	credentials
}

func readPatch(r *http.Request) (p endpointPatch, err error) {
	err = readObject(r, p.credentials.fields(fields{
		"url": optionalInto(&p.url), "description": removableInto(&p.description),
		"events": stringsInto(&p.events), "disabled": boolInto(&p.disabled), "rate": rateInto(&p.rate),
		"ordered": boolInto(&p.ordered), "payloadVersion": versionInto(&p.payloadVersion),
		"secret": elsewhere("cannot be changed here; use rotate-secret"),
	}))
	return p, err
}

// apply makes the change to e, and reports whether it made a difference.
func (p endpointPatch) apply(e *alotwebhook.Endpoint) bool {
	before := *e
	if p.url != nil {
		e.URL = *p.url
	}
	if p.description != nil {
		e.Description = *p.description
	}
	if p.events != nil {
		e.EventTypes = p.events
	}
	if p.disabled != nil {
		e.Disabled = *p.disabled
	}
	if p.rate != nil {
		e.Rate = *p.rate
	}
	if p.ordered != nil {
		e.Ordered = *p.ordered
	}
	e.PayloadVersion = cmp.Or(p.payloadVersion, e.PayloadVersion)
	p.credentials.apply(e)
	return p.given() || e.URL != before.URL || e.PayloadVersion != before.PayloadVersion || e.Description != before.Description || e.Rate != before.Rate || e.Ordered != before.Ordered ||
		e.Disabled != before.Disabled || !slices.Equal(e.EventTypes, before.EventTypes)
}

// maxTries is how often a change to an endpoint is tried while other requests keep
// changing the endpoint.
const maxTries = 10

// updateEndpoint changes the fields that the patch names. If another request changes
// the endpoint at the same moment, the change is tried on the new version, unless
// If-Match forbids it.
func (a *api) updateEndpoint(r *http.Request, who caller) (response, error) {
	patch, err := readPatch(r)
	if err != nil {
		return response{}, err
	}
	if patch.given() && !toCredit.met(who.may) {
		return response{}, notAllowed(toCredit.missing(who.may))
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	for range maxTries {
		e, err := a.endpoint(r, who)
		if err != nil {
			return response{}, err
		}
		if err := show(e).conditions(r, e.Version); err != nil {
			return response{}, err
		}
		if patch.apply(&e) {
			e, err = a.dispatcher.UpdateEndpoint(r.Context(), e)
		}
		if errors.Is(err, alotwebhook.ErrConflict) {
			continue
		}
		if err != nil {
			return response{}, err
		}
		return show(e).asResponse(http.StatusOK, e.Version), nil
	}
	return response{}, errBusy
}

// enableEndpoint enables an endpoint, and sends or discards what is parked for it. While
// there is more to discard than one request may wait for, the endpoint is disabled still,
// and the response leads to the recovery that says how far it is.
func (a *api) enableEndpoint(r *http.Request, who caller) (response, error) {
	var options alotwebhook.EnableOptions
	var discard *bool
	err := readOptionalObject(r, fields{"since": timeInto(&options.Since), "discard": boolInto(&discard)})
	if err != nil {
		return response{}, err
	}
	if options.Discard = discard != nil && *discard; options.Discard && !options.Since.IsZero() {
		return response{}, invalid(fieldProblem{"discard", "discards everything, so it cannot come with since; leave one of them out"})
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	for range maxTries {
		e, err := a.endpoint(r, who)
		if err != nil {
			return response{}, err
		}
		if err := show(e).conditions(r, e.Version); err != nil {
			return response{}, err
		}
		options.Version = e.Version
		e, err = a.dispatcher.EnableEndpoint(r.Context(), e.ID, options)
		if errors.Is(err, alotwebhook.ErrConflict) {
			continue
		}
		if err != nil {
			return response{}, err
		}
		if e.Disabled {
			return show(e).asResponse(http.StatusAccepted, e.Version).
				with("Location", a.at(r, "/"+e.ID+"/recover")), nil
		}
		return show(e).asResponse(http.StatusOK, e.Version), nil
	}
	return response{}, errBusy
}

// proveEndpoint asks the endpoint's receiver to prove that it has the secret, and enables the endpoint if
// that was all that it waited for.
func (a *api) proveEndpoint(r *http.Request, who caller) (response, error) {
	if err := readOptionalObject(r, fields{}); err != nil {
		return response{}, err
	}
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	if e, err = a.dispatcher.ProveEndpoint(r.Context(), e.ID); err != nil {
		return response{}, err
	}
	return show(e).asResponse(http.StatusOK, e.Version), nil
}

// unproven says in a sentence what came back to a challenge, or else is otherwise.
func unproven(err error, otherwise string) string {
	var back *proof.Error
	if !errors.As(err, &back) {
		return otherwise
	}
	return "The URL is not proven: " + strings.TrimSuffix(back.Detail, ".") + "."
}

// deleteEndpoint deletes an endpoint. It checks the conditions first; the endpoint is also
// deleted if another request changes it between the check and the deletion.
func (a *api) deleteEndpoint(r *http.Request, who caller) (response, error) {
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	show, err := a.shower(r)
	if err != nil {
		return response{}, err
	}
	if err := show(e).conditions(r, e.Version); err != nil {
		return response{}, err
	}
	if err := a.dispatcher.DeleteEndpoint(r.Context(), e.ID); err != nil {
		return response{}, err
	}
	return response{status: http.StatusNoContent}, nil
}
