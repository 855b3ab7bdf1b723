package postgres

import (
	"context"
	"time"
)

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
