package postgres

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// failSQL moves unfinished deliveries of one lane of an endpoint from the queue into the history, as
// failed and without an attempt, those that fell due first before others. It moves none
// unless the endpoint meets the condition %s at that moment: its row is locked until the
// transaction ends, so that nobody enables it meanwhile.
//
//	$1  the lane
//	$2  how many deliveries it moves at most
//	$3  the reason
//	$4  none that falls due later is moved
//	$5  none of this id or a greater one is moved
//	$6  whether another process may have deliveries under way that were due before the endpoint was
//	    disabled
const failSQL = `
	WITH owner AS MATERIALIZED (
		SELECT p.key, p.deleted_at, p.disabled_at FROM {s}.endpoints p WHERE p.key = abs($1::bigint) AND %s FOR SHARE
	), gone AS (
		DELETE FROM {s}.queue
		WHERE id = ANY (ARRAY(
			SELECT q.id FROM {s}.queue q
			WHERE q.endpoint = (SELECT $1::bigint FROM owner) AND q.next_at <= $4::timestamptz AND q.id < $5::uuid
				AND (NOT $6::boolean OR q.next_at > (SELECT disabled_at FROM owner)) AND (%s)
			ORDER BY q.next_at, q.id LIMIT $2::int FOR UPDATE SKIP LOCKED))
		RETURNING *
	), kept AS (
		INSERT INTO {s}.deliveries (id, endpoint, event_id, event_type, finished_at, attempts, delivered, reason)
		SELECT g.id, g.endpoint, g.event_id, g.event_type, coalesce(o.deleted_at, clock_timestamp()), g.attempts, false, $3::text
		FROM gone g CROSS JOIN owner o
	)
	SELECT count(*)::int FROM gone`

var (
	failDeletedSQL = fmt.Sprintf(failSQL, "p.deleted_at IS NOT NULL", "true")
	// The attempt of a delivery whose lease has not run out may be under way.
	failParkedSQL = fmt.Sprintf(failSQL, "p.deleted_at IS NULL AND p.disabled AND coalesce(p.disabled_at, 'infinity') <= $4::timestamptz",
		"q.token = 0 OR q.next_at <= clock_timestamp()")
)

var (
	everyTime = pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	everyID   = uuid(bytes.Repeat([]byte{0xff}, 16))
)

const (
	// failAtOnce is how many deliveries one transaction fails at most.
	failAtOnce = 1000
	// failChunks is how many of these transactions DeleteEndpoint itself makes.
	failChunks = 10
)

// fail executes failDeletedSQL or failParkedSQL and returns how many deliveries it moved.
func (s *Store) fail(ctx context.Context, sql string, key int64, limit int, reason alotwebhook.FailureReason, until any, before uuid, doubtful bool) (n int, err error) {
	err = s.run(ctx, step{
		sql:  sql,
		args: []any{key, int32(max(min(limit, math.MaxInt32), 0)), string(reason), until, param(before), doubtful},
		rows: one(new(bool), &n),
	})
	return n, err
}

// failDeleted fails up to failAtOnce unfinished deliveries of a deleted endpoint.
func (s *Store) failDeleted(ctx context.Context, key int64) (n int, err error) {
	return s.fail(ctx, failDeletedSQL, key, failAtOnce, alotwebhook.ReasonEndpointDeleted, everyTime, everyID, false)
}

// failParked fails parked deliveries. First it has the leases of those that are under way written
// into their rows. If the process that owns the slot does not do so, failParked leaves alone all
// that it may have under way.
func (s *Store) failParked(ctx context.Context, key int64, limit int, reason alotwebhook.FailureReason, until any, before uuid) (int, error) {
	answered, err := s.writeHeld(ctx, key)
	if err != nil {
		return 0, err
	}
	return s.fail(ctx, failParkedSQL, key, limit, reason, until, before, !answered)
}

// Discard implements [alotwebhook.Endpoints].
func (s *Store) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (n int, err error) {
	var found bool
	var key int64
	err = s.read(ctx, step{
		sql:  `SELECT key FROM {s}.endpoints WHERE id = $1::text AND deleted_at IS NULL`,
		args: []any{endpointID},
		rows: one(&found, &key),
	})
	switch {
	case err == nil && !found:
		return 0, fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, endpointID)
	case err == nil:
		n, err = s.failParked(ctx, key, limit, alotwebhook.ReasonDiscarded, everyTime, firstOf(before))
	}
	return n, s.explain("discard what is parked", err)
}

// expire fails deliveries that fell due at until or before, and whose endpoints were
// disabled by then, up to limit.
func (s *Store) expire(ctx context.Context, until time.Time, limit int) (n int, err error) {
	s.expiring.Lock()
	defer s.expiring.Unlock()
	if len(s.expiring.keys) == 0 {
		if err := s.keepDisabledAt(ctx); err != nil {
			return 0, err
		}
		if s.expiring.keys, err = s.expirable(ctx, until, limit); err != nil {
			return 0, err
		}
	}
	for n < limit && len(s.expiring.keys) > 0 {
		most := min(limit-n, failAtOnce)
		moved, err := s.failParked(ctx, s.expiring.keys[0], most, alotwebhook.ReasonExpired, until, everyID)
		if err != nil {
			return n, err
		}
		if n += moved; moved < most {
			s.expiring.keys = s.expiring.keys[1:]
		}
	}
	return n, nil
}

// keepDisabledAt mends disabled_at where a process of an older release has disabled or
// enabled an endpoint, since that knows nothing of the column.
func (s *Store) keepDisabledAt(ctx context.Context) error {
	return s.run(ctx, step{sql: `
		UPDATE {s}.endpoints SET disabled_at = CASE WHEN disabled THEN clock_timestamp() END
		WHERE (disabled OR disabled_at IS NOT NULL) AND deleted_at IS NULL AND disabled <> (disabled_at IS NOT NULL)`})
}

// expirable returns the keys of up to limit endpoints that were disabled at until ($1) or
// before and have a delivery that fell due by then. It probes the queue once for each
// endpoint that was disabled so long ago. So expire remembers what it found: to fail a
// million deliveries takes a thousand calls.
func (s *Store) expirable(ctx context.Context, until time.Time, limit int) (keys []int64, err error) {
	err = s.read(ctx, step{
		sql: `
			SELECT p.key FROM {s}.endpoints p
			CROSS JOIN LATERAL (
				SELECT FROM {s}.queue q WHERE q.endpoint = p.key AND q.next_at <= $1::timestamptz LIMIT 1
			) AS q
			WHERE p.disabled AND p.deleted_at IS NULL AND p.disabled_at <= $1::timestamptz
			LIMIT $2::bigint`,
		args: []any{until, int64(limit)},
		rows: func(rows pgx.Rows) (err error) {
			keys, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		},
	})
	return keys, err
}
