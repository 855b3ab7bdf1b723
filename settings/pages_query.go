package settings

import (
	"strings"
	"time"
)

const eventPrefix = "evt_"

// id reads an id of one kind.
func (q *query) id(name, prefix string) string {
	id := strings.TrimSpace(q.values.Get(name)) // copied from somewhere
	if id != "" && !isID(prefix, id) {
		q.refuse(name, "is not an id such as "+prefix+"01jcc7…")
	}
	return id
}

// moment reads a time as q.time does, or as a browser's field sends it, in UTC.
func (q *query) moment(name string) time.Time {
	given := q.values.Get(name)
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.999"} {
		if t, err := time.Parse(layout, given); err == nil {
			return t
		}
	}
	return q.time(name)
}

// idTime is the millisecond in a well-formed id, which its first ten digits hold:
// when its event came to be. Lists are ordered and bounded by it.
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
