package anydriver

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook"
)

// Claim implements [alotwebhook.Queue]. A claim that got all it asked for does
// not look at every endpoint's next delivery for NextIn: its caller is to claim
// again as soon as it has room.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	var cl *claim
	err := s.submit(&job{
		ctx:   ctx,
		doing: "claim",
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

// newToken makes a fencing token for a whole claim. A random one needs no
// counter that processes would have to share.
func newToken() int64 { return 1 + rand.Int64N(1<<62) }

// remember keeps what Finish will need of the rows, so that it need not read
// them again. Those tried before are few, and have more to keep.
func (s *Store) remember(c *claim) {
	for _, q := range c.rows {
		if q.attempts == 0 {
			put(s.leased, q.key, q)
		} else {
			delete(s.leased, q.key)
		}
	}
}

// claim is one claim on its way: endpoints first, then a few rows each.
type claim struct {
	*txn
	alotwebhook.ClaimRequest
	turn  int64 // the endpoint that had the last turn
	token int64
	got   []alotwebhook.Claimed
	rows  []queued // those of got
	next  int64    // when the next delivery falls due that is not due yet; 0 for none
}

// taker is an endpoint with something due and a free slot.
type taker struct {
	ref      int64
	endpoint *alotwebhook.Endpoint
	free     int // slots
	had      int // in this claim
	ask      int // how many it is to get next
}

// A claim looks at so many endpoints at a time, and touches no more of them if
// each has enough due: it serves them in turns that are worth the step into
// each one's rows, rather than very many of them with very little. At
// maxQuantum a turn is worth it in any case.
const (
	maxServed  = 16
	maxQuantum = 16
)

func (c *claim) run() error {
	walk := walk{from: c.turn, pos: c.turn}
	var hungry []*taker
	for c.room() > 0 {
		takers, more, err := c.look(&walk)
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
	for c.room() > 0 && len(hungry) > 0 { // all had their turn: share what is left
		var err error
		if hungry, err = c.serve(hungry, c.quantum(len(hungry), false), false); err != nil {
			return err
		}
	}
	return c.lease()
}

func (c *claim) room() int { return c.Limit - len(c.got) }

// quantum is how many deliveries each gets in its turn: an equal share of the
// room, or more if there are very many to share it.
func (c *claim) quantum(takers int, more bool) int {
	share := ceil(c.room(), max(takers, 1))
	if more || takers > maxServed {
		share = max(share, min(ceil(c.Limit, maxServed), maxQuantum))
	}
	return share
}

func ceil(a, b int) int { return (a + b - 1) / b }

// walk is a way round all endpoints with something in the queue, from the one
// behind the last turn.
type walk struct {
	from, pos int64
	wrapped   bool
}

// The next endpoints in the queue's index, each found by one step into it
// however much the endpoint has waiting, with what is due and what is not yet.
const lookAround = `WITH RECURSIVE turn(ref, n) AS (
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > ?1 ORDER BY endpoint LIMIT 1), 1
	UNION ALL
	SELECT (SELECT endpoint FROM alotwebhook_queue WHERE endpoint > turn.ref ORDER BY endpoint LIMIT 1), n + 1
	FROM turn WHERE turn.ref IS NOT NULL AND n < ?3
)
SELECT turn.ref, e.active, e.failing_since,
	CASE WHEN e.active THEN EXISTS (SELECT 1 FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at <= ?2) END,
	CASE WHEN e.active THEN (SELECT next_at FROM alotwebhook_queue WHERE endpoint = turn.ref AND next_at > ?2 ORDER BY next_at LIMIT 1) END
FROM turn CROSS JOIN alotwebhook_endpoints e ON e.ref = turn.ref`

// look returns those of the next endpoints that can take something, and
// whether there are more endpoints to look at.
func (c *claim) look(w *walk) (takers []*taker, more bool, err error) {
	type found struct {
		ref           int64
		active        bool
		failing, next sql.NullInt64
		due           sql.NullBool
	}
	for len(takers) < maxServed && !w.done() {
		var page []found
		err := c.each(lookAround, []any{w.pos, c.now, maxServed}, func(scan func(...any) error) error {
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
			if free := c.PerEndpoint - c.Busy[e.ID]; free > 0 {
				takers = append(takers, &taker{ref: f.ref, endpoint: e, free: free})
			}
		}
		if len(page) < maxServed {
			w.wrap()
		}
	}
	return takers, !w.done(), nil
}

func (w *walk) done() bool { return w.wrapped && w.pos >= w.from }

// reach notes that the walk has come to ref; false if it is round.
func (w *walk) reach(ref int64) bool {
	if w.wrapped && ref > w.from {
		w.pos = w.from
		return false
	}
	w.pos = ref
	return true
}

// wrap begins again at the first endpoint, or ends the walk.
func (w *walk) wrap() {
	if w.wrapped {
		w.pos = w.from
		return
	}
	w.wrapped, w.pos = true, 0
}

// later notes when something falls due.
func (c *claim) later(at sql.NullInt64) {
	if at.Valid && (c.next == 0 || at.Int64 < c.next) {
		c.next = at.Int64
	}
}

// serve gives each taker up to quantum deliveries and returns those who could
// take more.
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

// dueRows reads several endpoints' next due deliveries. SQLite's
// planner looks into bare parameters after "=" and LIMIT, and would compile
// the statement anew for every value.
var dueRows = sized([]int{16, 4, 1}, func(n int) string {
	return repeat(`SELECT * FROM (
		SELECT q.endpoint, q.id, q.claims, q.attempts, q.tried, q.event, q.type, q.created_at, e.id, e.payload
		FROM alotwebhook_queue q CROSS JOIN alotwebhook_events e ON e.ref = q.event
		WHERE q.endpoint = 0+? AND q.next_at <= ? ORDER BY q.next_at, q.id LIMIT 0+? OFFSET 0+?)`, " UNION ALL ", n)
})

// take reads what the takers have asked for, and leaves in ask what was not there.
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

func (c *claim) takeRow(by map[int64]*taker, scan func(...any) error) (err error) {
	var event key
	var tried int
	q := queued{lease: c.token}
	d := alotwebhook.Claimed{Lease: c.token}
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

var leaseRows = batchOf("UPDATE alotwebhook_queue SET next_at = ?, lease = ?, claims = claims + 1 WHERE id IN (%)", "?")

// lease takes what was read out of others' sight.
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
