package anydriver

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Pauser = (*Store)(nil)

// PutPause implements [alotwebhook.Pauser].
func (s *Store) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	return s.write(ctx, "store a pause", func(t *txn) error {
		err := t.exec("INSERT OR REPLACE INTO alotwebhook_pauses (organization, endpoint, actor, note, at) VALUES (?, ?, ?, ?, ?)",
			p.OrganizationID, p.EndpointID, p.Actor, p.Note, micros(p.At))
		if err != nil {
			return err
		}
		return t.note(ops...)
	})
}

// DeletePause implements [alotwebhook.Pauser].
func (s *Store) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	return s.write(ctx, "delete a pause", func(t *txn) error {
		n, err := t.affected("DELETE FROM alotwebhook_pauses WHERE organization = ? AND endpoint = ?", organizationID, endpointID)
		switch {
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("%w: pause of organization %.40q, endpoint %.40q", alotwebhook.ErrNotFound, organizationID, endpointID)
		}
		return t.note(ops...)
	})
}

// Pauses implements [alotwebhook.Pauser].
func (s *Store) Pauses(ctx context.Context) (list []alotwebhook.Pause, err error) {
	err = s.read(ctx, "list pauses", func(t *txn) error {
		return t.each("SELECT organization, endpoint, actor, note, at FROM alotwebhook_pauses ORDER BY organization, endpoint", nil, func(scan func(...any) error) error {
			var p alotwebhook.Pause
			var at sql.NullInt64
			err := scan(&p.OrganizationID, &p.EndpointID, &p.Actor, &p.Note, &at)
			p.At = optional(at)
			list = append(list, p)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// paused returns the endpoints that are held back by pauses of their own or of their organizations;
// all says that every endpoint is.
func (t *txn) paused() (refs []int64, all bool, err error) {
	err = t.one("SELECT EXISTS (SELECT 1 FROM alotwebhook_pauses WHERE organization = '' AND endpoint = '')")(&all)
	if err != nil || all {
		return nil, all, err
	}
	refs, err = t.numbers(`SELECT e.ref FROM alotwebhook_pauses p CROSS JOIN alotwebhook_endpoints e
		ON e.organization = p.organization AND p.endpoint IN ('', e.id)`)
	return refs, false, err
}
