package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// Redeliver implements [alotwebhook.Queue].
func (s *Store) Redeliver(ctx context.Context, deliveryIDs []string) (n int, err error) {
	n, err = inParts(ctx, deliveryIDs, s.redeliver)
	return n, s.explain("redeliver", err)
}

// inParts calls change with the ids of deliveries that are well formed, each once, up to chunkEvents
// at a time, and returns the sum of the results. All calls take the ids in one order, so that they
// wait for each other and do not deadlock.
func inParts(ctx context.Context, deliveryIDs []string, change func(context.Context, []pgtype.UUID) (int, error)) (n int, err error) {
	ids := decodeIDs(deliveryPrefix, deliveryIDs)
	if len(ids) == 0 {
		return 0, ctx.Err()
	}
	slices.SortFunc(ids, func(a, b pgtype.UUID) int { return slices.Compare(a.Bytes[:], b.Bytes[:]) })
	for part := range slices.Chunk(slices.Compact(ids), chunkEvents) {
		changed, err := change(ctx, part)
		n += changed
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// redeliver makes the deliveries with these ids ($1) due now. It moves finished
// ones from the history back into the queue, and their last attempt to the earlier
// ones. It brings forward the due times of those that wait for their next attempt.
// It leaves alone those whose endpoint or payload is gone.
//
// Before, it locks their events, so that none of them is erased meanwhile: Erase would miss the attempts
// that are moved.
//
// A canceled one may still be under way. Under the token -1, which no claim has, the outcome of
// that does not count, and whoever claims it next writes the lease into the row: see held.standing.
func (s *Store) redeliver(ctx context.Context, ids []pgtype.UUID) (n int, err error) {
	defer s.lanes.distrust()
	var found bool
	err = s.run(ctx, prune, step{sql: lockEventsSQL, args: []any{ids}}, step{
		sql: `
			WITH back AS (
				DELETE FROM {s}.deliveries d
				WHERE d.id = ANY ($1::uuid[])
					AND EXISTS (SELECT FROM {s}.endpoints p WHERE p.key = abs(d.endpoint) AND p.deleted_at IS NULL)
					AND EXISTS (SELECT FROM {s}.events e WHERE e.id = d.event_id AND e.payload IS NOT NULL)
				RETURNING d.*
			), kept AS (
				INSERT INTO {s}.attempts (delivery_id, number, started_at, duration_ns, status_code, reason, detail, response_body, url)
				SELECT id, number, started_at, duration_ns, status_code, reason, detail, response_body, url
				FROM back
				WHERE number <> 0
			), queued AS (
				INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at, attempts, tried, token, claims)
				SELECT id, endpoint, event_id, event_type, (SELECT clock_timestamp()), attempts, attempts, c.once, c.once
				FROM back
				CROSS JOIN LATERAL (SELECT CASE WHEN number = 0 AND reason = $2::text THEN -1 ELSE 0 END) AS c (once)
			), forgotten AS (
				DELETE FROM {s}.firsts f USING back WHERE f.endpoint = back.endpoint AND f.delivery = back.id
			), sooner AS (
				UPDATE {s}.queue q
				SET next_at = clock_timestamp()
				FROM {s}.endpoints p
				WHERE q.id = ANY ($1::uuid[]) AND q.token = 0 AND q.next_at > clock_timestamp()
					AND p.key = abs(q.endpoint) AND p.deleted_at IS NULL
					AND EXISTS (SELECT FROM {s}.events e WHERE e.id = q.event_id AND e.payload IS NOT NULL)
				RETURNING q.id
			)
			SELECT ((SELECT count(*) FROM back) + (SELECT count(*) FROM sooner))::int`,
		args: []any{ids, string(alotwebhook.ReasonCanceled)},
		rows: one(&found, &n),
	})
	return n, err
}

// lockEventsSQL locks the events of the deliveries $1, all processes in the same order, until the
// transaction ends.
const lockEventsSQL = `
SELECT FROM (
	SELECT event_id FROM {s}.deliveries WHERE id = ANY ($1::uuid[])
	UNION
	SELECT event_id FROM {s}.queue WHERE id = ANY ($1::uuid[])
	ORDER BY event_id
) AS d
CROSS JOIN LATERAL (SELECT FROM {s}.events e WHERE e.id = d.event_id FOR SHARE) AS e`
