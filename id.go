package alotwebhook

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The prefixes of the three kinds of id. An id is a TypeID: the prefix, "_",
// and 26 characters of base32 over the 16 bytes of a UUIDv7.
// Source: the TypeID specification, version 0.3.
const (
	eventPrefix    = "evt"
	endpointPrefix = "wh"
	deliveryPrefix = "dlv"
)

// Crockford's alphabet in lower case.
const typeIDAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const suffixLen = 26

// typeIDDigits has the value of each letter of the alphabet, and 0xff for other bytes.
var typeIDDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(typeIDAlphabet) {
		t[typeIDAlphabet[i]] = byte(i)
	}
	return t
}()

func newID(prefix string) (string, error) {
	u, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("alotwebhook: no random bytes for an id: %w", err)
	}
	// NewV7 never goes back, even if the clock was set back by hours, or faked
	// by a test. An id's millisecond is what history goes by: it must be now.
	var ms [8]byte
	copy(ms[2:], u[:6])
	if now := time.Now().UnixMilli(); int64(binary.BigEndian.Uint64(ms[:]))-now > 1000 {
		binary.BigEndian.PutUint64(ms[:], uint64(now))
		copy(u[:6], ms[2:])
	}
	return formatID(prefix, u), nil
}

// formatID spells the UUID's 128 bits, with two zero bits in front, as 26
// digits of 5 bits.
func formatID(prefix string, u uuid.UUID) string {
	high, low := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	var suffix [suffixLen]byte
	for i := suffixLen - 1; i >= 0; i-- {
		suffix[i] = typeIDAlphabet[low&31]
		high, low = high>>5, low>>5|high<<59
	}
	return prefix + "_" + string(suffix[:])
}

func parseID(prefix, id string) (uuid.UUID, error) {
	suffix, ok := strings.CutPrefix(id, prefix+"_")
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
		digit := typeIDDigits[suffix[i]]
		if digit > 31 {
			return uuid.UUID{}, fmt.Errorf("has a character outside %s", typeIDAlphabet)
		}
		high, low = high<<5|low>>59, low<<5|uint64(digit)
	}
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], high)
	binary.BigEndian.PutUint64(u[8:], low)
	return u, nil
}

// idTime returns the millisecond that an id begins with.
func idTime(prefix, id string) (t time.Time, ok bool) {
	u, err := parseID(prefix, id)
	if err != nil {
		return time.Time{}, false
	}
	var ms [8]byte
	copy(ms[2:], u[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC(), true
}

// DeliveryID returns the id of the delivery of an event to an endpoint. It
// depends on the two alone, so that storing an event again after an ambiguous
// commit meets the same deliveries, and it begins with the event id's
// millisecond, so that ordering by id is ordering by age.
//
// The ids must be well formed, as those in a [Store] are; the delivery id of
// others means nothing.
func DeliveryID(eventID, endpointID string) string {
	event, _ := parseID(eventPrefix, eventID)
	// Both ids have a fixed length, so that nothing else joins to the same text.
	sum := sha256.Sum256([]byte(eventID + endpointID))
	copy(event[6:], sum[:])
	event[6] = event[6]&0x0f | 0x70 // UUID version 7
	event[8] = event[8]&0x3f | 0x80 // RFC 9562 variant
	return formatID(deliveryPrefix, event)
}
