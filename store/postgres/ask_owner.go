package postgres

import (
	"context"
	"maps"
	"slices"
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

// askSQL asks the processes that own the slots $1, as far as they are alive and not the process $2.
const askSQL = `
WITH asked AS (
	UPDATE {s}.slots SET asked = true
	WHERE slot = ANY ($1::int[]) AND owner <> $2::bigint AND owner IN (SELECT id FROM {s}.owners WHERE until > clock_timestamp())
	RETURNING owner
)
UPDATE {s}.owners SET told = told + 1 WHERE id IN (SELECT owner FROM asked) RETURNING true`

// tellOwners has other processes that own these slots look again at what they have under way there.
// It does not wait for them. One that is not told finds out by itself, a little later.
func (s *Store) tellOwners(ctx context.Context, slots map[int32]bool) {
	if len(slots) == 0 {
		return
	}
	var told bool
	_ = s.run(ctx, step{sql: askSQL, args: []any{slices.Sorted(maps.Keys(slots)), s.owns.id.Load()}, rows: one(&told, &told)})
	if told && s.notifies {
		s.Notify()
	}
}

// askOwner asks another process that owns the endpoint's slot to write its leases, and waits
// until it has. It answers with its next claim.
func (s *Store) askOwner(ctx context.Context, endpoint int64) (answered bool, err error) {
	number := int32(slotOf(endpoint))
	var asked bool
	err = s.run(ctx, step{sql: askSQL, args: []any{[]int32{number}, s.owns.id.Load()}, rows: one(new(bool), &asked)})
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
