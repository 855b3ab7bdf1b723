package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// A delivery does not know whom its event is about. So those of a subject are found by its events, of
// which an index has those of each subject together. The id of a delivery begins with the millisecond
// of the event's.

// subjectEvents is from how many events of a subject on the deliveries of one page are looked for in
// the newest of them alone.
const subjectEvents = 1000

// atInstant is the first id of the millisecond in which e.id was made, and endOfInstant the last one.
const (
	atInstant    = `(left(e.id::text, 13) || '-0000-0000-000000000000')::uuid`
	endOfInstant = `(left(e.id::text, 13) || '-ffff-ffff-ffffffffffff')::uuid`
)

// ofEvents returns a query for columns of the rows of queue or deliveries, here named as, that belong to
// events whose ids are in an array, and meet the condition. It goes through each millisecond of theirs
// once, however many events there are in it.
func ofEvents(events, columns, table, as, condition string) string {
	return `SELECT x.* FROM (
			SELECT DISTINCT ` + atInstant + ` AS first, ` + endOfInstant + ` AS last FROM unnest(` + events + `) AS e (id)
		) AS m
		CROSS JOIN LATERAL (
			SELECT ` + columns + ` FROM {s}.` + table + ` ` + as + `
			WHERE ` + as + `.id BETWEEN m.first AND m.last AND ` + as + `.event_id = ANY (` + events + `)` + condition + ` OFFSET 0
		) AS x`
}

// findEvents returns the statement that finds the newest events of a subject that may have deliveries
// within the bounds, whole milliseconds of them. If there are more, it raises the lower bound to where
// they begin, and has the next page go on there.
func (l *listing) findEvents(subject string) step {
	from, _ := instantOf(l.from)
	_, last := instantOf(prior(l.before))
	return step{
		// $1 is the subject, $2 and $3 are the bounds of the ids, and $4 is subjectEvents less one.
		sql: `
			SELECT e.id FROM {s}.events e
			WHERE e.subject = $1::text AND e.id <= $3::uuid AND e.id >= coalesce((
				SELECT ` + atInstant + ` FROM {s}.events e
				WHERE e.subject = $1::text AND e.id >= $2::uuid AND e.id <= $3::uuid
				ORDER BY e.id DESC OFFSET $4::bigint LIMIT 1), $2::uuid)
			ORDER BY e.id DESC`,
		args: []any{subject, param(from), param(last), int64(subjectEvents - 1)},
		rows: func(rows pgx.Rows) (err error) {
			l.events, err = pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
			if n := len(l.events); n >= subjectEvents {
				first, _ := instantOf(l.events[n-1].Bytes)
				l.raise(first)
				l.next = encodeID(deliveryPrefix, l.from)
			}
			return err
		},
	}
}

// ofSubject returns the queries for a page of the deliveries of the events. from and before are
// placeholders.
func (l *listing) ofSubject(from, before string) (sources []string) {
	events := l.bind("uuid[]", l.events)
	if l.owned {
		l.residual = append(l.residual, "{d}.endpoint = ANY ("+l.bind("bigint[]", l.keys)+")")
	}
	source := func(columns, table, as, state string) {
		condition := fmt.Sprintf(" AND %[1]s.id >= %[2]s AND %[1]s.id < %[3]s AND %[4]s AND %[5]s", as, from, before, state, l.conditions(as))
		sources = append(sources, fmt.Sprintf("(%s ORDER BY x.id DESC LIMIT %d)",
			ofEvents(events, columns+", true AS matched, false AS last", table, as, condition), l.limit+1))
	}
	if state := unfinishedIn(l.state, "q.endpoint"); state != "false" {
		source(queueColumns, "queue", "q", "(SELECT "+state+" FROM {s}.endpoints p WHERE p.key = abs(q.endpoint))")
	}
	if state, some := finishedIn(l.state); some {
		source(historyColumns, "deliveries", "h", state)
	}
	return sources
}

// finishedIn returns a condition on a finished delivery h: that it is in the state. It reports whether
// any can be.
func finishedIn(state alotwebhook.DeliveryState) (condition string, some bool) {
	switch state {
	case "":
		return "true", true
	case alotwebhook.StateDelivered:
		return "h.delivered", true
	case alotwebhook.StateFailed:
		return "NOT h.delivered", true
	}
	return "false", false
}
