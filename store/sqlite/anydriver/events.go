package anydriver

import (
	"math"

	"github.com/alot/alotwebhook"
)

// passage is a way through events, from the greatest id to the least. An empty text selects all.
type passage struct {
	event, subject, organization string
	from, before                 key // the bounds of the ids: from ≤ id < before
}

// passageOf returns the way through the events that r selects, below its cursor.
func passageOf(r *alotwebhook.Recovery) (passage, error) {
	p := passage{event: r.EventID, subject: r.Subject, organization: r.OrganizationID, before: everyKey}
	if !r.Since.IsZero() {
		p.from = firstKey(r.Since)
	}
	if !r.Until.IsZero() {
		p.before = firstKey(r.Until)
	}
	if r.Cursor == "" {
		return p, nil
	}
	k, ok := parseKey(eventPrefix, r.Cursor)
	if !ok {
		return p, badCursor(r.Cursor, "an event", "call")
	}
	if k.less(p.before) {
		p.before = k
	}
	return p, nil
}

// passed is an event that a passage has come to.
type passed struct {
	ref int64
	key key
}

// pass returns the next events of a passage, up to limit, and the key below which it goes on; the
// zero key at its end. Nothing finds the events of an organization but to look at all: each event
// would pay for an index. So it looks at a stretch of them at most.
func (t *txn) pass(p passage, limit int) (list []passed, floor key, err error) {
	if p.event == "" && p.subject == "" {
		end, err := t.collect("SELECT id FROM alotwebhook_events WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?",
			[]any{p.from[:], p.before[:], stretch - 1})
		if err != nil {
			return nil, key{}, err
		}
		if len(end) > 0 {
			p.from, floor = end[0], end[0]
		}
	}
	query, args := "SELECT ref, id FROM alotwebhook_events WHERE id >= ? AND id < ?", []any{p.from[:], p.before[:]}
	if p.event != "" {
		k, _ := parseKey(eventPrefix, p.event) // no event has the zero key of a malformed id
		query, args = query+" AND id = ?", append(args, k[:])
	}
	if p.subject != "" {
		query, args = query+" AND subject = ?", append(args, p.subject)
	}
	if p.organization != "" {
		query, args = query+" AND organization = ?", append(args, p.organization)
	}
	err = t.each(query+" ORDER BY id DESC LIMIT ?", append(args, limit+1), func(scan func(...any) error) error {
		var e passed
		err := scan(&e.ref, &e.key)
		list = append(list, e)
		return err
	})
	if len(list) > limit {
		list, floor = list[:limit], list[limit-1].key
	}
	return list, floor, err
}

// moment is events of one millisecond. The ids of their deliveries begin with it as well, so that
// one look into a table finds those of all.
type moment struct {
	from, before key // the bounds of the deliveries' ids
	refs         []int64
}

// ofMoment is a condition that the deliveries of a moment meet. The + keeps SQLite from looking for
// an index on the event.
const ofMoment = "id >= ? AND id < ? AND +event " + amongRefs

func (m *moment) args() []any { return []any{m.from[:], m.before[:], numberList(m.refs)} }

// moments puts the events of a passage together that have one.
func moments(list []passed) (all []moment) {
	for _, e := range list {
		from, before := e.key.sameInstant()
		if len(all) == 0 || all[len(all)-1].from != from {
			all = append(all, moment{from: from, before: before})
		}
		last := &all[len(all)-1]
		last.refs = append(last.refs, e.ref)
	}
	return all
}

// refsOf returns the numbers of events as a JSON array.
func refsOf(list []passed) string {
	refs := make([]int64, len(list))
	for i, e := range list {
		refs[i] = e.ref
	}
	return numberList(refs)
}

// subjectEvents is the events of a subject by which a list looks for deliveries at most, before it
// cuts its page short.
const subjectEvents = 1000

// ofSubject finds a page in a table by the events of the selected subject. An event leads to its
// deliveries, but each of these is looked for in the whole of its millisecond: so the events of the
// last one are all looked at.
func (l *lister) ofSubject(table string, state int64) (keys []key, err error) {
	p := passage{subject: l.subject, from: l.from, before: l.before}
	if first, end := l.before.sameInstant(); first != l.before {
		p.before = end // an event may have a greater id than its delivery
	}
	events, floor, err := l.pass(p, subjectEvents)
	if err == nil && floor != (key{}) {
		p.before = floor
		p.from, _ = floor.sameInstant()
		var rest []passed
		rest, _, err = l.pass(p, math.MaxInt32)
		events, floor = append(events, rest...), p.from
	}
	where, more := l.conditions(state, true)
	for _, m := range moments(events) {
		if err != nil || len(keys) >= l.limit {
			return keys, err
		}
		m.narrow(l.from, l.before)
		var some []key
		some, err = l.collect("SELECT id FROM "+table+" WHERE "+ofMoment+where+" ORDER BY id DESC LIMIT ?", append(append(m.args(), more...), l.limit))
		keys = append(keys, some...)
	}
	if len(keys) < l.limit && l.floor.less(floor) {
		l.floor = floor
	}
	return keys, err
}

// narrow takes the deliveries out of a moment that are not within bounds.
func (m *moment) narrow(from, before key) {
	if m.from.less(from) {
		m.from = from
	}
	if before.less(m.before) {
		m.before = before
	}
}
