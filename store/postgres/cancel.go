package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// cancelSQL returns the statement that moves unfinished deliveries from the queue into the history, as
// failed with the reason $2 and without an attempt. these is an array of their ids, made of $1. Those of
// deleted endpoints have failed already.
func cancelSQL(these string) string {
	return `
WITH these AS MATERIALIZED (
	SELECT q.id
	FROM {s}.queue q
	JOIN {s}.endpoints p ON p.key = abs(q.endpoint) AND p.deleted_at IS NULL
	WHERE q.id = ANY (` + these + `)
	ORDER BY q.id
	FOR UPDATE OF q
), gone AS (
	DELETE FROM {s}.queue WHERE id = ANY (ARRAY(SELECT id FROM these)) RETURNING *
), kept AS (
	INSERT INTO {s}.deliveries (id, endpoint, event_id, event_type, finished_at, attempts, delivered, reason)
	SELECT id, endpoint, event_id, event_type, clock_timestamp(), attempts, false, $2::text FROM gone
)
SELECT count(*)::int FROM gone`
}

var cancelTheseSQL = cancelSQL(`$1::uuid[]`)

// Cancel implements [alotwebhook.Queue]. Whichever process has a delivery under way does not find its
// row any more when it is to record the outcome. Until then, or until the lease runs out, that
// process holds the delivery still, so that an ordered endpoint gets the next one after that attempt.
func (s *Store) Cancel(ctx context.Context, deliveryIDs []string) (n int, err error) {
	defer s.lanes.distrust()
	n, err = inParts(ctx, deliveryIDs, func(ctx context.Context, ids []pgtype.UUID) (n int, err error) {
		err = givingWay(func() error {
			return s.run(ctx, giveWay, step{sql: cancelTheseSQL, args: []any{ids, string(alotwebhook.ReasonCanceled)}, rows: one(new(bool), &n)})
		})
		return n, err
	})
	return n, s.explain("cancel", err)
}

const (
	lockTimeout = "55P03" // the SQLSTATE
	maxGivenWay = 100     // ten seconds in all, as long as other statements wait
)

// giveWay has a statement wait for locks for less time than a Finish does. A Finish locks the same
// rows in another order: when both wait for each other, it goes on, and the other begins anew.
var giveWay = step{sql: `SELECT set_config('lock_timeout', '100ms', true)`}

// givingWay calls do, whose transaction gives way, until it need not. In the end it returns the error.
func givingWay(do func() error) (err error) {
	for range maxGivenWay {
		if err = do(); sqlState(err) != lockTimeout {
			break
		}
	}
	return err
}
