package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
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
		if len(keys) > limit {
			keys = keys[:limit]
			next = keys[limit-1].spell(deliveryPrefix)
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
// index, which every delivery would pay for; see queueKeys.
type lister struct {
	*txn
	limit int // one more than the page, to know whether another follows

	from, before key     // keys of the page: from ≤ key < before
	all          bool    // every endpoint; refs says which otherwise
	refs         []int64 // endpoints, deleted ones too
	event        int64   // 0: any
	kind         int64   // event type; 0: any
}

// maxGroups is how many groups are merged; beyond it, whatever the filter
// selects is probably not rare, and the history is read in order instead.
const maxGroups = 1000

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

// keys merges what the queue and the history have, newest first.
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
		finished, err := l.finishedKeys(state)
		if err != nil {
			return nil, err
		}
		keys = append(keys, finished...)
	}
	slices.SortFunc(keys, func(a, b key) int { return slices.Compare(b[:], a[:]) })
	return keys[:min(len(keys), l.limit)], nil
}

// where returns the conditions on a table's rows, apart from its endpoints.
func (l *lister) where() (string, []any) {
	where, args := "id >= ? AND id < ?", []any{l.from[:], l.before[:]}
	if l.event != 0 {
		where, args = where+" AND event = ?", append(args, l.event)
	}
	if l.kind != 0 {
		where, args = where+" AND type = ?", append(args, l.kind)
	}
	return where, args
}

// among returns a condition that endpoint is one of refs; column is "endpoint"
// or "+endpoint", which keeps the planner from its index.
func (l *lister) among(column string) (string, []any) {
	args := make([]any, len(l.refs))
	for i, ref := range l.refs {
		args[i] = ref
	}
	return " AND " + column + " IN (" + repeat("?", ",", len(l.refs)) + ")", args
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

// stretch is how many of the newest unfinished deliveries are searched before
// the endpoints' own are looked at.
const stretch = 20_000

// maxRefs bounds the endpoints named in one statement.
const maxRefs = 1000

// queueKeys finds a page in the queue. If the endpoints selected have many of
// its rows, a stretch of it, in order, holds a page of them; if they have few,
// reading and sorting those is quick. One of the two holds, so that the queue,
// which all deliveries pass through, needs no index for this.
func (l *lister) queueKeys() ([]key, error) {
	where, args := l.where()
	if l.all || len(l.refs) > maxRefs {
		return l.filtered("alotwebhook_queue", where, args)
	}
	bounds, err := l.collect("SELECT id FROM alotwebhook_queue WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?", []any{l.from[:], l.before[:], stretch})
	if err != nil {
		return nil, err
	}
	bound, long := l.from, len(bounds) > 0
	if long {
		bound = bounds[0]
	}
	in, refs := l.among("+endpoint")
	query := "SELECT id FROM alotwebhook_queue WHERE " + where + in
	args = append(args, refs...)
	keys, err := l.collect(query+" AND id >= ? ORDER BY id DESC LIMIT ?", append(slices.Clip(args), bound[:], l.limit))
	if err != nil || len(keys) == l.limit || !long {
		return keys, err
	}
	in, _ = l.among("endpoint")
	return l.collect("SELECT id FROM alotwebhook_queue INDEXED BY alotwebhook_queue_due WHERE "+where+in+" ORDER BY id DESC LIMIT ?", append(args, l.limit))
}

// filtered searches a table in order, newest first.
func (l *lister) filtered(table, where string, args []any) (keys []key, err error) {
	chosen := make(map[int64]bool, len(l.refs))
	for _, ref := range l.refs {
		chosen[ref] = true
	}
	err = l.each("SELECT id, endpoint FROM "+table+" WHERE "+where+" ORDER BY id DESC", args, func(scan func(...any) error) error {
		var id key
		var endpoint int64
		if err := scan(&id, &endpoint); err != nil {
			return err
		}
		if l.all || chosen[endpoint] {
			keys = append(keys, id)
		}
		if len(keys) == l.limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return keys, err
}

var errEnough = errors.New("enough")

// finishedKeys finds a page in the history.
func (l *lister) finishedKeys(state alotwebhook.DeliveryState) ([]key, error) {
	where, args := l.where()
	code := stateCode(state)
	if code != 0 {
		where, args = where+" AND state = ?", append(args, code)
	}
	if l.event != 0 || l.all && l.kind == 0 && code == 0 {
		return l.filtered("alotwebhook_deliveries", where, args)
	}
	if len(l.refs) > maxGroups {
		return l.filtered("alotwebhook_deliveries", where, args)
	}
	groups, few, err := l.groups(code)
	if err != nil {
		return nil, err
	}
	if !few {
		return l.filtered("alotwebhook_deliveries", where, args)
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
