package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/alot/alotwebhook"
)

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	var found bool
	var payload string
	var trace, subject zeronull.Text
	var test bool
	if u, ok := decodeID(eventPrefix, id); ok {
		err := s.read(ctx, prune, step{
			sql:  `SELECT payload, trace_parent, subject, coalesce(test, false) FROM {s}.events WHERE id = $1::uuid AND payload IS NOT NULL`,
			args: []any{param(u)},
			rows: one(&found, &payload, &trace, &subject, &test),
		})
		if err != nil {
			return alotwebhook.Event{}, s.explain("read an event", err)
		}
	}
	if !found {
		return alotwebhook.Event{}, fmt.Errorf("%w: event %.40q", alotwebhook.ErrNotFound, id)
	}
	e, err := parsePayload(payload)
	e.TraceParent, e.Subject, e.Test = string(trace), string(subject), test
	return e, err
}

// parsePayload is the reverse of [alotwebhook.Event.Payload]. ParseEvent alone would
// drop the blanks around the data, and the event's payload would then differ from
// the one that was signed and sent.
func parsePayload(payload string) (alotwebhook.Event, error) {
	e, err := alotwebhook.ParseEvent([]byte(payload))
	if err != nil {
		return e, err
	}
	e.Data = nil
	before := len(e.Payload()) - len("}") // the payload of an event without data is all that stands around it
	e.Data = []byte(payload[before : len(payload)-len("}")])
	return e, nil
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	var found []alotwebhook.Delivery
	if u, ok := decodeID(deliveryPrefix, id); ok {
		list := listing{limit: 1, from: u, before: after(u)}
		var attempts []alotwebhook.Attempt
		urls := map[int]string{}
		if err := s.read(ctx, prune, list.step(), urlsOf(u, urls), attemptsOf(u, &attempts, urls)); err != nil {
			return alotwebhook.Delivery{}, s.explain("read a delivery", err)
		}
		if found = list.found; len(found) > 0 {
			found[0].Attempts = attempts
		}
	}
	if len(found) == 0 {
		return alotwebhook.Delivery{}, fmt.Errorf("%w: delivery %.40q", alotwebhook.ErrNotFound, id)
	}
	return found[0], nil
}

// scanDelivery reads a row of a listing. before takes the columns that stand in
// front of the delivery's.
func scanDelivery(rows pgx.Rows, before ...any) (d alotwebhook.Delivery, err error) {
	var id, event uuid
	var nextAt, finishedAt *time.Time
	var delivered *bool
	var disabled, deleted bool
	var first *uuid
	var until *time.Time
	err = rows.Scan(append(before, &id, &event, &d.EventType, &d.OrganizationID, &d.EndpointID, &d.Test, &d.AttemptCount,
		&nextAt, &finishedAt, &delivered, &disabled, &deleted, &d.CreatedAt, &d.LastStatusCode, &d.LastReason, &first, &until)...)
	d.ID, d.EventID = encodeID(deliveryPrefix, id), encodeID(eventPrefix, event)
	d.CreatedAt = d.CreatedAt.UTC()
	switch {
	case delivered != nil && *delivered:
		d.State = alotwebhook.StateDelivered
	case delivered != nil:
		d.State = alotwebhook.StateFailed
	case deleted: // it is failed, but stands in the queue still
		d.State, d.LastReason = alotwebhook.StateFailed, alotwebhook.ReasonEndpointDeleted
	case disabled && !d.Test:
		d.State = alotwebhook.StateParked
	default:
		d.State = alotwebhook.StatePending
	}
	if d.State == alotwebhook.StatePending || d.State == alotwebhook.StateParked {
		d.NextAttemptAt = instant(nextAt)
		setWaits(&d, first, until)
	} else {
		d.FinishedAt = instant(finishedAt)
	}
	return d, err
}

// attemptsOf returns the statement that reads the attempts of a delivery: the last
// one of a finished delivery stands in its own row, all others in a table. urls are read before.
func attemptsOf(id uuid, attempts *[]alotwebhook.Attempt, urls map[int]string) step {
	const columns = `number, started_at, duration_ns, status_code, reason, detail, response_body, coalesce(url, 0)`
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
				var url int
				err := rows.Scan(&a.Number, &startedAt, &a.Duration, &a.StatusCode, &a.Reason, &a.Detail, &a.ResponseBody, &url)
				if err != nil {
					return err
				}
				a.StartedAt, a.URL = instant(startedAt), urls[url]
				*attempts = append(*attempts, a)
			}
			return rows.Err()
		},
	}
}

// Stats implements [alotwebhook.History]. It counts the whole queue, which takes
// about a second for several million deliveries.
func (s *Store) Stats(ctx context.Context) (st alotwebhook.Stats, err error) {
	var found bool
	var oldest, failing float64
	err = s.runPlain(ctx, step{
		sql:  statsSQL,
		args: []any{s.held.underWay()},
		rows: one(&found, &st.Pending, &st.Parked, &oldest, &failing, &st.FailingEndpoints, &st.DisabledEndpoints),
	})
	if err != nil {
		return alotwebhook.Stats{}, s.explain("count the queue", err)
	}
	st.OldestDue, st.OldestDueFailing = age(oldest), age(failing)
	return st, nil
}

// age returns a time in seconds as a duration; 0 for one that is yet to come.
func age(seconds float64) time.Duration {
	return max(time.Duration(seconds*float64(time.Second)), 0)
}

// statsSQL counts the queue. The deliveries $1 are under way, and not due. The least next_at of each
// endpoint comes from the rows that are counted anyway: in the index it may stand behind all that
// deliveries have left there, as long as a long transaction keeps these entries.
const statsSQL = `
SELECT coalesce(sum(q.n) FILTER (WHERE NOT p.disabled), 0)::bigint,
	coalesce(sum(q.n) FILTER (WHERE p.disabled), 0)::bigint,
	coalesce(extract(epoch FROM statement_timestamp() - min(q.first) FILTER (WHERE NOT p.disabled AND p.failing_since IS NULL AND NOT ` + paused + `)), 0)::float8,
	coalesce(extract(epoch FROM statement_timestamp() - min(q.first) FILTER (WHERE NOT p.disabled AND p.failing_since IS NOT NULL AND NOT ` + paused + `)), 0)::float8,
	(SELECT count(*) FROM {s}.endpoints WHERE NOT disabled AND failing_since IS NOT NULL AND deleted_at IS NULL),
	(SELECT count(*) FROM {s}.endpoints WHERE disabled AND deleted_at IS NULL)
FROM (
	SELECT endpoint, count(*) AS n, min(next_at) FILTER (WHERE id NOT IN (SELECT h FROM unnest($1::uuid[]) AS h)) AS first
	FROM {s}.queue
	GROUP BY endpoint
) AS q
JOIN {s}.endpoints p ON p.key = q.endpoint AND p.deleted_at IS NULL`
