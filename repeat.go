package alotwebhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// ErrKeyReused refuses a key that came before with another request. Take a new key for
// each request, and the same key only to repeat one.
var ErrKeyReused = errors.New("alotwebhook: the key came before with another request")

// A key is found again for this long after its request. For a test event it is shorter,
// because the search reads the store once for each minute.
const (
	endpointKeyAge = 24 * time.Hour
	testKeyAge     = 10 * time.Minute
)

// keyGrain is the precision of the time in an id that is made from a key. It is coarse, so
// that two requests at the same moment make the same id and the store takes only one.
const keyGrain = time.Minute

// CreateEndpointOnce is [Dispatcher.CreateEndpoint] for a request that may come again.
// For 24 hours the same key of the same organization finds the endpoint that it made, in
// every process and after restarts; repeated is true then. The endpoint has its secret
// again, unless it was changed since: keep a key as safe as the secret.
//
// Nothing is stored for the key: the endpoint's id is made from it. If the endpoint was
// deleted, the key makes another. Two requests at the same moment in two processes may
// make two, if the clock comes to a full minute between them.
//
// The error is [ErrKeyReused] if the key made an endpoint that differs from e and was
// not changed since; other errors are those of CreateEndpoint.
func (d *Dispatcher) CreateEndpointOnce(ctx context.Context, key string, e Endpoint) (created Endpoint, repeated bool, err error) {
	given := e.Secret
	for range 3 { // after ErrConflict the next round finds the faster one's endpoint
		stored, err := d.endpointOfKey(ctx, e.OrganizationID, key)
		if err != nil {
			return Endpoint{}, false, err
		}
		if stored != nil {
			created, err = d.sameEndpoint(stored, &e, given)
			return created, true, err
		}
		id := idOfKey(endpointPrefix, time.Now(), e.OrganizationID, key)
		created, err = d.createEndpoint(ctx, id, e)
		if !errors.Is(err, ErrConflict) {
			return created, false, err
		}
	}
	return Endpoint{}, false, explain(ErrConflict, "endpoint not stored")
}

// endpointOfKey returns the endpoint that the key made, or nil. It reads the
// organization's endpoints of the last day, which are few.
func (d *Dispatcher) endpointOfKey(ctx context.Context, organizationID, key string) (*Endpoint, error) {
	oldest := idOfKey(endpointPrefix, time.Now().Add(-endpointKeyAge), organizationID, key)
	want := keyPart(oldest)
	f := EndpointFilter{OrganizationID: organizationID, Cursor: oldest[:len(oldest)-len(want)] + strings.Repeat("0", len(want))}
	for {
		page, next, err := d.store.Endpoints(ctx, f)
		if err != nil {
			return nil, explain(err, "list not read")
		}
		for i := range page {
			if keyPart(page[i].ID) == want {
				return &page[i], nil
			}
		}
		if f.Cursor = next; next == "" {
			return nil, nil
		}
	}
}

// sameEndpoint returns the stored endpoint as the first request of the key returned it,
// or [ErrKeyReused] if the endpoint asked for differs. given is the secret asked for.
func (d *Dispatcher) sameEndpoint(stored, asked *Endpoint, given Secret) (Endpoint, error) {
	current, err := d.signingSecret(stored)
	if err != nil {
		return Endpoint{}, err
	}
	first := stored.withoutSecrets()
	if stored.Version > 1 { // it was changed since, so that a difference means nothing
		return first, nil
	}
	same := stored.URL == asked.URL && stored.Description == asked.Description &&
		stored.Disabled == asked.Disabled && slices.Equal(stored.EventTypes, asked.EventTypes)
	if !same || given != "" && !hmac.Equal([]byte(given), []byte(current)) {
		return Endpoint{}, fmt.Errorf("%w: it made %s", ErrKeyReused, stored.ID)
	}
	first.Secret = current
	return first, nil
}

// RotateSecretOnce is [Dispatcher.RotateSecret] for a request that may come again. If
// next is empty and the endpoint's newest secret was made with the same key, it returns
// that secret, and repeated is true. If next is given, the request is a repeat if next
// is the newest secret already.
//
// Nothing is stored for the key: a secret made here has 192 random bits and a trace of
// its key, which nobody can see without both.
//
// The error is [ErrKeyReused] if the rotation was ordered for another time than at; other
// errors are those of RotateSecret.
func (d *Dispatcher) RotateSecretOnce(ctx context.Context, key, endpointID string, next Secret, at time.Time) (secret Secret, repeated bool, err error) {
	stored, err := d.store.Endpoint(ctx, endpointID)
	if err != nil {
		return "", false, explain(err, "endpoint %q", clip(endpointID))
	}
	newest, effective, err := d.newestSecret(&stored)
	if err != nil {
		return "", false, err
	}
	if next == "" && hasTrace(newest, endpointID, key) || next != "" && hmac.Equal([]byte(next), []byte(newest)) {
		if !sameMoment(effective, at) {
			return "", true, fmt.Errorf("%w: it rotated the secret of %s for another time", ErrKeyReused, endpointID)
		}
		return newest, true, nil
	}
	if next == "" {
		next = secretOfKey(endpointID, key)
	}
	secret, err = d.RotateSecret(ctx, endpointID, next, at)
	return secret, false, err
}

// sameMoment reports whether two orders of a rotation are for the same time. Any time
// that has come already stands for now.
func sameMoment(effective, at time.Time) bool {
	now := time.Now()
	if !at.After(now) {
		return !effective.After(now)
	}
	return effective.Equal(at.UTC().Truncate(time.Microsecond))
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
	for age := time.Duration(0); age <= testKeyAge; age += keyGrain {
		event, err = d.store.Event(ctx, idOfKey(eventPrefix, now.Add(-age), endpointID, key))
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
	event, err = d.sendTest(ctx, idOfKey(eventPrefix, now, endpointID, key), endpointID, eventType)
	return event, false, err
}

// signingSecret opens the secret that signs now.
func (d *Dispatcher) signingSecret(e *Endpoint) (Secret, error) {
	if e.NextSecret != "" && !time.Now().Before(e.NextSecretAt) {
		return d.open(e.ID, e.NextSecret)
	}
	return d.open(e.ID, e.Secret)
}

// newestSecret opens the secret that was ordered last. It also returns the time from which
// this secret signs; zero if it is the only one.
func (d *Dispatcher) newestSecret(e *Endpoint) (Secret, time.Time, error) {
	if e.NextSecret == "" {
		secret, err := d.open(e.ID, e.Secret)
		return secret, time.Time{}, err
	}
	secret, err := d.open(e.ID, e.NextSecret)
	return secret, e.NextSecretAt, err
}

// open returns a secret that the store kept as its plain text.
func (d *Dispatcher) open(endpointID string, sealed Secret) (Secret, error) {
	if d.cfg.Sealer == nil {
		return sealed, nil
	}
	secret, err := d.cfg.Sealer.Open(endpointID, sealed)
	if err != nil {
		return "", explain(err, "secret not opened")
	}
	return secret, nil
}

// idOfKey makes an id from the minute of at, the scope and the key, in the form of a
// UUIDv7 (RFC 9562). The same three always make the same id.
func idOfKey(prefix string, at time.Time, scope, key string) string {
	sum := text.Hash(prefix, scope, key)
	u := uuid.UUID(sum[:16])
	typeid.SetTime(&u, at.Truncate(keyGrain))
	typeid.SetV7(&u)
	return typeid.Format(prefix, u)
}

// keyPart returns the part of an id that does not depend on the time: the last 16 of its
// 26 digits, 80 bits.
func keyPart(id string) string { return id[len(id)-16:] }

// secretOfKey makes a secret of 24 random bytes and the 8 bytes of the key's trace.
func secretOfKey(endpointID, key string) Secret {
	b := make([]byte, 24, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return secretPrefix + Secret(base64.StdEncoding.EncodeToString(append(b, keyTrace(b, endpointID, key)...)))
}

// keyTrace returns 8 bytes that nobody can make or recognize without both the random
// bytes and the key: an HMAC-SHA256 (RFC 2104) of the key, cut short.
func keyTrace(random []byte, endpointID, key string) []byte {
	sum := text.Hash(endpointID, key)
	mac := hmac.New(sha256.New, random)
	mac.Write(sum[:])
	return mac.Sum(nil)[:8]
}

// hasTrace reports whether secretOfKey made the secret with this key.
func hasTrace(s Secret, endpointID, key string) bool {
	text, ok := strings.CutPrefix(string(s), secretPrefix)
	b, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(b) == 32 && hmac.Equal(b[24:], keyTrace(b[:24], endpointID, key))
}
