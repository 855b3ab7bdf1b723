package alotwebhook

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"

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
	return secretPrefix + Secret(base64.StdEncoding.EncodeToString(b[:]))
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
	// Seal encrypts the secret of an endpoint.
	Seal(endpointID string, secret Secret) (sealed Secret, err error)
	// Open decrypts a secret that Seal encrypted for the same endpoint. It
	// returns an error if it cannot.
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
// new one in front, and keep the old one until every secret has been rotated. Open
// returns a secret unchanged that was stored in plain text before there was a
// Sealer.
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
	return sealer{ring}, nil
}

type sealer struct{ ring *seal.Ring }

func (s sealer) Seal(endpointID string, secret Secret) (Secret, error) {
	return Secret(s.ring.Seal(endpointID, string(secret))), nil
}

func (s sealer) Open(endpointID string, sealed Secret) (Secret, error) {
	plain, err := s.ring.Open(endpointID, string(sealed))
	if err != nil {
		return "", fmt.Errorf("alotwebhook: %w", err)
	}
	return Secret(plain), nil
}
