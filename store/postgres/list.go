package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

const (
	// stretch is how many deliveries are read at most to find a page, where no index
	// covers a condition, such as one on the event type.
	stretch = 5_000
	// Up to maxOwners endpoints, a page reads the history of each by the endpoint's
	// index, and reads its share of a stretch there. For more endpoints it reads a
	// stretch of the deliveries of all.
	maxOwners = 50
	// sortable is how many unfinished deliveries of the selected endpoints are all
	// read and sorted. The queue has no index by endpoint and id that would give
	// them in order: each delivery would pay for it.
	sortable = 5_000
)

// Deliveries implements [alotwebhook.History]. No index exists for it alone: it
// finds a page by the indexes that deliveries need anyway, or cuts it short.
func (s *Store) Deliveries(ctx context.Context, f alotwebhook.Filter) (found []alotwebhook.Delivery, next string, err error) {
	l, err := listingOf(f)
	if err != nil || bytes.Compare(l.from[:], l.before[:]) >= 0 {
		return nil, "", err
	}
	err = s.inOneSnapshot(ctx, func(ask func(...step) error) (err error) {
		if l, err = listingOf(f); err != nil { // anew, as within may repeat this
			return err
		}
		if l.owned {
			if err := ask(l.findOwners(f)); err != nil || len(l.keys) == 0 {
				return err
			}
		}
		if f.Subject != "" {
			if err := ask(l.findEvents(f.Subject)); err != nil || len(l.events) == 0 {
				return err
			}
		}
		return ask(l.step())
	})
	if err != nil {
		return nil, "", s.explain("list deliveries", err)
	}
	if len(l.found) > l.limit {
		return l.found[:l.limit], l.found[l.limit-1].ID, nil
	}
	return l.found, l.next, nil
}

// inOneSnapshot calls fn with a function that executes statements. All of them see
// the database as of one moment, as in read, but fn can build a statement from the
// results of the ones before.
func (s *Store) inOneSnapshot(ctx context.Context, fn func(ask func(...step) error) error) error {
	return s.within(ctx, func(conn *pgxpool.Conn) error {
		opening := join(beginRead, []step{prune})
		ask := func(steps ...step) error {
			all := join(opening, steps)
			opening = nil
			return s.send(ctx, conn, all)
		}
		if err := fn(ask); err != nil {
			return err
		}
		return ask(commit)
	})
}

// listing is a query for a page of deliveries, newest first: unfinished ones from
// the queue and finished ones from the history.
type listing struct {
	limit        int                       // of the page
	from, before uuid                      // the bounds of the ids: from ≤ id < before
	args         []any                     // of the query, $1 first
	residual     []string                  // conditions that no index covers; {d} stands for the table
	covered      string                    // a condition on events that an index covers
	state        alotwebhook.DeliveryState // "" for any

	// owned says that the deliveries of certain endpoints are wanted: of those with
	// these lanes, deleted ones among them.
	owned  bool
	owners int // how many these are
	keys   []int64
	// Of tests alone, and of all others alone, the lanes are in keys.
	onlyTests, noTests bool
	// unfinished are the lanes of those of the endpoints whose unfinished deliveries
	// are in the wanted state. queued counts these deliveries, up to sortable + 1.
	unfinished []int64
	queued     int
	// events are those whose deliveries are wanted, if a subject is.
	events []pgtype.UUID

	found []alotwebhook.Delivery
	next  string // the cursor of a page that was cut short
}

// listingOf turns a filter into a listing whose endpoints are yet to be found.
func listingOf(f alotwebhook.Filter) (*listing, error) {
	l := &listing{limit: pageSize(f.Limit), state: f.State, owned: f.OrganizationID != "" || f.EndpointID != "", onlyTests: f.OnlyTests, noTests: f.NoTests}
	if !l.owned && f.OnlyTests {
		l.residual = append(l.residual, "{d}.endpoint < 0")
	}
	if !l.owned && f.NoTests {
		l.residual = append(l.residual, "{d}.endpoint > 0")
	}
	if !l.bound(f.Since, f.Until, deliveryPrefix, f.Cursor) {
		return nil, &alotwebhook.FieldError{Field: "cursor", Problem: fmt.Sprintf("%.64q is not the id of a delivery; give the cursor that came with the page before", f.Cursor)}
	}
	if f.EventType != "" {
		l.residual = append(l.residual, "{d}.event_type = "+l.bind("text", f.EventType))
	}
	if f.EventID != "" {
		event, _ := decodeID(eventPrefix, f.EventID) // a malformed id gives the zero uuid, which no event has
		l.residual = append(l.residual, "{d}.event_id = "+l.bind("uuid", param(event)))
		l.sameInstant(event)
	}
	return l, nil
}

// bound gives the ids their bounds: times, each unless it is zero, and a cursor, unless it is "". It
// returns false if the cursor is no id.
func (l *listing) bound(since, until time.Time, prefix, cursor string) (ok bool) {
	for i := range l.before {
		l.before[i] = 0xff // above every id: an id's seventh byte begins with the digit 7
	}
	if !since.IsZero() {
		l.from = firstOf(since)
	}
	if !until.IsZero() {
		l.lower(firstOf(until))
	}
	if cursor == "" {
		return true
	}
	below, ok := decodeID(prefix, cursor)
	l.lower(below)
	return ok
}

// lower lowers the upper bound of the ids, unless it is lower already.
func (l *listing) lower(before uuid) {
	if bytes.Compare(before[:], l.before[:]) < 0 {
		l.before = before
	}
}

// sameInstant narrows the ids to those that begin with the millisecond of the
// event's id: the ids of its deliveries all do.
func (l *listing) sameInstant(event uuid) {
	from, last := instantOf(event)
	l.raise(from)
	l.lower(last)
}

// raise raises the lower bound of the ids, unless it is higher already.
func (l *listing) raise(from uuid) {
	if bytes.Compare(from[:], l.from[:]) > 0 {
		l.from = from
	}
}

// after returns the least uuid that is greater than u.
func after(u uuid) uuid {
	for i := len(u) - 1; i >= 0; i-- {
		if u[i]++; u[i] != 0 {
			break
		}
	}
	return u
}

// prior returns the greatest uuid that is less than u.
func prior(u uuid) uuid {
	for i := len(u) - 1; i >= 0; i-- {
		if u[i]--; u[i] != 0xff {
			break
		}
	}
	return u
}

// bind adds an argument to the query and returns its placeholder, such as $3::text.
func (l *listing) bind(as string, arg any) string {
	l.args = append(l.args, arg)
	return fmt.Sprintf("$%d::%s", len(l.args), as)
}

// findOwners returns the statement that finds the endpoints of the filter, deleted
// ones included, and counts their deliveries in the queue.
func (l *listing) findOwners(f alotwebhook.Filter) step {
	of := listing{}
	query := owners(f, of.bind)
	return step{
		sql: `
			WITH p AS MATERIALIZED (
				SELECT key, (` + unfinishedIn(l.state, "p.key") + `) AS shown, (` + unfinishedIn(l.state, "-p.key") + `) AS tests FROM (` + query + `) AS p
			)
			SELECT key, shown, tests, (SELECT count(*) FROM (
				SELECT FROM p CROSS JOIN LATERAL (
					SELECT FROM {s}.queue q WHERE q.endpoint = p.key OFFSET 0) AS q
				WHERE p.shown LIMIT ` + fmt.Sprint(sortable+1) + `) AS q)::int
			FROM p`,
		args: of.args,
		rows: func(rows pgx.Rows) error {
			var key int64
			var shown, tests bool
			_, err := pgx.ForEachRow(rows, []any{&key, &shown, &tests, &l.queued}, func() error {
				l.addLanes(key, shown, tests)
				return nil
			})
			return err
		},
	}
}

// owners returns the query for the endpoints (p) that a filter names, deleted ones included.
func owners(f alotwebhook.Filter, bind func(as string, arg any) string) string {
	if f.EndpointID == "" {
		return `SELECT p.* FROM {s}.endpoints p WHERE p.organization_id = ` + bind("text", f.OrganizationID)
	}
	where := `SELECT p.* FROM {s}.endpoints p WHERE p.id = ` + bind("text", f.EndpointID)
	if f.OrganizationID != "" {
		where += ` AND p.organization_id = ` + bind("text", f.OrganizationID)
	}
	return where + ` AND p.deleted_at IS NULL UNION ALL ` + where + ` AND p.deleted_at IS NOT NULL` // an index for each
}

// unfinishedIn returns a condition on an endpoint p and a lane of it: that the unfinished deliveries
// there are in the state. The state depends on them alone.
func unfinishedIn(state alotwebhook.DeliveryState, lane string) string {
	switch state {
	case "":
		return "true"
	case alotwebhook.StatePending:
		return "p.deleted_at IS NULL AND (NOT p.disabled OR " + lane + " < 0)"
	case alotwebhook.StateParked:
		return "p.deleted_at IS NULL AND p.disabled AND " + lane + " > 0"
	case alotwebhook.StateUnfinished:
		return "p.deleted_at IS NULL"
	case alotwebhook.StateFailed:
		return "p.deleted_at IS NOT NULL" // failed, and not moved into the history yet
	}
	return "false"
}

// The columns of the two sources of a listing: the queue and the history. A column
// that one of them does not have is a constant there.
const (
	queueColumns = `q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.next_at, NULL::timestamptz AS finished_at,
		NULL::boolean AS delivered, 0 AS number, 0 AS status_code, '' AS reason`
	historyColumns = `h.id, h.endpoint, h.event_id, h.event_type, h.attempts, NULL::timestamptz AS next_at, h.finished_at,
		h.delivered, h.number, h.status_code, h.reason`
)

// step returns the query. It merges a page from each source first, and looks up the
// endpoint, the event and the last attempt only for the rows of the merged page. The
// last attempt of a finished delivery stands in its row; that of an unfinished one
// is the newest in the table of attempts.
func (l *listing) step() step {
	from, before := l.bind("uuid", param(l.from)), l.bind("uuid", param(l.before))
	var sources []string
	if l.events != nil {
		sources = l.ofSubject(from, before)
	} else {
		sources = append(l.queue(from, before), l.history(from, before)...)
	}
	if len(sources) == 0 {
		return step{sql: `SELECT`}
	}
	return step{
		sql: fmt.Sprintf(`
			SELECT d.matched, d.last, d.id, d.event_id, d.event_type, p.organization_id, p.id, d.endpoint < 0, d.attempts,
				d.next_at, coalesce(d.finished_at, p.deleted_at), d.delivered, p.disabled, p.deleted_at IS NOT NULL,
				coalesce(e.created_at, d.finished_at, d.next_at),
				CASE WHEN d.number <> 0 THEN d.status_code ELSE coalesce(a.status_code, 0) END,
				CASE WHEN d.number <> 0 OR d.reason <> '' THEN d.reason ELSE coalesce(a.reason, '') END, w.id, w.until
			FROM (SELECT * FROM (%s) AS u ORDER BY id DESC LIMIT %d) AS d
			JOIN {s}.endpoints p ON p.key = abs(d.endpoint)
			LEFT JOIN LATERAL (
				SELECT e.created_at FROM {s}.events e WHERE e.id = d.event_id
			) AS e ON true
			LEFT JOIN LATERAL (
				SELECT a.status_code, a.reason FROM {s}.attempts a
				WHERE a.delivery_id = d.id AND d.number = 0 AND d.attempts > 0
				ORDER BY a.number DESC LIMIT 1
			) AS a ON true
			LEFT JOIN LATERAL (%s) AS w ON true
			ORDER BY d.id DESC`, strings.Join(sources, " UNION ALL "), l.most(), waitsForSQL),
		args: l.args,
		rows: l.read,
	}
}

// most is how many rows the merged query returns at most: the page, one more row to
// tell whether another page follows, and the last row of each stretch, which comes
// whether it matches or not. There are as many stretches as lanes, and two more.
func (l *listing) most() int { return l.limit + 1 + min(len(l.keys), 2*maxOwners) + 2 }

// read reads the result of step into found. It stops at the last row of the first
// stretch that comes to its end, and has the next page go on there: below that row,
// deliveries may match that the stretch did not reach.
func (l *listing) read(rows pgx.Rows) error {
	for rows.Next() {
		var matched, last bool
		d, err := scanDelivery(rows, &matched, &last)
		if err != nil {
			return err
		}
		if matched {
			l.found = append(l.found, d)
		}
		if last {
			l.next = d.ID
			break
		}
	}
	rows.Close()
	return rows.Err()
}

// queue returns the query for a page of the unfinished deliveries, or nothing if the
// filter selects none of them. from and before are placeholders.
func (l *listing) queue(from, before string) []string {
	within := "q.id >= " + from + " AND q.id < " + before
	residual := l.conditions("q")
	switch {
	case unfinishedIn(l.state, "q.endpoint") == "false" || l.owned && len(l.unfinished) == 0:
		return nil
	case l.owned && l.queued <= sortable:
		return []string{fmt.Sprintf(`(SELECT q.* FROM unnest(%s) AS p (key) CROSS JOIN LATERAL (
				SELECT %s, true AS matched, false AS last FROM {s}.queue q
				WHERE q.endpoint = p.key AND %s AND %s OFFSET 0) AS q
			ORDER BY q.id DESC LIMIT %d)`, l.bind("bigint[]", l.unfinished), queueColumns, within, residual, l.limit+1)}
	case l.owned:
		residual += " AND q.endpoint = ANY (" + l.bind("bigint[]", l.unfinished) + ")"
	case l.state != "":
		residual += " AND (SELECT " + unfinishedIn(l.state, "q.endpoint") + " FROM {s}.endpoints p WHERE p.key = abs(q.endpoint))"
	}
	return []string{l.stretch(queueColumns, "queue q", within, residual, "q.id DESC", stretch)}
}

// history returns the query for a page of the finished deliveries, or nothing if the
// filter selects none of them. from and before are placeholders.
func (l *listing) history(from, before string) []string {
	within := "h.id >= " + from + " AND h.id < " + before
	residual := l.conditions("h")
	one := l.owned && l.owners <= maxOwners
	switch {
	case l.state == alotwebhook.StateFailed && one:
		within += " AND NOT h.delivered" // the index deliveries_failed covers it
	case l.state == alotwebhook.StateFailed:
		residual += " AND NOT h.delivered"
	case l.state == alotwebhook.StateDelivered:
		residual += " AND h.delivered"
	case l.state != "":
		return nil
	}
	if !l.owned {
		return []string{l.stretch(historyColumns, "deliveries h", within, residual, "h.id DESC", stretch)}
	}
	keys := l.bind("bigint[]", l.keys)
	if !one {
		residual += " AND h.endpoint = ANY (" + keys + ")"
		return []string{l.stretch(historyColumns, "deliveries h", within, residual, "h.id DESC", stretch)}
	}
	// Bounds on the pair (endpoint, id) lead the planner to the index on it. With
	// h.endpoint = p.key it may walk the primary key instead, through the deliveries
	// of all endpoints, since that gives the order by id as well.
	within += fmt.Sprintf(" AND (h.endpoint, h.id) >= (p.key, %s) AND (h.endpoint, h.id) < (p.key, %s)", from, before)
	return []string{fmt.Sprintf(`(SELECT h.* FROM unnest(%s) AS p (key) CROSS JOIN LATERAL %s AS h ORDER BY h.id DESC LIMIT %d)`,
		keys, l.stretch(historyColumns, "deliveries h", within, residual, "h.endpoint DESC, h.id DESC", stretch/max(l.owners, 1)), l.most())}
}

// conditions returns the residual conditions, joined, on the table of that name.
func (l *listing) conditions(table string) string {
	return strings.ReplaceAll(strings.Join(append([]string{"true"}, l.residual...), " AND "), "{d}", table)
}

// stretch returns the query for a page of a source, in the given order, which is
// that of an index. Without residual conditions, the index finds the page. Otherwise
// the query reads through at most longest rows for those that match. It marks the
// row at which it gave up as last, and returns it whether it matches or not.
func (l *listing) stretch(columns, table, within, residual, order string, longest int) string {
	if residual == "true" {
		return fmt.Sprintf(`(SELECT %s, true AS matched, false AS last FROM {s}.%s WHERE %s ORDER BY %s LIMIT %d)`,
			columns, table, within, order, l.limit+1)
	}
	return fmt.Sprintf(`(SELECT * FROM (
			SELECT %s, (%s) IS TRUE AS matched, row_number() OVER (ORDER BY %s) = %d AS last
			FROM {s}.%s WHERE %s ORDER BY %s LIMIT %d) AS s
		WHERE matched OR last LIMIT %d)`, columns, residual, order, longest, table, within, order, longest, l.limit+1)
}
