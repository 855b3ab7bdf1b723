package alotwebhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/headerrules"
	"github.com/alot/alotwebhook/internal/mac"
	"github.com/alot/alotwebhook/internal/paging"
	"github.com/alot/alotwebhook/internal/seal"
)

const redacted = "[REDACTED]"

// Secret is the key of an endpoint's signatures, as its UTF-8 bytes. Printed,
// logged, or encoded as JSON or text, it appears as [REDACTED]. Only the
// conversion string(s) returns its text.
type Secret string

// NewSecret returns a new secret: "whsec_" and the base64 of 32 random bytes.
func NewSecret() Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return Secret(mac.StandardSecret(b[:]))
}

// Format implements [fmt.Formatter]: every verb prints [REDACTED]. String alone
// would not do, because package fmt shows a string's text for verbs that a string
// does not have, such as %d.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns [REDACTED].
func (Secret) String() string { return redacted }

// GoString returns [REDACTED].
func (Secret) GoString() string { return redacted }

// LogValue returns [REDACTED].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[REDACTED]".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns [REDACTED].
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Sealer encrypts secrets before a [Store] gets them and decrypts them when the
// store returns them, so that every store holds them encrypted. It must be safe
// for concurrent use.
type Sealer interface {
	// Seal encrypts the secret of an endpoint, or up to 40 KiB with its headers and certificate.
	Seal(endpointID string, secret Secret) (sealed Secret, err error)
	// Open decrypts a secret that Seal encrypted for the same endpoint. It
	// returns an error if it cannot, which the log alone gets; deliveries wait.
	Open(endpointID string, sealed Secret) (Secret, error)
}

// SealingKey is an encryption key for [NewSealer].
type SealingKey struct {
	// ID names the key: 1 to 32 letters, digits, "-" or "_". Every sealed
	// secret begins with it, so that Open finds the key.
	ID string
	// Key is the key of AES-256: 32 random bytes.
	Key []byte
}

// NewSealer returns a [Sealer] that encrypts by AES-256-GCM with a random nonce.
// The endpoint's id is the additional data, so that a sealed secret that somebody
// copies to another endpoint does not open.
//
// It seals with the first key and opens with any of them. To change keys, put the
// new one in front, and keep the old one until [Dispatcher.Reseal] has returned 0.
// Open returns a secret unchanged that was stored in plain text before there was a
// Sealer; the dispatcher warns of each in its log.
//
// The error names the key that cannot be used, by its index or its id.
func NewSealer(keys ...SealingKey) (Sealer, error) {
	list := make([]seal.Key, len(keys))
	for i, k := range keys {
		list[i] = seal.Key(k)
	}
	ring, err := seal.New(list)
	if err != nil {
		return nil, fmt.Errorf("alotwebhook: %w", err)
	}
	return seal.Of[Secret]{Ring: ring}, nil
}

// Reseal seals anew the secrets that are not sealed with the first key of [NewSealer]: so an
// older key can be retired, and what was stored in plain before there was a Sealer is
// sealed. With a [Sealer] of your own, it seals all. It returns how many endpoints it
// changed; each counts as a change of the endpoint.
//
// Other processes may register and change endpoints meanwhile. Once all of them have the
// new first key and Reseal returns 0, no stored secret needs another key.
//
// A secret that does not open is left as it is, and the others are sealed: the error then
// says how many there were, and names the first. Any other error is the store's: call
// Reseal again. A [FieldError] says that there is no Sealer.
func (d *Dispatcher) Reseal(ctx context.Context) (changed int, err error) {
	if d.cfg.Sealer == nil {
		return 0, &FieldError{Field: "Sealer", Problem: "is nil in Config; give one, with the new key in front"}
	}
	var unopened []error
	for e, err := range paging.All("", func(cursor string) ([]Endpoint, string, error) {
		return d.store.Endpoints(ctx, EndpointFilter{Cursor: cursor})
	}) {
		if err != nil {
			return changed, err
		}
		if d.sender.safe.AreCurrent(e.Secret, e.NextSecret, Secret(credential.SealedPart(string(e.Credentials)))) {
			continue
		}
		var refused error
		_, err = d.changeEndpoint(ctx, e.ID, false, func(e *Endpoint) error {
			refused = d.reseal(e)
			return refused
		})
		switch {
		case err == nil:
			changed++
		case refused != nil:
			unopened = append(unopened, refused)
		case !errors.Is(err, ErrNotFound): // a deleted one needs nothing
			return changed, err
		}
	}
	if len(unopened) > 0 {
		return changed, explain(unopened[0], "secrets of %d endpoints not sealed anew", len(unopened))
	}
	return changed, nil
}

// reseal seals the secrets of an endpoint anew.
func (d *Dispatcher) reseal(e *Endpoint) error {
	err := d.sender.safe.Reseal(e.ID, &e.Secret, &e.NextSecret)
	if err == nil && e.Credentials != "" {
		var kept string
		kept, err = d.sender.box(e.ID).Reseal(string(e.Credentials))
		e.Credentials = Secret(kept)
	}
	return err
}

// Header is a header of an endpoint's own.
type Header struct {
	// Name is at most 128 bytes. The ones that are refused: those that a dispatcher sets, all that
	// begin with Webhook-, X-Alot-, Content-, Proxy- or X-Forwarded-, those of a connection
	// (RFC 9110, section 7.6.1), Host, Expect, Accept-Encoding, Cookie and such.
	Name string
	// Value is visible ASCII, with blanks in between. It is write-only, and empty in what is read.
	Value Secret
}

// BasicAuth returns the header of Basic authentication (RFC 7617), or a [FieldError].
func BasicAuth(user string, password Secret) (Header, error) {
	value, field, problem := headerrules.Basic(user, string(password))
	if problem != "" {
		return Header{}, refused(field, problem)
	}
	return Header{headerrules.Authorization, Secret(value)}, nil
}

// BearerAuth returns the header of a bearer token (RFC 6750), or a [FieldError].
func BearerAuth(token Secret) (Header, error) {
	value, problem := headerrules.Bearer(string(token))
	if problem != "" {
		return Header{}, refused("token", problem)
	}
	return Header{headerrules.Authorization, Secret(value)}, nil
}

// ClientCertificate proves to an endpoint's server who sends.
type ClientCertificate struct {
	// PEM is the certificate, its chain and its private key, which is not encrypted, one behind the
	// other: at most 16 KiB. It is write-only, and empty in what is read.
	PEM Secret
	// Subject and NotAfter are those of the certificate, filled in by what reads it.
	Subject  string
	NotAfter time.Time
}

// box seals and opens the credentials of an endpoint.
func (s *sender) box(endpointID string) credential.Box {
	return credential.NewBox(endpointID, s.safe.Texts)
}

// change returns what e asks for in the place of the stored credentials.
func (e *Endpoint) change(stored *Endpoint) credential.Change {
	c := credential.Change{URL: e.URL, Moved: stored.URL != e.URL}
	if e.Headers != nil {
		c.Headers = make([]credential.Header, len(e.Headers))
		for i, h := range e.Headers {
			c.Headers[i] = credential.Header{Name: h.Name, Value: string(h.Value)}
		}
	}
	if of := e.ClientCertificate; of != nil {
		if c.Read = of.PEM == "" && of.Subject != ""; !c.Read { // a read one stays
			c.Certificate = (*string)(&of.PEM)
		}
	}
	return c
}

// setCredentials has stored keep what asked has. It needs the URL that stored had before.
func (d *Dispatcher) setCredentials(stored, asked *Endpoint) error {
	kept, err := d.sender.box(stored.ID).Apply(string(stored.Credentials), asked.change(stored))
	if err == nil {
		stored.Credentials = Secret(kept)
	}
	return fieldError(err)
}

// withoutSecrets returns e as somebody may read it.
func (e Endpoint) withoutSecrets() Endpoint {
	kept := credential.Read(string(e.Credentials))
	e.Secret, e.NextSecret, e.Credentials, e.Headers, e.ClientCertificate = "", "", "", nil, nil
	for _, name := range kept.Headers {
		e.Headers = append(e.Headers, Header{Name: name})
	}
	if c := kept.Certificate; c != nil {
		e.ClientCertificate = &ClientCertificate{Subject: c.Subject, NotAfter: c.NotAfter}
	}
	return e
}
