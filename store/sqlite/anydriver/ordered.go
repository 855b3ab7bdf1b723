package anydriver

import (
	"database/sql"

	"github.com/alot/alotwebhook"
)

// Of an ordered endpoint, one delivery is claimed at a time. Its queue is in the order in which
// the events were emitted, but for deliveries whose next_at has moved: by a failed attempt, or a
// lease that stands in the row. Where such a one keeps its place, the table firsts names it.

// first is the delivery of an ordered endpoint that comes before all others.
type first struct {
	key   key
	due   int64 // its next_at
	until int64 // until when it may hold up the others; 0 before its first failed attempt
}

const (
	// placedFirst finds the delivery that has kept its place, if it holds up the others still.
	placedFirst = `SELECT q.id, q.next_at, f.until FROM alotwebhook_firsts f CROSS JOIN alotwebhook_queue q ON q.id = f.delivery
		WHERE f.endpoint = ?1 AND q.endpoint = ?1 AND (q.next_at <= max(f.until, ?2) OR q.lease <> 0)`
	// queuedFirst finds the delivery that is due longest.
	queuedFirst = `SELECT id, next_at, 0 FROM alotwebhook_queue WHERE endpoint = ?1 AND next_at <= ?2 ORDER BY next_at, id LIMIT 1`
)

// firstOf finds the first delivery of an ordered endpoint. It may be one that is not due. There
// is none if nothing is due and nothing is held up.
func (t *txn) firstOf(endpoint int64) (f first, some bool, err error) {
	for _, query := range []string{placedFirst, queuedFirst} {
		some, err = found(t.one(query, endpoint, t.now)(&f.key, &f.due, &f.until))
		if some || err != nil {
			return f, some, err
		}
	}
	return f, false, nil
}

// orderedTaker returns an ordered endpoint as a taker of its first delivery, or nil if that is
// not due, or one is leased.
func (c *claim) orderedTaker(k *taker) (*taker, error) {
	if c.held[k.ref].until != 0 {
		return nil, nil
	}
	f, some, err := c.firstOf(k.ref)
	if err != nil || !some {
		return nil, err
	}
	if f.due > c.now {
		c.later(sql.NullInt64{Int64: f.due, Valid: true})
		return nil, nil
	}
	k.free, k.first = 1, f.key
	return k, nil
}

// suspectFirst is suspect for ordered endpoints: only the first delivery of each can have been
// under way.
func (t *txn) suspectFirst(endpoints []int64) error {
	for _, ref := range endpoints {
		f, some, err := t.firstOf(ref)
		if err == nil && some {
			err = t.exec("UPDATE alotwebhook_queue SET claims = 1 WHERE claims = 0 AND lease = 0 AND id = ? AND next_at <= ?", f.key[:], t.now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// firstRow reads one delivery as dueRows does.
const firstRow = `SELECT q.endpoint, q.next_at, q.id, q.lease, q.claims, q.attempts, q.tried, q.event, q.type, q.created_at, e.id, e.payload, e.trace_parent
	FROM alotwebhook_queue q CROSS JOIN alotwebhook_events e ON e.ref = q.event WHERE q.id = ?`

// rowsFor returns the query for a taker's next deliveries.
func (c *claim) rowsFor(k *taker) (query string, args []any) {
	if inOrder(k.ref, k.endpoint) {
		return firstRow, []any{k.first[:]}
	}
	return dueRows, []any{k.ref, k.mark.at, k.mark.id[:], c.now, k.ask + c.held[k.ref].behind}
}

// keepFirst has a delivery keep its place, whatever its next_at becomes.
func (t *txn) keepFirst(endpoint int64, k key) error {
	return t.exec(`INSERT INTO alotwebhook_firsts (endpoint, delivery, until) VALUES (?1, ?2, 0)
		ON CONFLICT (endpoint) DO UPDATE SET delivery = excluded.delivery, until = 0 WHERE delivery <> excluded.delivery`, endpoint, k[:])
}

// loseFirst has a delivery lose its place, unless it may keep it until that time; 0 for any.
func (t *txn) loseFirst(endpoint int64, k key, next int64) error {
	return t.exec("DELETE FROM alotwebhook_firsts WHERE endpoint = ?1 AND delivery = ?2 AND (?3 = 0 OR until < ?3)", endpoint, k[:], next)
}

// endOrder frees the place of a delivery that has ended.
func (t *txn) endOrder(q *claimedRow, o *alotwebhook.Outcome) error {
	if o.HoldsUp <= 0 {
		return nil
	}
	return t.loseFirst(q.endpoint, q.key, 0)
}

// forgetFirst forgets that a delivery of the history had a place.
const forgetFirst = `DELETE FROM alotwebhook_firsts
	WHERE endpoint = (SELECT endpoint FROM alotwebhook_deliveries WHERE id = ?1) AND delivery = ?1`

// keepOrder decides whether a delivery keeps its place, after an outcome with HoldsUp that
// makes it due again at next.
func (t *txn) keepOrder(q *claimedRow, o *alotwebhook.Outcome, next int64) error {
	if o.Attempt.Number == 0 {
		return t.keepFirst(q.endpoint, q.key)
	}
	until := t.now + o.HoldsUp.Microseconds()
	if q.attempts-q.tried > 1 || next > until {
		return t.loseFirst(q.endpoint, q.key, next)
	}
	return t.exec(`INSERT INTO alotwebhook_firsts (endpoint, delivery, until) VALUES (?, ?, ?)
		ON CONFLICT (endpoint) DO UPDATE SET delivery = excluded.delivery, until = excluded.until`, q.endpoint, q.key[:], until)
}

// shownDelivery is a delivery as the history shows it.
type shownDelivery struct {
	alotwebhook.Delivery
	ordered sql.NullInt64 // its endpoint, if that is ordered and not disabled, and the delivery is unfinished
}

// showWaiting says what a delivery waits for.
func (t *txn) showWaiting(held *holdings, d *shownDelivery) error {
	if !d.ordered.Valid || d.NextAttemptAt.UnixMicro() > t.now {
		return nil
	}
	k, _ := parseKey(deliveryPrefix, d.ID)
	if _, underWay := held.endOf(k); underWay {
		return nil
	}
	f, some, err := t.firstOf(d.ordered.Int64)
	if err != nil || !some || f.key == k {
		return err
	}
	d.WaitsFor = f.key.spell(deliveryPrefix)
	if f.until != 0 {
		d.WaitsUntil = instant(f.until)
	}
	return nil
}
