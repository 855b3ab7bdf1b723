package settings

import (
	"context"
	"errors"

	"github.com/alot/alotwebhook"
)

// The API and the pages read everything through the functions of this file. They
// return [alotwebhook.ErrNotFound] for what belongs to another organization.

func endpointOf(ctx context.Context, d *alotwebhook.Dispatcher, organization, id string) (alotwebhook.Endpoint, error) {
	if !isID(endpointPrefix, id) {
		return alotwebhook.Endpoint{}, alotwebhook.ErrNotFound
	}
	e, err := d.Endpoint(ctx, id)
	if err == nil && e.OrganizationID != organization {
		return alotwebhook.Endpoint{}, alotwebhook.ErrNotFound
	}
	return e, err
}

func deliveryOf(ctx context.Context, d *alotwebhook.Dispatcher, organization, id string) (alotwebhook.Delivery, error) {
	if !isID(deliveryPrefix, id) {
		return alotwebhook.Delivery{}, alotwebhook.ErrNotFound
	}
	delivery, err := d.Delivery(ctx, id)
	if err == nil && delivery.OrganizationID != organization {
		return alotwebhook.Delivery{}, alotwebhook.ErrNotFound
	}
	return delivery, err
}

// payloadOf returns the exact bytes that a delivery sends. It returns nil if the
// payload was erased. The caller got the delivery from deliveryOf.
func payloadOf(ctx context.Context, d *alotwebhook.Dispatcher, delivery alotwebhook.Delivery) ([]byte, error) {
	event, err := d.Event(ctx, delivery.EventID)
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return event.Payload(), nil
}

// endpointsOf returns up to limit endpoints that follow the one with the id
// cursor, from the beginning if cursor is "". next is the cursor of the page after
// it, "" if there is none.
func endpointsOf(ctx context.Context, d *alotwebhook.Dispatcher, organization, cursor string, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	f := alotwebhook.EndpointFilter{OrganizationID: organization, Cursor: cursor, Limit: limit + 1}
	for e, err := range d.Endpoints(ctx, f) {
		if err != nil {
			return nil, "", err
		}
		if len(found) == limit { // the one endpoint too many shows that there is another page
			return found, found[limit-1].ID, nil
		}
		found = append(found, e)
	}
	return found, "", nil
}
