package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// PutRecovery implements [alotwebhook.Endpoints]. One statement inserts and
// replaces: $1 to $12 are the columns in their order, and $13 is the version that
// the caller has read, 0 for a new recovery. $14 are the operations. No row comes back in a conflict.
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
			INSERT INTO {s}.recoveries AS r (endpoint_id, organization_id, state, since, until, oldest, recovered, skipped,
				cursor, created_at, updated_at, finished_at, version)
			SELECT $1::text, $2::text, $3::text, $4::timestamptz, $5::timestamptz, $6::timestamptz, $7::bigint, $8::bigint,
				$9::text, $10::timestamptz, $11::timestamptz, $12::timestamptz, $13::bigint + 1
			WHERE $13::bigint = 0 OR EXISTS (SELECT FROM {s}.recoveries WHERE endpoint_id = $1::text)
			ON CONFLICT (endpoint_id) DO UPDATE SET organization_id = excluded.organization_id, state = excluded.state,
				since = excluded.since, until = excluded.until, oldest = excluded.oldest, recovered = excluded.recovered,
				skipped = excluded.skipped, cursor = excluded.cursor, created_at = excluded.created_at,
				updated_at = excluded.updated_at, finished_at = excluded.finished_at, version = excluded.version
			WHERE r.version = $13::bigint
			RETURNING version
			), told AS (` + note(14, `EXISTS (SELECT FROM stored)`) + `)
			SELECT version FROM stored`,
		args: []any{r.EndpointID, r.OrganizationID, string(r.State), nullable(r.Since), nullable(r.Until), nullable(r.Oldest), r.Recovered, r.Skipped,
			r.Cursor, nullable(r.CreatedAt), nullable(r.UpdatedAt), nullable(r.FinishedAt), r.Version, told},
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

// Recoveries implements [alotwebhook.Endpoints].
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (found []alotwebhook.Recovery, next string, err error) {
	limit := cmp.Or(f.Limit, defaultPage)
	where, args := []string{"endpoint_id > $1::text"}, []any{f.Cursor, int64(limit) + 1}
	for column, value := range map[string]string{"endpoint_id": f.EndpointID, "state": string(f.State)} {
		if value != "" {
			args = append(args, value)
			where = append(where, fmt.Sprintf("%s = $%d::text", column, len(args)))
		}
	}
	err = s.read(ctx, step{
		sql: `SELECT endpoint_id, organization_id, state, since, until, oldest, recovered, skipped, cursor,
				created_at, updated_at, finished_at, version
			FROM {s}.recoveries WHERE ` + strings.Join(where, " AND ") + ` ORDER BY endpoint_id LIMIT $2::bigint`,
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

// scanRecovery reads a row of Recoveries.
func scanRecovery(rows pgx.Rows) (r alotwebhook.Recovery, err error) {
	var since, until, oldest, created, updated, finished *time.Time
	err = rows.Scan(&r.EndpointID, &r.OrganizationID, &r.State, &since, &until, &oldest, &r.Recovered, &r.Skipped, &r.Cursor,
		&created, &updated, &finished, &r.Version)
	r.Since, r.Until, r.Oldest = instant(since), instant(until), instant(oldest)
	r.CreatedAt, r.UpdatedAt, r.FinishedAt = instant(created), instant(updated), instant(finished)
	return r, err
}

// purgeRecoveries returns the statement that deletes recoveries of deleted
// endpoints: those that do not run ($3, $4 are their states) and were changed at
// until ($1) or before, up to limit ($2).
func purgeRecoveries(until time.Time, limit int) step {
	return step{
		sql: `
			DELETE FROM {s}.recoveries
			WHERE endpoint_id = ANY (ARRAY(
				SELECT r.endpoint_id FROM {s}.recoveries r
				WHERE r.state IN ($3::text, $4::text) AND r.updated_at <= $1::timestamptz
					AND NOT EXISTS (SELECT FROM {s}.endpoints p WHERE p.id = r.endpoint_id AND p.deleted_at IS NULL)
				LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`,
		args: []any{until, int64(limit), string(alotwebhook.RecoveryDone), string(alotwebhook.RecoveryStopped)},
	}
}
