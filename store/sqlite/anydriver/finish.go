package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// The states of finished deliveries, as the column state holds them.
const (
	delivered = 1
	failed    = 2
)

// Finish implements [alotwebhook.Queue]. It trusts the rows that the store holds from its
// claims. Where one turns out to be out of date, because the delivery was deleted, or others
// have taken over, everything is undone and done again with rows from the database.
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	trust := true // until a row that is held turns out to be out of date
	var done []claimOf
	run := func(t *txn) error {
		lost, done, err = t.finish(outcomes, trust)
		trust = trust && !errors.Is(err, errOvertaken)
		return err
	}
	for range 2 {
		err = s.submit(&job{ctx: ctx, doing: "record outcomes", run: run, committed: func() { s.held.drop(done) }, done: make(chan struct{})})
		if !errors.Is(err, errOvertaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// errOvertaken says that a row is not any more as the store holds it. Finish
// repeats its work then, so that no caller meets this error.
var errOvertaken = sayf("record outcomes: a delivery was claimed by another process meanwhile; record them again")

// queued is a row of the queue, as far as Finish needs it.
type queued struct {
	key             key
	token           int64 // the column lease: the token of the newest claim, or 0; of a holding, that of its claim
	endpoint, event int64
	kind, createdAt int64  // kind is the ref of the event type
	attempts, tried int    // tried counts those before the last redelivery
	status          int    // the newest attempt's HTTP status code
	reason          string // the newest attempt's failure reason
	history         string // the attempts; see appendAttempt
}

// fence is what a row must still have when an outcome is written: its lease, which is 0 while
// the claim is known to its store alone, and its number of attempts, which another outcome
// would have changed.
type fence struct {
	lease    int64
	attempts int
}

// claimedRow is the row of a delivery that an outcome is for.
type claimedRow struct {
	queued
	fence fence
}

// ending is a row that leaves the queue for the history.
type ending struct {
	*claimedRow
	state alotwebhook.DeliveryState
}

// readQueue takes keys. deleteQueue takes the fence of the rows, then their keys.
var (
	readQueue        = batchOf("SELECT id, lease, endpoint, event, type, created_at, attempts, tried, status, reason, history FROM alotwebhook_queue WHERE id IN (%)", "?")
	deleteQueue      = batchOf("DELETE FROM alotwebhook_queue WHERE lease = ? AND attempts = ? AND id IN (%)", "?")
	insertDeliveries = batchOf("INSERT INTO alotwebhook_deliveries (id, endpoint, state, type, event, attempts, created_at, finished_at, status, reason, history) VALUES %", "(?,?,?,?,?,?,?,?,?,?,?)")
)

// returnToQueue makes a delivery due again at next_at, if the fence holds. It takes the token
// away, or keeps it.
const returnToQueue = `UPDATE alotwebhook_queue SET next_at = ?, lease = ?, claims = ?, attempts = ?, status = ?, reason = ?, history = ?
	WHERE lease = ? AND attempts = ? AND id = ?`

// finish applies the outcomes. With trust it does not read the rows that the store
// holds. The statements that write are fenced as well: if they change fewer rows than
// expected, such a row was out of date. done are the claims that the store holds
// no more.
func (t *txn) finish(outcomes []alotwebhook.Outcome, trust bool) (lost []string, done []claimOf, err error) {
	rows, err := t.rowsOf(outcomes, trust)
	if err != nil {
		return nil, nil, err
	}
	health := map[int64]*health{}
	ended := make([]ending, 0, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		k, _ := parseKey(deliveryPrefix, o.DeliveryID)
		q := rows[k]
		if q == nil || q.token == 0 || q.token != o.Token {
			lost = append(lost, o.DeliveryID)
			if _, held := t.s.held.get(k, o.Token); held {
				done = append(done, claimOf{k, o.Token}) // it has changed behind this store's back
			}
			continue
		}
		done = append(done, claimOf{k, o.Token})
		q.token = 0 // a second outcome of the delivery in this batch is lost
		if err := q.record(o); err != nil {
			return nil, nil, err
		}
		if o.Attempt.Number != 0 && !isTests(q.endpoint) {
			addToHealth(health, q.endpoint, o)
		}
		if o.State != alotwebhook.StatePending {
			ended = append(ended, ending{q, o.State})
			err = t.endOrder(q, o)
		} else {
			err = t.keepQueued(q, o)
		}
		if err == nil && o.Operation != nil {
			err = t.note(*o.Operation)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if err := t.move(ended); err != nil {
		return nil, nil, err
	}
	return lost, done, t.keepHealth(health)
}

// keepQueued makes a delivery due again as its outcome says. Of one that is held until its
// outcome can be stored, the next claim counts as the first.
func (t *txn) keepQueued(q *claimedRow, o *alotwebhook.Outcome) error {
	var lease, claims int64
	if o.Held {
		lease, claims = o.Token, -1
	}
	next := t.now + max(o.NextAttemptIn, 0).Microseconds()
	err := t.expect(1)(t.affected(returnToQueue, next, lease, claims,
		q.attempts, q.status, q.reason, q.history, q.fence.lease, q.fence.attempts, q.key[:]))
	if err == nil && o.HoldsUp > 0 {
		err = t.keepOrder(q, o, next)
	}
	return err
}

// expect returns a function that returns errOvertaken unless a statement changed n
// rows.
func (t *txn) expect(n int) func(changed int64, err error) error {
	return func(changed int64, err error) error {
		if err == nil && changed != int64(n) {
			err = errOvertaken
		}
		return err
	}
}

// rowsOf returns the rows of the outcomes' deliveries by key, each with the token of its
// newest claim: with trust those that the store holds, and all others from the database.
func (t *txn) rowsOf(outcomes []alotwebhook.Outcome, trust bool) (map[key]*claimedRow, error) {
	known, err := t.known()
	if err != nil {
		return nil, err
	}
	rows := make(map[key]*claimedRow, len(outcomes))
	held := map[key]holding{}
	var unknown []key
	for i := range outcomes {
		k, ok := parseKey(deliveryPrefix, outcomes[i].DeliveryID)
		if !ok {
			continue
		}
		h, ok := t.s.held.get(k, outcomes[i].Token)
		if ok {
			held[k] = h
		}
		if trust && ok && h.changes == known.changes && h.attempts == 0 { // those with earlier attempts have a history
			rows[k] = &claimedRow{h.queued, fence{}}
		} else {
			unknown = append(unknown, k)
		}
	}
	if len(held) > 0 {
		switch own, err := t.owns(); {
		case err != nil:
			return nil, err
		case !own:
			clear(rows)
			unknown = append(unknown, slices.Collect(maps.Keys(held))...)
			clear(held)
		}
	}
	return rows, t.readQueued(unknown, held, rows)
}

// owns reports whether this store owns slots still, so that what it holds is its own.
func (t *txn) owns() (bool, error) {
	if t.owner != nil {
		return *t.owner, nil
	}
	own, err := t.isOwner(t.s.owner.id)
	if err == nil {
		t.owner = &own
	}
	return own, err
}

// readQueued reads the rows of these keys, as far as there are any, into rows. A row without
// a lease that is as this store holds it gets the token of that claim.
func (t *txn) readQueued(keys []key, held map[key]holding, rows map[key]*claimedRow) error {
	return readQueue.keys(nil, keys, func(query string, args []any) error {
		return t.each(query, args, func(scan func(...any) error) error {
			var q claimedRow
			err := scan(&q.key, &q.token, &q.endpoint, &q.event, &q.kind, &q.createdAt, &q.attempts, &q.tried, &q.status, &q.reason, &q.history)
			q.fence = fence{q.token, q.attempts}
			if h, ok := held[q.key]; ok && q.token == 0 && q.attempts == h.attempts && q.createdAt == h.createdAt {
				q.token = h.token
			}
			rows[q.key] = &q
			return err
		})
	})
}

// record adds the outcome's attempt to the row. A delivery that fails without an
// attempt, as a poisoned one does, takes over the reason alone.
func (q *claimedRow) record(o *alotwebhook.Outcome) (err error) {
	if o.Attempt.Number != 0 {
		q.attempts++
		q.status = o.Attempt.StatusCode
		q.reason = string(o.Attempt.Reason)
		if q.history, err = appendAttempt(q.history, o); err == nil && q.attempts%alotwebhook.KeptAttempts == 0 {
			q.history, err = newestAttempts(q.history)
		}
	} else if o.State != alotwebhook.StatePending && o.Attempt.Reason != "" {
		q.reason = string(o.Attempt.Reason)
	}
	return err
}

// move moves rows from the queue into the history.
func (t *txn) move(done []ending) error {
	by := map[fence][]key{}
	for i := range done {
		by[done[i].fence] = append(by[done[i].fence], done[i].key)
	}
	for f, keys := range by {
		err := deleteQueue.keys([]any{f.lease, f.attempts}, keys, func(query string, args []any) error {
			return t.expect(len(args) - 2)(t.affected(query, args...))
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

// health sums up the attempts of a batch to one endpoint.
type health struct {
	succeeded bool      // at least one attempt has
	since     time.Time // when the first failure began, reset by each success; zero for none
}

// addToHealth counts an outcome's attempt.
func addToHealth(all map[int64]*health, endpoint int64, o *alotwebhook.Outcome) {
	h := all[endpoint]
	if h == nil {
		h = &health{}
		all[endpoint] = h
	}
	switch {
	case o.State == alotwebhook.StateDelivered:
		h.succeeded, h.since = true, time.Time{}
	case h.since.IsZero() && !o.Blameless:
		h.since = o.Attempt.StartedAt
	}
}

// keepHealth writes failing_since of the endpoints where it changes, which is seldom.
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

// redeliver makes a delivery due now, and returns 1, or 0 if it may not be. It brings
// forward one that waits for its next attempt. It moves a finished one back into the
// queue if its endpoint and payload are still there. One that is leased or due is
// left alone.
//
// One that was canceled may still be held by the store that had claimed it: a token of nobody in
// its row tells that store that it is another's, and -1 that the next claim counts as the first.
func (t *txn) redeliver(k key) (int64, error) {
	n, err := t.affected("UPDATE alotwebhook_queue SET next_at = ?1 WHERE id = ?2 AND lease = 0 AND next_at > ?1", t.now, k[:])
	if err != nil || n > 0 {
		return n, err
	}
	n, err = t.affected(`INSERT INTO alotwebhook_queue (id, endpoint, next_at, lease, claims, attempts, tried, event, type, created_at, status, reason, history)
		SELECT d.id, d.endpoint, ?1, CASE d.reason WHEN ?2 THEN ?3 ELSE 0 END, CASE d.reason WHEN ?2 THEN -1 ELSE 0 END,
			d.attempts, d.attempts, d.event, d.type, d.created_at, d.status, coalesce(json_extract('[' || d.history || ']', '$[#-1].reason'), ''), d.history
		FROM alotwebhook_deliveries d
		JOIN alotwebhook_endpoints p ON p.ref = abs(d.endpoint) AND p.deleted_at IS NULL
		JOIN alotwebhook_events e ON e.ref = d.event AND e.payload IS NOT NULL
		WHERE d.id = ?4`, t.now, string(alotwebhook.ReasonCanceled), newToken(), k[:])
	if err != nil || n == 0 {
		return n, err
	}
	if err := t.exec(forgetFirst, k[:]); err != nil {
		return 0, err
	}
	return t.affected("DELETE FROM alotwebhook_deliveries WHERE id = ?", k[:])
}
