package postgres

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Ids are text outside and uuids inside: 16 bytes instead of 31 in every row
// and index entry of the hot table. A uuid begins with its millisecond, so that
// an id leads to its day's partition.

type uuid = [16]byte

const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	suffixLen      = 26
	alphabet       = "0123456789abcdefghjkmnpqrstvwxyz"
)

// values maps a character of the alphabet to its five bits, others to 0xff.
var values = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i := range len(alphabet) {
		v[alphabet[i]] = byte(i)
	}
	return v
}()

// encodeID returns the id with that prefix and uuid.
func encodeID(prefix string, u uuid) string {
	var b [4 + suffixLen]byte
	copy(b[:], prefix)
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	for i := len(b) - 1; i >= len(prefix); i-- {
		b[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(b[:])
}

// decodeID is the reverse; ok is false for what is no such id.
func decodeID(prefix, id string) (u uuid, ok bool) {
	suffix, ok := strings.CutPrefix(id, prefix)
	if !ok || len(suffix) != suffixLen || suffix[0] > '7' {
		return u, false
	}
	var hi, lo uint64
	for i := range len(suffix) {
		v := values[suffix[i]]
		if v == 0xff {
			return u, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	binary.BigEndian.PutUint64(u[:8], hi)
	binary.BigEndian.PutUint64(u[8:], lo)
	return u, true
}

// decodeIDs decodes what can be decoded and leaves out the rest: an id that is
// none is in no table either.
func decodeIDs(prefix string, ids []string) []pgtype.UUID {
	us := make([]pgtype.UUID, 0, len(ids))
	for _, id := range ids {
		if u, ok := decodeID(prefix, id); ok {
			us = append(us, param(u))
		}
	}
	return us
}

// param is the form in which pgx takes a uuid under every protocol.
func param(u uuid) pgtype.UUID { return pgtype.UUID{Bytes: u, Valid: true} }

// firstOf returns the least uuid of the millisecond of t.
func firstOf(t time.Time) (u uuid) {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	binary.BigEndian.PutUint64(u[:], uint64(ms)<<16)
	return u
}
