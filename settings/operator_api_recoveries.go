package settings

import (
	"context"
	"net/http"
	"slices"

	"github.com/alot/alotwebhook"
)

// manyJSON is a recovery as operators read it.
type manyJSON struct {
	ID             string                    `json:"id"`
	OrganizationID string                    `json:"organizationId,omitzero"` // "" for all
	EventID        string                    `json:"eventId,omitzero"`
	EventType      string                    `json:"eventType,omitzero"`
	Reason         alotwebhook.FailureReason `json:"reason,omitzero"`
	FailedSince    instant                   `json:"failedSince,omitzero"`
	FailedUntil    instant                   `json:"failedUntil,omitzero"`
	Subject        string                    `json:"subject,omitzero"` // "" once it is erased
	Actor          string                    `json:"actor,omitzero"`
	Note           string                    `json:"note,omitzero"`
	recoveryJSON
}

// manyPageJSON is a page of the list of recoveries.
type manyPageJSON struct {
	Recoveries []manyJSON `json:"recoveries"`
	NextCursor string     `json:"nextCursor,omitzero"`
}

// countJSON is what a recovery would select now.
type countJSON struct {
	Deliveries    int64 `json:"deliveries"`
	Endpoints     int64 `json:"endpoints"`
	Organizations int64 `json:"organizations"`
}

func showMany(r alotwebhook.Recovery) manyJSON {
	shown := manyJSON{
		r.EndpointID, r.OrganizationID, r.EventID, r.EventType, r.Reason,
		instant(r.FailedSince), instant(r.FailedUntil), r.Subject, r.Actor, r.Note, showRecovery(r),
	}
	if isID(recoveryPrefix, r.EndpointID) {
		shown.EndpointID = ""
	}
	return shown
}

// manyAction is what a recovery over many endpoints does.
type manyAction struct {
	state alotwebhook.RecoveryState // while it is under way
	needs needs                     // of those who begin, count or stop it
	begin func(*alotwebhook.Dispatcher, context.Context, alotwebhook.Recovery) (alotwebhook.Recovery, error)
}

// manyActions are the values of "action".
var manyActions = map[string]manyAction{
	"recover": {alotwebhook.RecoveryRunning, toSend, (*alotwebhook.Dispatcher).RecoverMany},
	"cancel":  {alotwebhook.RecoveryCanceling, toCancel, (*alotwebhook.Dispatcher).CancelMany},
	"erase":   {alotwebhook.RecoveryErasing, toErase, (*alotwebhook.Dispatcher).Erase},
	"remove":  {alotwebhook.RecoveryRemoving, toErase, remove},
}

// remove removes the organization that a selection names, if that is all it names.
func remove(d *alotwebhook.Dispatcher, ctx context.Context, of alotwebhook.Recovery) (alotwebhook.Recovery, error) {
	if of != (alotwebhook.Recovery{OrganizationID: of.OrganizationID, Note: of.Note, State: of.State}) {
		return alotwebhook.Recovery{}, invalid(fieldProblem{"action", "removes all of an organization; name nothing but organizationId and note"})
	}
	return d.Remove(ctx, of.OrganizationID, of.Note)
}

// counted reports whether what the action is about can be counted before.
func (a manyAction) counted() bool {
	return a.state == alotwebhook.RecoveryRunning || a.state == alotwebhook.RecoveryCanceling
}

// actionOf returns the action of a recovery that is under way: whoever stops it has to meet its needs, on
// the pages and in the API of a customer, too. Customers never may cancel, so they do not stop that. What
// they can begin themselves, they may stop whoever has begun it.
func actionOf(of alotwebhook.Recovery) manyAction {
	for _, action := range manyActions {
		if action.state == of.State {
			return action
		}
	}
	return manyActions["recover"]
}

// listRecoveries responds with a page of the recoveries over many endpoints.
func (o *operators) listRecoveries(r *http.Request, _ caller) (response, error) {
	q := readQuery(r, "cursor", "limit")
	list := listing{recoveryPrefix, nil}
	f := alotwebhook.RecoveryFilter{Many: true, Limit: q.limit(), Cursor: q.place(list)}
	if err := q.err(); err != nil {
		return response{}, err
	}
	found, next, err := o.dispatcher.Recoveries(r.Context(), f)
	page := manyPageJSON{Recoveries: make([]manyJSON, len(found)), NextCursor: list.cursor(next)}
	for i, of := range found {
		page.Recoveries[i] = showMany(of)
	}
	return response{status: http.StatusOK, body: page}, err
}

// readSelection reads what is to be done, and with which deliveries.
func readSelection(r *http.Request) (action string, of alotwebhook.Recovery, dry bool, err error) {
	var dryRun *bool
	var reason string
	var s selector
	err = readObject(r, s.into(fields{
		"action": stringInto(&action), "eventId": idInto(&of.EventID, eventPrefix), "eventType": stringInto(&of.EventType),
		"subject": stringInto(&of.Subject),
		"reason":  stringInto(&reason), "since": timeInto(&of.Since), "until": endInto(&of.Until),
		"failedSince": timeInto(&of.FailedSince), "failedUntil": endInto(&of.FailedUntil),
		"note": noteInto(&of.Note), "dryRun": boolInto(&dryRun),
	}))
	of.OrganizationID, of.EndpointID, of.Reason = s.organization, s.endpoint, alotwebhook.FailureReason(reason)
	return action, of, dryRun != nil && *dryRun, err
}

// beginMany begins a recovery over many endpoints. A dry run counts what it would select, and begins
// nothing.
func (o *operators) beginMany(r *http.Request, who caller) (response, error) {
	name, of, dry, err := readSelection(r)
	if err != nil {
		return response{}, err
	}
	action, known := manyActions[name]
	switch {
	case !known:
		return response{}, invalid(fieldProblem{"action", `must be "recover", "cancel", "erase" or "remove"`})
	case !action.needs.met(who.may):
		return response{}, notAllowed(action.needs.missing(who.may))
	case of.Reason != "" && !slices.Contains(failureReasons, of.Reason):
		return response{}, invalid(fieldProblem{"reason", "must be a reason such as " + string(alotwebhook.ReasonTimeout)})
	case of.EventType != "" && !isEventType(of.EventType):
		return response{}, invalid(fieldProblem{"eventType", "must be an event type such as " + alotwebhook.EventCandidateCompleted})
	case of.Note == "" && !dry:
		return response{}, invalid(noNote)
	case dry && !action.counted():
		return response{}, invalid(fieldProblem{"dryRun", "counts what is sent again or canceled; list the deliveries of what is to be erased"})
	}
	if of.State = action.state; dry {
		n, err := o.dispatcher.CountMany(r.Context(), of)
		return response{status: http.StatusOK, body: countJSON(n)}, ofEndpoint(err)
	}
	begun, err := action.begin(o.dispatcher, r.Context(), of)
	if err != nil {
		return response{}, ofEndpoint(err)
	}
	return o.begun(r, begun), nil
}

// begun responds with a recovery that was begun.
func (o *operators) begun(r *http.Request, of alotwebhook.Recovery) response {
	result := response{status: http.StatusAccepted, body: showMany(of), made: of.EndpointID}
	return result.with("Location", o.at(r, "/recoveries/"+of.EndpointID))
}

// beganMany responds to a repeated request with the recovery that the first one began, as it is now.
// One that was a dry run began none, and counts again.
func (o *operators) beganMany(r *http.Request, who caller) (response, error) {
	id := r.PathValue("id")
	if id == "" {
		return o.beginMany(r, who)
	}
	found, err := o.dispatcher.Recovery(r.Context(), id)
	if err != nil {
		return response{}, err
	}
	return o.begun(r, found), nil
}

func (o *operators) readMany(r *http.Request, _ caller) (response, error) {
	found, err := o.dispatcher.Recovery(r.Context(), r.PathValue("id"))
	return response{status: http.StatusOK, body: showMany(found)}, err
}

// stopMany stops a recovery, over many endpoints or of one. One that has ended is shown as it is.
func (o *operators) stopMany(r *http.Request, who caller) (response, error) {
	found, err := o.dispatcher.Recovery(r.Context(), r.PathValue("id"))
	if err != nil || !found.State.Active() {
		return response{status: http.StatusOK, body: showMany(found)}, err
	}
	action := actionOf(found)
	if !action.needs.met(who.may) {
		return response{}, notAllowed(action.needs.missing(who.may))
	}
	found, err = o.dispatcher.StopRecovery(r.Context(), found.EndpointID)
	return response{status: http.StatusOK, body: showMany(found)}, err
}
