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

// atInstant is the first id of the millisecond in which e.id was made.
const atInstant = `(left(e.id::text, 13) || '-0000-0000-000000000000')::uuid`

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

// ofEvents returns the queries for a page of the deliveries of the events. from and before are
// placeholders.
func (l *listing) ofEvents(from, before string) (sources []string) {
	events := l.bind("uuid[]", l.events)
	if l.owned {
		l.residual = append(l.residual, "{d}.endpoint = ANY ("+l.bind("bigint[]", l.keys)+")")
	}
	source := func(columns, table, name, state string) {
		sources = append(sources, fmt.Sprintf(`(SELECT d.* FROM unnest(%[1]s) AS e (id) CROSS JOIN LATERAL (
				SELECT %[2]s, true AS matched, false AS last FROM {s}.%[3]s %[4]s
				WHERE %[4]s.id `+ofEvent+` AND %[4]s.event_id = e.id AND %[4]s.id >= %[5]s AND %[4]s.id < %[6]s AND %[7]s AND %[8]s OFFSET 0) AS d
			ORDER BY d.id DESC LIMIT %[9]d)`, events, columns, table, name, from, before, state, l.conditions(name), l.limit+1))
	}
	if state := unfinishedIn(l.state); state != "false" {
		source(queueColumns, "queue", "q", "(SELECT "+state+" FROM {s}.endpoints p WHERE p.key = q.endpoint)")
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
