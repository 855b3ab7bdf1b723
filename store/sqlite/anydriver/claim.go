package anydriver

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook"
)

// Claim implements [alotwebhook.Queue]. If a claim fills its Limit, its NextIn covers
// the endpoints that it passed, not all of them: its caller claims again as soon as
// it has room anyway.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	var cl *claim
	err := s.submit(&job{
		ctx:   ctx,
		doing: "claim deliveries",
		run: func(t *txn) error {
			cl = &claim{txn: t, ClaimRequest: c, turn: s.turn, token: newToken()}
			return cl.run()
		},
		committed: func() { s.turn = cl.turn; s.remember(cl) },
		done:      make(chan struct{}),
	})
	if err != nil {
		return alotwebhook.ClaimResult{}, err
	}
	return cl.result(), nil
}

// newToken returns a fencing token for all deliveries of one claim. A random one
// needs no counter that all processes share.
func newToken() int64 { return 1 + rand.Int64N(1<<62) }

// remember keeps the claimed rows in memory, so that Finish need not read them again.
// It leaves out those with earlier attempts: they are few, and hold a history.
func (s *Store) remember(c *claim) {
	for _, q := range c.rows {
		if q.attempts == 0 {
			put(s.leased, q.key, q)
		} else {
			delete(s.leased, q.key)
		}
	}
}

// claim is a claim under way. It finds endpoints with due deliveries, reads a few
// rows of each, and leases all of them at the end.
type claim struct {
	*txn
	alotwebhook.ClaimRequest
	turn  int64 // the ref of the endpoint that had the last turn
	token int64 // the fencing token of this claim
	got   []alotwebhook.Claimed
	rows  []queued // the rows of got
	next  int64    // when the next delivery falls due that is not due yet, in µs since 1970; 0 if none was met
}

// taker is an endpoint that has due deliveries and free slots.
type taker struct {
	ref      int64
	endpoint *alotwebhook.Endpoint
	free     int // its free slots
	had      int // how many deliveries it has had in this claim
	ask      int // how many it is to get next; after take, how many of these were not due
}

// A claim serves endpoints in groups of maxServed or somewhat more. To step into an
// endpoint's rows has its cost, whether the claim reads one row or many. So where
// more endpoints wait, each one served gets at least a maxServed'th of the claim's
// limit, and the claim serves fewer of them. maxQuantum deliveries are worth the step
// in any case.
const (
	maxServed  = 16
	maxQuantum = 16
)

// run serves the endpoints in the order of their turns until the claim is full or
// all had their turn. Then it shares out the room that is left among those that can
// take more.
func (c *claim) run() error {
	walk := walk{from: c.turn, pos: c.turn}
	var hungry []*taker
	for c.room() > 0 {
		takers, more, err := c.nextTakers(&walk)
		if err != nil {
			return err
		}
		left, err := c.serve(takers, c.quantum(len(takers), more), true)
		if err != nil {
			return err
		}
		hungry = append(hungry, left...)
		if !more {
			break
		}
	}
	for c.room() > 0 && len(hungry) > 0 {
		var err error
		if hungry, err = c.serve(hungry, c.quantum(len(hungry), false), false); err != nil {
			return err
		}
	}
	return c.lease()
}

// room is how many deliveries the claim still wants.
func (c *claim) room() int { return c.Limit - len(c.got) }

// quantum is how many deliveries each taker may get in a turn: an equal share of the
// room, or more where there are so many takers that a share is not worth the step.
// more says that other takers follow.
func (c *claim) quantum(takers int, more bool) int {
	share := ceil(c.room(), max(takers, 1))
	if more || takers > maxServed {
		share = max(share, min(ceil(c.Limit, maxServed), maxQuantum))
	}
	return share
}

// ceil is a divided by b, rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// walk is a way round all endpoints that have rows in the queue, in the order of
// their refs. It begins behind the endpoint that had the last turn and ends with it.
type walk struct {
	from, pos int64 // the ref where it begins, and the ref that it has come to
	wrapped   bool  // it has gone on at the least ref
}

// nextEndpoints returns the endpoints that follow ?1 in the queue, up to ?3 of them.
// One step into the index alotwebhook_queue_due finds each, however many rows it has.
// Of an active one, the result says whether it has deliveries due at ?2 (µs since
// 1970), and when the first one falls due that is not due then.
const nextEndpoints = `WITH RECURSIVE turn(ref, n) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > ?1 ORDER BY endpoint LIMIT 1), 1
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1), n + 1
	FROM turn WHERE turn.ref IS NOT NULL AND n < ?3
)
SELECT turn.ref, e.active, e.failing_since,
	CASE WHEN e.active THEN EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at <= ?2) END,
	CASE WHEN e.active THEN (SELECT next_at FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at > ?2 ORDER BY next_at LIMIT 1) END
FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = turn.ref`

// nextTakers goes on with the walk until it has maxServed takers or the walk is over.
// more reports whether the walk goes on.
func (c *claim) nextTakers(w *walk) (takers []*taker, more bool, err error) {
	type found struct {
		ref           int64
		active        bool
		failing, next sql.NullInt64
		due           sql.NullBool
	}
	for len(takers) < maxServed && !w.done() {
		var page []found
		err := c.each(nextEndpoints, []any{w.pos, c.now, maxServed}, func(scan func(...any) error) error {
			var f found
			err := scan(&f.ref, &f.active, &f.failing, &f.due, &f.next)
			page = append(page, f)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		for _, f := range page {
			if !w.reach(f.ref) {
				return takers, false, nil
			}
			c.later(f.next)
			if !f.due.Bool {
				continue
			}
			e, err := c.endpoint(f.ref, f.failing)
			if err != nil {
				return nil, false, err
			}
			if free := c.Free(e.ID, e.OrganizationID); free > 0 {
				takers = append(takers, &taker{ref: f.ref, endpoint: e, free: free})
			}
		}
		if len(page) < maxServed {
			w.wrap()
		}
	}
	return takers, !w.done(), nil
}

// done reports whether the walk has come round.
func (w *walk) done() bool { return w.wrapped && w.pos >= w.from }

// reach moves the walk to ref. It returns false if ref lies behind the end of the
// walk, which is over then.
func (w *walk) reach(ref int64) bool {
	if w.wrapped && ref > w.from {
		w.pos = w.from
		return false
	}
	w.pos = ref
	return true
}

// wrap goes on at the least ref after the walk has come to the greatest. The second
// time, it ends the walk.
func (w *walk) wrap() {
	if w.wrapped {
		w.pos = w.from
		return
	}
	w.wrapped, w.pos = true, 0
}

// later notes when a delivery falls due.
func (c *claim) later(at sql.NullInt64) {
	if at.Valid && (c.next == 0 || at.Int64 < c.next) {
		c.next = at.Int64
	}
}

// serve gives each taker up to quantum deliveries while there is room. It returns the
// takers that got as many and have free slots left. turn says that this is their
// turn: the next claim then begins behind the last of them.
func (c *claim) serve(takers []*taker, quantum int, turn bool) (hungry []*taker, err error) {
	for len(takers) > 0 && c.room() > 0 {
		var some []*taker
		for promised := 0; len(takers) > 0 && promised < c.room(); takers = takers[1:] {
			k := takers[0]
			if k.ask = min(quantum, k.free-k.had, c.room()-promised); k.ask > 0 {
				promised += k.ask
				some = append(some, k)
			}
		}
		if err := c.take(some); err != nil {
			return nil, err
		}
		for _, k := range some {
			if turn {
				c.turn = k.ref
			}
			if k.ask == 0 && k.had < k.free {
				hungry = append(hungry, k)
			}
		}
	}
	return hungry, nil
}

// dueRows reads the next due deliveries of 16, 4 or 1 endpoints. It takes four
// arguments for each: the endpoint's ref, the clock, how many rows to read, and how
// many to skip because this claim has read them already. It says 0+? because
// SQLite's planner looks at the value of a bare parameter after "=" and LIMIT and
// compiles the statement again for each value.
var dueRows = sized([]int{16, 4, 1}, func(n int) string {
	return repeat(`SELECT * FROM (
		SELECT q.endpoint, q.id, q.claims, q.attempts, q.tried, q.event, q.type, q.created_at, e.id, e.payload
		FROM alotwebhook_queue q CROSS JOIN alotwebhook_events e ON e.ref = q.event
		WHERE q.endpoint = 0+? AND q.next_at <= ? ORDER BY q.next_at, q.id LIMIT 0+? OFFSET 0+?)`, " UNION ALL ", n)
})

// take reads up to ask deliveries for each taker, and subtracts from ask those that
// it found.
func (c *claim) take(takers []*taker) error {
	by := make(map[int64]*taker, len(takers))
	for _, k := range takers {
		by[k.ref] = k
	}
	return dueRows.split(len(takers), func(query string, from, to int) error {
		var args []any
		for _, k := range takers[from:to] {
			args = append(args, k.ref, c.now, k.ask, k.had)
		}
		return c.each(query, args, func(scan func(...any) error) error { return c.takeRow(by, scan) })
	})
}

// takeRow reads a row of dueRows, for one of the takers by ref.
func (c *claim) takeRow(by map[int64]*taker, scan func(...any) error) (err error) {
	var event key
	var tried int
	q := queued{token: c.token}
	d := alotwebhook.Claimed{Token: c.token}
	err = scan(&q.endpoint, &q.key, &d.Claims, &q.attempts, &tried, &q.event, &q.kind, &q.createdAt, &event, &d.Payload)
	if err != nil {
		return err
	}
	if d.EventType, err = c.typeName(q.kind); err != nil {
		return err
	}
	k := by[q.endpoint]
	k.had++
	k.ask--
	d.Endpoint = k.endpoint
	d.Claims++
	d.Attempt = q.attempts + 1
	d.Try = d.Attempt - tried
	d.EventID = event.spell(eventPrefix)
	d.DeliveryID = q.key.spell(deliveryPrefix)
	c.rows = append(c.rows, q)
	c.got = append(c.got, d)
	return nil
}

// leaseRows leases rows: until (µs since 1970), the token, and the keys.
var leaseRows = batchOf("UPDATE alotwebhook_queue SET next_at = ?, lease = ?, claims = claims + 1 WHERE id IN (%)", "?")

// lease leases all rows that the claim has read.
func (c *claim) lease() error {
	if len(c.rows) == 0 {
		return nil
	}
	keys := make([]key, len(c.rows))
	for i := range c.rows {
		keys[i] = c.rows[i].key
	}
	until := c.now + c.Lease.Microseconds()
	c.later(sql.NullInt64{Int64: until, Valid: true})
	return leaseRows.keys([]any{until, c.token}, keys, func(query string, args []any) error {
		return c.exec(query, args...)
	})
}

func (c *claim) result() alotwebhook.ClaimResult {
	r := alotwebhook.ClaimResult{Deliveries: c.got}
	if c.next != 0 {
		r.NextIn = max(time.Duration(c.next-c.now)*time.Microsecond, time.Microsecond)
	}
	return r
}
