package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// A move locks first the owners, then the slots, each in order, so that processes wait for each
// other and do not deadlock. The lock on an owner waits for the owner's finishes under way.
const (
	// lockOwnersSQL returns which of the owners $1 are alive.
	lockOwnersSQL = `SELECT id FROM (SELECT id, until FROM {s}.owners WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE) AS o
		WHERE until > clock_timestamp()`
	lockSlotsSQL = `SELECT FROM {s}.slots WHERE slot = ANY ($1::int[]) ORDER BY slot FOR UPDATE`
	// moveSQL moves the slots $1 from the owners $2 to the owners $3.
	moveSQL = `UPDATE {s}.slots s SET owner = m.new, asked = false
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS m (slot, old, new)
		WHERE s.slot = m.slot AND s.owner = m.old`
	// answerSQL notes that the owner $2 has answered what it was asked about the slots $1.
	answerSQL = `UPDATE {s}.slots SET asked = false WHERE slot = ANY ($1::int[]) AND owner = $2::bigint`
	// noteSQL tells the owners $1 that their slots have changed.
	noteSQL = `UPDATE {s}.owners SET told = told + 1 WHERE id = ANY ($1::bigint[])`
	// burySQL removes the owners $1.
	burySQL = `DELETE FROM {s}.owners WHERE id = ANY ($1::bigint[])`
)

// mostDoubtful bounds how many deliveries of a dead process count as claimed.
const mostDoubtful = 10_000

// doubtSQL counts a claim of the deliveries that a dead process may have had under way. They
// are the first that are due in each lane, as many as a lane may have under way. It counts one
// claim of each at most: from then on its claims are written, and counted by that. So a delivery
// that kills whoever sends it is found, and none is taken for it that was only near. With more
// than mostDoubtful of them, some are counted when the next process dies.
//
//	$1  the slots of the dead process
//	$2  how many deliveries of an endpoint may be under way
//	$3  how many are counted at most
var doubtSQL = `
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
UPDATE {s}.queue SET claims = 1
WHERE id = ANY (` + lockable(`ARRAY(
	SELECT q.id
	FROM firsts f
	JOIN {s}.endpoints p ON p.key = abs(f.endpoint) AND (NOT p.ordered OR f.endpoint < 0) -- the others have doubtOrderedSQL
	CROSS JOIN LATERAL (
		SELECT q.id, q.token, q.claims FROM {s}.queue q
		WHERE q.endpoint = f.endpoint AND q.next_at <= (SELECT at FROM now)
		ORDER BY q.next_at, q.id
		LIMIT $2::int
	) AS q
	WHERE q.token = 0 AND q.claims = 0 AND (abs(f.endpoint) % 256)::int = ANY ($1::int[])
	LIMIT $3::int)`) + `)`

// doubt returns the statements that count the claims of a dead process with these slots.
func doubt(slots []int32, perEndpoint int) []step {
	return []step{
		{sql: doubtSQL, args: []any{slots, int32(max(perEndpoint, 1)), int32(mostDoubtful)}},
		{sql: doubtOrderedSQL, args: []any{slots}},
	}
}

// move makes the moves, all in one transaction. It also writes the leases of what this process
// has under way in the slots that it gives away, or is asked about, into their rows: from then on
// these deliveries need no owner.
func (s *Store) move(ctx context.Context, m *moves, c alotwebhook.ClaimRequest) error {
	gone := m.mine()
	var written writing
	err := s.within(ctx, func(conn *pgxpool.Conn) error {
		dead, err := s.lockForMove(ctx, conn, m)
		if err != nil {
			return err
		}
		var steps []step
		if slots := m.of(dead); len(slots) > 0 {
			steps = doubt(slots, c.PerEndpoint)
		}
		written = s.held.unwritten(func(endpoint int64) bool { return m.leaves || gone[int32(slotOf(endpoint))] })
		if len(written.ids) > 0 {
			steps = append(steps, written.steps()...)
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
