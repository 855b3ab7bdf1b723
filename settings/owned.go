package settings

import (
	"context"
	"errors"

	"github.com/alot/alotwebhook"
)

// What is read here belongs to the organization that asks. Another's is
// [alotwebhook.ErrNotFound], in the API and on the pages alike.

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

// payloadOf returns the exact bytes of a delivery that was found; none once they
// are erased.
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

// endpointsOf returns at most limit endpoints behind the cursor, an id, and the
// last one's id if there are more.
func endpointsOf(ctx context.Context, d *alotwebhook.Dispatcher, organization, cursor string, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	f := alotwebhook.EndpointFilter{OrganizationID: organization, Cursor: cursor, Limit: limit + 1}
	for e, err := range d.Endpoints(ctx, f) {
		if err != nil {
			return nil, "", err
		}
		if len(found) == limit { // this one more tells that there is more
			return found, found[limit-1].ID, nil
		}
		found = append(found, e)
	}
	return found, "", nil
}
