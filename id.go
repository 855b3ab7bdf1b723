package alotwebhook

import (
	"crypto/sha256"
	"encoding/base32"
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

// Crockford's alphabet in lower case. Two zero bits go in front of the 128 of
// the UUID to fill 26 characters of 5.
const typeIDAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const suffixLen = 26

var typeIDEncoding = base32.NewEncoding(typeIDAlphabet).WithPadding(base32.NoPadding)

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

func formatID(prefix string, u uuid.UUID) string {
	// base32 takes its bits from the front in groups of 40, the TypeID from the
	// back in groups of 5: four zero bytes (30 bits for six characters, two for
	// the seventh) in front of the UUID align the two.
	var in [20]byte
	copy(in[4:], u[:])
	var out [32]byte
	typeIDEncoding.Encode(out[:], in[:])
	return prefix + "_" + string(out[32-suffixLen:])
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
	in := [32]byte{'0', '0', '0', '0', '0', '0'}
	copy(in[32-suffixLen:], suffix)
	var out [20]byte
	// The decoder skips line ends; the length check and this one leave it none.
	if strings.ContainsAny(suffix, "\r\n") {
		return uuid.UUID{}, fmt.Errorf("has a line end")
	}
	if _, err := typeIDEncoding.Decode(out[:], in[:]); err != nil {
		return uuid.UUID{}, fmt.Errorf("has a character outside %s", typeIDAlphabet)
	}
	return uuid.UUID(out[4:]), nil
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
