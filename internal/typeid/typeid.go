// Package typeid formats and parses ids that are TypeIDs: a prefix, "_" and a UUIDv7
// as 26 characters of Crockford's base32 in lower case. Source: the TypeID
// specification, version 0.3.
package typeid

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// alphabet holds the digits of Crockford's base32 in lower case, in order of value.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// suffixLen is the number of characters after the prefix and "_".
const suffixLen = 26

// digits holds the value of each character of the alphabet, and 0xff for every
// other byte.
var digits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// New returns an id made of the present millisecond and random bits. The error is
// that of the operating system's source of random bytes.
func New(prefix string) (string, error) {
	u, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("alotwebhook: no id made: no random bytes: %w", err)
	}
	// uuid.NewV7 never goes back in time, even if the clock was set back by hours or
	// is faked by a test. But histories are sorted by an id's millisecond, so it must
	// be the clock's.
	if now := time.Now(); unixMilli(u)-now.UnixMilli() > 1000 {
		SetTime(&u, now)
	}
	return Format(prefix, u), nil
}

// SetTime replaces the millisecond that a UUIDv7 begins with.
func SetTime(u *uuid.UUID, at time.Time) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(u[:6], ms[2:])
}

// SetV7 overwrites the bits of u that say version 7 and variant RFC 9562.
func SetV7(u *uuid.UUID) {
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
}

// Derived returns an id under a prefix that depends on two other ids alone. It begins with the time in
// the first one, which must have the prefix firstPrefix.
func Derived(prefix, firstPrefix, first, second string) string {
	u, _ := Parse(firstPrefix, first)
	// Ids under one prefix have a fixed length, so that no other pair joins to the same text.
	sum := sha256.Sum256([]byte(first + second))
	copy(u[6:], sum[:])
	SetV7(&u)
	return Format(prefix, u)
}

// unixMilli returns the millisecond since 1970 that a UUIDv7 begins with.
func unixMilli(u uuid.UUID) int64 {
	var ms [8]byte
	copy(ms[2:], u[:6])
	return int64(binary.BigEndian.Uint64(ms[:]))
}

// Format returns the id of a UUID under a prefix. Its 128 bits, with two zero bits
// in front of them, make 26 digits of 5 bits each.
func Format(prefix string, u uuid.UUID) string {
	high, low := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	var suffix [suffixLen]byte
	for i := suffixLen - 1; i >= 0; i-- {
		suffix[i] = alphabet[low&31]
		high, low = high>>5, low>>5|high<<59
	}
	return prefix + "_" + string(suffix[:])
}

// Parse returns the UUID of an id that must have this prefix. The text of its error
// is the rest of a sentence that begins with the id, such as "has a character outside
// …", and does not quote the id.
func Parse(prefix, id string) (uuid.UUID, error) {
	suffix, ok := cutPrefix(id, prefix)
	if !ok {
		return uuid.UUID{}, fmt.Errorf("does not begin with %q", prefix+"_")
	}
	if len(suffix) != suffixLen {
		return uuid.UUID{}, fmt.Errorf("has %d characters after the prefix, not %d", len(suffix), suffixLen)
	}
	if suffix[0] > '7' {
		return uuid.UUID{}, fmt.Errorf("is more than 128 bits: its suffix must begin with 0 to 7")
	}
	var high, low uint64
	for i := range len(suffix) {
		digit := digits[suffix[i]]
		if digit > 31 {
			return uuid.UUID{}, fmt.Errorf("has a character outside %s", alphabet)
		}
		high, low = high<<5|low>>59, low<<5|uint64(digit)
	}
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], high)
	binary.BigEndian.PutUint64(u[8:], low)
	return u, nil
}

// cutPrefix cuts off prefix and "_", one after the other: to join them would allocate.
func cutPrefix(id, prefix string) (suffix string, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return "", false
	}
	return strings.CutPrefix(rest, "_")
}

// Time returns the millisecond that an id with this prefix begins with, in UTC; ok is
// false if id is not such an id.
func Time(prefix, id string) (at time.Time, ok bool) {
	u, err := Parse(prefix, id)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(unixMilli(u)).UTC(), true
}

// First returns the smallest id of a millisecond: every id made then or later is
// greater or equal. A time outside the 48 bits of a UUIDv7 is replaced by the nearest
// time inside.
func First(prefix string, at time.Time) string {
	var u uuid.UUID
	SetTime(&u, time.UnixMilli(min(max(at.UnixMilli(), 0), 1<<48-1)))
	return Format(prefix, u)
}
