package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/alot/alotwebhook"
)

// The states of finished deliveries, as they are stored.
const (
	delivered = 1
	failed    = 2
)

// Finish implements [alotwebhook.Queue].
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	trust := true // in what is remembered of the claims, until that proves wrong
	var done []key
	run := func(t *txn) error {
		lost, done, err = t.finish(outcomes, trust)
		trust = trust && !errors.Is(err, errOvertaken)
		return err
	}
	for range 2 {
		err = s.submit(&job{ctx: ctx, doing: "finish", run: run, committed: func() { s.forget(done) }, done: make(chan struct{})})
		if !errors.Is(err, errOvertaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// errOvertaken says that a row is not any more what the store remembered.
var errOvertaken = sayf("a lease was overtaken")

func (s *Store) forget(keys []key) {
	for _, k := range keys {
		delete(s.leased, k)
	}
}

// queued is a row of the queue, as far as its next state needs it.
type queued struct {
	key             key
	lease           int64
	endpoint, event int64
	kind, createdAt int64
	attempts        int
	status          int
	reason          string
	history         string
}

// ending is a row of the queue with what became of it.
type ending struct {
	*queued
	token int64
	state alotwebhook.DeliveryState
}

var (
	readQueue        = batchOf("SELECT id, lease, endpoint, event, type, created_at, attempts, status, reason, history FROM alotwebhook_queue WHERE id IN (%)", "?")
	deleteQueue      = batchOf("DELETE FROM alotwebhook_queue WHERE lease = ? AND id IN (%)", "?")
	insertDeliveries = batchOf("INSERT INTO alotwebhook_deliveries (id, endpoint, state, type, event, attempts, created_at, finished_at, status, reason, history) VALUES %", "(?,?,?,?,?,?,?,?,?,?,?)")
)

const returnToQueue = `UPDATE alotwebhook_queue SET next_at = ?, lease = 0, claims = 0, attempts = ?, status = ?, reason = ?, history = ?
	WHERE lease = ? AND id = ?`

// finish applies the outcomes. With trust, it spares itself reading the rows
// that this store has claimed: it remembers them. The statements that write
// are fenced as well, and tell if that was wrong.
func (t *txn) finish(outcomes []alotwebhook.Outcome, trust bool) (lost []string, keys []key, err error) {
	rows, err := t.rowsOf(outcomes, trust)
	if err != nil {
		return nil, nil, err
	}
	health := map[int64]*health{}
	done := make([]ending, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		k, _ := parseKey(deliveryPrefix, o.DeliveryID)
		q := rows[k]
		if q == nil || q.lease == 0 || q.lease != o.Lease {
			lost = append(lost, o.DeliveryID)
			continue
		}
		keys = append(keys, k)
		q.lease = 0 // the same outcome twice in a batch counts once
		if err := q.record(o); err != nil {
			return nil, nil, err
		}
		if o.Attempt.Number != 0 {
			heed(health, q.endpoint, o)
		}
		if o.State != alotwebhook.StatePending {
			done = append(done, ending{q, o.Lease, o.State})
			continue
		}
		next := t.now + max(o.NextAttemptIn, 0).Microseconds()
		err := t.expect(1)(t.affected(returnToQueue, next, q.attempts, q.status, q.reason, q.history, o.Lease, k[:]))
		if err != nil {
			return nil, nil, err
		}
	}
	if err := t.move(done); err != nil {
		return nil, nil, err
	}
	return lost, keys, t.keepHealth(health)
}

// expect makes an error of a number of changed rows that is not n.
func (t *txn) expect(n int) func(changed int64, err error) error {
	return func(changed int64, err error) error {
		if err == nil && changed != int64(n) {
			err = errOvertaken
		}
		return err
	}
}

// rowsOf returns the rows that the outcomes are about, from memory or the database.
func (t *txn) rowsOf(outcomes []alotwebhook.Outcome, trust bool) (map[key]*queued, error) {
	rows := make(map[key]*queued, len(outcomes))
	var unknown []key
	for i := range outcomes {
		k, ok := parseKey(deliveryPrefix, outcomes[i].DeliveryID)
		if !ok {
			continue
		}
		if q, ok := t.s.leased[k]; trust && ok && q.lease == outcomes[i].Lease {
			rows[k] = &q
		} else {
			unknown = append(unknown, k)
		}
	}
	return rows, t.readQueued(unknown, rows)
}

func (t *txn) readQueued(keys []key, rows map[key]*queued) error {
	return readQueue.keys(nil, keys, func(query string, args []any) error {
		return t.each(query, args, func(scan func(...any) error) error {
			var q queued
			err := scan(&q.key, &q.lease, &q.endpoint, &q.event, &q.kind, &q.createdAt, &q.attempts, &q.status, &q.reason, &q.history)
			rows[q.key] = &q
			return err
		})
	})
}

// record adds the outcome's attempt. A failure without one, such as a poisoned
// delivery's, leaves its reason all the same.
func (q *queued) record(o *alotwebhook.Outcome) (err error) {
	if o.Attempt.Number != 0 {
		q.attempts++
		q.status = o.Attempt.StatusCode
		q.reason = string(o.Attempt.Reason)
		q.history, err = appendAttempt(q.history, &o.Attempt)
	} else if o.State != alotwebhook.StatePending && o.Attempt.Reason != "" {
		q.reason = string(o.Attempt.Reason)
	}
	return err
}

// move takes rows from the queue into the history.
func (t *txn) move(done []ending) error {
	byToken := map[int64][]key{}
	for i := range done {
		byToken[done[i].token] = append(byToken[done[i].token], done[i].key)
	}
	for token, keys := range byToken {
		err := deleteQueue.keys([]any{token}, keys, func(query string, args []any) error {
			return t.expect(len(args) - 1)(t.affected(query, args...))
		})
		if err != nil {
			return err
		}
	}
	return insertDeliveries.rows(t, len(done), 11, func(args []any, i int) []any {
		d := &done[i]
		state := int64(failed)
		if d.state == alotwebhook.StateDelivered {
			state = delivered
		}
		return append(args, d.key[:], d.endpoint, state, d.kind, d.event, d.attempts, d.createdAt, t.now, d.status, d.reason, d.history)
	})
}

// health is what a batch's attempts say of an endpoint: whether the last one
// failed, and since when attempts have failed without a success between.
type health struct {
	succeeded bool      // once at least
	since     time.Time // the first failure after the last success, or at all; zero for none
}

func heed(all map[int64]*health, endpoint int64, o *alotwebhook.Outcome) {
	h := all[endpoint]
	if h == nil {
		h = &health{}
		all[endpoint] = h
	}
	switch {
	case o.State == alotwebhook.StateDelivered:
		h.succeeded, h.since = true, time.Time{}
	case h.since.IsZero():
		h.since = o.Attempt.StartedAt
	}
}

// keepHealth updates FailingSince where it changes, which is seldom.
func (t *txn) keepHealth(all map[int64]*health) error {
	for ref, h := range all {
		was, err := t.failingSince(ref)
		if err != nil {
			return err
		}
		is := was
		if h.succeeded {
			is = sql.NullInt64{}
		}
		if !is.Valid && !h.since.IsZero() {
			is = sql.NullInt64{Int64: h.since.UnixMicro(), Valid: true}
		}
		if is == was {
			continue
		}
		if err := t.exec("UPDATE alotwebhook_endpoints SET failing_since = ? WHERE ref = ?", is, ref); err != nil {
			return err
		}
		put(t.catalogue.failing, ref, is)
	}
	return nil
}

// Redeliver implements [alotwebhook.Queue].
func (s *Store) Redeliver(ctx context.Context, deliveryIDs []string) (made int, err error) {
	err = s.write(ctx, "redeliver", func(t *txn) error {
		made = 0
		for _, id := range deliveryIDs {
			k, ok := parseKey(deliveryPrefix, id)
			if !ok {
				continue
			}
			n, err := t.redeliver(k)
			if err != nil {
				return err
			}
			made += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return made, nil
}

// redeliver makes one due. The statements say which: waiting, not leased nor
// due; or finished, with its endpoint and its payload still there.
func (t *txn) redeliver(k key) (int64, error) {
	n, err := t.affected("UPDATE alotwebhook_queue SET next_at = ?1 WHERE id = ?2 AND lease = 0 AND next_at > ?1", t.now, k[:])
	if err != nil || n > 0 {
		return n, err
	}
	n, err = t.affected(`INSERT INTO alotwebhook_queue (id, endpoint, next_at, lease, claims, attempts, tried, event, type, created_at, status, reason, history)
		SELECT d.id, d.endpoint, ?, 0, 0, d.attempts, d.attempts, d.event, d.type, d.created_at, d.status, CASE WHEN d.attempts = 0 THEN '' ELSE d.reason END, d.history
		FROM alotwebhook_deliveries d
		JOIN alotwebhook_endpoints p ON p.ref = d.endpoint AND p.deleted_at IS NULL
		JOIN alotwebhook_events e ON e.ref = d.event AND e.payload IS NOT NULL
		WHERE d.id = ?`, t.now, k[:])
	if err != nil || n == 0 {
		return n, err
	}
	return t.affected("DELETE FROM alotwebhook_deliveries WHERE id = ?", k[:])
}
