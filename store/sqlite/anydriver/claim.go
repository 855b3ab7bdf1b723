package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// Claim implements [alotwebhook.Queue]. The claims of one Store go one after the other. If a
// claim fills its Limit, its NextIn covers the endpoints that it passed, not all of them: its
// caller claims again as soon as it has room anyway.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (r alotwebhook.ClaimResult, err error) {
	if err := s.made(); err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, ended(ctx)
	}
	select {
	case s.claiming <- struct{}{}:
		defer func() { <-s.claiming }()
	case <-ctx.Done():
		return r, ended(ctx)
	case <-s.quit:
		return r, errClosed
	}
	select {
	case <-s.quit:
		return r, errClosed
	default:
	}
	if c.Limit <= 0 {
		return r, s.leave(ctx, false)
	}
	for greedy, again := false, true; again; { // seldom twice
		var cl *claim
		if cl, err = s.claim(ctx, c, greedy); err != nil && !errors.Is(err, errDisowned) {
			if ctx.Err() != nil && !passes(err) {
				err = ended(ctx)
			}
			return alotwebhook.ClaimResult{}, explain("claim deliveries", err)
		}
		again = err != nil || len(cl.got) == 0 && cl.unowned && !greedy
		greedy = err == nil
		r = cl.result()
	}
	return r, nil
}

// newToken returns a fencing token for all deliveries of one claim. A random one
// needs no counter that all processes share. It is negative, because the tokens of releases that
// knew no owners are positive.
func newToken() int64 { return -1 - rand.Int64N(1<<62) }

// lanes holds what a claim has to know of endpoints from the claims before.
type lanes struct {
	turn int64 // the endpoint that had the last turn
	// marks holds, for an endpoint that has a backlog, the place behind which the next claim
	// begins to read. The deliveries before it are under way or done, but for some that came there
	// since marks was emptied last: from a transaction of the host's that began long ago, or after
	// a clock was put back. A claim finds those once marks is emptied again.
	marks   map[int64]place
	emptied time.Time
}

const (
	// Every mark is at least lateness old, so that most late commits come behind it.
	lateness = 2 * time.Second
	// marksLast is how long marks are used until they are emptied.
	marksLast = time.Second
)

// claim is a claim under way. It finds endpoints with due deliveries, reads a few
// rows of each, and takes all of them at the end.
type claim struct {
	*txn
	alotwebhook.ClaimRequest
	s       *Store
	slots   uint64          // those whose endpoints it may claim from
	free    uint64          // those that have no owner
	turn    int64           // the ref of the endpoint that had the last turn
	token   int64           // the fencing token of this claim
	held    map[int64]share // what this store holds, by endpoint
	marks   map[int64]place // those that have moved
	got     []alotwebhook.Claimed
	rows    []*dueRow // the rows of got
	next    int64     // when the next delivery falls due that is not due yet, in µs since 1970; 0 if none was met
	unowned bool      // an endpoint has something due, and belongs to nobody
}

// claim claims once.
func (s *Store) claim(ctx context.Context, c alotwebhook.ClaimRequest, greedy bool) (*claim, error) {
	cl := &claim{ClaimRequest: c, s: s, token: newToken(), marks: map[int64]place{},
		got: make([]alotwebhook.Claimed, 0, min(c.Limit, maxRoom)), rows: make([]*dueRow, 0, min(c.Limit, maxRoom))}
	if err := s.lookAround(ctx, look{lease: c.Lease, perEndpoint: c.PerEndpoint, greedy: greedy}); err != nil {
		return cl, err
	}
	if err := s.writeRanOut(ctx); err != nil {
		return cl, err
	}
	if time.Since(s.lanes.emptied) > marksLast {
		clear(s.lanes.marks)
		s.lanes.emptied = time.Now()
	}
	cl.slots, cl.free, cl.turn = s.owner.slots, s.owner.free, s.lanes.turn
	cl.held = s.held.beginClaim(s.lanes.marks)
	var holds []holding
	defer func() { s.held.endClaim(holds) }()
	cl.txn = &txn{ctx: ctx, in: s.claims, on: s.claims.db, catalogue: s.claims.catalogue, now: time.Now().UnixMicro()}
	if err := cl.run(); err != nil {
		return cl, err
	}
	if err := cl.takeLost(ctx); err != nil {
		return cl, err
	}
	if err := s.putOff(ctx, c.Lease); err != nil {
		if errors.Is(err, errDisowned) {
			s.owner.changes = -1
		}
		return cl, err
	}
	holds = cl.settle()
	return cl, nil
}

// taker is an endpoint that has due deliveries and free slots.
type taker struct {
	ref      int64
	endpoint *alotwebhook.Endpoint
	free     int   // its free slots
	had      int   // how many deliveries it has had in this claim
	ask      int   // how many it is to get next; after take, how many of these were not due
	mark     place // behind which it has been read
	first    key   // of an ordered endpoint: what it is to get
}

// A claim serves endpoints in groups of maxServed or somewhat more. To step into an
// endpoint's rows has its cost, whether the claim reads one row or many. So where
// more endpoints wait, each one served gets at least a maxServed'th of the claim's
// limit, and the claim serves fewer of them. maxQuantum deliveries are worth the step
// in any case.
const (
	maxServed  = 16
	maxQuantum = 16
	// maxRoom is for how many deliveries a claim makes room at once.
	maxRoom = 256
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
	return nil
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

// dueRow is a row of dueRows.
type dueRow struct {
	queued
	place  place
	claims int // that were lost
	of     key // the event
	data   []byte
	trace  sql.NullString
	lost   bool // it was claimed before, in vain, so that its claim has to be written
}

// dueRows reads the next due deliveries of an endpoint. It takes its ref, the place behind
// which to read, the clock, and how many rows to read. It says 0+? because SQLite's planner
// looks at the value of a bare parameter after "=" and LIMIT and compiles the statement again
// for each value.
const dueRows = `SELECT q.endpoint, q.next_at, q.id, q.lease, q.claims, q.attempts, q.tried, q.event, q.type, q.created_at, e.id, e.payload, e.trace_parent
	FROM alotwebhook_queue q CROSS JOIN alotwebhook_events e ON e.ref = q.event
	WHERE q.endpoint = 0+? AND (q.next_at, q.id) > (0+?, ?) AND q.next_at <= ? ORDER BY q.next_at, q.id LIMIT 0+?`

// take reads up to ask deliveries for each taker, and subtracts from ask those that
// it found.
func (c *claim) take(takers []*taker) error {
	by := make(map[int64]*taker, len(takers))
	most := 0
	for _, k := range takers {
		by[k.ref] = k
		most += k.ask + c.held[k.ref].behind
	}
	rows := make([]dueRow, 0, min(most, maxRoom))
	for _, k := range takers {
		query, args := c.rowsFor(k)
		err := c.each(query, args, func(scan func(...any) error) error {
			rows = append(rows, dueRow{})
			r := &rows[len(rows)-1]
			err := scan(&r.endpoint, &r.place.at, &r.key, &r.token, &r.claims, &r.attempts, &r.tried, &r.event, &r.kind, &r.createdAt, &r.of, &r.data, &r.trace)
			r.place.id = r.key
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.takeRows(by, rows)
}

// takeRows takes the rows that may be claimed, for the takers by ref.
func (c *claim) takeRows(by map[int64]*taker, rows []dueRow) error {
	taken, left := c.s.held.taken(rows)
	if left { // the claim after this one sees what has become of it
		c.later(sql.NullInt64{Int64: c.now + time.Millisecond.Microseconds(), Valid: true})
	}
	for i := range rows {
		r := &rows[i]
		k := by[r.endpoint]
		if k.ask == 0 {
			continue
		}
		k.mark = r.place
		if taken[i] {
			continue
		}
		r.lost = r.token != 0 || r.claims > 0
		k.had++
		k.ask--
		if err := c.add(k, r); err != nil {
			return err
		}
	}
	for ref, k := range by {
		if !inOrder(ref, k.endpoint) {
			c.marks[ref] = k.mark
		}
	}
	return nil
}

// add adds a row to the deliveries of the claim, for a taker.
func (c *claim) add(k *taker, r *dueRow) (err error) {
	d := alotwebhook.Claimed{Token: c.token, Claims: r.claims + 1, Attempt: r.attempts + 1, TraceParent: r.trace.String, Test: isTests(r.endpoint), Payload: r.data, Endpoint: k.endpoint}
	if d.EventType, err = c.typeName(r.kind); err != nil {
		return err
	}
	d.Try = d.Attempt - r.tried
	d.EventID = r.of.spell(eventPrefix)
	d.DeliveryID = r.key.spell(deliveryPrefix)
	c.rows = append(c.rows, r)
	c.got = append(c.got, d)
	return nil
}

// takeLost writes the claims of deliveries that were claimed before in vain, so that each
// further one counts, whatever becomes of this process. It drops those that are gone.
func (c *claim) takeLost(ctx context.Context) error {
	if !slices.ContainsFunc(c.rows, func(r *dueRow) bool { return r.lost }) {
		return nil
	}
	gone := map[int]bool{}
	err := c.s.write(ctx, "claim deliveries", func(t *txn) error {
		clear(gone)
		there, err := t.isOwner(c.s.owner.id)
		if err == nil && !there {
			err = errDisowned
		}
		for i, r := range c.rows {
			if r.lost && err == nil {
				var there bool
				c.got[i].Claims, there, err = t.leaseLost(r, c.token, t.now+c.Lease.Microseconds())
				gone[i] = !there
				if err == nil && there && inOrder(r.endpoint, c.got[i].Endpoint) {
					err = t.keepFirst(r.endpoint, r.key)
				}
			}
		}
		return err
	})
	if err == nil {
		c.drop(gone)
	}
	return err
}

// leaseLost leases a delivery that was claimed before, unless somebody has changed it
// meanwhile. It returns how often the delivery has been claimed now.
func (t *txn) leaseLost(r *dueRow, token, until int64) (claims int, there bool, err error) {
	lost := r.claims
	if r.token != 0 { // its last claim is lost as well
		lost++
	}
	n, err := t.affected("UPDATE alotwebhook_queue SET lease = ?, next_at = ?, claims = ? WHERE id = ? AND lease = ? AND claims = ? AND next_at = ?",
		token, until, lost, r.key[:], r.token, r.claims, r.place.at)
	return lost + 1, n > 0, err
}

// drop takes rows out of the claim, by their places in it.
func (c *claim) drop(gone map[int]bool) {
	got, rows := c.got[:0], c.rows[:0]
	for i := range c.rows {
		if !gone[i] {
			got, rows = append(got, c.got[i]), append(rows, c.rows[i])
		}
	}
	c.got, c.rows = got, rows
}

// settle brings the store's memory up to date, and returns the holdings that the claim adds.
func (c *claim) settle() (holds []holding) {
	lanes := &c.s.lanes
	lanes.turn = c.turn
	reached := place{at: c.now - lateness.Microseconds()}
	for ref, mark := range c.marks {
		if mark.before(reached) {
			put(lanes.marks, ref, mark)
		} else if lanes.marks[ref].before(reached) {
			put(lanes.marks, ref, reached)
		}
	}
	until := c.now + c.Lease.Microseconds()
	if len(c.rows) > 0 {
		c.later(sql.NullInt64{Int64: until, Valid: true})
	}
	holds = make([]holding, 0, len(c.rows))
	for i := range c.rows {
		if r := c.rows[i]; !r.lost {
			r.token = c.token
			holds = append(holds, holding{r.queued, r.place, until, c.catalogue.changes, inOrder(r.endpoint, c.got[i].Endpoint)})
		}
	}
	return holds
}

// result returns the deliveries of the claim, and when to claim next.
func (c *claim) result() alotwebhook.ClaimResult {
	r := alotwebhook.ClaimResult{Deliveries: c.got}
	if c.s.owner.asking {
		c.later(sql.NullInt64{Int64: c.now + soon.Microseconds(), Valid: true})
	}
	if c.next != 0 {
		r.NextIn = max(time.Duration(c.next-c.now)*time.Microsecond, time.Microsecond)
	}
	return r
}
