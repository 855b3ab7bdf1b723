package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/demand"
	"github.com/alot/alotwebhook/internal/envelope"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/outages"
	"github.com/alot/alotwebhook/internal/paging"
	"github.com/alot/alotwebhook/internal/quota"
	"github.com/alot/alotwebhook/internal/ranges"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

const (
	maxDescription = 256 // bytes
	minSecret      = 16  // bytes: with one signed request, a shorter one could be guessed
	maxSecret      = 256 // bytes
)

// CreateEndpoint registers an endpoint. It takes OrganizationID, URL, EventTypes,
// Description, Rate, Ordered, PayloadVersion, Secret, Headers, ClientCertificate and Disabled from e
// and fills in the rest; without a Secret it makes one, and without a PayloadVersion the endpoint gets
// today's. The returned endpoint carries the secret: show it now, since it
// cannot be read again.
//
// A [FieldError] names the field that is not valid, and of several the error unwraps to one each; the
// fields of [Endpoint] say what is. A URL with an address in it is judged here. A host name is judged at each attempt,
// by the address that it has then. A [LimitError] refuses more endpoints of an
// organization than [Config.MaxEndpoints].
func (d *Dispatcher) CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	id, err := typeid.New(endpointPrefix)
	if err != nil {
		return Endpoint{}, err
	}
	return d.createEndpoint(ctx, id, e)
}

// createEndpoint is CreateEndpoint with a given id, or [ErrConflict] if there is one of
// that id.
func (d *Dispatcher) createEndpoint(ctx context.Context, id string, e Endpoint) (_ Endpoint, err error) {
	if e.Secret == "" {
		e.Secret = NewSecret()
	}
	now := storedTime()
	created := Endpoint{
		ID: id, OrganizationID: e.OrganizationID, URL: e.URL, Description: e.Description,
		EventTypes: slices.Clone(e.EventTypes), Rate: e.Rate, Ordered: e.Ordered, Disabled: e.Disabled, CreatedAt: now, UpdatedAt: now,
		PayloadVersion: cmp.Or(e.PayloadVersion, d.cfg.forms.Current()),
	}
	if e.Disabled {
		created.DisabledReason = DisabledByUser
	}
	if d.cfg.ProveURLs {
		created.setDisabled(true, DisabledUnproven)
	}
	err = fault.All(checkOrganization(e.OrganizationID), checkSecret(e.Secret), d.checkEndpoint(&e, &Endpoint{}), d.setCredentials(&created, &e))
	if err == nil {
		created.Secret, err = d.sender.safe.Seal(id, e.Secret)
	}
	if err == nil {
		err = d.addEndpoint(ctx, created)
	}
	if err != nil {
		return Endpoint{}, err
	}
	created = created.withoutSecrets()
	created.Version, created.Secret = 1, e.Secret
	d.readDisabledAt(ctx, &created)
	return created, nil
}

// addEndpoint stores a new endpoint, unless the organization has MaxEndpoints.
func (d *Dispatcher) addEndpoint(ctx context.Context, e Endpoint) error {
	created, undone := d.operation(ctx, OpEndpointCreated, &e, ""), d.operation(ctx, OpEndpointDeleted, &e, "one too many")
	err := d.endpoints.Add(ctx, e.OrganizationID, quota.Addition{
		Count: func(ctx context.Context, limit int) (int, error) {
			page, _, err := d.store.Endpoints(ctx, EndpointFilter{OrganizationID: e.OrganizationID, Limit: limit})
			return len(page), err
		},
		Add:  func(ctx context.Context) error { return d.store.PutEndpoint(ctx, e, created) },
		Undo: func(ctx context.Context) error { return d.store.DeleteEndpoint(ctx, e.ID, undone) },
	})
	d.operations.Wake()
	switch {
	case errors.Is(err, quota.ErrFull):
		return &LimitError{Kind: ErrTooManyEndpoints, Limit: "MaxEndpoints", Most: d.cfg.MaxEndpoints}
	case err != nil:
		return explain(err, "endpoint not stored")
	}
	return nil
}

// UpdateEndpoint sets the URL, Description, EventTypes, Rate, Ordered, Headers, ClientCertificate,
// Disabled and, unless it is "", PayloadVersion of e.ID and returns it without its secrets. e.Version
// must be the version that was read; all
// other fields of e are ignored. Enabling an endpoint sends its parked deliveries and
// clears FailingSince; [Dispatcher.EnableEndpoint] can discard some.
//
// It returns [ErrConflict] if the endpoint was changed since it was read, and
// [ErrNotFound] if there is none. A [FieldError] names each field that is not valid, and a
// [LimitError] refuses more than [Config.ChangesPerMinute]; [ErrUnproven] refuses to enable one whose
// URL is not proven. A field that stays as it is is
// not judged again: an endpoint can be disabled although one of its event types has left
// the catalogue.
func (d *Dispatcher) UpdateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	return d.editEndpoint(ctx, e.ID, false, func(stored *Endpoint) error {
		if stored.Version != e.Version {
			return fmt.Errorf("%w: %s is at version %d, not %d", ErrConflict, e.ID, stored.Version, e.Version)
		}
		if err := fault.All(d.checkEndpoint(&e, stored), d.setCredentials(stored, &e)); err != nil {
			return err
		}
		if e.Disabled != stored.Disabled {
			if err := d.cfg.unproven(stored); err != nil && e.URL == stored.URL {
				return err
			}
			stored.setDisabled(e.Disabled, DisabledByUser)
		}
		if e.URL != stored.URL {
			stored.URLs++
			if d.cfg.ProveURLs {
				stored.setDisabled(true, DisabledUnproven)
			}
		}
		stored.URL, stored.Description, stored.EventTypes = e.URL, e.Description, slices.Clone(e.EventTypes)
		stored.Rate, stored.Ordered, stored.PayloadVersion = e.Rate, e.Ordered, cmp.Or(e.PayloadVersion, stored.PayloadVersion)
		return nil
	})
}

// unproven returns [ErrUnproven] for an endpoint that nothing but a challenge may be sent to.
func (c *Config) unproven(e *Endpoint) error {
	if c.ProveURLs && e.DisabledReason == DisabledUnproven {
		return ErrUnproven
	}
	return nil
}

// setDisabled disables an endpoint for that reason, or enables it. Enabling clears
// FailingSince, so that the time of [Config.DisableAfter] begins anew.
func (e *Endpoint) setDisabled(disabled bool, reason DisabledReason) {
	e.Disabled, e.DisabledReason = disabled, reason
	if !disabled {
		e.DisabledReason, e.DisabledAt, e.FailingSince, e.Warned = "", time.Time{}, time.Time{}, 0
	}
}

// RotateSecret gives an endpoint a new secret, next, or makes one if next is empty. The
// new secret signs from at on, and at once if at is zero; until then the current
// one signs, so that the receiver has time to accept both. A rotation that is still to
// come is replaced. The returned secret cannot be read again: show it now.
//
// A [FieldError] refuses a next that is no valid secret, see [Endpoint], and an at that is more
// than a minute past: it would cut off a receiver that somebody meant to spare. The error is
// [ErrNotFound] if there is no such endpoint, and a [LimitError] beyond
// [Config.ChangesPerMinute].
func (d *Dispatcher) RotateSecret(ctx context.Context, endpointID string, next Secret, at time.Time) (Secret, error) {
	if next == "" {
		next = NewSecret()
	}
	if err := cmp.Or(checkSecret(next), invalid(struct{ SignsFrom time.Time }{at})); err != nil {
		return "", err
	}
	if !at.IsZero() && at.Before(time.Now().Add(-outages.ClockSkew)) {
		return "", refused("signsFrom", "is past, and the new secret would sign at once; give a time to come, or none to have it sign at once")
	}
	sealed, err := d.sender.safe.Seal(endpointID, next)
	if err != nil {
		return "", err
	}
	_, err = d.editEndpoint(ctx, endpointID, true, func(e *Endpoint) error {
		p := e.secrets().Rotated(sealed, at, time.Now())
		e.Secret, e.NextSecret, e.NextSecretAt = p.Current, p.Next, p.NextAt
		return demand.Version(ctx, e.Version, ErrConflict)
	})
	if err != nil {
		return "", err
	}
	return next, nil
}

// DeleteEndpoint removes an endpoint for good, or returns [ErrNotFound]. Its unfinished
// deliveries fail with [ReasonEndpointDeleted]; its history stays readable. A [LimitError]
// refuses more than [Config.ChangesPerMinute].
func (d *Dispatcher) DeleteEndpoint(ctx context.Context, id string) error {
	e, err := d.Endpoint(ctx, id)
	if err == nil {
		err = once(d.changes, e.OrganizationID)
	}
	if err != nil {
		return err
	}
	err = d.store.DeleteEndpoint(ctx, id, d.operation(ctx, OpEndpointDeleted, &e, ""))
	d.operations.Wake()
	return explain(err, "endpoint not deleted")
}

// Endpoint returns an endpoint without its secrets, or [ErrNotFound].
func (d *Dispatcher) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	e, err := d.store.Endpoint(ctx, id)
	return e.withoutSecrets(), err
}

// EndpointFilter selects endpoints. A zero field selects all.
type EndpointFilter struct {
	// OrganizationID is the owner.
	OrganizationID string
	// IDs are the endpoints to select from. A store finds them by their ids, however many
	// other endpoints there are.
	IDs []string
	// Failing selects the enabled endpoints that are failing: their FailingSince is not zero.
	// Disabled selects those that are disabled. With both, either will do.
	Failing, Disabled bool
	// URLPart is a part of the URL; ASCII letters match in either case.
	URLPart string
	// Cursor is an endpoint id: the page begins after it.
	Cursor string
	// Limit is the size of a page; 0 or less stands for 100.
	Limit int
}

// Endpoints returns the endpoints that f selects, in the order of their ids and without
// their secrets: oldest first, but for those of [Dispatcher.CreateEndpointOnce], which
// are in order by the minute only. The sequence reads f.Limit endpoints at a time and
// ends with the first error.
func (d *Dispatcher) Endpoints(ctx context.Context, f EndpointFilter) iter.Seq2[Endpoint, error] {
	return paging.All(f.Cursor, func(cursor string) ([]Endpoint, string, error) {
		f.Cursor = cursor
		page, next, err := d.store.Endpoints(ctx, f)
		for i := range page {
			page[i] = page[i].withoutSecrets()
		}
		return page, next, err
	})
}

// SendTest sends the example data of an event type to one endpoint, whether it subscribes to
// the type or not, and disabled or not, and returns the event. What comes of it changes nothing:
// no tally counts it, no recovery sends it again, and the endpoint neither fails nor heals by it.
//
// A [FieldError] refuses a type that is not in the catalogue. The error is [ErrNotFound]
// if there is no such endpoint, [ErrUnproven] if its URL is not proven, and a [LimitError] beyond
// [Config.TestsPerMinute].
func (d *Dispatcher) SendTest(ctx context.Context, endpointID, eventType string) (Event, error) {
	return d.sendTest(ctx, "", endpointID, eventType)
}

// sendTest is SendTest with a given event id; "" stands for a new one.
func (d *Dispatcher) sendTest(ctx context.Context, id, endpointID, eventType string) (Event, error) {
	if err := checkType("type", eventType, d.types); err != nil {
		return Event{}, err
	}
	endpoint, err := d.Endpoint(ctx, endpointID)
	if err = cmp.Or(err, d.cfg.unproven(&endpoint)); err != nil {
		return Event{}, err
	}
	event, err := NewEvent(eventType, endpoint.OrganizationID, envelope.FirstOf(d.types[eventType].TestExample, d.types[eventType].Example))
	if err != nil {
		return Event{}, err
	}
	event.Test = true
	if err := once(d.tests, endpoint.OrganizationID); err != nil {
		return Event{}, err
	}
	event.ID = cmp.Or(id, event.ID)
	if err := d.store.EnqueueTo(ctx, endpointID, event); err != nil {
		return Event{}, explain(err, "test event not stored")
	}
	d.emitted()
	return event, nil
}

// editEndpoint is changeEndpoint for a change that somebody asked for: it counts as one of
// the organization's changes.
func (d *Dispatcher) editEndpoint(ctx context.Context, id string, rotates bool, change func(*Endpoint) error) (Endpoint, error) {
	counted := false
	return d.changeEndpoint(ctx, id, rotates, func(e *Endpoint) error {
		if err := change(e); err != nil || counted {
			return err
		}
		counted = true
		return once(d.changes, e.OrganizationID)
	})
}

// changeEndpoint reads an endpoint, has change alter it and stores it. If somebody else
// stored it meanwhile, it starts again with what they stored. An error of change ends
// it: that is how a caller refuses a version.
func (d *Dispatcher) changeEndpoint(ctx context.Context, id string, rotates bool, change func(*Endpoint) error) (Endpoint, error) {
	for {
		e, err := d.store.Endpoint(ctx, id)
		if err != nil {
			return Endpoint{}, err
		}
		was := e
		if err := change(&e); err != nil {
			return Endpoint{}, err
		}
		e.UpdatedAt = storedTime()
		err = d.store.PutEndpoint(ctx, e, d.told(ctx, &was, &e, rotates)...)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Endpoint{}, explain(err, "endpoint not stored")
		}
		e.Version++
		d.readDisabledAt(ctx, &e)
		d.operations.Wake()
		d.emitted() // if this enabled the endpoint, its parked deliveries are due
		return e.withoutSecrets(), nil
	}
}

// readDisabledAt fills in when an endpoint was disabled that has just been stored.
func (d *Dispatcher) readDisabledAt(ctx context.Context, e *Endpoint) {
	if e.Disabled && e.DisabledAt.IsZero() {
		if stored, err := d.store.Endpoint(ctx, e.ID); err == nil {
			e.DisabledAt = stored.DisabledAt
		}
	}
}

// checkEndpoint refuses e with a [FieldError] of each field that is not valid and differs from
// the stored one's.
func (d *Dispatcher) checkEndpoint(e, stored *Endpoint) (err error) {
	if e.URL == "" || e.URL != stored.URL {
		_, err = checkURL(e.URL, d.cfg)
	}
	part, problem := eventtype.SubscriptionsProblem(e.EventTypes, stored.EventTypes, d.types, d.cfg.Wildcards)
	err = fault.All(err, refused("description", text.PlainProblem(e.Description, maxDescription)), refused("rate", ranges.RateProblem(e.Rate)), refused("events"+part, problem))
	if e.PayloadVersion != stored.PayloadVersion {
		err = fault.All(err, refused("payloadVersion", d.cfg.forms.Problem(e.PayloadVersion)))
	}
	return err
}

// checkSecret refuses a secret that cannot be meant, with a [FieldError].
func checkSecret(s Secret) error {
	return refused("secret", text.SecretProblem(string(s), minSecret, maxSecret))
}
