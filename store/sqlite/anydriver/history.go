package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (e alotwebhook.Event, err error) {
	k, ok := parseKey(eventPrefix, id)
	if !ok {
		return e, notFound("event", id)
	}
	err = s.read(ctx, "read an event", func(t *txn) (err error) {
		e, err = t.event("e.id = ?", k[:])
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("event", id)
		}
		return err
	})
	return e, err
}

// event returns the event that meets a condition, or sql.ErrNoRows if there is none with a payload.
func (t *txn) event(condition string, arg any) (e alotwebhook.Event, err error) {
	var k key
	var happened int64
	var payload []byte
	var trace, subject sql.NullString
	var test sql.NullBool
	err = t.one(`SELECT e.id, y.name, e.happened_at, e.organization, e.payload, e.trace_parent, e.subject, e.test
		FROM alotwebhook_events e JOIN alotwebhook_types y ON y.ref = e.type
		WHERE e.payload IS NOT NULL AND `+condition, arg)(&k, &e.Type, &happened, &e.OrganizationID, &payload, &trace, &subject, &test)
	if err != nil {
		return e, err
	}
	e.ID, e.Timestamp = k.spell(eventPrefix), instant(happened).Truncate(time.Millisecond) // as the payload has it
	before := len(e.Payload()) - 1                                                         // e has no data yet; the data stands in front of the closing brace
	if len(payload) <= before {
		return e, errors.New("the stored payload is damaged, restore the file from a backup")
	}
	e.Data = payload[before : len(payload)-1]
	e.TraceParent, e.Subject, e.Test = trace.String, subject.String, test.Bool
	return e, nil
}

// unfinishedRows and finishedRows read deliveries from the queue (q) and from the
// history (d), for scanDelivery. The first % stands for the attempts, or for an
// empty text where they are not wanted; the second one for keys. An unfinished
// delivery has no time at which it was finished, a finished one no next attempt.
const (
	unfinishedRows = `SELECT q.id, e.id, y.name, p.organization, p.id, q.endpoint < 0, CASE WHEN p.active OR q.endpoint < 0 THEN 'pending' ELSE 'parked' END,
		q.created_at, q.next_at, NULL, q.attempts, q.status, q.reason, CASE WHEN p.ordered AND p.active AND q.endpoint > 0 THEN p.ref END, %
		FROM alotwebhook_queue q JOIN alotwebhook_events e ON e.ref = q.event
		JOIN alotwebhook_types y ON y.ref = q.type JOIN alotwebhook_endpoints p ON p.ref = abs(q.endpoint)
		WHERE q.id IN (%)`
	finishedRows = `SELECT d.id, e.id, y.name, p.organization, p.id, d.endpoint < 0, CASE d.state WHEN 1 THEN 'delivered' ELSE 'failed' END,
		d.created_at, NULL, d.finished_at, d.attempts, d.status, d.reason, NULL, %
		FROM alotwebhook_deliveries d JOIN alotwebhook_events e ON e.ref = d.event
		JOIN alotwebhook_types y ON y.ref = d.type JOIN alotwebhook_endpoints p ON p.ref = abs(d.endpoint)
		WHERE d.id IN (%)`
)

// scanDelivery reads a row of unfinishedRows or finishedRows.
func scanDelivery(scan func(...any) error) (k key, d shownDelivery, history string, err error) {
	var event key
	var created int64
	var next, finished sql.NullInt64
	err = scan(&k, &event, &d.EventType, &d.OrganizationID, &d.EndpointID, &d.Test, &d.State,
		&created, &next, &finished, &d.AttemptCount, &d.LastStatusCode, &d.LastReason, &d.ordered, &history)
	if err != nil {
		return k, d, "", err
	}
	d.ID = k.spell(deliveryPrefix)
	d.EventID = event.spell(eventPrefix)
	d.CreatedAt = instant(created)
	d.NextAttemptAt, d.FinishedAt = optional(next), optional(finished)
	return k, d, history, nil
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	k, ok := parseKey(deliveryPrefix, id)
	if !ok {
		return alotwebhook.Delivery{}, notFound("delivery", id)
	}
	var d shownDelivery
	err := s.read(ctx, "read a delivery", func(t *txn) (err error) {
		var history string
		_, d, history, err = scanDelivery(t.one(fill(unfinishedRows, "q.history", "?"), k[:]))
		if errors.Is(err, sql.ErrNoRows) {
			_, d, history, err = scanDelivery(t.one(fill(finishedRows, "d.history", "?"), k[:]))
		}
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("delivery", id)
		}
		var urls map[int]string
		if err == nil {
			urls, err = t.urlsOf(k)
		}
		if err == nil {
			d.Attempts, err = parseAttempts(history, urls)
		}
		if err == nil {
			err = t.showWaiting(s.held, &d)
		}
		return err
	})
	if err != nil {
		return alotwebhook.Delivery{}, err
	}
	s.held.show(&d.Delivery)
	return d.Delivery, nil
}

// Stats implements [alotwebhook.History].
func (s *Store) Stats(ctx context.Context) (st alotwebhook.Stats, err error) {
	err = s.read(ctx, "count the queue", func(t *txn) error {
		var all int64
		if err := t.one("SELECT (SELECT count(*) FROM alotwebhook_queue) - (SELECT count(*) FROM alotwebhook_queue WHERE endpoint < 0)")(&all); err != nil {
			return err
		}
		err := t.one(`SELECT coalesce(sum((SELECT count(*) FROM alotwebhook_queue WHERE endpoint = e.ref)), 0)
			FROM alotwebhook_endpoints e WHERE e.active = 0`)(&st.Parked)
		if err != nil {
			return err
		}
		st.Pending = all - st.Parked
		if err := t.one(countEndpoints)(&st.FailingEndpoints, &st.DisabledEndpoints); err != nil {
			return err
		}
		return t.addOldest(&st, s.held.leased(t.now))
	})
	return st, err
}

// countEndpoints counts the enabled endpoints that are failing, and those that are disabled. Both
// have an index of their own.
const countEndpoints = `SELECT (SELECT count(*) FROM alotwebhook_endpoints WHERE active = 1 AND failing_since IS NOT NULL),
	(SELECT count(*) FROM alotwebhook_endpoints WHERE active = 0 AND deleted_at IS NULL)`

// addOldest adds for how long a delivery has been due, of those that are neither held nor paused. held
// has the keys of the held ones by endpoint.
func (t *txn) addOldest(st *alotwebhook.Stats, held map[int64][]key) error {
	left, all, err := t.paused()
	if err != nil || all {
		return err
	}
	var healthy, failing sql.NullInt64
	add := func() {
		st.OldestDue = max(st.OldestDue, t.since(healthy))
		st.OldestDueFailing = max(st.OldestDueFailing, t.since(failing))
	}
	for ref, keys := range held {
		if slices.Contains(left, ref) {
			continue
		}
		left = append(left, ref)
		some, err := found(t.one(firstDue, ref, hexList(keys))(&healthy, &failing))
		if err != nil {
			return err
		}
		if some {
			add()
		}
	}
	err = t.one(oldestDue, numberList(left))(&healthy, &failing)
	if err == nil {
		add()
	}
	return err
}

// since returns how long ago a time was, in µs since 1970; 0 if there is none, or it is yet to come.
func (t *txn) since(at sql.NullInt64) time.Duration {
	if !at.Valid {
		return 0
	}
	return time.Duration(max(t.now-at.Int64, 0)) * time.Microsecond
}

// firstDue returns the least next_at of an active endpoint, without some deliveries: in the first
// column if it is not failing, else in the second.
const firstDue = `SELECT CASE WHEN e.failing_since IS NULL THEN q.next_at END, CASE WHEN e.failing_since IS NOT NULL THEN q.next_at END
	FROM alotwebhook_endpoints e CROSS JOIN alotwebhook_queue q ON q.endpoint = e.ref
	WHERE e.ref = ? AND e.active AND hex(q.id) NOT IN (SELECT value FROM json_each(?)) ORDER BY q.next_at LIMIT 1`

// oldestDue returns the least next_at in the queue of an active endpoint, but for the endpoints
// of a list, in the columns of firstDue. It steps from endpoint to endpoint through the index
// alotwebhook_queue_due instead of reading all rows.
const oldestDue = `WITH RECURSIVE turn(ref) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue ORDER BY endpoint LIMIT 1)
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1)
	FROM turn WHERE turn.ref IS NOT NULL
)
SELECT min(CASE WHEN e.failing_since IS NULL THEN first END), min(CASE WHEN e.failing_since IS NOT NULL THEN first END)
FROM (
	SELECT e.failing_since, (SELECT next_at FROM alotwebhook_queue WHERE endpoint = turn.ref ORDER BY next_at LIMIT 1) AS first
	FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = turn.ref
	WHERE e.active AND turn.ref NOT IN (SELECT value FROM json_each(?))
) AS e`

// show has a delivery that is held wait for the end of its lease, which its row does not know.
func (h *holdings) show(d *alotwebhook.Delivery) {
	if d.NextAttemptAt.IsZero() {
		return
	}
	k, _ := parseKey(deliveryPrefix, d.ID)
	if until, ok := h.endOf(k); ok {
		d.NextAttemptAt = instant(until)
	}
}
