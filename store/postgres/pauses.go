package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Pauser = (*Store)(nil)

// paused is a condition on an endpoint p: that a pause holds it back. Each of the lists is read once,
// however many endpoints there are.
const paused = `(('', '') IN (SELECT organization_id, endpoint_id FROM {s}.pauses)
	OR (p.organization_id, '') IN (SELECT organization_id, endpoint_id FROM {s}.pauses)
	OR (p.organization_id, p.id) IN (SELECT organization_id, endpoint_id FROM {s}.pauses))`

// PutPause implements [alotwebhook.Pauser].
func (s *Store) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	told, err := notes(ops)
	if err != nil {
		return s.explain("store a pause", err)
	}
	err = s.run(ctx, step{
		// $1 to $5 are the columns, $6 the operations.
		sql: `
			WITH told AS (` + note(6, `true`) + `)
			INSERT INTO {s}.pauses (organization_id, endpoint_id, actor, note, at)
			VALUES ($1::text, $2::text, $3::text, $4::text, $5::timestamptz)
			ON CONFLICT (organization_id, endpoint_id) DO UPDATE SET actor = excluded.actor, note = excluded.note, at = excluded.at`,
		args: []any{p.OrganizationID, p.EndpointID, p.Actor, p.Note, nullable(p.At), told},
	})
	return s.explain("store a pause", err)
}

// DeletePause implements [alotwebhook.Pauser].
func (s *Store) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	told, err := notes(ops)
	if err != nil {
		return s.explain("delete a pause", err)
	}
	var found bool
	err = s.run(ctx, step{
		sql: `
			WITH deleted AS (
				DELETE FROM {s}.pauses WHERE organization_id = $1::text AND endpoint_id = $2::text RETURNING true AS found
			), told AS (` + note(3, `EXISTS (SELECT FROM deleted)`) + `)
			SELECT found FROM deleted`,
		args: []any{organizationID, endpointID, told},
		rows: one(&found, &found),
	})
	if err == nil && !found {
		return fmt.Errorf("%w: pause of organization %.40q, endpoint %.40q", alotwebhook.ErrNotFound, organizationID, endpointID)
	}
	return s.explain("delete a pause", err)
}

// Pauses implements [alotwebhook.Pauser].
func (s *Store) Pauses(ctx context.Context) (list []alotwebhook.Pause, err error) {
	err = s.read(ctx, step{
		sql: `SELECT organization_id, endpoint_id, actor, note, at FROM {s}.pauses ORDER BY organization_id, endpoint_id`,
		rows: func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p alotwebhook.Pause, err error) {
				var at *time.Time
				err = row.Scan(&p.OrganizationID, &p.EndpointID, &p.Actor, &p.Note, &at)
				p.At = instant(at)
				return p, err
			})
			return err
		},
	})
	return list, s.explain("read the pauses", err)
}
