package settings

import (
	"encoding/base32"
	"strings"

	"github.com/alot/alotwebhook/internal/text"
)

// listing is a list of the API that is read in pages. Its cursors are valid for
// this list alone: in another list, a cursor would skip items unnoticed.
type listing struct {
	prefix string   // of the ids in the list
	by     []string // organization and filters
}

// cursorDigits are the digits of the check at the end of a cursor, which has
// checkLength of them.
var cursorDigits = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const checkLength = 8

// cursor returns the cursor of the place behind the item with this id: the id
// without its prefix, then a check. It never expires, because it is a place in the
// order of the ids; the item itself may be gone.
func (l listing) cursor(id string) string {
	if id == "" {
		return ""
	}
	return strings.TrimPrefix(id, l.prefix) + l.check(id)
}

// check returns digits that depend on the id and the list. They detect mistakes, and
// need not stop forgery: a client may read its list from any place.
func (l listing) check(id string) string {
	sum := text.Hash(append([]string{id}, l.by...)...)
	return cursorDigits.EncodeToString(sum[:5])
}

// place reads the cursor of the request and returns the id behind which the page
// begins; "" for the first page.
func (q *query) place(l listing) string {
	cursor := q.values.Get("cursor")
	if cursor == "" {
		return ""
	}
	id := l.prefix + cursor[:max(0, len(cursor)-checkLength)]
	if !isID(l.prefix, id) || l.cursor(id) != cursor {
		q.refuse("cursor", "is not a nextCursor of this list with these filters; start again without a cursor")
		return ""
	}
	return id
}
