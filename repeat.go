package alotwebhook

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/repeatkey"
	"github.com/alot/alotwebhook/internal/seal"
)

// ErrKeyReused refuses a key that came before with another request. Take a new key for
// each request, and the same key only to repeat one.
var ErrKeyReused = errors.New("alotwebhook: the key came before with another request")

// A key is found again for this long after its request. For a test event it is shorter,
// because the search reads the store once for each minute; for the secret that a key made,
// because whoever knows the key is shown it.
const (
	endpointKeyAge = 24 * time.Hour
	testKeyAge     = 10 * time.Minute
	secretKeyAge   = 10 * time.Minute
)

// CreateEndpointOnce is [Dispatcher.CreateEndpoint] for a request that may come again.
// For 24 hours the same key of the same organization finds the endpoint that it made, in
// every process and after restarts; repeated is true then. For ten minutes the endpoint
// has its secret again, unless it was changed since: keep a key as safe as the secret.
//
// Nothing is stored for the key: the endpoint's id is made from it. If the endpoint was
// deleted, the key makes another. Two requests at the same moment in two processes may
// make two, if the clock comes to a full minute between them. An empty key stands for none,
// here and in the other methods: the request is none that came before.
//
// The error is [ErrKeyReused] if the key made an endpoint that differs from e and was
// not changed since; created is that endpoint then, without its secret. Other errors are
// those of CreateEndpoint.
func (d *Dispatcher) CreateEndpointOnce(ctx context.Context, key string, e Endpoint) (created Endpoint, repeated bool, err error) {
	given := e.Secret
	for range 3 { // after a refusal the next round finds the faster one's endpoint
		var stored *Endpoint
		if stored, err = d.endpointOfKey(ctx, e.OrganizationID, key); err != nil {
			return Endpoint{}, false, err
		}
		if stored != nil {
			created, err = d.sameEndpoint(stored, &e, given)
			return created, true, err
		}
		id := repeatkey.ID(endpointPrefix, time.Now(), e.OrganizationID, key)
		created, err = d.createEndpoint(ctx, id, e)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrTooManyEndpoints) {
			return created, false, err
		}
	}
	return Endpoint{}, false, err
}

// endpointOfKey returns the endpoint that the key made, or nil. It looks for the ids that
// the key can have made, one for each minute, and so reads no other endpoint.
func (d *Dispatcher) endpointOfKey(ctx context.Context, organizationID, key string) (*Endpoint, error) {
	ids := repeatkey.IDs(endpointPrefix, time.Now(), endpointKeyAge, organizationID, key)
	page, _, err := d.store.Endpoints(ctx, EndpointFilter{OrganizationID: organizationID, IDs: ids, Limit: 1})
	if err != nil || len(page) == 0 {
		return nil, explain(err, "list not read")
	}
	return &page[0], nil
}

// sameEndpoint returns the stored endpoint as the first request of the key returned it,
// or [ErrKeyReused] if the endpoint asked for differs. given is the secret asked for.
func (d *Dispatcher) sameEndpoint(stored, asked *Endpoint, given Secret) (Endpoint, error) {
	current, err := d.sender.safe.Open(stored.ID, stored.secrets().Signing(time.Now()))
	if err != nil {
		return Endpoint{}, err
	}
	first := stored.withoutSecrets()
	if stored.Version > 1 { // it was changed since, so that a difference means nothing
		return first, nil
	}
	holds, err := d.sender.box(stored.ID).Holds(string(stored.Credentials), asked.change(&Endpoint{}))
	same := err == nil && holds && stored.URL == asked.URL && stored.Description == asked.Description &&
		(stored.Disabled == asked.Disabled || stored.DisabledReason == DisabledUnproven) && stored.Rate == asked.Rate && stored.Ordered == asked.Ordered &&
		(asked.PayloadVersion == "" || stored.PayloadVersion == asked.PayloadVersion) && slices.Equal(stored.EventTypes, asked.EventTypes)
	if !same || given != "" && !hmac.Equal([]byte(given), []byte(current)) {
		return first, fmt.Errorf("%w: it made %s", ErrKeyReused, stored.ID)
	}
	if given != "" || time.Since(stored.CreatedAt) < secretKeyAge {
		first.Secret = current
	}
	return first, nil
}

// RotateSecretOnce is [Dispatcher.RotateSecret] for a request that may come again. If
// next is empty and the endpoint's newest secret was made with the same key, it rotates
// nothing, and repeated is true. It returns that secret for ten minutes, and "" later: then
// rotate with another key. If next is given, the request is a repeat if next is the newest
// secret already.
//
// Nothing is stored for the key: a secret made here has 160 random bits, the time, and a
// trace of its key, which nobody can see without both.
//
// The error is [ErrKeyReused] if the rotation was ordered for another time than at; other
// errors are those of RotateSecret.
func (d *Dispatcher) RotateSecretOnce(ctx context.Context, key, endpointID string, next Secret, at time.Time) (secret Secret, repeated bool, err error) {
	stored, err := d.store.Endpoint(ctx, endpointID)
	if err != nil {
		return "", false, err
	}
	sealed, effective := stored.secrets().Newest()
	newest, err := d.sender.safe.Open(endpointID, sealed)
	if err != nil {
		return "", false, err
	}
	madeAt, traced := repeatkey.MadeAt(string(newest), mac.SecretPrefix, endpointID, key)
	if next == "" && traced || next != "" && hmac.Equal([]byte(next), []byte(newest)) {
		if !repeatkey.SameMoment(effective, at) {
			return "", true, fmt.Errorf("%w: it rotated the secret of %s for another time", ErrKeyReused, endpointID)
		}
		if next == "" && time.Since(madeAt).Abs() >= secretKeyAge {
			newest = ""
		}
		return newest, true, nil
	}
	if next == "" {
		next = Secret(repeatkey.Secret(mac.SecretPrefix, endpointID, key))
	}
	secret, err = d.RotateSecret(ctx, endpointID, next, at)
	return secret, false, err
}

// SendTestOnce is [Dispatcher.SendTest] for a request that may come again. For ten
// minutes the same key returns the event that it made for the endpoint; repeated is true
// then. Nothing is stored for the key: the event's id is made from it and from the minute
// in which the first request came, so that the time in the id is the minute's beginning.
//
// The error is [ErrKeyReused] if the key made an event of another type; other errors are
// those of SendTest.
func (d *Dispatcher) SendTestOnce(ctx context.Context, key, endpointID, eventType string) (event Event, repeated bool, err error) {
	now := time.Now()
	for _, id := range repeatkey.IDs(eventPrefix, now, testKeyAge, endpointID, key) {
		event, err = d.store.Event(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return Event{}, false, explain(err, "test event not read")
		}
		if event.Type != eventType {
			return Event{}, true, fmt.Errorf("%w: it sent a %s", ErrKeyReused, event.Type)
		}
		return event, true, nil
	}
	event, err = d.sendTest(ctx, repeatkey.ID(eventPrefix, now, endpointID, key), endpointID, eventType)
	return event, false, err
}

// secrets returns the secrets of an endpoint as they are stored.
func (e *Endpoint) secrets() seal.Pair[Secret] {
	return seal.Pair[Secret]{Current: e.Secret, Next: e.NextSecret, NextAt: e.NextSecretAt}
}
