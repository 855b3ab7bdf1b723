package alotwebhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/guard"
)

const (
	maxDescription = 256 // bytes
	maxSecret      = 256 // bytes
)

// CreateEndpoint registers an endpoint. It takes OrganizationID, URL,
// EventTypes, Description, Secret and Disabled from e and fills the rest;
// without a Secret it makes one. The returned endpoint carries the secret: the
// one time that it can be shown.
//
// A [FieldError] names what is not valid. That the URL's host resolves to a
// public address is judged at each attempt, not here.
func (d *Dispatcher) CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	id, err := newID(endpointPrefix)
	if err != nil {
		return Endpoint{}, err
	}
	return d.createEndpoint(ctx, id, e)
}

func (d *Dispatcher) createEndpoint(ctx context.Context, id string, e Endpoint) (_ Endpoint, err error) {
	if e.Secret == "" {
		e.Secret = NewSecret()
	}
	if err := checkOrganization(e.OrganizationID); err != nil {
		return Endpoint{}, err
	}
	if err := checkSecret("secret", e.Secret); err != nil {
		return Endpoint{}, err
	}
	if err := d.checkEndpoint(&e, &Endpoint{}); err != nil {
		return Endpoint{}, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	created := Endpoint{
		ID: id, OrganizationID: e.OrganizationID, URL: e.URL, Description: e.Description,
		EventTypes: slices.Clone(e.EventTypes), Disabled: e.Disabled, CreatedAt: now, UpdatedAt: now,
	}
	if e.Disabled {
		created.DisabledReason = DisabledByUser
	}
	if created.Secret, err = d.seal(id, e.Secret); err != nil {
		return Endpoint{}, err
	}
	if err := d.store.PutEndpoint(ctx, created); err != nil {
		return Endpoint{}, explain(err, "endpoint not stored")
	}
	created.Version, created.Secret = 1, e.Secret
	return created, nil
}

// UpdateEndpoint changes an endpoint's URL, Description, EventTypes and Disabled
// to those of e; the rest of e but ID and Version is ignored. The version must
// be the one that was read: [ErrConflict] when the endpoint was changed since,
// [ErrNotFound] when there is none. Enabling sends what was parked.
//
// A [FieldError] names what is not valid. What stays as it was is not judged
// again: an endpoint can be disabled although its event type has left the catalogue.
func (d *Dispatcher) UpdateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	return d.changeEndpoint(ctx, e.ID, func(stored *Endpoint) error {
		if stored.Version != e.Version {
			return fmt.Errorf("%w: %s is at version %d, not %d", ErrConflict, e.ID, stored.Version, e.Version)
		}
		if err := d.checkEndpoint(&e, stored); err != nil {
			return err
		}
		stored.URL, stored.Description, stored.EventTypes = e.URL, e.Description, slices.Clone(e.EventTypes)
		if e.Disabled != stored.Disabled {
			stored.setDisabled(e.Disabled, DisabledByUser)
		}
		return nil
	})
}

func (e *Endpoint) setDisabled(disabled bool, reason DisabledReason) {
	e.Disabled, e.DisabledReason = disabled, reason
	if !disabled {
		e.DisabledReason, e.FailingSince = "", time.Time{}
	}
}

// RotateSecret gives an endpoint its next secret, which signs from at on; a zero
// at means now. Until then the present one does, so that the receiver has time
// to accept both. An empty next is made here. The secret is returned, for the
// one time that it can be shown. A rotation still to come is replaced.
func (d *Dispatcher) RotateSecret(ctx context.Context, endpointID string, next Secret, at time.Time) (Secret, error) {
	if next == "" {
		next = NewSecret()
	}
	if err := checkSecret("secret", next); err != nil {
		return "", err
	}
	sealed, err := d.seal(endpointID, next)
	if err != nil {
		return "", err
	}
	_, err = d.changeEndpoint(ctx, endpointID, func(e *Endpoint) error {
		now := time.Now()
		if e.NextSecret != "" && !now.Before(e.NextSecretAt) {
			e.Secret = e.NextSecret
		}
		e.NextSecret, e.NextSecretAt = sealed, at.UTC().Truncate(time.Microsecond)
		if at.Before(now) {
			e.Secret, e.NextSecret, e.NextSecretAt = sealed, "", time.Time{}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return next, nil
}

// DeleteEndpoint removes an endpoint for good; what was not yet delivered to it
// fails, what was stays readable. [ErrNotFound] when there is none.
func (d *Dispatcher) DeleteEndpoint(ctx context.Context, id string) error {
	if err := d.store.DeleteEndpoint(ctx, id); err != nil {
		return explain(err, "endpoint not deleted")
	}
	return nil
}

// Endpoint returns an endpoint, without its secrets, or [ErrNotFound].
func (d *Dispatcher) Endpoint(ctx context.Context, id string) (Endpoint, error) {
	e, err := d.store.Endpoint(ctx, id)
	if err != nil {
		return Endpoint{}, explain(err, "endpoint %q", clip(id))
	}
	return e.withoutSecrets(), nil
}

// Endpoints returns the endpoints that f selects, oldest first and without
// their secrets; f.Limit is the page that is read at a time. An error ends the
// sequence.
func (d *Dispatcher) Endpoints(ctx context.Context, f EndpointFilter) iter.Seq2[Endpoint, error] {
	return pages(f.Cursor, func(cursor string) ([]Endpoint, string, error) {
		f.Cursor = cursor
		page, next, err := d.store.Endpoints(ctx, f)
		for i := range page {
			page[i] = page[i].withoutSecrets()
		}
		return page, next, err
	})
}

// SendTest sends the example data of an event type to one endpoint, whatever
// it subscribes to, and returns the event. A disabled endpoint's is parked.
func (d *Dispatcher) SendTest(ctx context.Context, endpointID, eventType string) (Event, error) {
	return d.sendTest(ctx, "", endpointID, eventType)
}

// sendTest gives the event that id, unless it is "".
func (d *Dispatcher) sendTest(ctx context.Context, id, endpointID, eventType string) (Event, error) {
	if err := checkType("type", eventType, d.types); err != nil {
		return Event{}, err
	}
	endpoint, err := d.Endpoint(ctx, endpointID)
	if err != nil {
		return Event{}, err
	}
	example := d.types[eventType].Example
	if len(example) == 0 {
		example = json.RawMessage(`{}`)
	}
	event, err := NewEvent(eventType, endpoint.OrganizationID, example)
	if err != nil {
		return Event{}, err
	}
	event.ID = cmp.Or(id, event.ID)
	if err := d.store.EnqueueTo(ctx, endpointID, event); err != nil {
		return Event{}, explain(err, "test event not stored")
	}
	d.emitted()
	return event, nil
}

// changeEndpoint reads, changes and writes an endpoint, again if somebody was
// faster and change does not object.
func (d *Dispatcher) changeEndpoint(ctx context.Context, id string, change func(*Endpoint) error) (Endpoint, error) {
	for {
		e, err := d.store.Endpoint(ctx, id)
		if err != nil {
			return Endpoint{}, explain(err, "endpoint %q", clip(id))
		}
		if err := change(&e); err != nil {
			return Endpoint{}, err
		}
		e.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
		err = d.store.PutEndpoint(ctx, e)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return Endpoint{}, explain(err, "endpoint not stored")
		}
		e.Version++
		d.emitted() // enabling makes deliveries due
		return e.withoutSecrets(), nil
	}
}

func (e Endpoint) withoutSecrets() Endpoint {
	e.Secret, e.NextSecret = "", ""
	return e
}

func (d *Dispatcher) seal(endpointID string, secret Secret) (Secret, error) {
	if d.cfg.Sealer == nil {
		return secret, nil
	}
	sealed, err := d.cfg.Sealer.Seal(endpointID, secret)
	if err != nil {
		return "", explain(err, "secret not sealed")
	}
	return sealed, nil
}

// checkEndpoint judges what e changes of the stored one.
func (d *Dispatcher) checkEndpoint(e, stored *Endpoint) error {
	if e.URL == "" || e.URL != stored.URL {
		if _, err := checkURL(e.URL, d.cfg); err != nil {
			return err
		}
	}
	if len(e.Description) > maxDescription || !plainText(e.Description) {
		return &FieldError{Field: "description", Problem: fmt.Sprintf("is longer than %d bytes, or has control characters or is not UTF-8", maxDescription)}
	}
	if len(e.EventTypes) == 0 {
		return &FieldError{Field: "events", Problem: "is empty; name at least one event type to be told of"}
	}
	for i, name := range e.EventTypes {
		field := fmt.Sprintf("events[%d]", i)
		if err := checkType(field, name, d.types); err != nil && !slices.Contains(stored.EventTypes, name) {
			return err
		}
		if slices.Contains(e.EventTypes[:i], name) {
			return &FieldError{Field: field, Problem: fmt.Sprintf("%q stands twice", name)}
		}
	}
	return nil
}

// checkSecret refuses what cannot be meant: blanks around a secret are a
// copying accident that makes every signature fail.
func checkSecret(field string, s Secret) error {
	switch {
	case strings.TrimSpace(string(s)) == "":
		return &FieldError{Field: field, Problem: "is empty or blank"}
	case strings.TrimSpace(string(s)) != string(s):
		return &FieldError{Field: field, Problem: "begins or ends with white space"}
	case len(s) > maxSecret:
		return &FieldError{Field: field, Problem: fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), maxSecret)}
	case !plainText(string(s)):
		return &FieldError{Field: field, Problem: "has control characters or is not UTF-8"}
	}
	return nil
}

// disableIfDue disables an endpoint that is gone or has failed for too long.
func (r *run) disableIfDue(c *Claimed, a *Attempt) {
	var reason DisabledReason
	failing := c.Endpoint.FailingSince
	switch {
	case a.StatusCode == http.StatusGone:
		reason = DisabledGone
	case a.Reason != "" && !failing.IsZero() && r.cfg.DisableAfter > 0 && a.StartedAt.Sub(failing) >= r.cfg.DisableAfter:
		reason = DisabledFailing
	default:
		return
	}
	ctx, cancel := context.WithTimeout(r.attempts, finishTimeout)
	defer cancel()
	done := false
	e, err := r.d.changeEndpoint(ctx, c.Endpoint.ID, func(e *Endpoint) error {
		// Somebody who changed the endpoint since may have mended it.
		if e.Disabled || e.Version != c.Endpoint.Version {
			return errAlreadyChanged
		}
		e.setDisabled(true, reason)
		done = true
		return nil
	})
	switch {
	case err == nil && done:
		r.d.log.Warn("alotwebhook: endpoint disabled; its deliveries are parked", "endpoint", e.ID, "reason", reason)
		if r.cfg.OnDisabled != nil {
			r.cfg.OnDisabled(e)
		}
	case err != nil && !errors.Is(err, errAlreadyChanged) && !errors.Is(err, ErrNotFound):
		r.d.log.Error("alotwebhook: endpoint not disabled", "endpoint", c.Endpoint.ID, "reason", reason, "error", err)
	}
}

var errAlreadyChanged = errors.New("alotwebhook: endpoint was changed meanwhile")

// ErrBlockedAddress says that an address may not be dialled. A customer is told no
// more than that: which address it was would answer a port scan.
var ErrBlockedAddress = guard.ErrBlocked

// AllowedAddress judges an address as the dispatcher does that has no AllowNets,
// DenyNets or NAT64 in its [Config]: nil for an address of the public internet,
// [ErrBlockedAddress] for every other, the zero [netip.Addr] included.
func AllowedAddress(addr netip.Addr) error { return new(guard.Guard).Judge(addr) }

// checkURL returns the URL in its one spelling. The error is a [FieldError] of "url",
// and an [ErrBlockedAddress] as well when the address in it is the reason.
func checkURL(raw string, cfg *Config) (*url.URL, error) {
	u, err := guard.CheckURL(raw, guard.URLRules{AllowHTTP: cfg.AllowHTTP, Guard: cfg.guard()})
	return u, fieldError(err)
}

// fieldError makes a [FieldError] of what package guard refuses.
func fieldError(err error) error {
	var refusal *guard.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	field := &FieldError{Field: refusal.Field, Problem: refusal.Problem}
	if refusal.Blocked {
		return blockedURL{field}
	}
	return field
}

// blockedURL refuses a URL for the address in it.
type blockedURL struct{ *FieldError }

func (e blockedURL) Unwrap() []error { return []error{e.FieldError, ErrBlockedAddress} }
