// Package repeatkey makes ids and secrets from the key of a request that may come again, so
// that the request is recognized by what it made, and nothing is stored for the key.
package repeatkey

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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
// (RFC 9562). The same three always make the same id, unless the key is "", which stands for none.
func ID(prefix string, at time.Time, scope, key string) string {
	return IDs(prefix, at, 0, scope, key)[0]
}

// IDs returns every id that the key can have made in the time age before at, newest
// first: one for each minute.
func IDs(prefix string, at time.Time, age time.Duration, scope, key string) []string {
	sum := text.Hash(prefix, scope, orAnyOther(key))
	ids := make([]string, 0, age/Grain+1)
	for back := time.Duration(0); back <= age; back += Grain {
		u := uuid.UUID(sum[:16])
		typeid.SetTime(&u, at.Add(-back).Truncate(Grain))
		typeid.SetV7(&u)
		ids = append(ids, typeid.Format(prefix, u))
	}
	return ids
}

// A secret is the base64 of 20 random bytes, 4 bytes with the time in seconds since 1970,
// and 8 bytes of a trace of scope and key.
const (
	stamp = 20
	trace = 24
	size  = 32
)

// Secret makes a secret: a prefix and the base64 of 32 bytes.
func Secret(prefix, scope, key string) string {
	b := make([]byte, trace, size)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	binary.BigEndian.PutUint32(b[stamp:], uint32(time.Now().Unix()))
	return prefix + base64.StdEncoding.EncodeToString(append(b, traceOf(b, scope, key)...))
}

// MadeAt reports whether [Secret] made a secret with the same prefix, scope and key, and
// when, to the second.
func MadeAt(secret, prefix, scope, key string) (at time.Time, ok bool) {
	digits, ok := strings.CutPrefix(secret, prefix)
	b, err := base64.StdEncoding.DecodeString(digits)
	if !ok || err != nil || len(b) != size || !hmac.Equal(b[trace:], traceOf(b[:trace], scope, key)) {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint32(b[stamp:])), 0), true
}

// traceOf returns 8 bytes that nobody can make or recognize without both the other bytes
// and the key: an HMAC-SHA256 (RFC 2104) of the key, cut short.
func traceOf(others []byte, scope, key string) []byte {
	sum := text.Hash(scope, orAnyOther(key))
	mac := hmac.New(sha256.New, others)
	mac.Write(sum[:])
	return mac.Sum(nil)[:size-trace]
}

// SameMoment reports whether two orders of a rotation are for the same time. Any time
// that has come already stands for now.
func SameMoment(effective, at time.Time) bool {
	now := time.Now()
	if !at.After(now) {
		return !effective.After(now)
	}
	return effective.Equal(at.UTC().Truncate(time.Microsecond))
}

// orAnyOther returns a key that never comes again in place of an empty one: requests without a key have
// nothing in common.
func orAnyOther(key string) string { return cmp.Or(key, rand.Text()) }
