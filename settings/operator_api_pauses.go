package settings

import (
	"errors"
	"net/http"

	"github.com/alot/alotwebhook"
)

// pauseJSON is a pause as operators read it. It is about all if it names neither an organization
// nor an endpoint.
type pauseJSON struct {
	OrganizationID string  `json:"organizationId,omitzero"`
	EndpointID     string  `json:"endpointId,omitzero"`
	Note           string  `json:"note"`
	Actor          string  `json:"actor,omitzero"`
	At             instant `json:"at"`
}

// pausesJSON is the list of all pauses.
type pausesJSON struct {
	Pauses []pauseJSON `json:"pauses"`
}

func showPause(p alotwebhook.Pause) pauseJSON {
	return pauseJSON{p.OrganizationID, p.EndpointID, p.Note, p.Actor, instant(p.At)}
}

func (o *operators) listPauses(r *http.Request, _ caller) (response, error) {
	found, err := o.dispatcher.Pauses(r.Context())
	list := pausesJSON{Pauses: make([]pauseJSON, len(found))}
	for i, p := range found {
		list.Pauses[i] = showPause(p)
	}
	return response{status: http.StatusOK, body: list}, err
}

// readPause reads what is to be paused or resumed, and why. All is paused only if the body says so,
// not because it names nothing.
func readPause(r *http.Request) (p alotwebhook.Pause, err error) {
	var all *bool
	var s selector
	if err := readObject(r, s.into(fields{"all": boolInto(&all), "note": noteInto(&p.Note)})); err != nil {
		return p, err
	}
	everything, some := all != nil && *all, s.organization+s.endpoint != ""
	switch {
	case everything && some:
		return p, invalid(fieldProblem{"all", "cannot come with an organization or an endpoint; leave one of them out"})
	case !everything && !some:
		return p, invalid(fieldProblem{"organizationId", "is missing, as is the endpoint: name one of them, or say \"all\": true"})
	case p.Note == "":
		return p, invalid(noNote)
	}
	p.OrganizationID, p.EndpointID = s.organization, s.endpoint
	return p, nil
}

// noNote refuses what operators do without a word for those who read the audit trail.
var noNote = fieldProblem{"note", "is missing: say why, for the audit trail"}

func (o *operators) pause(r *http.Request, _ caller) (response, error) {
	p, err := readPause(r)
	if err != nil {
		return response{}, err
	}
	p, err = o.dispatcher.Pause(r.Context(), p)
	if err != nil {
		return response{}, ofEndpoint(err)
	}
	return response{status: http.StatusOK, body: showPause(p)}, nil
}

// paused responds with a pause that was begun, as it is now.
func (o *operators) paused(r *http.Request, _ caller) (response, error) {
	p, err := readPause(r)
	if err != nil {
		return response{}, err
	}
	list, err := o.dispatcher.Pauses(r.Context())
	if err != nil {
		return response{}, err
	}
	for _, of := range list {
		same := of.EndpointID == p.EndpointID && (p.EndpointID != "" || of.OrganizationID == p.OrganizationID)
		if same {
			return response{status: http.StatusOK, body: showPause(of)}, nil
		}
	}
	return response{}, errNoPause
}

func (o *operators) resume(r *http.Request, _ caller) (response, error) {
	p, err := readPause(r)
	if err != nil {
		return response{}, err
	}
	err = o.dispatcher.Resume(r.Context(), p)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return response{}, errNoPause
	}
	return response{status: http.StatusNoContent}, err
}

var errNoPause = newProblem(http.StatusNotFound, "There is no such pause. What another pause covers is not resumed by this one.")

// ofEndpoint returns the problem of an endpoint in a body that does not exist. Any other error is
// returned as it is.
func ofEndpoint(err error) error {
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return invalid(fieldProblem{"endpointId", "is the id of no endpoint"})
	}
	return err
}
