// Package keyed makes ids and secrets from the keys of requests that may come again, so
// that a repeated request is known by what the first one made, and nothing need be
// stored for a key.
package keyed

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
)

// Grain is the precision of the time in an id that is made from a key. It is coarse, so
// that two requests at the same moment make the same id and the store takes only one.
const Grain = time.Minute

// ID makes an id from the minute of at, the scope and the key, in the form of a UUIDv7
// (RFC 9562). The same three always make the same id.
func ID(prefix string, at time.Time, scope, key string) string {
	return IDs(prefix, at, 0, scope, key)[0]
}

// IDs returns every id that the key can have made in the time age before at, newest
// first: one for each minute.
func IDs(prefix string, at time.Time, age time.Duration, scope, key string) []string {
	sum := text.Hash(prefix, scope, key)
	ids := make([]string, 0, age/Grain+1)
	for back := time.Duration(0); back <= age; back += Grain {
		u := uuid.UUID(sum[:16])
		typeid.SetTime(&u, at.Add(-back).Truncate(Grain))
		typeid.SetV7(&u)
		ids = append(ids, typeid.Format(prefix, u))
	}
	return ids
}

// Secret makes the text of a secret behind a prefix: 24 random bytes and the 8 bytes of
// the key's trace.
func Secret(prefix, scope, key string) string {
	b := make([]byte, 24, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return prefix + base64.StdEncoding.EncodeToString(append(b, trace(b, scope, key)...))
}

// Made reports whether Secret made the secret with this prefix, scope and key.
func Made(secret, prefix, scope, key string) bool {
	text, ok := strings.CutPrefix(secret, prefix)
	b, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(b) == 32 && hmac.Equal(b[24:], trace(b[:24], scope, key))
}

// trace returns 8 bytes that nobody can make or recognize without both the random bytes
// and the key: an HMAC-SHA256 (RFC 2104) of the key, cut short.
func trace(random []byte, scope, key string) []byte {
	sum := text.Hash(scope, key)
	mac := hmac.New(sha256.New, random)
	mac.Write(sum[:])
	return mac.Sum(nil)[:8]
}
