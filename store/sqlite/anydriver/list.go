package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/alot/alotwebhook"
)

// Deliveries implements [alotwebhook.History].
func (s *Store) Deliveries(ctx context.Context, f alotwebhook.Filter) (page []alotwebhook.Delivery, next string, err error) {
	limit := pageSize(f.Limit)
	err = s.read(ctx, "list deliveries", func(t *txn) error {
		l := lister{txn: t, held: s.held, limit: limit + 1}
		if some, err := l.narrow(f); err != nil || !some {
			return err
		}
		keys, err := l.keys(f.State)
		if err != nil {
			return err
		}
		switch {
		case len(keys) > limit:
			keys = keys[:limit]
			next = keys[limit-1].spell(deliveryPrefix)
		case l.floor != key{}:
			next = l.floor.spell(deliveryPrefix)
		}
		page, err = l.rows(keys)
		for i := range page {
			s.held.show(&page[i])
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// lister finds the keys of a page in the indexes, and then reads the rows of these
// keys alone. From the history it merges the groups that the filter selects: each is
// one endpoint, state and type, in the order of the keys. The queue has no index
// that gives such groups, since each delivery would pay for it; queueKeys does
// without. Where neither finds a full page soon, the page is cut short.
type lister struct {
	*txn
	held  *holdings
	limit int // one more than the page holds, to tell whether another page follows

	from, before key     // the bounds of the keys: from ≤ key < before
	all          bool    // every endpoint is selected, and refs is empty
	sign         string  // how the selected lanes compare with 0, if all is set; "" for any
	refs         []int64 // the lanes of the selected endpoints, deleted ones among them
	event        int64   // the ref of the selected event; 0 for any
	subject      string  // the subject of the selected events; "" for any
	kind         int64   // the ref of the selected event type; 0 for any

	// floor is the key down to which everything was read; zero if that is the end.
	// The page stops there, and the next one goes on below it.
	floor key
}

const (
	// maxGroups is how many groups are merged at most. Where a filter selects more,
	// its deliveries are probably many, and the history is read in order instead.
	maxGroups = 200
	// stretch is how many deliveries are read in order at most to find a page.
	stretch = 5_000
	// sortable is how many unfinished deliveries of the selected endpoints are all
	// read and sorted.
	sortable = 5_000
)

// narrow turns the filter into the lister's keys and refs. It returns false if the
// filter selects nothing.
func (l *lister) narrow(f alotwebhook.Filter) (bool, error) {
	l.before = key{0: 0xff} // above every key: keys begin with a time, and this is the year 10854
	if !f.Since.IsZero() {
		l.from = firstKey(f.Since)
	}
	if !f.Until.IsZero() {
		l.before = firstKey(f.Until)
	}
	if f.Cursor != "" {
		k, ok := parseKey(deliveryPrefix, f.Cursor)
		if !ok {
			return false, &said{badCursor(f.Cursor, "a delivery", "page")}
		}
		l.lower(k)
	}
	for _, narrow := range []func(alotwebhook.Filter) (bool, error){l.narrowEvent, l.narrowType, l.narrowEndpoints} {
		if some, err := narrow(f); err != nil || !some {
			return false, err
		}
	}
	return l.from.less(l.before), nil
}

// lower lowers the upper bound of the keys, unless it is lower already.
func (l *lister) lower(k key) {
	if k.less(l.before) {
		l.before = k
	}
}

func (k key) less(other key) bool { return slices.Compare(k[:], other[:]) < 0 }

// narrowEvent selects the deliveries of one event, or of a subject.
func (l *lister) narrowEvent(f alotwebhook.Filter) (bool, error) {
	if f.EventID == "" {
		l.subject = f.Subject
		return true, nil
	}
	k, ok := parseKey(eventPrefix, f.EventID)
	if !ok {
		return false, nil
	}
	from, before := k.sameInstant()
	if l.from.less(from) {
		l.from = from
	}
	l.lower(before)
	query, args := "SELECT ref FROM alotwebhook_events WHERE id = ?", []any{k[:]}
	if f.Subject != "" {
		query, args = query+" AND subject = ?", append(args, f.Subject)
	}
	return found(l.one(query, args...)(&l.event))
}

// narrowType selects the deliveries of one event type.
func (l *lister) narrowType(f alotwebhook.Filter) (bool, error) {
	if f.EventType == "" {
		return true, nil
	}
	return found(l.one("SELECT ref FROM alotwebhook_types WHERE name = ?", f.EventType)(&l.kind))
}

// found tells an error from a query that found no row.
func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// narrowEndpoints finds the selected endpoints. The state selects endpoints, too: an
// unfinished delivery is parked if its endpoint is not active, and pending if it is.
func (l *lister) narrowEndpoints(f alotwebhook.Filter) (bool, error) {
	var where []string
	var args []any
	if f.EndpointID != "" {
		where, args = append(where, "@id = ?"), append(args, f.EndpointID)
	}
	if f.OrganizationID != "" {
		where, args = append(where, "@organization = ?"), append(args, f.OrganizationID)
	}
	if len(where) == 0 && activeIn(f.State) == "" {
		l.all, l.sign = true, signOf(f)
		return true, nil
	}
	refs, err := l.lanes(f, strings.Join(append(where, "true"), " AND "), args)
	slices.Sort(refs)
	l.refs = refs
	return len(refs) > 0, err
}

// keys returns the keys of the page, newest first, from the queue and the history.
// It leaves out keys below the floor: one of the two may have more there.
func (l *lister) keys(state alotwebhook.DeliveryState) ([]key, error) {
	var keys []key
	if state == "" || state == alotwebhook.StatePending || state == alotwebhook.StateParked || state == alotwebhook.StateUnfinished {
		unfinished, err := l.queueKeys()
		if err != nil {
			return nil, err
		}
		keys = unfinished
	}
	if state == "" || state == alotwebhook.StateDelivered || state == alotwebhook.StateFailed {
		finished, err := l.finishedKeys(stateCode(state))
		if err != nil {
			return nil, err
		}
		keys = append(keys, finished...)
	}
	keys = slices.DeleteFunc(keys, func(k key) bool { return k.less(l.floor) })
	slices.SortFunc(keys, func(a, b key) int { return slices.Compare(b[:], a[:]) })
	return keys[:min(len(keys), l.limit)], nil
}

// conditions returns the conditions that no index covers: on the event, the type, the
// state unless it is 0, and the endpoints if endpoints is true. The + in front of a
// column keeps SQLite from choosing an index on it, and so from losing the order.
func (l *lister) conditions(state int64, endpoints bool) (where string, args []any) {
	for _, c := range []struct {
		column string
		value  int64
	}{{"event", l.event}, {"type", l.kind}, {"state", state}} {
		if c.value != 0 {
			where, args = where+" AND +"+c.column+" = ?", append(args, c.value)
		}
	}
	if l.sign != "" {
		where += " AND +endpoint " + l.sign + " 0"
	}
	if endpoints && !l.all {
		where, args = where+" AND +endpoint "+amongRefs, append(args, l.refList())
	}
	return where, args
}

// amongRefs is the rest of a condition that a column is one of refs.
const amongRefs = "IN (SELECT value FROM json_each(?))"

// refList returns refs as the argument of amongRefs.
func (l *lister) refList() string { return numberList(l.refs) }

// numberList returns numbers as a JSON array.
func numberList(list []int64) string {
	b := []byte{'['}
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}

// collect returns the keys that a query finds.
func (t *txn) collect(query string, args []any) (keys []key, err error) {
	err = t.each(query, args, func(scan func(...any) error) error {
		var id key
		err := scan(&id)
		if err == nil {
			keys = append(keys, id)
		}
		return err
	})
	return keys, err
}

// queueKeys finds a page in the queue. If the selected endpoints have at most sortable
// rows there, it reads and sorts them all, which is quick. If they have more, it
// meets many of them when it reads the queue in order. So the queue needs no index
// for this, for which every delivery would pay.
func (l *lister) queueKeys() ([]key, error) {
	switch {
	case l.subject != "":
		return l.ofSubject("alotwebhook_queue", 0)
	case l.all:
		return l.inOrder("alotwebhook_queue", 0)
	}
	var queued int
	err := l.one("SELECT count(*) FROM (SELECT 1 FROM alotwebhook_queue INDEXED BY alotwebhook_queue_due WHERE endpoint "+amongRefs+" LIMIT ?)",
		l.refList(), sortable+1)(&queued)
	if err != nil {
		return nil, err
	}
	if queued > sortable {
		return l.inOrder("alotwebhook_queue", 0)
	}
	where, args := l.conditions(0, false)
	args = append([]any{l.refList(), l.from[:], l.before[:]}, append(args, l.limit)...)
	return l.collect("SELECT id FROM alotwebhook_queue INDEXED BY alotwebhook_queue_due WHERE endpoint "+amongRefs+
		" AND id >= ? AND id < ?"+where+" ORDER BY id DESC LIMIT ?", args)
}

// inOrder finds a page by reading a table, newest first. Rows that meet the conditions
// may be rare, so it reads through a stretch of the table at most. If it comes to the
// end of the stretch without a full page, that is the floor.
func (l *lister) inOrder(table string, state int64) ([]key, error) {
	where, args := l.conditions(state, true)
	from := l.from
	if where != "" {
		end, err := l.collect("SELECT id FROM "+table+" WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", []any{l.from[:], l.before[:], stretch})
		if err != nil {
			return nil, err
		}
		if len(end) > 0 {
			from = end[0]
		}
	}
	args = append([]any{from[:], l.before[:]}, append(args, l.limit)...)
	keys, err := l.collect("SELECT id FROM "+table+" WHERE id >= ? AND id < ?"+where+" ORDER BY id DESC LIMIT ?", args)
	if err == nil && len(keys) < l.limit && from != l.from && l.floor.less(from) {
		l.floor = from
	}
	return keys, err
}

// finishedKeys finds a page in the history. State 0 stands for any.
func (l *lister) finishedKeys(state int64) ([]key, error) {
	const table = "alotwebhook_deliveries"
	if l.subject != "" {
		return l.ofSubject(table, state)
	}
	if l.event != 0 || l.all && l.kind == 0 && state == 0 && l.sign == "" || len(l.refs) > 2*maxGroups {
		return l.inOrder(table, state)
	}
	groups, few, err := l.groups(state)
	switch {
	case err != nil:
		return nil, err
	case !few:
		return l.inOrder(table, state)
	}
	return l.merge(groups)
}

// stateCode returns a state as the history holds it; 0 for any other.
func stateCode(state alotwebhook.DeliveryState) int64 {
	switch state {
	case alotwebhook.StateDelivered:
		return delivered
	case alotwebhook.StateFailed:
		return failed
	}
	return 0
}

// rows reads the deliveries with these keys and returns them in the same order.
func (l *lister) rows(keys []key) ([]alotwebhook.Delivery, error) {
	byKey, ordered := make(map[key]alotwebhook.Delivery, len(keys)), map[key]shownDelivery{}
	for _, b := range []*batch{&listUnfinished, &listFinished} {
		err := b.keys(nil, keys, func(query string, args []any) error {
			return l.each(query, args, func(scan func(...any) error) error {
				k, d, _, err := scanDelivery(scan)
				byKey[k] = d.Delivery
				if d.ordered.Valid {
					ordered[k] = d
				}
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	for k, d := range ordered {
		if err := l.showWaiting(l.held, &d); err != nil {
			return nil, err
		}
		byKey[k] = d.Delivery
	}
	page := make([]alotwebhook.Delivery, len(keys))
	for i, k := range keys {
		page[i] = byKey[k]
	}
	return page, nil
}

// listUnfinished and listFinished read deliveries without their attempts.
var (
	listUnfinished = batchOf(fill(unfinishedRows, "''", "%"), "?")
	listFinished   = batchOf(fill(finishedRows, "''", "%"), "?")
)

// fill puts the values into a query, the first one where it says % first, and so on.
func fill(query string, values ...string) string {
	parts := strings.SplitN(query, "%", len(values)+1)
	for i, v := range values {
		parts[i] += v
	}
	return strings.Join(parts, "")
}
