package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// recoveryColumns are the columns of the table recoveries that PutRecovery writes.
const recoveryColumns = `endpoint_id, organization_id, state, since, until, oldest, recovered, skipped, cursor, ` +
	`created_at, updated_at, finished_at, event_id, event_type, reason, failed_since, failed_until, actor, note, subject, version, begun_at, narrowed`

var newRecovery = `excluded.` + strings.ReplaceAll(recoveryColumns, `, `, `, excluded.`)

// PutRecovery implements [alotwebhook.Endpoints]. One statement inserts and
// replaces: $1 to $20 are the columns in their order, and $21 is the version that
// the caller has read, 0 for a new recovery. $22 says whether releases before version 10 of the schema
// have to leave it alone, and $23 are the operations. No row comes back in a conflict.
func (s *Store) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	told, err := notes(ops)
	if err != nil {
		return s.explain("store a recovery", err)
	}
	var stored bool
	var version int64
	err = s.run(ctx, step{
		sql: `
			WITH stored AS (
			INSERT INTO {s}.recoveries AS r (` + recoveryColumns + `)
			SELECT $1::text, $2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::timestamptz, $7::bigint, $8::bigint,
				$9::text, $10::timestamptz, $11::timestamptz, $12::timestamptz, $13::text, $14::text, $15::text,
				$16::timestamptz, $17::timestamptz, $18::text, $19::text, $20::text, $21::bigint + 1,
				$10::timestamptz, CASE WHEN $22::boolean THEN $21::bigint + 1 ELSE 0 END
			WHERE $21::bigint = 0 OR EXISTS (SELECT FROM {s}.recoveries WHERE endpoint_id = $1::text)
			ON CONFLICT (endpoint_id) DO UPDATE SET (` + recoveryColumns + `) = ROW (` + newRecovery + `)
			WHERE r.version = $21::bigint
			RETURNING version
			), told AS (` + note(23, `EXISTS (SELECT FROM stored)`) + `)
			SELECT version FROM stored`,
		args: []any{r.EndpointID, r.OrganizationID, string(r.State), nullable(r.Since), nullable(r.Until), nullable(r.Oldest), r.Recovered, r.Skipped,
			r.Cursor, nullable(r.CreatedAt), nullable(r.UpdatedAt), nullable(r.FinishedAt), r.EventID, r.EventType, string(r.Reason),
			nullable(r.FailedSince), nullable(r.FailedUntil), r.Actor, r.Note, r.Subject, r.Version, narrowed(&r), told},
		rows: one(&stored, &version),
	})
	if err != nil {
		return s.explain("store a recovery", err)
	}
	if !stored {
		return fmt.Errorf("%w: the recovery of %q is not at version %d", alotwebhook.ErrConflict, r.EndpointID, r.Version)
	}
	return nil
}

// narrowed reports whether a release that knows recoveries of whole endpoints alone would take this
// one for another.
func narrowed(r *alotwebhook.Recovery) bool {
	return strings.HasPrefix(r.EndpointID, manyPrefix) || r.EventID+r.EventType+string(r.Reason) != "" ||
		!r.FailedSince.IsZero() || !r.FailedUntil.IsZero() || r.State == alotwebhook.RecoveryCanceling
}

// Recoveries implements [alotwebhook.Endpoints].
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (found []alotwebhook.Recovery, next string, err error) {
	limit := pageSize(f.Limit)
	where, args := []string{"endpoint_id > $1::text"}, []any{f.Cursor, int64(limit) + 1}
	for column, value := range map[string]string{"endpoint_id": f.EndpointID, "state": string(f.State)} {
		if value != "" {
			args = append(args, value)
			where = append(where, fmt.Sprintf("%s = $%d::text", column, len(args)))
		}
	}
	if f.Many {
		where = append(where, overMany)
	}
	err = s.read(ctx, step{
		sql:  `SELECT ` + recoveryColumns + ` FROM {s}.recoveries WHERE ` + strings.Join(where, " AND ") + ` ORDER BY endpoint_id LIMIT $2::bigint`,
		args: args,
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				r, err := scanRecovery(rows)
				if err != nil {
					return err
				}
				found = append(found, r)
			}
			return rows.Err()
		},
	})
	if err != nil {
		return nil, "", s.explain("list recoveries", err)
	}
	if len(found) > limit {
		return found[:limit], found[limit-1].EndpointID, nil
	}
	return found, "", nil
}

// manyPrefix begins the id of a recovery over many endpoints. overMany selects these: the primary key
// has them together, and ` comes after _.
const (
	manyPrefix = "rec_"
	overMany   = "endpoint_id >= 'rec_' AND endpoint_id < 'rec`'"
)

// scanRecovery reads a row of recoveryColumns.
func scanRecovery(rows pgx.Rows) (r alotwebhook.Recovery, err error) {
	var since, until, oldest, created, updated, finished, failedSince, failedUntil, begun *time.Time
	err = rows.Scan(&r.EndpointID, &r.OrganizationID, &r.State, &since, &until, &oldest, &r.Recovered, &r.Skipped, &r.Cursor,
		&created, &updated, &finished, &r.EventID, &r.EventType, &r.Reason, &failedSince, &failedUntil, &r.Actor, &r.Note, &r.Subject, &r.Version, &begun, new(int64))
	r.FailedSince, r.FailedUntil = instant(failedSince), instant(failedUntil)
	if !instant(begun).Equal(instant(created)) { // an older release has begun it
		r = alotwebhook.Recovery{EndpointID: r.EndpointID, OrganizationID: r.OrganizationID, State: r.State,
			Recovered: r.Recovered, Skipped: r.Skipped, Cursor: r.Cursor, Version: r.Version}
	}
	r.Since, r.Until, r.Oldest = instant(since), instant(until), instant(oldest)
	r.CreatedAt, r.UpdatedAt, r.FinishedAt = instant(created), instant(updated), instant(finished)
	return r, err
}

// purgeRecoveries returns the statement that deletes recoveries over many endpoints, and those of
// deleted ones, that have ended ($3 are the states) and were changed at until ($1) or before, up to
// limit ($2).
func purgeRecoveries(until time.Time, limit int) step {
	ended := []string{string(alotwebhook.RecoveryDone), string(alotwebhook.RecoveryStopped),
		string(alotwebhook.RecoveryDiscarded), string(alotwebhook.RecoveryCanceled),
		string(alotwebhook.RecoveryErased), string(alotwebhook.RecoveryRemoved)}
	return step{
		sql: `
			DELETE FROM {s}.recoveries
			WHERE endpoint_id = ANY (ARRAY(
				SELECT r.endpoint_id FROM {s}.recoveries r
				WHERE r.state = ANY ($3::text[]) AND r.updated_at <= $1::timestamptz
					AND NOT EXISTS (SELECT FROM {s}.endpoints p WHERE p.id = r.endpoint_id AND p.deleted_at IS NULL)
				LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`,
		args: []any{until, int64(limit), ended},
	}
}
