package anydriver

import (
	"cmp"
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
	limit := cmp.Or(f.Limit, defaultPage)
	err = s.read(ctx, "list deliveries", func(t *txn) error {
		l := lister{txn: t, limit: limit + 1}
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
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return page, next, nil
}

// lister finds a page's keys first, in indexes alone, then reads their rows.
// In the history, a page is merged from the groups that the filter selects:
// each is one endpoint, state and type, and in order. The queue has no such
// index, which every delivery would pay for; see queueKeys. Where neither finds
// a page soon, it is cut short.
type lister struct {
	*txn
	limit int // one more than the page, to know whether another follows

	from, before key     // keys of the page: from ≤ key < before
	all          bool    // every endpoint; refs says which otherwise
	refs         []int64 // endpoints, deleted ones too
	event        int64   // 0: any
	kind         int64   // event type; 0: any

	floor key // down to here all was looked at; zero: to the end
}

const (
	// maxGroups is how many groups are merged; beyond it, whatever the filter
	// selects is probably not rare, and the history is read in order instead.
	maxGroups = 200
	// stretch is how many deliveries are read in order, at most, to find a page.
	stretch = 5_000
	// sortable is how many unfinished deliveries of the endpoints selected are
	// read whole and sorted.
	sortable = 5_000
)

// narrow turns the filter into keys and numbers; false if it selects nothing.
func (l *lister) narrow(f alotwebhook.Filter) (bool, error) {
	l.before = key{0: 0xff} // after every key: an id's first bits are a time's
	if !f.Since.IsZero() {
		l.from = firstKey(f.Since)
	}
	if !f.Until.IsZero() {
		l.before = firstKey(f.Until)
	}
	if f.Cursor != "" {
		k, ok := parseKey(deliveryPrefix, f.Cursor)
		if !ok {
			return false, sayf("list deliveries: the cursor %q is not the id of a delivery", f.Cursor)
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

func (l *lister) lower(k key) {
	if k.less(l.before) {
		l.before = k
	}
}

func (k key) less(other key) bool { return slices.Compare(k[:], other[:]) < 0 }

func (l *lister) narrowEvent(f alotwebhook.Filter) (bool, error) {
	if f.EventID == "" {
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
	return found(l.one("SELECT ref FROM alotwebhook_events WHERE id = ?", k[:])(&l.event))
}

func (l *lister) narrowType(f alotwebhook.Filter) (bool, error) {
	if f.EventType == "" {
		return true, nil
	}
	return found(l.one("SELECT ref FROM alotwebhook_types WHERE name = ?", f.EventType)(&l.kind))
}

func found(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// narrowEndpoints finds the endpoints selected. Parked and pending are states
// of endpoints as much as of deliveries.
func (l *lister) narrowEndpoints(f alotwebhook.Filter) (bool, error) {
	var where []string
	var args []any
	if f.EndpointID != "" {
		where, args = append(where, "id = ?"), append(args, f.EndpointID)
	}
	if f.OrganizationID != "" {
		where, args = append(where, "organization = ?"), append(args, f.OrganizationID)
	}
	switch f.State {
	case alotwebhook.StateParked:
		where = append(where, "active = 0")
	case alotwebhook.StatePending:
		where = append(where, "active = 1")
	}
	if len(where) == 0 {
		l.all = true
		return true, nil
	}
	err := l.each("SELECT ref FROM alotwebhook_endpoints WHERE "+strings.Join(where, " AND "), args, func(scan func(...any) error) error {
		var ref int64
		err := scan(&ref)
		l.refs = append(l.refs, ref)
		return err
	})
	slices.Sort(l.refs)
	return len(l.refs) > 0, err
}

// keys merges what the queue and the history have, newest first, down to where
// both were looked through.
func (l *lister) keys(state alotwebhook.DeliveryState) ([]key, error) {
	var keys []key
	if state == "" || state == alotwebhook.StatePending || state == alotwebhook.StateParked {
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

// conditions returns those that no index knows: on the event, the type, the
// state unless it is 0, and, if so wished, on the endpoints.
func (l *lister) conditions(state int64, endpoints bool) (where string, args []any) {
	for _, c := range []struct {
		column string
		value  int64
	}{{"event", l.event}, {"type", l.kind}, {"state", state}} {
		if c.value != 0 {
			where, args = where+" AND +"+c.column+" = ?", append(args, c.value)
		}
	}
	if endpoints && !l.all {
		where, args = where+" AND +endpoint "+amongRefs, append(args, l.refList())
	}
	return where, args
}

const amongRefs = "IN (SELECT value FROM json_each(?))"

// refList is the argument of amongRefs.
func (l *lister) refList() string {
	b := []byte{'['}
	for i, ref := range l.refs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, ref, 10)
	}
	return string(append(b, ']'))
}

func (l *lister) collect(query string, args []any) (keys []key, err error) {
	err = l.each(query, args, func(scan func(...any) error) error {
		var id key
		err := scan(&id)
		if err == nil {
			keys = append(keys, id)
		}
		return err
	})
	return keys, err
}

// queueKeys finds a page in the queue. If the endpoints selected have few of its
// rows, reading and sorting those is quick; if they have many, they are often
// met when it is read in order. So the queue, which all deliveries pass through,
// needs no index for this.
func (l *lister) queueKeys() ([]key, error) {
	if l.all {
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

// inOrder reads a table newest first. With conditions that may be rarely met it
// reads a stretch of it, whose end is then the floor.
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

// finishedKeys finds a page in the history; state 0 is any.
func (l *lister) finishedKeys(state int64) ([]key, error) {
	const table = "alotwebhook_deliveries"
	if l.event != 0 || l.all && l.kind == 0 && state == 0 || len(l.refs) > maxGroups {
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

func stateCode(state alotwebhook.DeliveryState) int64 {
	switch state {
	case alotwebhook.StateDelivered:
		return delivered
	case alotwebhook.StateFailed:
		return failed
	}
	return 0
}

// rows reads the page's deliveries, in the order of their keys.
func (l *lister) rows(keys []key) ([]alotwebhook.Delivery, error) {
	byKey := make(map[key]alotwebhook.Delivery, len(keys))
	for _, b := range []*batch{&listUnfinished, &listFinished} {
		err := b.keys(nil, keys, func(query string, args []any) error {
			return l.each(query, args, func(scan func(...any) error) error {
				k, d, _, err := scanDelivery(scan)
				byKey[k] = d
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	page := make([]alotwebhook.Delivery, len(keys))
	for i, k := range keys {
		page[i] = byKey[k]
	}
	return page, nil
}

var (
	listUnfinished = batchOf(fill(unfinishedRows, "''", "%"), "?")
	listFinished   = batchOf(fill(finishedRows, "''", "%"), "?")
)

// fill puts the values where query has a %, in their order.
func fill(query string, values ...string) string {
	parts := strings.SplitN(query, "%", len(values)+1)
	for i, v := range values {
		parts[i] += v
	}
	return strings.Join(parts, "")
}
