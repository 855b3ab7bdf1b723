package settings

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/alot/alotwebhook"
)

// etag is an endpoint's version as HTTP has it. It changes with what customers
// can change, and not with failingSince.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// ifMatch reports whether a change may be made to that version: always if the
// request does not say.
func ifMatch(r *http.Request, version int64) bool {
	given := r.Header.Values("If-Match")
	if len(given) == 0 {
		return true
	}
	for tag := range strings.SplitSeq(strings.Join(given, ","), ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag(version) {
			return true
		}
	}
	return false
}

// endpointPatch is a change to an endpoint, as a JSON merge patch (RFC 7396)
// has it: nil is left alone.
type endpointPatch struct {
	url, description *string
	events           []string
	disabled         *bool
}

func readPatch(r *http.Request) (p endpointPatch, err error) {
	err = readObject(r, fields{
		"url": optionalText(&p.url), "description": removableText(&p.description),
		"events": texts(&p.events), "disabled": truth(&p.disabled),
		"secret": elsewhere("is not changed here; use rotate-secret"),
	})
	return p, err
}

// apply changes e, and reports whether that makes a difference.
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
	return e.URL != before.URL || e.Description != before.Description ||
		e.Disabled != before.Disabled || !slices.Equal(e.EventTypes, before.EventTypes)
}

// maxTries bounds how often a change is made anew because others were faster.
const maxTries = 10

// updateEndpoint changes what the patch names. Without If-Match that is meant
// whatever else was changed meanwhile.
func (a *api) updateEndpoint(r *http.Request, organization string) (answer, error) {
	patch, err := readPatch(r)
	if err != nil {
		return answer{}, err
	}
	for range maxTries {
		e, err := a.endpoint(r, organization)
		if err != nil {
			return answer{}, err
		}
		if !ifMatch(r, e.Version) {
			return answer{}, errOutdated
		}
		if patch.apply(&e) {
			e, err = a.dispatcher.UpdateEndpoint(r.Context(), e)
		}
		if errors.Is(err, alotwebhook.ErrConflict) {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		return showEndpoint(e).asAnswer(http.StatusOK, e.Version), nil
	}
	return answer{}, errBusy
}

// deleteEndpoint looks at If-Match just before; a change in between goes with the rest.
func (a *api) deleteEndpoint(r *http.Request, organization string) (answer, error) {
	e, err := a.endpoint(r, organization)
	if err != nil {
		return answer{}, err
	}
	if !ifMatch(r, e.Version) {
		return answer{}, errOutdated
	}
	if err := a.dispatcher.DeleteEndpoint(r.Context(), e.ID); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}
