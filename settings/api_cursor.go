package settings

import (
	"encoding/base32"
	"strings"
)

// A listing is a list that is read in pages: of what, for whom, by which
// filters. Its cursors belong to it alone: on another list one would skip
// things without a word.
type listing struct {
	prefix string   // of the ids in it
	by     []string // organization and filters
}

// cursorDigits spell the check at the end of a cursor.
var cursorDigits = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// cursor names the place behind an id: the id without its prefix, and a check.
// It does not expire: it is a place in an order, and what stood there may be gone.
func (l listing) cursor(id string) string {
	if id == "" {
		return ""
	}
	return strings.TrimPrefix(id, l.prefix) + l.check(id)
}

// check ties an id to the list. It keeps mistakes out, not forgers: those gain
// nothing, since the list is theirs from any place on.
func (l listing) check(id string) string {
	sum := hash(append([]string{id}, l.by...)...)
	return cursorDigits.EncodeToString(sum[:5])
}

// place returns the id behind which the list goes on; "" at its beginning.
func (q *query) place(l listing) string {
	cursor := q.values.Get("cursor")
	if cursor == "" {
		return ""
	}
	id := l.prefix + cursor[:max(0, len(cursor)-8)]
	if !isID(l.prefix, id) || l.cursor(id) != cursor {
		q.refuse("cursor", "is not a nextCursor of this list with these filters; begin again without one")
		return ""
	}
	return id
}
