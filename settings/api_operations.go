package settings

import (
	"context"
	"net/http"
	"time"

	"github.com/alot/alotwebhook"
)

// maxOverlap is how far ahead of now a rotation may take effect.
const maxOverlap = 30 * 24 * time.Hour

// rotateSecret gives the endpoint its next secret. If the secret was generated, it is
// in this response and in no later one.
func (a *api) rotateSecret(r *http.Request, who caller) (response, error) {
	secret, from, err := readRotation(r)
	if err != nil {
		return response{}, err
	}
	own, err := ownSecret(secret)
	if err != nil {
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
	next, repeated, err := a.rotate(r, e.ID, own, from)
	if err != nil {
		return response{}, err
	}
	now, err := a.endpoint(r, who)
	if err != nil { // the secret is shown all the same: nobody can read it once more
		a.logFailure(r, &failure{who.organization, err})
		e.NextSecretAt = from
		return response{status: http.StatusOK, body: show(e).withSecret(secret == nil, next)}.repeated(repeated), nil
	}
	return show(now).withSecret(secret == nil, next).asResponse(http.StatusOK, now.Version).repeated(repeated), nil
}

// readRotation reads the secret, nil if one is to be generated, and the time from
// which it signs, zero for at once.
func readRotation(r *http.Request) (secret *string, from time.Time, err error) {
	err = readOptionalObject(r, fields{"secret": optionalInto(&secret), "signsFrom": endInto(&from)})
	if err == nil && time.Until(from) > maxOverlap {
		err = invalid(fieldProblem{"signsFrom", "is more than 30 days ahead"})
	}
	return secret, from, err
}

// rotate rotates the secret and returns the new one. If the request has a key that
// rotated it before, rotate returns that secret, and true.
func (a *api) rotate(r *http.Request, id string, next alotwebhook.Secret, from time.Time) (alotwebhook.Secret, bool, error) {
	key, err := readKey(r)
	switch {
	case err != nil:
		return "", false, err
	case key != "":
		return a.dispatcher.RotateSecretOnce(r.Context(), key, id, next, from)
	}
	next, err = a.dispatcher.RotateSecret(r.Context(), id, next, from)
	return next, false, err
}

// testJSON names a test event and its delivery.
type testJSON struct {
	EventID    string `json:"eventId"`
	Type       string `json:"type"`
	DeliveryID string `json:"deliveryId"`
}

// sendTest sends the example of an event type. By default that is the first type
// that the endpoint subscribes to.
func (a *api) sendTest(r *http.Request, who caller) (response, error) {
	var eventType *string
	if err := readOptionalObject(r, fields{"type": optionalInto(&eventType)}); err != nil {
		return response{}, err
	}
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	if eventType == nil {
		first := firstOf(a.dispatcher.EventTypes(), e)
		eventType = &first
	}
	event, repeated, err := a.test(r, e.ID, *eventType)
	if err != nil {
		return response{}, err
	}
	sent := testJSON{event.ID, event.Type, alotwebhook.DeliveryID(event.ID, e.ID)}
	return response{status: http.StatusAccepted, body: sent}.
		with("Location", a.at(r, "/deliveries/"+sent.DeliveryID)).repeated(repeated), nil
}

// test emits a test event. If the request has a key that emitted one before, test
// returns that event, and true.
func (a *api) test(r *http.Request, id, eventType string) (alotwebhook.Event, bool, error) {
	key, err := readKey(r)
	switch {
	case err != nil:
		return alotwebhook.Event{}, false, err
	case key != "":
		return a.dispatcher.SendTestOnce(r.Context(), key, id, eventType)
	}
	event, err := a.dispatcher.SendTest(r.Context(), id, eventType)
	return event, false, err
}

// recoveryJSON is a recovery as the API shows it.
type recoveryJSON struct {
	EndpointID string                    `json:"endpointId,omitzero"` // "" over many endpoints
	Status     alotwebhook.RecoveryState `json:"status"`
	Since      instant                   `json:"since,omitzero"`
	Until      instant                   `json:"until"`
	Progress   float64                   `json:"progress"` // 0 to 1
	Recovered  int64                     `json:"recovered"`
	Skipped    int64                     `json:"skipped"`
	CreatedAt  instant                   `json:"createdAt"`
	UpdatedAt  instant                   `json:"updatedAt"`
	FinishedAt instant                   `json:"finishedAt,omitzero"`
}

func showRecovery(r alotwebhook.Recovery) recoveryJSON {
	return recoveryJSON{
		EndpointID: r.EndpointID, Status: r.State, Since: instant(r.Since), Until: instant(r.Until),
		Progress: r.Progress(), Recovered: r.Recovered, Skipped: r.Skipped,
		CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt), FinishedAt: instant(r.FinishedAt),
	}
}

// beginRecovery starts a recovery in the background: the endpoint's deliveries that
// failed since a time are sent again.
func (a *api) beginRecovery(r *http.Request, who caller) (response, error) {
	return a.beginSince(r, who, a.dispatcher.Recover)
}

// sendMissed starts to send, in the background, the events that the endpoint never got.
func (a *api) sendMissed(r *http.Request, who caller) (response, error) {
	return a.beginSince(r, who, a.dispatcher.SendMissed)
}

// beginSince responds with the recovery that begin starts of the endpoint, since the time in the
// request.
func (a *api) beginSince(r *http.Request, who caller, begin func(context.Context, string, time.Time) (alotwebhook.Recovery, error)) (response, error) {
	var since time.Time
	if err := readOptionalObject(r, fields{"since": timeInto(&since)}); err != nil {
		return response{}, err
	}
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	recovery, err := begin(r.Context(), e.ID, since)
	if err != nil {
		return response{}, err
	}
	return a.accepted(r, recovery), nil
}

// recovering responds with the endpoint's newest recovery, as it is now.
func (a *api) recovering(r *http.Request, who caller) (response, error) {
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	recovery, err := a.dispatcher.Recovery(r.Context(), e.ID)
	if err != nil {
		return response{}, err
	}
	return a.accepted(r, recovery), nil
}

// accepted responds with a recovery that was begun.
func (a *api) accepted(r *http.Request, recovery alotwebhook.Recovery) response {
	return response{status: http.StatusAccepted, body: showRecovery(recovery)}.
		with("Location", a.at(r, "/"+recovery.EndpointID+"/recover"))
}

func (a *api) readRecovery(r *http.Request, who caller) (response, error) {
	return a.aboutRecovery(r, who, a.dispatcher.Recovery)
}

func (a *api) stopRecovery(r *http.Request, who caller) (response, error) {
	return a.aboutRecovery(r, who, func(ctx context.Context, id string) (alotwebhook.Recovery, error) {
		found, err := a.dispatcher.Recovery(ctx, id)
		if needs := actionOf(found).needs; err == nil && !needs.met(who.may) {
			err = notAllowed(needs.missing(who.may))
		}
		if err != nil {
			return found, err
		}
		return a.dispatcher.StopRecovery(ctx, id)
	})
}

// recoveryCall reads the endpoint's recovery, or changes it and then reads it.
type recoveryCall func(ctx context.Context, endpointID string) (alotwebhook.Recovery, error)

// aboutRecovery responds with the recovery that the call returns.
func (a *api) aboutRecovery(r *http.Request, who caller, call recoveryCall) (response, error) {
	e, err := a.endpoint(r, who)
	if err != nil {
		return response{}, err
	}
	recovery, err := call(r.Context(), e.ID)
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, body: showRecovery(recovery)}, nil
}
