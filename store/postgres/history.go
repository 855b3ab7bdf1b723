package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/jackc/pgx/v5"
)

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	var found bool
	var payload string
	if u, ok := decodeID(eventPrefix, id); ok {
		err := s.read(ctx, prune, step{
			sql:  `SELECT payload FROM {s}.events WHERE id = $1::uuid AND payload IS NOT NULL`,
			args: []any{param(u)},
			rows: one(&found, &payload),
		})
		if err != nil {
			return alotwebhook.Event{}, s.explain("read an event", err)
		}
	}
	if !found {
		return alotwebhook.Event{}, fmt.Errorf("%w: event %q", alotwebhook.ErrNotFound, id)
	}
	return parsePayload(payload)
}

// parsePayload is the reverse of [alotwebhook.Event.Payload], blanks around the data included.
func parsePayload(payload string) (alotwebhook.Event, error) {
	e, err := alotwebhook.ParseEvent([]byte(payload))
	if err != nil {
		return e, err
	}
	e.Data = nil
	before := len(e.Payload()) - len("}")
	e.Data = []byte(payload[before : len(payload)-len("}")])
	return e, nil
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	var found []alotwebhook.Delivery
	if u, ok := decodeID(deliveryPrefix, id); ok {
		list := listing{limit: 1}
		list.where("{d}.id = %s::uuid", param(u))
		var attempts []alotwebhook.Attempt
		if err := s.read(ctx, prune, list.step(&found), attemptsOf(u, &attempts)); err != nil {
			return alotwebhook.Delivery{}, s.explain("read a delivery", err)
		}
		if len(found) > 0 {
			found[0].Attempts = attempts
		}
	}
	if len(found) == 0 {
		return alotwebhook.Delivery{}, fmt.Errorf("%w: delivery %q", alotwebhook.ErrNotFound, id)
	}
	return found[0], nil
}

func attemptsOf(id uuid, attempts *[]alotwebhook.Attempt) step {
	const columns = `number, started_at, duration_ns, status_code, reason, detail, response_body`
	return step{
		sql: `SELECT ` + columns + ` FROM {s}.attempts WHERE delivery_id = $1::uuid
			UNION ALL
			SELECT ` + columns + ` FROM {s}.deliveries WHERE id = $1::uuid AND number <> 0
			ORDER BY number, started_at`,
		args: []any{param(id)},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				var a alotwebhook.Attempt
				var startedAt *time.Time
				err := rows.Scan(&a.Number, &startedAt, &a.Duration, &a.StatusCode, &a.Reason, &a.Detail, &a.ResponseBody)
				if err != nil {
					return err
				}
				a.StartedAt = instant(startedAt)
				*attempts = append(*attempts, a)
			}
			return rows.Err()
		},
	}
}

// Deliveries implements [alotwebhook.History].
func (s *Store) Deliveries(ctx context.Context, f alotwebhook.Filter) (found []alotwebhook.Delivery, next string, err error) {
	limit := cmp.Or(f.Limit, page)
	list, err := listingOf(f, limit+1)
	if err != nil {
		return nil, "", err
	}
	if err := s.read(ctx, prune, list.step(&found)); err != nil {
		return nil, "", s.explain("list deliveries", err)
	}
	if len(found) > limit {
		return found[:limit], found[limit-1].ID, nil
	}
	return found, "", nil
}

// listing is a query for deliveries, newest first: the unfinished ones from the
// queue and the finished ones from the history.
type listing struct {
	limit int
	args  []any
	// conditions on a delivery, where {d} is its table; owners are conditions on the
	// endpoint that are looked up first.
	conditions, owners []string
	state              alotwebhook.DeliveryState
}

// where adds a condition with one argument, for which %s stands.
func (l *listing) where(condition string, arg any) {
	l.conditions = append(l.conditions, l.bind(condition, arg))
}

func (l *listing) bind(condition string, arg any) string {
	l.args = append(l.args, arg)
	return fmt.Sprintf(condition, fmt.Sprintf("$%d", len(l.args)))
}

func listingOf(f alotwebhook.Filter, limit int) (*listing, error) {
	l := &listing{limit: limit, state: f.State}
	if f.OrganizationID != "" {
		l.owners = append(l.owners, l.bind("p.organization_id = %s::text", f.OrganizationID))
	}
	if f.EndpointID != "" {
		l.owners = append(l.owners, l.bind("p.id = %s::text", f.EndpointID))
	}
	if f.EventType != "" {
		l.where("{d}.event_type = %s::text", f.EventType)
	}
	if f.EventID != "" {
		event, _ := decodeID(eventPrefix, f.EventID) // of no event, if it is none
		l.where("{d}.event_id = %s::uuid", param(event))
		from, until := event, event // a delivery's id begins with its event's millisecond
		for i := 6; i < len(event); i++ {
			from[i], until[i] = 0, 0xff
		}
		l.where("{d}.id >= %s::uuid", param(from))
		l.where("{d}.id <= %s::uuid", param(until))
	}
	if !f.Since.IsZero() {
		l.where("{d}.id >= %s::uuid", param(firstOf(f.Since)))
	}
	if !f.Until.IsZero() {
		l.where("{d}.id < %s::uuid", param(firstOf(f.Until)))
	}
	if f.Cursor != "" {
		cursor, ok := decodeID(deliveryPrefix, f.Cursor)
		if !ok {
			return nil, &alotwebhook.FieldError{Field: "cursor", Problem: "is not one that a listing gave"}
		}
		l.where("{d}.id < %s::uuid", param(cursor))
	}
	return l, nil
}

// The states that each of the two sources holds, as conditions.
var (
	queueStates = map[alotwebhook.DeliveryState]string{
		"":                       "true",
		alotwebhook.StatePending: "p.deleted_at IS NULL AND NOT p.disabled",
		alotwebhook.StateParked:  "p.deleted_at IS NULL AND p.disabled",
		alotwebhook.StateFailed:  "p.deleted_at IS NOT NULL",
	}
	historyStates = map[alotwebhook.DeliveryState]string{
		"":                         "true",
		alotwebhook.StateDelivered: "h.delivered",
		alotwebhook.StateFailed:    "NOT h.delivered",
	}
)

// What the two sources give, in the order that scanDelivery reads.
const (
	queueColumns = `q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.next_at, NULL::timestamptz AS finished_at,
		NULL::boolean AS delivered, 0 AS number, 0 AS status_code, '' AS reason`
	historyColumns = `h.id, h.endpoint, h.event_id, h.event_type, h.attempts, NULL::timestamptz AS next_at, h.finished_at,
		h.delivered, h.number, h.status_code, h.reason`
)

// step returns the query: a page of each source, merged, and only then what else
// belongs to the rows of the page. The last attempt is the row's own or, of an
// unfinished delivery, the newest in the table.
func (l *listing) step(found *[]alotwebhook.Delivery) step {
	sources := append(l.source("queue", "q", queueColumns, queueStates), l.source("deliveries", "h", historyColumns, historyStates)...)
	if len(sources) == 0 {
		sources = []string{`SELECT ` + historyColumns + ` FROM {s}.deliveries h WHERE false`}
	}
	return step{
		sql: fmt.Sprintf(`
			SELECT d.id, d.event_id, d.event_type, p.organization_id, p.id, d.attempts,
				d.next_at, coalesce(d.finished_at, p.deleted_at), d.delivered, p.disabled, p.deleted_at IS NOT NULL,
				coalesce(e.created_at, d.finished_at, d.next_at),
				CASE WHEN d.number <> 0 THEN d.status_code ELSE coalesce(a.status_code, 0) END,
				CASE WHEN d.number <> 0 OR d.reason <> '' THEN d.reason ELSE coalesce(a.reason, '') END
			FROM (SELECT * FROM (%s) AS u ORDER BY id DESC LIMIT %d) AS d
			JOIN {s}.endpoints p ON p.key = d.endpoint
			LEFT JOIN LATERAL (
				SELECT e.created_at FROM {s}.events e WHERE e.id = d.event_id
			) AS e ON true
			LEFT JOIN LATERAL (
				SELECT a.status_code, a.reason FROM {s}.attempts a
				WHERE a.delivery_id = d.id AND d.number = 0 AND d.attempts > 0
				ORDER BY a.number DESC LIMIT 1
			) AS a ON true
			ORDER BY d.id DESC`, strings.Join(sources, " UNION ALL "), l.limit),
		args: l.args,
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				d, err := scanDelivery(rows)
				if err != nil {
					return err
				}
				*found = append(*found, d)
			}
			return rows.Err()
		},
	}
}

// source returns the query for one source's page, or none if it cannot hold the state.
// With owners, it takes a page of each owner's by the index that begins with the endpoint.
func (l *listing) source(table, alias, columns string, states map[alotwebhook.DeliveryState]string) []string {
	state, ok := states[l.state]
	if !ok {
		return nil
	}
	conditions := strings.ReplaceAll(strings.Join(append(slices.Clone(l.conditions), state), " AND "), "{d}", alias)
	if len(l.owners) == 0 {
		return []string{fmt.Sprintf(`(SELECT %[1]s FROM {s}.%[2]s %[3]s JOIN {s}.endpoints p ON p.key = %[3]s.endpoint
			WHERE %[4]s ORDER BY %[3]s.id DESC LIMIT %[5]d)`, columns, table, alias, conditions, l.limit)}
	}
	return []string{fmt.Sprintf(`(SELECT x.* FROM {s}.endpoints p CROSS JOIN LATERAL (
			SELECT %[1]s FROM {s}.%[2]s %[3]s
			WHERE %[3]s.endpoint = p.key AND %[4]s ORDER BY %[3]s.id DESC LIMIT %[5]d) AS x
		WHERE %[6]s)`, columns, table, alias, conditions, l.limit, strings.Join(l.owners, " AND "))}
}

func scanDelivery(rows pgx.Rows) (d alotwebhook.Delivery, err error) {
	var id, event uuid
	var nextAt, finishedAt *time.Time
	var delivered *bool
	var disabled, deleted bool
	err = rows.Scan(&id, &event, &d.EventType, &d.OrganizationID, &d.EndpointID, &d.AttemptCount,
		&nextAt, &finishedAt, &delivered, &disabled, &deleted, &d.CreatedAt, &d.LastStatusCode, &d.LastReason)
	d.ID, d.EventID = encodeID(deliveryPrefix, id), encodeID(eventPrefix, event)
	d.CreatedAt = d.CreatedAt.UTC()
	switch {
	case delivered != nil && *delivered:
		d.State = alotwebhook.StateDelivered
	case delivered != nil:
		d.State = alotwebhook.StateFailed
	case deleted: // on its way out of the queue
		d.State, d.LastReason = alotwebhook.StateFailed, alotwebhook.ReasonEndpointDeleted
	case disabled:
		d.State = alotwebhook.StateParked
	default:
		d.State = alotwebhook.StatePending
	}
	if d.State == alotwebhook.StatePending || d.State == alotwebhook.StateParked {
		d.NextAttemptAt = instant(nextAt)
	} else {
		d.FinishedAt = instant(finishedAt)
	}
	return d, err
}

// Stats implements [alotwebhook.History]. It counts the whole queue: a second
// for several million deliveries.
func (s *Store) Stats(ctx context.Context) (st alotwebhook.Stats, err error) {
	var found bool
	var oldest float64
	err = s.runPlain(ctx, step{
		sql: `
			WITH now AS MATERIALIZED (
				SELECT clock_timestamp() AS at
			)
			SELECT coalesce(sum(q.n) FILTER (WHERE NOT p.disabled), 0)::bigint,
				coalesce(sum(q.n) FILTER (WHERE p.disabled), 0)::bigint,
				coalesce(extract(epoch FROM now.at - min(q.first) FILTER (WHERE NOT p.disabled)), 0)::float8
			FROM now
			CROSS JOIN (SELECT endpoint, count(*) AS n, min(next_at) AS first FROM {s}.queue GROUP BY endpoint) AS q
			JOIN {s}.endpoints p ON p.key = q.endpoint AND p.deleted_at IS NULL
			GROUP BY now.at`,
		rows: one(&found, &st.Pending, &st.Parked, &oldest),
	})
	if err != nil {
		return alotwebhook.Stats{}, s.explain("count the queue", err)
	}
	st.OldestDue = max(time.Duration(oldest*float64(time.Second)), 0)
	return st, nil
}
