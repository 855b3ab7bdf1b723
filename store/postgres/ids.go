package postgres

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// uuid is the id of an event, a delivery or an operation as the tables hold it: the 16 bytes that
// the text spells. The text would take 31 bytes in every row and index entry of
// the queue. A uuid begins with its millisecond, so it tells its day's partition.
type uuid = [16]byte

const (
	eventPrefix     = "evt_"
	deliveryPrefix  = "dlv_"
	operationPrefix = "op_"
	suffixLen       = 26
	alphabet        = "0123456789abcdefghjkmnpqrstvwxyz"
)

// values holds the five bits of each character of the alphabet, and 0xff for every
// other byte.
var values = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i := range len(alphabet) {
		v[alphabet[i]] = byte(i)
	}
	return v
}()

// encodeID spells a uuid as an id: the prefix and 26 characters.
func encodeID(prefix string, u uuid) string {
	var of [4 + suffixLen]byte // the longest prefix has 4
	b := of[:len(prefix)+suffixLen]
	copy(b, prefix)
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	for i := len(b) - 1; i >= len(prefix); i-- {
		b[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(b)
}

// decodeID is the reverse of encodeID. ok is false for a text that is no id with
// that prefix.
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

// decodeIDs decodes ids and leaves out the malformed ones, which are in no table.
func decodeIDs(prefix string, ids []string) []pgtype.UUID {
	us := make([]pgtype.UUID, 0, len(ids))
	for _, id := range ids {
		if u, ok := decodeID(prefix, id); ok {
			us = append(us, param(u))
		}
	}
	return us
}

// param turns a uuid into an argument. pgx takes it under each of its protocols.
func param(u uuid) pgtype.UUID { return pgtype.UUID{Bytes: u, Valid: true} }

// timeOf returns the millisecond in which a uuid was made.
func timeOf(u uuid) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(u[:]) >> 16)).UTC()
}

// firstOf returns the least uuid that can be made in the millisecond of t.
func firstOf(t time.Time) (u uuid) {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	binary.BigEndian.PutUint64(u[:], uint64(ms)<<16)
	return u
}

// instantOf returns the first and the last uuid of the millisecond in which u was made. The ids of an
// event and of its deliveries lie between them.
func instantOf(u uuid) (first, last uuid) {
	first, last = u, u
	for i := 6; i < len(u); i++ {
		first[i], last[i] = 0, 0xff
	}
	return first, last
}
