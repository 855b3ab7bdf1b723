// Package seal encrypts the signing secrets of endpoints, by AES-256-GCM with a random
// nonce and the endpoint's id as additional data.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// prefix distinguishes sealed secrets from plain ones, and the number in it this form
// from later ones.
const prefix = "sealed1:"

// Key is an encryption key.
type Key struct {
	// ID is 1 to 32 letters, digits, "-" or "_".
	ID string
	// Key is 32 random bytes.
	Key []byte
}

// Ring seals with one key and opens with several. It is safe for concurrent use.
type Ring struct {
	current string
	keys    map[string]cipher.AEAD
}

// New returns a ring that seals with the first key. The error names the key that cannot
// be used, by its index or its id.
func New(keys []Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("a sealer needs at least one key")
	}
	r := &Ring{current: keys[0].ID, keys: make(map[string]cipher.AEAD, len(keys))}
	for i, k := range keys {
		if !validKeyID(k.ID) {
			return nil, fmt.Errorf("sealing key %d: id %q is not 1 to 32 letters, digits, \"-\" or \"_\"", i, k.ID)
		}
		if r.keys[k.ID] != nil {
			return nil, fmt.Errorf("sealing key %d: id %q appears twice", i, k.ID)
		}
		if len(k.Key) != 32 {
			return nil, fmt.Errorf("sealing key %q has %d bytes, AES-256 needs 32", k.ID, len(k.Key))
		}
		block, err := aes.NewCipher(slices.Clone(k.Key))
		if err != nil {
			return nil, fmt.Errorf("sealing key %q: %w", k.ID, err)
		}
		if r.keys[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("sealing key %q: %w", k.ID, err)
		}
	}
	return r, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > 32 {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// Seal encrypts the secret of an endpoint with the first key.
func (r *Ring) Seal(endpointID, secret string) string {
	box := r.keys[r.current].Seal(nil, nil, []byte(secret), []byte(endpointID))
	return prefix + r.current + ":" + base64.RawStdEncoding.EncodeToString(box)
}

// IsSealed reports whether a stored secret is sealed, with whichever key.
func IsSealed(stored string) bool { return strings.HasPrefix(stored, prefix) }

// IsCurrent reports whether a stored secret is sealed with the first key.
func (r *Ring) IsCurrent(stored string) bool {
	return strings.HasPrefix(stored, prefix+r.current+":")
}

// Open decrypts a secret that Seal encrypted for the same endpoint, with whichever key. It
// returns one unchanged that was never sealed.
func (r *Ring) Open(endpointID, sealed string) (string, error) {
	rest, ok := strings.CutPrefix(sealed, prefix)
	if !ok {
		return sealed, nil
	}
	id, encoded, _ := strings.Cut(rest, ":")
	key := r.keys[id]
	if key == nil {
		return "", fmt.Errorf("the secret of %s is sealed with key %q, which the sealer was not given", endpointID, text.Clip(id, 40))
	}
	box, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("the sealed secret of %s is damaged: not base64", endpointID)
	}
	plain, err := key.Open(nil, nil, box, []byte(endpointID))
	if err != nil {
		return "", fmt.Errorf("the sealed secret of %s does not open with key %q: it was changed, moved or sealed with another key", endpointID, id)
	}
	return string(plain), nil
}
