package settings

import (
	"context"
	"errors"
	"net/http"

	"github.com/alot/alotwebhook"
)

// knownEvent is what is known of an event.
type knownEvent struct {
	// Event has no data once its payload is erased.
	alotwebhook.Event
	Erased     bool
	Deliveries []alotwebhook.Delivery // newest first
	Next       string                 // cursor of further deliveries; "" if there are none
}

// event returns what is known of an event. Once its payload is erased, that is what its deliveries
// say. Without them, an event is not found.
func (c caller) event(ctx context.Context, d *alotwebhook.Dispatcher, id string) (knownEvent, error) {
	if !isID(eventPrefix, id) {
		return knownEvent{}, alotwebhook.ErrNotFound
	}
	found, next, err := d.DeliveryPage(ctx, alotwebhook.Filter{OrganizationID: c.organization, EventID: id, Limit: maxLimit})
	if err != nil {
		return knownEvent{}, err
	}
	known := knownEvent{Deliveries: found, Next: next}
	known.Event, err = d.Event(ctx, id)
	switch {
	case err == nil && c.organization != "" && known.OrganizationID != c.organization:
		return knownEvent{}, alotwebhook.ErrNotFound
	case errors.Is(err, alotwebhook.ErrNotFound) && len(found) > 0:
		known.Event, known.Erased, err = alotwebhook.Event{
			ID: id, Type: found[0].EventType, OrganizationID: found[0].OrganizationID, Timestamp: idTime(id),
		}, true, nil
	}
	return known, err
}

// eventJSON is an event as the API shows it.
type eventJSON struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Timestamp  instant        `json:"timestamp"`
	Deliveries []deliveryJSON `json:"deliveries"`
	// NextCursor is that of the list of the organization's deliveries of this event.
	NextCursor string `json:"nextCursor,omitzero"`
	// Payload is the exact body of the requests, until it is erased.
	Payload string `json:"payload,omitzero"`
	// PayloadsHidden says why there is no Payload: the request may not see it.
	PayloadsHidden bool `json:"payloadsHidden,omitzero"`
}

// readEvent responds with an event and its deliveries. If there are none, no endpoint was
// subscribed to it.
func (a *api) readEvent(r *http.Request, who caller) (response, error) {
	found, err := who.event(r.Context(), a.dispatcher, r.PathValue("id"))
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return response{}, errNoEvent
	case err != nil:
		return response{}, err
	}
	shown := eventJSON{
		ID: found.ID, Type: found.Type, Timestamp: instant(found.Timestamp), Deliveries: make([]deliveryJSON, len(found.Deliveries)),
		NextCursor:     listDeliveriesOf(alotwebhook.Filter{OrganizationID: who.organization, EventID: found.ID}).cursor(found.Next),
		PayloadsHidden: !who.may[ActionPayloads],
	}
	for i, d := range found.Deliveries {
		shown.Deliveries[i] = showDelivery(d)
	}
	if !found.Erased && !shown.PayloadsHidden {
		shown.Payload = string(found.Payload())
	}
	return response{status: http.StatusOK, body: shown}, nil
}
