package anydriver

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// key is the id of an event, a delivery or an operation as it is stored: the 16 bytes that its 26
// characters spell. Keys have the same order as the ids.
type key [16]byte

const (
	eventPrefix     = "evt_"
	deliveryPrefix  = "dlv_"
	operationPrefix = "op_"
	suffixLen       = 26
)

// spelling is Crockford's base32 in lower case.
var spelling = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// parseKey turns an id into a key. ok is false for a malformed id, which no row has.
func parseKey(prefix, id string) (k key, ok bool) {
	suffix, ok := strings.CutPrefix(id, prefix)
	if !ok || len(suffix) != suffixLen || suffix[0] > '7' {
		return key{}, false
	}
	// The decoder takes 40 bits at a time, which is 8 characters. Six zeros in front
	// make 32 of 26.
	in := [32]byte{'0', '0', '0', '0', '0', '0'}
	copy(in[len(in)-suffixLen:], suffix)
	var out [20]byte
	n, err := spelling.Decode(out[:], in[:])
	if err != nil || n != len(out) {
		return key{}, false
	}
	return key(out[4:]), true
}

// Scan implements [sql.Scanner].
func (k *key) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(k) {
		return errors.New("a stored id is damaged, restore the file from a backup")
	}
	*k = key(b)
	return nil
}

// eventKey is parseKey for an event that is to be stored.
func eventKey(id string) (key, error) {
	k, ok := parseKey(eventPrefix, id)
	if !ok {
		return k, fmt.Errorf("alotwebhook: sqlite: event id %.64q is not %s and %d characters of base32; make events with NewEvent", id, eventPrefix, suffixLen)
	}
	return k, nil
}

// badCursor refuses a cursor that is not the id of what it should be.
func badCursor(cursor, of, before string) error {
	return &alotwebhook.FieldError{Field: "cursor", Problem: fmt.Sprintf("%.64q is not the id of %s; give the cursor that came with the %s before", cursor, of, before)}
}

// spell turns a key into an id with that prefix.
func (k key) spell(prefix string) string {
	var in [20]byte
	copy(in[4:], k[:])
	var out [32]byte
	spelling.Encode(out[:], in[:])
	return prefix + string(out[len(out)-suffixLen:])
}

// firstKey returns the least key of t's millisecond: a key begins with the
// millisecond of its event's id.
func firstKey(t time.Time) key {
	var k key
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	binary.BigEndian.PutUint64(k[:], uint64(ms)<<16)
	return k
}

// time returns the millisecond that a key begins with.
func (k key) time() time.Time {
	var ms [8]byte
	copy(ms[2:], k[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// sameInstant returns the bounds of the keys that share k's millisecond: from ≤ key <
// before. The keys of an event's deliveries are among them.
func (k key) sameInstant() (from, before key) {
	copy(from[:6], k[:6])
	before = from
	for i := 6; i < len(before); i++ {
		before[i] = 0xff // above every key: a key's seventh byte begins with the digit 7
	}
	return from, before
}

// micros turns a time into an argument: µs since 1970, or NULL for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// microsFrom returns the first µs since 1970 that is not before t.
func microsFrom(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// nullable turns a text into an argument that is NULL if it is empty.
func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// instant turns a stored time, in µs since 1970, into a time in UTC.
func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
