package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// cancelSQL moves unfinished deliveries from the queue into the history, as failed and without an
// attempt. Those of deleted endpoints have failed already. An attempt may be under way: whoever
// makes it does not find the row any more.
//
//	$1  ids of the deliveries
//	$2  the reason
//
// It returns the id of each, and the slot of its endpoint if that is ordered.
const cancelSQL = `
WITH these AS MATERIALIZED (
	SELECT q.id, CASE WHEN p.ordered THEN (p.key % 256)::int END AS slot
	FROM {s}.queue q
	JOIN {s}.endpoints p ON p.key = q.endpoint AND p.deleted_at IS NULL
	WHERE q.id = ANY ($1::uuid[])
	ORDER BY q.id
	FOR UPDATE OF q
), gone AS (
	DELETE FROM {s}.queue WHERE id = ANY (ARRAY(SELECT id FROM these)) RETURNING *
), kept AS (
	INSERT INTO {s}.deliveries (id, endpoint, event_id, event_type, finished_at, attempts, delivered, reason)
	SELECT id, endpoint, event_id, event_type, clock_timestamp(), attempts, false, $2::text FROM gone
)
SELECT id, slot FROM these`

// Cancel implements [alotwebhook.Queue].
func (s *Store) Cancel(ctx context.Context, deliveryIDs []string) (n int, err error) {
	n, err = inParts(ctx, deliveryIDs, failAtOnce, s.cancel)
	return n, s.explain("cancel", err)
}

// cancel cancels the deliveries with these ids. This process holds them no longer then. Another
// that has one under way finds out with its outcome, which is soon enough: nothing waits for it but
// what comes after it at an ordered endpoint, and there the owner of the slot is told.
func (s *Store) cancel(ctx context.Context, ids []pgtype.UUID) (int, error) {
	var canceled []uuid
	ordered := map[int32]bool{}
	err := s.run(ctx, step{sql: cancelSQL, args: []any{ids, string(alotwebhook.ReasonCanceled)}, rows: func(rows pgx.Rows) error {
		canceled = canceled[:0]
		var id uuid
		var slot *int32
		_, err := pgx.ForEachRow(rows, []any{&id, &slot}, func() error {
			if canceled = append(canceled, id); slot != nil {
				ordered[*slot] = true
			}
			return nil
		})
		return err
	}})
	if err != nil {
		return 0, err
	}
	s.held.cancel(canceled)
	s.lanes.distrust()
	s.tellOwners(ctx, ordered)
	return len(canceled), nil
}
