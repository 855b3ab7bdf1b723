package settings

import (
	"context"
	"errors"
	"slices"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/audit"
)

// caller is whom a request speaks for, and what it may do. The API and the pages read
// everything through its methods: they return [alotwebhook.ErrNotFound] for what belongs to
// another organization, and leave out what the request may not see.
type caller struct {
	organization string
	may          rights
}

func (c caller) endpoint(ctx context.Context, d *alotwebhook.Dispatcher, id string) (alotwebhook.Endpoint, error) {
	if !isID(endpointPrefix, id) {
		return alotwebhook.Endpoint{}, alotwebhook.ErrNotFound
	}
	e, err := d.Endpoint(ctx, id)
	if err == nil && e.OrganizationID != c.organization {
		return alotwebhook.Endpoint{}, alotwebhook.ErrNotFound
	}
	return e, err
}

func (c caller) delivery(ctx context.Context, d *alotwebhook.Dispatcher, id string) (alotwebhook.Delivery, error) {
	if !isID(deliveryPrefix, id) {
		return alotwebhook.Delivery{}, alotwebhook.ErrNotFound
	}
	delivery, err := d.Delivery(ctx, id)
	if err == nil && delivery.OrganizationID != c.organization {
		return alotwebhook.Delivery{}, alotwebhook.ErrNotFound
	}
	if !c.may[ActionPayloads] {
		delivery.Attempts = withoutBodies(delivery.Attempts)
	}
	return delivery, err
}

// withoutBodies returns the attempts without what the responses say. It changes a copy: a store
// may keep the attempts that it returns.
func withoutBodies(attempts []alotwebhook.Attempt) []alotwebhook.Attempt {
	attempts = slices.Clone(attempts)
	for i := range attempts {
		attempts[i].ResponseHeaders, attempts[i].ResponseBody = "", ""
	}
	return attempts
}

// payload returns the exact bytes that a delivery sends, if the request may see them. The
// payload is erased if there is none any more. The caller got the delivery from its method
// delivery.
func (c caller) payload(ctx context.Context, d *alotwebhook.Dispatcher, delivery alotwebhook.Delivery) (payload []byte, erased bool, err error) {
	event, err := d.Event(ctx, delivery.EventID)
	switch {
	case errors.Is(err, alotwebhook.ErrNotFound):
		return nil, true, nil
	case err != nil || !c.may[ActionPayloads]:
		return nil, false, err
	}
	return payloadFor(ctx, d, event, delivery.EndpointID), false, nil
}

// payloadFor returns the payload of an event in the version that an endpoint has now. What cannot be
// made, or is of an endpoint that is gone, is shown as it was emitted.
func payloadFor(ctx context.Context, d *alotwebhook.Dispatcher, event alotwebhook.Event, endpointID string) []byte {
	if _, versions := d.Offers(); len(versions) == 0 {
		return event.Payload()
	}
	e, err := d.Endpoint(ctx, endpointID)
	if err != nil {
		return event.Payload()
	}
	payload, err := d.PayloadOf(event, e.PayloadVersion)
	if err != nil {
		return event.Payload()
	}
	return payload
}

// endpoints returns up to limit endpoints that f selects, from the beginning if its cursor is "". next is the cursor of the page after it, "" if there is none. Of the
// filter, the organization is always the caller's.
func (c caller) endpoints(ctx context.Context, d *alotwebhook.Dispatcher, f alotwebhook.EndpointFilter, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	f.OrganizationID = c.organization
	return endpointPage(ctx, d, f, limit)
}

// endpointPage returns up to limit endpoints that f selects, oldest first, and the cursor of the next
// page. The store gives them in the order of their ids. Those that a key made have the minute in
// their ids and no more, so that pages are in order by the minute, and each page is sorted.
func endpointPage(ctx context.Context, d *alotwebhook.Dispatcher, f alotwebhook.EndpointFilter, limit int) (found []alotwebhook.Endpoint, next string, err error) {
	f.Limit = limit + 1
	for e, err := range d.Endpoints(ctx, f) {
		if err != nil {
			return nil, "", err
		}
		if len(found) == limit { // the one endpoint too many shows that there is another page
			next = found[limit-1].ID
			break
		}
		found = append(found, e)
	}
	slices.SortStableFunc(found, func(a, b alotwebhook.Endpoint) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return found, next, nil
}

// operations returns a page of the operations that f selects, of the organization alone.
func (c caller) operations(ctx context.Context, d *alotwebhook.Dispatcher, f alotwebhook.OperationFilter) (found []alotwebhook.Operation, next string, err error) {
	f.OrganizationID = c.organization
	found, next, err = d.Operations(ctx, f)
	for i := range found {
		found[i] = forOrganization(found[i])
	}
	return found, next, err
}

// forOrganization leaves out of an operation what operators of the host say to each other.
func forOrganization(o alotwebhook.Operation) alotwebhook.Operation {
	o.EndpointID, o.Actor, o.Note = audit.ForCustomer(string(o.Type), o.EndpointID, o.Actor, o.Note)
	return o
}
