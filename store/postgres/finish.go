package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// finishSQL takes ended deliveries out of the queue and into the history. With
// $11, when all have succeeded, it also clears failing_since where it is not clear.
// It returns how many were taken, and which ones only if that is of interest:
// not with $11 when it is all of them.
const finishSQL = `
WITH o AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::int[], $5::timestamptz[], $6::bigint[],
		$7::int[], $8::text[], $9::text[], $10::text[])
		AS o (id, lease, delivered, number, started_at, duration_ns, status_code, reason, detail, response_body)
), ended AS (
	DELETE FROM {s}.queue q
	USING o
	WHERE q.id = o.id AND q.lease = o.lease
	RETURNING q.id, q.endpoint, q.event_id, q.event_type, q.attempts,
		o.delivered, o.number, o.started_at, o.duration_ns, o.status_code, o.reason, o.detail, o.response_body
), kept AS (
	INSERT INTO {s}.deliveries (id, endpoint, event_id, event_type, finished_at, attempts, delivered,
		number, started_at, duration_ns, status_code, reason, detail, response_body)
	SELECT id, endpoint, event_id, event_type, clock_timestamp(), attempts + (number <> 0)::int, delivered,
		number, started_at, duration_ns, status_code, reason, detail, response_body
	FROM ended
), healed AS (
	UPDATE {s}.endpoints
	SET failing_since = NULL, revision = revision + 1
	WHERE $11::boolean AND failing_since IS NOT NULL
		AND key = ANY (ARRAY(SELECT DISTINCT endpoint FROM ended WHERE delivered AND number <> 0))
)
SELECT NULL::uuid, count(*) FROM ended
UNION ALL
SELECT id, endpoint FROM ended WHERE NOT $11::boolean OR (SELECT count(*) FROM ended) <> cardinality($1::uuid[])`

// retrySQL gives unfinished deliveries back to the queue and keeps the attempts.
const retrySQL = `
WITH o AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::timestamptz[], $6::bigint[],
		$7::int[], $8::text[], $9::text[], $10::text[])
		AS o (id, lease, next_in_us, number, started_at, duration_ns, status_code, reason, detail, response_body)
), again AS (
	UPDATE {s}.queue q
	SET next_at = clock_timestamp() + o.next_in_us * interval '1 microsecond', lease = 0, claims = 0,
		attempts = q.attempts + (o.number <> 0)::int
	FROM o
	WHERE q.id = o.id AND q.lease = o.lease
	RETURNING q.id, q.endpoint, o.number, o.started_at, o.duration_ns, o.status_code, o.reason, o.detail, o.response_body
), kept AS (
	INSERT INTO {s}.attempts (delivery_id, number, started_at, duration_ns, status_code, reason, detail, response_body)
	SELECT id, number, started_at, duration_ns, status_code, reason, detail, response_body
	FROM again
	WHERE number <> 0
)
SELECT id, endpoint FROM again`

// Finish implements [alotwebhook.Queue]: one statement for what has ended, one
// for what is to be tried again, in one round trip; one more when something failed.
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if len(outcomes) == 0 {
		return nil, ctx.Err()
	}
	f := sortOutcomes(outcomes)
	err = s.within(ctx, func(conn *pgxpool.Conn) error {
		clear(f.endpoints)
		steps := join(begin, f.steps())
		if !f.failures {
			return s.send(ctx, conn, append(steps, commit))
		}
		if err := s.send(ctx, conn, steps); err != nil {
			return err
		}
		return s.send(ctx, conn, []step{f.ailing(), commit})
	})
	if err != nil {
		return nil, s.explain("record outcomes", err)
	}
	s.noteRetries(f)
	return f.lost(), nil
}

// finishing is the work of one Finish.
type finishing struct {
	outcomes     []alotwebhook.Outcome
	ids          []uuid // of the outcomes; zero for one that cannot count
	ended, again outcomeArgs
	failures     bool
	endpoints    map[uuid]int64 // the endpoint of what was not lost, or 0 if nothing depends on it
}

// outcomeArgs are the columns of finishSQL and retrySQL.
type outcomeArgs struct {
	ids                        []pgtype.UUID
	leases                     []int64
	delivered                  []bool  // of what has ended
	nextIn                     []int64 // of what has not
	numbers                    []int32
	started                    []*time.Time
	durations                  []int64
	codes                      []int32
	reasons, details, response []string
}

func sortOutcomes(outcomes []alotwebhook.Outcome) *finishing {
	f := &finishing{outcomes: outcomes, ids: make([]uuid, len(outcomes)), endpoints: make(map[uuid]int64, len(outcomes))}
	seen := make(map[uuid]bool, len(outcomes))
	for i, o := range outcomes {
		id, ok := decodeID(deliveryPrefix, o.DeliveryID)
		if !ok || o.Token == 0 || seen[id] {
			continue
		}
		f.ids[i], seen[id] = id, true
		f.failures = f.failures || o.Attempt.Number != 0 && o.State != alotwebhook.StateDelivered
		if o.State == alotwebhook.StatePending {
			f.again.add(id, o)
			f.again.nextIn = append(f.again.nextIn, max(o.NextAttemptIn.Microseconds(), 0))
		} else {
			f.ended.add(id, o)
			f.ended.delivered = append(f.ended.delivered, o.State == alotwebhook.StateDelivered)
		}
	}
	return f
}

func (a *outcomeArgs) add(id uuid, o alotwebhook.Outcome) {
	a.ids = append(a.ids, param(id))
	a.leases = append(a.leases, o.Token)
	a.numbers = append(a.numbers, int32(o.Attempt.Number))
	a.started = append(a.started, nullable(o.Attempt.StartedAt))
	a.durations = append(a.durations, int64(o.Attempt.Duration))
	a.codes = append(a.codes, int32(o.Attempt.StatusCode))
	a.reasons = append(a.reasons, string(o.Attempt.Reason))
	a.details = append(a.details, o.Attempt.Detail)
	a.response = append(a.response, o.Attempt.ResponseBody)
}

// args returns the columns; third is the one that differs.
func (a *outcomeArgs) args(third any) []any {
	return []any{a.ids, a.leases, third, a.numbers, a.started, a.durations, a.codes, a.reasons, a.details, a.response}
}

func (f *finishing) steps() (steps []step) {
	if a := &f.ended; len(a.ids) > 0 {
		steps = append(steps, step{sql: finishSQL, args: append(a.args(a.delivered), !f.failures), rows: f.noteEnded})
	}
	if a := &f.again; len(a.ids) > 0 {
		steps = append(steps, step{sql: retrySQL, args: a.args(a.nextIn), rows: f.note})
	}
	return steps
}

// noteEnded is note for what finishSQL returns.
func (f *finishing) noteEnded(rows pgx.Rows) error {
	var none *uuid
	var taken int
	if !rows.Next() {
		return rows.Err()
	}
	if err := rows.Scan(&none, &taken); err != nil {
		return err
	}
	if taken == len(f.ended.ids) {
		for _, id := range f.ended.ids {
			f.endpoints[id.Bytes] = 0 // replaced below if it is of interest
		}
	}
	return f.note(rows)
}

// note remembers which outcomes counted, and for which endpoint.
func (f *finishing) note(rows pgx.Rows) error {
	for rows.Next() {
		var id uuid
		var endpoint int64
		if err := rows.Scan(&id, &endpoint); err != nil {
			return err
		}
		f.endpoints[id] = endpoint
	}
	return rows.Err()
}

// lost returns the deliveries whose outcomes changed nothing.
func (f *finishing) lost() (lost []string) {
	for i, o := range f.outcomes {
		if _, ok := f.endpoints[f.ids[i]]; !ok {
			lost = append(lost, o.DeliveryID)
		}
	}
	return lost
}

// ailing updates failing_since as the outcomes say, one after the other.
func (f *finishing) ailing() step {
	type health struct {
		cleared bool
		since   *time.Time
	}
	of := map[int64]health{}
	for i, o := range f.outcomes {
		key, ok := f.endpoints[f.ids[i]]
		switch h := of[key]; {
		case !ok || o.Attempt.Number == 0:
		case o.State == alotwebhook.StateDelivered:
			of[key] = health{cleared: true}
		case h.since == nil:
			h.since = nullable(o.Attempt.StartedAt)
			of[key] = h
		}
	}
	keys := slices.Sorted(maps.Keys(of)) // whoever finishes at the same time then waits, and does not deadlock
	cleared := make([]bool, len(keys))
	since := make([]*time.Time, len(keys))
	for i, key := range keys {
		cleared[i], since[i] = of[key].cleared, of[key].since
	}
	return step{
		sql: `
			WITH f AS MATERIALIZED (
				SELECT p.key, CASE WHEN f.cleared THEN f.since ELSE coalesce(p.failing_since, f.since) END AS since
				FROM unnest($1::bigint[], $2::boolean[], $3::timestamptz[]) AS f (key, cleared, since)
				JOIN {s}.endpoints p ON p.key = f.key
				ORDER BY p.key
				FOR NO KEY UPDATE OF p
			)
			UPDATE {s}.endpoints p
			SET failing_since = f.since, revision = revision + 1
			FROM f
			WHERE p.key = f.key AND p.failing_since IS DISTINCT FROM f.since`,
		args: []any{keys, cleared, since},
	}
}

// noteRetries tells the lanes what falls due again, and when.
func (s *Store) noteRetries(f *finishing) {
	now := time.Now()
	for i, o := range f.outcomes {
		if key, ok := f.endpoints[f.ids[i]]; ok && o.State == alotwebhook.StatePending {
			s.lanes.later(key, now.Add(max(o.NextAttemptIn, 0)))
		}
	}
}

// Redeliver implements [alotwebhook.Queue].
func (s *Store) Redeliver(ctx context.Context, deliveryIDs []string) (n int, err error) {
	ids := decodeIDs(deliveryPrefix, deliveryIDs)
	if len(ids) == 0 {
		return 0, ctx.Err()
	}
	slices.SortFunc(ids, func(a, b pgtype.UUID) int { return slices.Compare(a.Bytes[:], b.Bytes[:]) })
	for part := range slices.Chunk(slices.Compact(ids), chunkEvents) {
		moved, err := s.redeliver(ctx, part)
		n += moved
		if err != nil {
			return n, s.explain("redeliver", err)
		}
	}
	return n, nil
}

// redeliver brings finished deliveries back into the queue, their last attempt
// among the earlier ones, and waiting ones forward.
func (s *Store) redeliver(ctx context.Context, ids []pgtype.UUID) (n int, err error) {
	defer s.lanes.distrust()
	var found bool
	err = s.run(ctx, prune, step{
		sql: `
			WITH back AS (
				DELETE FROM {s}.deliveries d
				WHERE d.id = ANY ($1::uuid[])
					AND EXISTS (SELECT FROM {s}.endpoints p WHERE p.key = d.endpoint AND p.deleted_at IS NULL)
					AND EXISTS (SELECT FROM {s}.events e WHERE e.id = d.event_id AND e.payload IS NOT NULL)
				RETURNING d.*
			), kept AS (
				INSERT INTO {s}.attempts (delivery_id, number, started_at, duration_ns, status_code, reason, detail, response_body)
				SELECT id, number, started_at, duration_ns, status_code, reason, detail, response_body
				FROM back
				WHERE number <> 0
			), queued AS (
				INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at, attempts, tried)
				SELECT id, endpoint, event_id, event_type, clock_timestamp(), attempts, attempts
				FROM back
			), sooner AS (
				UPDATE {s}.queue q
				SET next_at = clock_timestamp()
				FROM {s}.endpoints p
				WHERE q.id = ANY ($1::uuid[]) AND q.lease = 0 AND q.next_at > clock_timestamp()
					AND p.key = q.endpoint AND p.deleted_at IS NULL
					AND EXISTS (SELECT FROM {s}.events e WHERE e.id = q.event_id AND e.payload IS NOT NULL)
				RETURNING q.id
			)
			SELECT ((SELECT count(*) FROM back) + (SELECT count(*) FROM sooner))::int`,
		args: []any{ids},
		rows: one(&found, &n),
	})
	return n, err
}
