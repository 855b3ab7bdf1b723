package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
)

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (e alotwebhook.Event, err error) {
	k, ok := parseKey(eventPrefix, id)
	if !ok {
		return e, notFound("event", id)
	}
	err = s.read(ctx, "read an event", func(t *txn) error {
		var happened int64
		var payload []byte
		err := t.one(`SELECT y.name, e.happened_at, e.organization, e.payload
			FROM alotwebhook_events e JOIN alotwebhook_types y ON y.ref = e.type
			WHERE e.id = ? AND e.payload IS NOT NULL`, k[:])(&e.Type, &happened, &e.OrganizationID, &payload)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("event", id)
		}
		if err != nil {
			return err
		}
		e.ID, e.Timestamp = id, instant(happened).Truncate(time.Millisecond) // as the payload has it
		before := len(e.Payload()) - 1                                       // e has no data yet; the data stands in front of the closing brace
		if len(payload) <= before {
			return errors.New("the stored payload is damaged, restore the file from a backup")
		}
		e.Data = payload[before : len(payload)-1]
		return nil
	})
	return e, err
}

// unfinishedRows and finishedRows read deliveries from the queue (q) and from the
// history (d), for scanDelivery. The first % stands for the attempts, or for an
// empty text where they are not wanted; the second one for keys. An unfinished
// delivery has no time at which it was finished, a finished one no next attempt.
const (
	unfinishedRows = `SELECT q.id, e.id, y.name, p.organization, p.id, CASE WHEN p.active THEN 'pending' ELSE 'parked' END,
		q.created_at, q.next_at, NULL, q.attempts, q.status, q.reason, CASE WHEN p.ordered AND p.active THEN p.ref END, %
		FROM alotwebhook_queue q JOIN alotwebhook_events e ON e.ref = q.event
		JOIN alotwebhook_types y ON y.ref = q.type JOIN alotwebhook_endpoints p ON p.ref = q.endpoint
		WHERE q.id IN (%)`
	finishedRows = `SELECT d.id, e.id, y.name, p.organization, p.id, CASE d.state WHEN 1 THEN 'delivered' ELSE 'failed' END,
		d.created_at, NULL, d.finished_at, d.attempts, d.status, d.reason, NULL, %
		FROM alotwebhook_deliveries d JOIN alotwebhook_events e ON e.ref = d.event
		JOIN alotwebhook_types y ON y.ref = d.type JOIN alotwebhook_endpoints p ON p.ref = d.endpoint
		WHERE d.id IN (%)`
)

// scanDelivery reads a row of unfinishedRows or finishedRows.
func scanDelivery(scan func(...any) error) (k key, d shownDelivery, history string, err error) {
	var event key
	var created int64
	var next, finished sql.NullInt64
	err = scan(&k, &event, &d.EventType, &d.OrganizationID, &d.EndpointID, &d.State,
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
		if err == nil {
			d.Attempts, err = parseAttempts(history)
		}
		if err == nil {
			err = t.showWaiting(s.held, &d)
		}
		return err
	})
	s.held.show(&d.Delivery)
	return d.Delivery, err
}

// Stats implements [alotwebhook.History].
func (s *Store) Stats(ctx context.Context) (st alotwebhook.Stats, err error) {
	err = s.read(ctx, "count the queue", func(t *txn) error {
		var all int64
		if err := t.one("SELECT count(*) FROM alotwebhook_queue")(&all); err != nil {
			return err
		}
		err := t.one(`SELECT coalesce(sum((SELECT count(*) FROM alotwebhook_queue WHERE endpoint = e.ref)), 0)
			FROM alotwebhook_endpoints e WHERE e.active = 0`)(&st.Parked)
		if err != nil {
			return err
		}
		st.Pending = all - st.Parked
		oldest, err := t.oldestDue(s.held.leased(t.now))
		if oldest != 0 {
			st.OldestDue = time.Duration(max(t.now-oldest, 0)) * time.Microsecond
		}
		return err
	})
	return st, err
}

// oldestDue returns the least next_at in the queue of an active endpoint, without the
// deliveries that are held, by endpoint; 0 if there is none.
func (t *txn) oldestDue(held map[int64][]key) (oldest int64, err error) {
	var refs []string
	earlier := func(at sql.NullInt64) {
		if at.Valid && (oldest == 0 || at.Int64 < oldest) {
			oldest = at.Int64
		}
	}
	var at sql.NullInt64
	for ref, keys := range held {
		refs = append(refs, strconv.FormatInt(ref, 10))
		_, err := found(t.one(firstDue, ref, hexList(keys))(&at))
		if err != nil {
			return 0, err
		}
		earlier(at)
		at = sql.NullInt64{}
	}
	if err := t.one(oldestDue, "["+strings.Join(refs, ",")+"]")(&at); err != nil {
		return 0, err
	}
	earlier(at)
	return oldest, nil
}

// firstDue returns the least next_at of an active endpoint, without some deliveries.
const firstDue = `SELECT q.next_at FROM alotwebhook_endpoints e CROSS JOIN alotwebhook_queue q ON q.endpoint = e.ref
	WHERE e.ref = ? AND e.active AND hex(q.id) NOT IN (SELECT value FROM json_each(?)) ORDER BY q.next_at LIMIT 1`

// oldestDue returns the least next_at in the queue of an active endpoint, but for the endpoints
// of a list. It steps from endpoint to endpoint through the index
// alotwebhook_queue_due instead of reading all rows.
const oldestDue = `WITH RECURSIVE turn(ref) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue ORDER BY endpoint LIMIT 1)
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1)
	FROM turn WHERE turn.ref IS NOT NULL
)
SELECT min((SELECT next_at FROM alotwebhook_queue WHERE endpoint = turn.ref ORDER BY next_at LIMIT 1))
FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = turn.ref WHERE e.active AND turn.ref NOT IN (SELECT value FROM json_each(?))`

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
