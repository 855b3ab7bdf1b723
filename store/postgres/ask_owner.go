package postgres

import (
	"context"
	"time"
)

// askPatience bounds the wait for another process to tell what it has under way.
const askPatience = 2 * time.Second

// writeHeld has the leases of an endpoint's deliveries that are under way written into their rows:
// it writes those of this process, and asks the owner of the slot to write its own. It returns
// false if the owner has not done so in time.
func (s *Store) writeHeld(ctx context.Context, endpoint int64) (answered bool, err error) {
	w := s.held.unwritten(func(key int64) bool { return key == endpoint })
	if len(w.ids) > 0 {
		// The lock waits for finishes under way.
		lock := step{sql: lockOwnersSQL, args: []any{[]int64{s.owns.id.Load()}}}
		if err := s.run(ctx, append([]step{lock}, w.steps()...)...); err != nil {
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
