package anydriver

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// key is an event's or a delivery's id as it is stored: the 16 bytes behind
// the 26 characters. Keys order as the spelled ids do.
type key [16]byte

const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	suffixLen      = 26
)

var spelling = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// parseKey reads an id; ok is false for one that cannot be in the store.
func parseKey(prefix, id string) (k key, ok bool) {
	suffix, ok := strings.CutPrefix(id, prefix)
	if !ok || len(suffix) != suffixLen || suffix[0] > '7' {
		return key{}, false
	}
	// The decoder takes 40 bits at a time: six more zeros in front make 160.
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
		return errors.New("an id stored is damaged")
	}
	*k = key(b)
	return nil
}

func eventKey(id string) (key, error) {
	k, ok := parseKey(eventPrefix, id)
	if !ok {
		return k, fmt.Errorf("alotwebhook: sqlite: event id %q is not %q and %d characters of base32", id, eventPrefix, suffixLen)
	}
	return k, nil
}

func (k key) spell(prefix string) string {
	var in [20]byte
	copy(in[4:], k[:])
	var out [32]byte
	spelling.Encode(out[:], in[:])
	return prefix + string(out[len(out)-suffixLen:])
}

// firstKey is the least key of a millisecond, which every key begins with.
func firstKey(t time.Time) key {
	var k key
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	binary.BigEndian.PutUint64(k[:], uint64(ms)<<16)
	return k
}

// sameInstant returns the bounds of the keys that share k's millisecond: an
// event's deliveries are among them.
func (k key) sameInstant() (from, before key) {
	copy(from[:6], k[:6])
	before = from
	for i := 6; i < len(before); i++ {
		before[i] = 0xff // never a key: the seventh byte of each begins with 7
	}
	return from, before
}

// micros is an instant as it is stored; nil for the zero time.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
