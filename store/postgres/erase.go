package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

const (
	// eraseStretch is how many events an erasure looks at in one call, where no index covers what it
	// selects.
	eraseStretch = 20_000
	// eraseAtOnce is how many events one call erases at most: each may have many deliveries, and each of
	// those many attempts.
	eraseAtOnce = 250
)

// Erase implements [alotwebhook.History]. A call erases at most 250 events. Those of a subject and of
// an id are found by indexes. Of an organization alone, a call looks at the next 20,000 events of all,
// so that it may end early.
func (s *Store) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	return s.erase(&r, limit, func(e *erasure) error {
		return givingWay(func() error {
			return s.within(ctx, func(conn *pgxpool.Conn) error {
				return e.erase(s.sender(ctx, conn, join(begin, []step{prune, giveWay})))
			})
		})
	})
}

// erase has do erase what r selects. What this process remembers of payloads goes as well.
func (s *Store) erase(r *alotwebhook.Recovery, limit int, do func(*erasure) error) (n int, next string, err error) {
	e, err := newErasure(r, limit)
	if err != nil || e == nil {
		return 0, "", err
	}
	defer s.lanes.distrust()
	defer s.recent.clear()
	if err := do(e); err != nil {
		return 0, "", s.explain("erase events", err)
	}
	return len(e.events), e.next, nil
}

// erasure is one call of Erase.
type erasure struct {
	find   query
	limit  int
	events []pgtype.UUID // the newest first
	next   string        // the cursor of the next call
}

// newErasure returns the erasure of the events that r selects, or nil if there can be none.
func newErasure(r *alotwebhook.Recovery, limit int) (*erasure, error) {
	l, err := selectedEvents(r)
	if err != nil || l == nil {
		return nil, err
	}
	e := &erasure{limit: min(max(limit, 1), eraseAtOnce)}
	e.find = l.findSelected(e.limit, e.read)
	return e, nil
}

// selectedEvents returns the bounds and the conditions of the events (e) that r selects, or nil if there
// can be none.
func selectedEvents(r *alotwebhook.Recovery) (*listing, error) {
	l := &listing{}
	if !l.bound(r.Since, r.Until, eventPrefix, r.Cursor) {
		return nil, &alotwebhook.FieldError{Field: "cursor", Problem: fmt.Sprintf("%.64q is not the id of an event; give the cursor that the call before returned", r.Cursor)}
	}
	if r.EventID != "" {
		event, ok := decodeID(eventPrefix, r.EventID)
		if !ok {
			return nil, nil
		}
		l.raise(event)
		l.lower(after(event))
	}
	if r.OrganizationID != "" {
		l.residual = append(l.residual, "{d}.organization_id = "+l.bind("text", r.OrganizationID))
	}
	if r.Subject != "" {
		l.covered = " AND e.subject = " + l.bind("text", r.Subject)
	}
	return l, nil
}

// findSelected returns the query for the next events of selectedEvents, up to limit and one more. It
// looks at no more than eraseStretch. Each row is an id, whether it is one, and whether it is the last
// that was looked at.
func (l *listing) findSelected(limit int, read func(resultRows) error) query {
	l.limit = limit
	within := "e.id >= " + l.bind("uuid", param(l.from)) + " AND e.id < " + l.bind("uuid", param(l.before)) + l.covered
	return query{
		sql:   `SELECT id::text, matched, last FROM ` + l.stretch("e.id", "events e", within, l.conditions("e"), "e.id DESC", eraseStretch) + ` AS e ORDER BY e.id DESC`,
		args:  l.args,
		rows:  read,
		reads: true,
	}
}

// read reads the result of findSelected.
func (e *erasure) read(rows resultRows) error {
	e.events, e.next = nil, ""
	for rows.Next() {
		var text string
		var id pgtype.UUID
		var matched, last bool
		if err := rows.Scan(&text, &matched, &last); err != nil {
			return err
		}
		if err := id.Scan(text); err != nil {
			return err
		}
		if matched && len(e.events) == e.limit {
			e.next = encodeID(eventPrefix, e.events[e.limit-1].Bytes)
			break
		}
		if matched {
			e.events = append(e.events, id)
		}
		if last {
			e.next = encodeID(eventPrefix, id.Bytes)
			break
		}
	}
	return rows.Err()
}

// eraseAtHome is erase in a transaction of the host's, which may be one of another database. There it would
// find nothing, and say that all was erased.
func (e *erasure) eraseAtHome(send sender) error {
	if err := send(false, query{sql: "SELECT " + atHome, reads: true}); err != nil {
		return err
	}
	return e.erase(send)
}

// erase finds the events and erases them.
func (e *erasure) erase(send sender) error {
	if err := send(false, e.find); err != nil {
		return err
	}
	if len(e.events) == 0 {
		return send(true)
	}
	return send(true, e.changes()...)
}

// deliveriesOf returns an array of the ids of the deliveries that the events $1 have in the table. The
// condition is on the delivery d.
func deliveriesOf(table, condition string) string {
	return `ARRAY(` + ofEvents(`$1::uuid[]`, "d.id", table, "d", condition) + `)`
}

// These statements erase the events $1. Except in cancelEventsSQL, $2 and $3 are the least and the
// greatest id that is to be changed: they spare the server the days in which there is none.
var (
	erasePayloadsSQL = `
UPDATE {s}.events SET payload = NULL, trace_parent = NULL, subject = NULL
WHERE id = ANY ($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND num_nonnulls(payload, trace_parent, subject) > 0`

	cancelEventsSQL = cancelSQL(deliveriesOf("queue", ""))

	eraseLastAttemptsSQL = `
UPDATE {s}.deliveries SET detail = '', response_body = ''
WHERE id = ANY (` + deliveriesOf("deliveries", withinDays) + `) AND id BETWEEN $2::uuid AND $3::uuid AND (detail <> '' OR response_body <> '')`

	eraseAttemptsSQL = `
UPDATE {s}.attempts SET detail = '', response_body = ''
WHERE delivery_id = ANY (` + deliveriesOf("deliveries", withinDays) + ` || ` + deliveriesOf("queue", "") + `)
	AND delivery_id BETWEEN $2::uuid AND $3::uuid AND (detail <> '' OR response_body <> '')`
)

const withinDays = ` AND d.id BETWEEN $2::uuid AND $3::uuid`

// changes returns the statements that erase the events. Each sees what those have committed that the
// ones before it had to wait for. The first one takes the events: from then on, nobody redelivers. The
// second takes their unfinished deliveries, and waits for outcomes that are being stored. So all their
// attempts are there then, and no more come.
func (e *erasure) changes() []query {
	last, first := e.events[0], e.events[len(e.events)-1]
	from, _ := instantOf(first.Bytes)
	_, until := instantOf(last.Bytes)
	days := []any{e.events, param(from), param(until)}
	return []query{
		{sql: erasePayloadsSQL, args: []any{e.events, first, last}},
		{sql: cancelEventsSQL, args: []any{e.events, string(alotwebhook.ReasonErased)}},
		{sql: eraseLastAttemptsSQL, args: days},
		{sql: eraseAttemptsSQL, args: days},
	}
}
