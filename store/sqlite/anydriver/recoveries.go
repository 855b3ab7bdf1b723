package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/alot/alotwebhook"
)

// PutRecovery implements [alotwebhook.Endpoints].
func (s *Store) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	return s.write(ctx, "store a recovery", func(t *txn) error {
		var version int64
		err := t.one("SELECT version FROM alotwebhook_recoveries WHERE endpoint = ?", r.EndpointID)(&version)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if version != r.Version {
			return fmt.Errorf("%w: the recovery of %q is at version %d, not %d", alotwebhook.ErrConflict, r.EndpointID, version, r.Version)
		}
		err = t.exec("INSERT OR REPLACE INTO alotwebhook_recoveries ("+recoveryColumns+", narrowed) VALUES ("+repeat("?", ",", 22)+")",
			r.EndpointID, r.OrganizationID, string(r.State), r.EventID, r.EventType, string(r.Reason), r.Subject, micros(r.FailedSince), micros(r.FailedUntil),
			r.Actor, r.Note, micros(r.Since), micros(r.Until), micros(r.Oldest), r.Recovered, r.Skipped,
			r.Cursor, micros(r.CreatedAt), micros(r.UpdatedAt), micros(r.FinishedAt), r.Version+1, narrowed(&r))
		if err != nil {
			return err
		}
		return t.note(ops...)
	})
}

// recoveryColumns are the columns that scanRecovery reads.
const recoveryColumns = `endpoint, organization, state, event, type, reason, subject, failed_since, failed_until, actor, note,
	since, until, oldest, recovered, skipped, cursor, created_at, updated_at, finished_at, version`

// narrowed reports whether a release that knows recoveries of whole endpoints alone would take
// this one for another.
func narrowed(r *alotwebhook.Recovery) bool {
	return overMany(r.EndpointID) || r.EventID != "" || r.EventType != "" || r.Reason != "" || !r.FailedSince.IsZero() || !r.FailedUntil.IsZero()
}

// manyPrefix begins the key of a recovery over many endpoints.
const manyPrefix = "rec_"

// afterMany is behind every such key: "`" follows "_".
const afterMany = "rec`"

func overMany(endpointID string) bool { return strings.HasPrefix(endpointID, manyPrefix) }

// Recoveries implements [alotwebhook.Endpoints].
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (page []alotwebhook.Recovery, next string, err error) {
	limit := pageSize(f.Limit)
	query, args := "SELECT "+recoveryColumns+" FROM alotwebhook_recoveries WHERE endpoint > ?", []any{f.Cursor}
	if f.EndpointID != "" {
		query, args = query+" AND endpoint = ?", append(args, f.EndpointID)
	}
	if f.State != "" {
		query, args = query+" AND state = ?", append(args, string(f.State))
	}
	if f.Many {
		query, args = query+" AND endpoint >= ? AND endpoint < ?", append(args, manyPrefix, afterMany)
	}
	err = s.read(ctx, "list recoveries", func(t *txn) error {
		return t.each(query+" ORDER BY endpoint LIMIT ?", append(args, limit+1), func(scan func(...any) error) error {
			r, err := scanRecovery(scan)
			page = append(page, r)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		return page[:limit], page[limit-1].EndpointID, nil
	}
	return page, "", nil
}

// scanRecovery reads a row of Recoveries.
func scanRecovery(scan func(...any) error) (r alotwebhook.Recovery, err error) {
	var failedSince, failedUntil, since, until, oldest, created, updated, finished sql.NullInt64
	err = scan(&r.EndpointID, &r.OrganizationID, &r.State, &r.EventID, &r.EventType, &r.Reason, &r.Subject, &failedSince, &failedUntil,
		&r.Actor, &r.Note, &since, &until, &oldest, &r.Recovered, &r.Skipped, &r.Cursor, &created, &updated, &finished, &r.Version)
	r.FailedSince, r.FailedUntil = optional(failedSince), optional(failedUntil)
	r.Since, r.Until, r.Oldest = optional(since), optional(until), optional(oldest)
	r.CreatedAt, r.UpdatedAt, r.FinishedAt = optional(created), optional(updated), optional(finished)
	return r, err
}

// purgeRecoveries deletes the recoveries of deleted endpoints, and those over many, that have
// ended and were changed at until or before.
func (t *txn) purgeRecoveries(until int64, limit int) error {
	return t.exec(`DELETE FROM alotwebhook_recoveries WHERE endpoint IN (
		SELECT endpoint FROM alotwebhook_recoveries r WHERE state IN (?, ?, ?, ?, ?, ?) AND updated_at <= ?
		AND NOT EXISTS (SELECT 1 FROM alotwebhook_endpoints WHERE id = r.endpoint AND deleted_at IS NULL) LIMIT ?)`,
		string(alotwebhook.RecoveryDone), string(alotwebhook.RecoveryStopped),
		string(alotwebhook.RecoveryDiscarded), string(alotwebhook.RecoveryCanceled),
		string(alotwebhook.RecoveryErased), string(alotwebhook.RecoveryRemoved), until, limit)
}
