package settings

import (
	"regexp"
	"strings"
	"time"
)

// The prefixes of the ids that requests name.
const (
	endpointPrefix = "wh_"
	deliveryPrefix = "dlv_"
	eventPrefix    = "evt_"
)

var idSuffix = regexp.MustCompile(`^[0-7][0-9a-hjkmnp-tv-z]{25}$`)

// isID reports whether id is well formed and has the prefix. Only well-formed
// ids are looked up in the store.
func isID(prefix, id string) bool {
	suffix, ok := strings.CutPrefix(id, prefix)
	return ok && idSuffix.MatchString(suffix)
}

// idTime returns the time in a well-formed id, to the millisecond. It is the time
// of the event, in the id of a delivery too. Its first ten digits hold it, in base
// 32, and lists are ordered by it.
func idTime(id string) time.Time {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	_, suffix, _ := strings.Cut(id, "_")
	if len(suffix) < 10 {
		return time.Time{}
	}
	var ms int64
	for _, c := range suffix[:10] {
		ms = ms<<5 | int64(max(0, strings.IndexRune(digits, c)))
	}
	return time.UnixMilli(ms)
}
