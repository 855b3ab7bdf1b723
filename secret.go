package alotwebhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
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

// sealedPrefix distinguishes sealed secrets from plain ones, and the number in it
// this form from later ones.
const sealedPrefix = "sealed1:"

type sealer struct {
	current string
	keys    map[string]cipher.AEAD
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
	if len(keys) == 0 {
		return nil, errors.New("alotwebhook: a sealer needs at least one key")
	}
	s := &sealer{current: keys[0].ID, keys: make(map[string]cipher.AEAD, len(keys))}
	for i, k := range keys {
		if !validKeyID(k.ID) {
			return nil, fmt.Errorf("alotwebhook: sealing key %d: id %q is not 1 to 32 letters, digits, \"-\" or \"_\"", i, k.ID)
		}
		if s.keys[k.ID] != nil {
			return nil, fmt.Errorf("alotwebhook: sealing key %d: id %q appears twice", i, k.ID)
		}
		if len(k.Key) != 32 {
			return nil, fmt.Errorf("alotwebhook: sealing key %q has %d bytes, AES-256 needs 32", k.ID, len(k.Key))
		}
		block, err := aes.NewCipher(slices.Clone(k.Key))
		if err != nil {
			return nil, fmt.Errorf("alotwebhook: sealing key %q: %w", k.ID, err)
		}
		if s.keys[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("alotwebhook: sealing key %q: %w", k.ID, err)
		}
	}
	return s, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > 32 {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

func (s *sealer) Seal(endpointID string, secret Secret) (Secret, error) {
	box := s.keys[s.current].Seal(nil, nil, []byte(secret), []byte(endpointID))
	return Secret(sealedPrefix + s.current + ":" + base64.RawStdEncoding.EncodeToString(box)), nil
}

func (s *sealer) Open(endpointID string, sealed Secret) (Secret, error) {
	rest, ok := strings.CutPrefix(string(sealed), sealedPrefix)
	if !ok {
		return sealed, nil
	}
	id, text, _ := strings.Cut(rest, ":")
	key := s.keys[id]
	if key == nil {
		return "", fmt.Errorf("alotwebhook: the secret of %s is sealed with key %q, which the sealer was not given", endpointID, clip(id))
	}
	box, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return "", fmt.Errorf("alotwebhook: the sealed secret of %s is damaged: not base64", endpointID)
	}
	plain, err := key.Open(nil, nil, box, []byte(endpointID))
	if err != nil {
		return "", fmt.Errorf("alotwebhook: the sealed secret of %s does not open with key %q: it was changed, moved or sealed with another key", endpointID, id)
	}
	return Secret(plain), nil
}
