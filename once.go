package alotwebhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/alot/alotwebhook/internal/text"
)

// ErrKeyReused is returned for a key that came before with another request.
var ErrKeyReused = errors.New("alotwebhook: the key came before with another request")

// How long a key is remembered: for as long as clients repeat a request, and
// as one look at the store allows.
const (
	endpointKeyAge = 24 * time.Hour
	testKeyAge     = 10 * time.Minute
)

// keyGrain is what the time in an id made from a key is rounded down to, so
// that two requests at once come to the same id and the store takes one.
const keyGrain = time.Minute

// CreateEndpointOnce is [Dispatcher.CreateEndpoint] for a request that may come
// again: for 24 hours the same key of the same organization finds the endpoint
// that it made, in whichever process and after restarts, and repeated is true.
// The secret is returned again then, unless it was rotated since; so a key is to
// be kept as the secret is.
//
// Nothing is stored for it: the endpoint's id is made from the key. A key whose
// endpoint was deleted makes another, and so may two requests at the same moment
// in two processes, if a minute of the clock ends between them. [ErrKeyReused] when the key made an
// endpoint that is unlike e, for as long as it was not changed.
func (d *Dispatcher) CreateEndpointOnce(ctx context.Context, key string, e Endpoint) (created Endpoint, repeated bool, err error) {
	given := e.Secret
	for range 3 { // a second time if somebody was faster
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

// endpointOfKey returns the endpoint that the key made, or nil. Only those of
// the last day are looked at: a handful.
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

// sameEndpoint returns the stored one as the request that made it was answered.
func (d *Dispatcher) sameEndpoint(stored, asked *Endpoint, given Secret) (Endpoint, error) {
	present, err := d.presentSecret(stored)
	if err != nil {
		return Endpoint{}, err
	}
	answer := stored.withoutSecrets()
	if stored.Version > 1 { // by now it may well be unlike
		return answer, nil
	}
	same := stored.URL == asked.URL && stored.Description == asked.Description &&
		stored.Disabled == asked.Disabled && slices.Equal(stored.EventTypes, asked.EventTypes)
	if !same || given != "" && !hmac.Equal([]byte(given), []byte(present)) {
		return Endpoint{}, fmt.Errorf("%w: it made %s", ErrKeyReused, stored.ID)
	}
	answer.Secret = present
	return answer, nil
}

// RotateSecretOnce is [Dispatcher.RotateSecret] for a request that may come
// again: as long as the secret that the key made is the endpoint's newest, the
// same key returns that one, and repeated is true. A secret made here carries a
// trace of its key beside its 192 random bits, which only who has both can see. A
// secret that is given is repeated when it is the newest already.
//
// [ErrKeyReused] when the key ordered the rotation for another time.
func (d *Dispatcher) RotateSecretOnce(ctx context.Context, key, endpointID string, next Secret, at time.Time) (secret Secret, repeated bool, err error) {
	stored, err := d.store.Endpoint(ctx, endpointID)
	if err != nil {
		return "", false, explain(err, "endpoint %q", clip(endpointID))
	}
	newest, effective, err := d.newestSecret(&stored)
	if err != nil {
		return "", false, err
	}
	if next == "" && tracesKey(newest, endpointID, key) || next != "" && hmac.Equal([]byte(next), []byte(newest)) {
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

// sameMoment takes every time that has come for now.
func sameMoment(effective, at time.Time) bool {
	now := time.Now()
	if !at.After(now) {
		return !effective.After(now)
	}
	return effective.Equal(at.UTC().Truncate(time.Microsecond))
}

// SendTestOnce is [Dispatcher.SendTest] for a request that may come again: for
// ten minutes the same key returns the event that it made for the endpoint, and
// repeated is true. Nothing is stored for it: the event's id is made from the
// key, and its time is that at which the minute began. [ErrKeyReused] when the key
// made an event of another type.
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

// presentSecret opens the secret that signs now.
func (d *Dispatcher) presentSecret(e *Endpoint) (Secret, error) {
	if e.NextSecret != "" && !time.Now().Before(e.NextSecretAt) {
		return d.open(e.ID, e.NextSecret)
	}
	return d.open(e.ID, e.Secret)
}

// newestSecret opens the one that was ordered last, and says since or from when it signs.
func (d *Dispatcher) newestSecret(e *Endpoint) (Secret, time.Time, error) {
	if e.NextSecret == "" {
		secret, err := d.open(e.ID, e.Secret)
		return secret, time.Time{}, err
	}
	secret, err := d.open(e.ID, e.NextSecret)
	return secret, e.NextSecretAt, err
}

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

// idOfKey makes an id of the minute, the scope and the key, in the form of a UUIDv7.
func idOfKey(prefix string, at time.Time, scope, key string) string {
	sum := text.Hash(prefix, scope, key)
	u := uuid.UUID(sum[:16])
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.Truncate(keyGrain).UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = u[6]&0x0f | 0x70 // UUID version 7
	u[8] = u[8]&0x3f | 0x80 // RFC 9562 variant
	return formatID(prefix, u)
}

// keyPart is the end of an id that does not depend on the time: the last 16
// of its 26 digits, 80 bits.
func keyPart(id string) string { return id[len(id)-16:] }

// secretOfKey makes a secret of 24 random bytes and 8 that say from which key.
func secretOfKey(endpointID, key string) Secret {
	b := make([]byte, 24, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return secretPrefix + Secret(base64.StdEncoding.EncodeToString(append(b, keyTrace(b, endpointID, key)...)))
}

func keyTrace(random []byte, endpointID, key string) []byte {
	sum := text.Hash(endpointID, key)
	mac := hmac.New(sha256.New, random)
	mac.Write(sum[:])
	return mac.Sum(nil)[:8]
}

func tracesKey(s Secret, endpointID, key string) bool {
	text, ok := strings.CutPrefix(string(s), secretPrefix)
	b, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(b) == 32 && hmac.Equal(b[24:], keyTrace(b[:24], endpointID, key))
}
