package postgres

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// Ownership. A process that claims owns slots, and sends what is due to the endpoints in
// them. Nobody else does, so a claim need write nothing. The owners of all slots follow from
// the list of the processes that are alive; each process moves what is its own to move.

const (
	// slotCount is how many rows the table slots has.
	slotCount = 256
	// balanceInterval is how often a process that claims looks after its slots at most.
	balanceInterval = time.Second
	// freshness is how long ago an owner may have looked after its slots and still be given
	// others.
	freshness = 3 * time.Second
	// mostDoubtful bounds how many deliveries of a dead process count as claimed.
	mostDoubtful = 10_000
)

func slotOf(endpoint int64) int { return int(endpoint % slotCount) }

// ownership is what this process owns. Except for id it is guarded by claiming.
type ownership struct {
	id     atomic.Int64 // of its row in owners; 0 for none
	until  time.Time    // the end of its lease by this process's clock
	next   time.Time    // when to look after the slots again
	others time.Time    // when the lease of another owner runs out, unless it is extended; zero for none
	told   int64        // its row's told when it last read its slots
	// toldNow is what a claim has read of told, -1 if the row is gone.
	toldNow int64
	waited  bool // the next look after the slots, for a claim that had something to return
}

// owner is a row of the table owners.
type owner struct {
	id    int64
	told  int64
	rest  time.Duration // of its lease
	fresh bool
}

// slot is a row of the table slots.
type slot struct {
	number int32
	owner  int64
	asked  bool
}

// due reports whether a claim with that lease has to look after the slots before. Where only
// the time for it has come, it leaves precedence to one claim that has something to return.
func (o *ownership) due(lease time.Duration, something bool) bool {
	now := time.Now()
	if o.id.Load() == 0 || o.toldNow != o.told || o.next.IsZero() ||
		o.until.Before(now.Add(lease)) || !o.others.IsZero() && o.others.Before(now) {
		return true
	}
	late := !now.Before(o.next)
	wait := late && something && !o.waited
	o.waited = o.waited || wait
	return late && !wait
}

// tellSQL returns what told says of the owner $1: a change of its slots by somebody else.
const tellSQL = `SELECT coalesce((SELECT told FROM {s}.owners WHERE id = $1::bigint), -1)`

// tell is the step that finds out whether somebody else has changed the slots.
func (s *Store) tell() step {
	return step{sql: tellSQL, args: []any{s.owns.id.Load()}, rows: one(new(bool), &s.owns.toldNow)}
}

// balance looks after the slots: it extends the lease of this process, takes over what a
// dead process owned, takes what is its own by now, and gives away what is another's.
func (s *Store) balance(ctx context.Context, c alotwebhook.ClaimRequest) (err error) {
	if !s.owns.due(c.Lease, s.lanes.haveWork()) {
		return nil
	}
	defer func() {
		if err != nil {
			s.owns.next = time.Time{} // a move may have been made: nothing is claimed before it is known
		}
	}()
	for range 3 { // each change may be overtaken by others
		owners, slots, err := s.readOwners(ctx, c.Lease)
		if err != nil {
			return err
		}
		p := planMoves(s.owns.id.Load(), owners, slots)
		if p.isEmpty() {
			return nil
		}
		if err := s.move(ctx, p, c); err != nil {
			return err
		}
	}
	_, _, err = s.readOwners(ctx, c.Lease) // what was given away is not to be claimed from
	return err
}

// readOwners extends the lease of this process so that it outlasts a claim's lease, and
// reads who owns what.
func (s *Store) readOwners(ctx context.Context, claimLease time.Duration) (owners []owner, slots []slot, err error) {
	o := &s.owns
	lease := claimLease + claimLease/8 + balanceInterval // so that claims need not extend it each time
	began := time.Now()
	id := o.id.Load()
	var found bool
	err = s.runPlain(ctx,
		step{sql: `UPDATE {s}.owners SET seen = clock_timestamp(), until = greatest(until, clock_timestamp() + $2::bigint * interval '1 microsecond')
			WHERE id = $1::bigint RETURNING id`, args: []any{id, lease.Microseconds()}, rows: one(&found, &id)},
		step{sql: `SELECT id, told, (extract(epoch FROM until - clock_timestamp()) * 1000000)::bigint,
			seen > clock_timestamp() - $1::bigint * interval '1 microsecond' FROM {s}.owners ORDER BY id`,
			args: []any{freshness.Microseconds()}, rows: func(rows pgx.Rows) (err error) {
				owners, err = pgx.CollectRows(rows, scanOwner)
				return err
			}},
		step{sql: `SELECT slot, owner, asked FROM {s}.slots ORDER BY slot`, rows: func(rows pgx.Rows) (err error) {
			slots, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v slot, err error) {
				err = row.Scan(&v.number, &v.owner, &v.asked)
				return v, err
			})
			return err
		}})
	if err != nil {
		return nil, nil, err
	}
	if !found {
		if err := s.join(ctx, lease); err != nil {
			return nil, nil, err
		}
		return s.readOwners(ctx, claimLease)
	}
	o.until, o.next, o.others, o.waited = began.Add(lease), began.Add(balanceInterval), time.Time{}, false
	for _, v := range owners {
		switch end := began.Add(v.rest); {
		case v.id == id:
			o.told, o.toldNow = v.told, v.told
		case o.others.IsZero() || end.Before(o.others):
			o.others = end
		}
	}
	s.lanes.own(slots, id)
	return owners, slots, nil
}

func scanOwner(row pgx.CollectableRow) (v owner, err error) {
	var rest int64
	err = row.Scan(&v.id, &v.told, &rest, &v.fresh)
	v.rest = time.Duration(rest) * time.Microsecond
	return v, err
}

// join makes this process an owner. If it was one, others have taken over its slots: what it
// holds is no longer its own.
func (s *Store) join(ctx context.Context, lease time.Duration) error {
	if s.owns.id.Load() != 0 {
		s.held.clear()
		s.lanes.own(nil, 0)
	}
	s.owns.id.Store(0)
	var id int64
	err := s.run(ctx, step{
		sql: `INSERT INTO {s}.owners (until, seen)
			VALUES (clock_timestamp() + $1::bigint * interval '1 microsecond', clock_timestamp()) RETURNING id`,
		args: []any{lease.Microseconds()},
		rows: one(new(bool), &id),
	})
	if err == nil {
		s.owns.id.Store(id)
	}
	return err
}

// moves are the slots that change hands.
type moves struct {
	me     int64
	dead   []int64 // owners whose lease has run out
	gone   []int64 // owners without a row: somebody has deleted it, or they have only just come
	slots  []int32
	from   []int64
	to     []int64
	asked  []int32 // own slots of which somebody wants to know what is under way
	leaves bool    // this process claims no more
}

func (m *moves) isEmpty() bool {
	return len(m.slots) == 0 && len(m.dead) == 0 && len(m.asked) == 0 && !m.leaves
}

// planMoves returns what this process has to move: what belongs to nobody or to a dead
// owner, and what it owns itself and another should own. A process that leaves moves
// everything of its own.
func planMoves(me int64, owners []owner, slots []slot) *moves {
	m := &moves{me: me}
	heirs := []int64{me}
	for _, o := range owners {
		switch {
		case o.id == me:
		case o.rest <= 0:
			m.dead = append(m.dead, o.id)
		case o.fresh:
			heirs = append(heirs, o.id)
		}
	}
	m.plan(heirs, owners, slots)
	return m
}

// planLeave returns the moves of a process that leaves.
func planLeave(me int64, owners []owner, slots []slot) *moves {
	m := &moves{me: me, leaves: true}
	var heirs []int64
	for _, o := range owners {
		if o.id != me && o.rest > 0 && o.fresh {
			heirs = append(heirs, o.id)
		}
	}
	m.plan(heirs, owners, slots)
	return m
}

func (m *moves) plan(heirs []int64, owners []owner, slots []slot) {
	known := map[int64]bool{}
	for _, o := range owners {
		known[o.id] = true
	}
	for _, v := range slots {
		if v.owner == m.me && v.asked {
			m.asked = append(m.asked, v.number)
		}
		if v.owner != 0 && !known[v.owner] {
			known[v.owner] = true
			m.gone = append(m.gone, v.owner)
		}
		mine := v.owner == m.me || v.owner == 0 || slices.Contains(m.dead, v.owner) || slices.Contains(m.gone, v.owner)
		if to := heir(v.number, heirs); mine && to != v.owner {
			m.slots, m.from, m.to = append(m.slots, v.number), append(m.from, v.owner), append(m.to, to)
		}
	}
}

// heir returns which of the owners a slot should have: all processes come to the same one
// (rendezvous hashing), and few slots move when one comes or goes. 0 if there are none.
func heir(number int32, owners []int64) (best int64) {
	var most uint64
	for _, id := range owners {
		h := fnv.New64a()
		var b [12]byte
		binary.BigEndian.PutUint32(b[:], uint32(number))
		binary.BigEndian.PutUint64(b[4:], uint64(id))
		_, _ = h.Write(b[:])
		weight := mix(h.Sum64())
		if best == 0 || weight > most || weight == most && id < best {
			best, most = id, weight
		}
	}
	return best
}

// mix spreads the bits of a hash whose inputs differ little (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// The locks of a move: first the owners, then the slots, each in order, so that processes wait
// for each other and do not deadlock. Locking an owner waits for its finishes under way.
const (
	// lockOwnersSQL returns which of the owners $1 are alive.
	lockOwnersSQL = `SELECT id FROM (SELECT id, until FROM {s}.owners WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE) AS o
		WHERE until > clock_timestamp()`
	lockSlotsSQL = `SELECT FROM {s}.slots WHERE slot = ANY ($1::int[]) ORDER BY slot FOR UPDATE`
	moveSQL      = `UPDATE {s}.slots s SET owner = m.new, asked = false
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS m (slot, old, new)
		WHERE s.slot = m.slot AND s.owner = m.old`
	answerSQL = `UPDATE {s}.slots SET asked = false WHERE slot = ANY ($1::int[]) AND owner = $2::bigint`
	noteSQL   = `UPDATE {s}.owners SET told = told + 1 WHERE id = ANY ($1::bigint[])`
	burySQL   = `DELETE FROM {s}.owners WHERE id = ANY ($1::bigint[])`
)

// writeSQL writes leases into the rows of deliveries that are under way: ids $1, tokens $2, the
// numbers of attempts that the rows must have $3, the rest of the leases in µs $4.
const writeSQL = `
UPDATE {s}.queue q
SET token = w.token, next_at = clock_timestamp() + w.rest * interval '1 microsecond'
FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::bigint[]) AS w (id, token, attempts, rest)
WHERE q.id = w.id AND q.token = 0 AND q.attempts = w.attempts`

func (w *writing) step() step {
	return step{sql: writeSQL, args: []any{w.ids, w.tokens, w.attempts, w.rest}}
}

// doubtSQL counts a claim of the deliveries that a dead process may have had under way. They
// are the first that are due in each lane, as many as a lane may have under way. So a delivery
// that kills whoever sends it is found. With more than mostDoubtful of them, some are counted
// when the next process dies.
//
//	$1  the slots of the dead process
//	$2  how many deliveries of an endpoint may be under way
//	$3  how many are counted at most
const doubtSQL = `
WITH RECURSIVE now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), firsts AS (
	(SELECT q.endpoint FROM {s}.queue q ORDER BY q.endpoint LIMIT 1)
	UNION ALL
	SELECT q.endpoint
	FROM firsts f
	CROSS JOIN LATERAL (
		SELECT q.endpoint FROM {s}.queue q WHERE q.endpoint > f.endpoint ORDER BY q.endpoint LIMIT 1
	) AS q
)
UPDATE {s}.queue SET claims = claims + 1
WHERE id = ANY (ARRAY(
	SELECT q.id
	FROM firsts f
	CROSS JOIN LATERAL (
		SELECT q.id, q.token FROM {s}.queue q
		WHERE q.endpoint = f.endpoint AND q.next_at <= (SELECT at FROM now)
		ORDER BY q.next_at, q.id
		LIMIT $2::int
	) AS q
	WHERE q.token = 0 AND (f.endpoint % 256)::int = ANY ($1::int[])
	LIMIT $3::int))`

// move makes the moves, all in one transaction.
func (s *Store) move(ctx context.Context, m *moves, c alotwebhook.ClaimRequest) error {
	gone := m.mine()
	var written writing
	err := s.within(ctx, func(conn *pgxpool.Conn) error {
		dead, err := s.lockForMove(ctx, conn, m)
		if err != nil {
			return err
		}
		steps := []step{}
		if slots := m.of(dead); len(slots) > 0 {
			steps = append(steps, step{sql: doubtSQL, args: []any{slots, int32(max(c.PerEndpoint, 1)), int32(mostDoubtful)}})
		}
		written = s.held.unwritten(func(endpoint int64) bool { return m.leaves || gone[int32(slotOf(endpoint))] })
		if len(written.ids) > 0 {
			steps = append(steps, written.step())
		}
		steps = append(steps,
			step{sql: moveSQL, args: []any{m.slots, m.from, m.to}},
			step{sql: answerSQL, args: []any{m.asked, m.me}},
			step{sql: noteSQL, args: []any{m.others(s.owns.id.Load())}})
		if m.leaves {
			dead = append(dead, m.me)
		}
		if len(dead) > 0 {
			steps = append(steps, step{sql: burySQL, args: []any{dead}})
		}
		return s.send(ctx, conn, append(steps, commit))
	})
	if err != nil {
		return err
	}
	s.held.wrote(written)
	s.lanes.distrust()
	if s.notifies {
		s.Notify() // those who were given slots
	}
	return nil
}

// lockForMove begins the transaction of a move, and returns which owners are dead indeed: one may
// have come, or extended its lease, since the list was read. The moves from the others are left
// out.
func (s *Store) lockForMove(ctx context.Context, conn *pgxpool.Conn, m *moves) (dead []int64, err error) {
	var alive []int64
	err = s.send(ctx, conn, join(begin, []step{
		{sql: lockOwnersSQL, args: []any{slices.Concat(m.others(m.me), m.dead, m.gone, []int64{m.me})}, rows: func(rows pgx.Rows) (err error) {
			alive, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		}},
		{sql: lockSlotsSQL, args: []any{m.slots}},
	}))
	isAlive := func(id int64) bool { return slices.Contains(alive, id) }
	dead = slices.DeleteFunc(slices.Clone(m.dead), isAlive)
	m.keep(slices.Concat(dead, slices.DeleteFunc(slices.Clone(m.gone), isAlive)))
	return dead, err
}

// keep drops the moves from owners that are neither dead nor gone nor this process.
func (m *moves) keep(dead []int64) {
	kept := moves{}
	for i, from := range m.from {
		if from == m.me || from == 0 || slices.Contains(dead, from) {
			kept.slots, kept.from, kept.to = append(kept.slots, m.slots[i]), append(kept.from, from), append(kept.to, m.to[i])
		}
	}
	m.slots, m.from, m.to = kept.slots, kept.from, kept.to
}

// mine returns the own slots that are given away or asked for.
func (m *moves) mine() map[int32]bool {
	slots := map[int32]bool{}
	for i, from := range m.from {
		if from == m.me {
			slots[m.slots[i]] = true
		}
	}
	for _, number := range m.asked {
		slots[number] = true
	}
	return slots
}

// of returns the slots that come from these owners.
func (m *moves) of(owners []int64) (slots []int32) {
	for i, from := range m.from {
		if slices.Contains(owners, from) {
			slots = append(slots, m.slots[i])
		}
	}
	return slots
}

// others returns the owners to whom slots are given, but for me.
func (m *moves) others(me int64) (ids []int64) {
	for _, to := range m.to {
		if to != me && to != 0 && !slices.Contains(ids, to) {
			ids = append(ids, to)
		}
	}
	return ids
}

// leave gives away all slots: this process claims no more for now.
func (s *Store) leave(ctx context.Context, c alotwebhook.ClaimRequest) error {
	if s.owns.id.Load() == 0 {
		return nil
	}
	owners, slots, err := s.readOwners(ctx, c.Lease)
	if err != nil {
		return err
	}
	me := s.owns.id.Load()
	if err := s.move(ctx, planLeave(me, owners, slots), c); err != nil {
		return err
	}
	s.owns.id.Store(0)
	s.lanes.own(nil, 0)
	return nil
}

// askPatience is how long whoever needs to know what is under way in another process waits
// for its answer.
const askPatience = 2 * time.Second

// writeHeld sees to it that the leases of what is under way of an endpoint stand in the rows:
// by this process's own knowledge, and by that of the slot's owner. It returns false if that one
// has not answered.
func (s *Store) writeHeld(ctx context.Context, endpoint int64) (answered bool, err error) {
	w := s.held.unwritten(func(key int64) bool { return key == endpoint })
	if len(w.ids) > 0 {
		// The lock waits for finishes under way.
		if err := s.run(ctx, step{sql: lockOwnersSQL, args: []any{[]int64{s.owns.id.Load()}}}, w.step()); err != nil {
			return false, err
		}
		s.held.wrote(w)
	}
	return s.askOwner(ctx, endpoint)
}

// askSQL asks the process that owns the slot $1, if it is alive and not the process $2.
const askSQL = `
WITH asked AS (
	UPDATE {s}.slots SET asked = true
	WHERE slot = $1::int AND owner <> $2::bigint AND owner IN (SELECT id FROM {s}.owners WHERE until > clock_timestamp())
	RETURNING owner
)
UPDATE {s}.owners SET told = told + 1 WHERE id IN (SELECT owner FROM asked) RETURNING true`

// askOwner asks another process that owns the endpoint's slot to write its leases, and waits
// until it has. It answers with its next claim.
func (s *Store) askOwner(ctx context.Context, endpoint int64) (answered bool, err error) {
	number := int32(slotOf(endpoint))
	var asked bool
	err = s.run(ctx, step{sql: askSQL, args: []any{number, s.owns.id.Load()}, rows: one(new(bool), &asked)})
	if err == nil && asked && s.notifies {
		s.Notify()
	}
	for began := time.Now(); err == nil && asked && time.Since(began) < askPatience; {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		err = s.run(ctx, step{
			sql:  `SELECT asked FROM {s}.slots WHERE slot = $1::int`,
			args: []any{number},
			rows: one(new(bool), &asked),
		})
	}
	return !asked, err
}
