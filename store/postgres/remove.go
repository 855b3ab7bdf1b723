package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// Remove implements [alotwebhook.History]. One part comes after the other, each in transactions of its
// own. No index finds the events of an organization: a call looks through those of all until it has
// found as many as limit says, and so may take seconds. The next call goes on there, also after an error.
// An endpoint of which something was stored meanwhile stays as one that is deleted, without its texts.
func (s *Store) Remove(ctx context.Context, organizationID string, limit int) (n int, err error) {
	if organizationID == "" { // this stands for everybody in a pause
		return 0, &alotwebhook.FieldError{Field: "organizationId", Problem: "is empty; name the organization that is to be removed"}
	}
	limit = max(limit, 1)
	defer s.lanes.distrust()
	defer s.recent.clear()
	for _, part := range s.removals(organizationID, limit) {
		removed, err := part.remove(ctx)
		if err != nil {
			return 0, s.explain("remove "+part.name, err)
		}
		if n = max(n, removed); n >= limit {
			return n, nil
		}
	}
	return n, nil
}

// removal is a part of a Remove. What comes after it is found without it.
type removal struct {
	name   string
	remove func(context.Context) (int, error)
}

// removals returns the parts in their order. Endpoints stay as deleted ones until nothing is left that
// is found by them. Events take the longest to find, and so come late.
func (s *Store) removals(organizationID string, limit int) []removal {
	by := func(name, sql string) removal {
		return removal{name, func(ctx context.Context) (n int, err error) {
			err = s.run(ctx, step{sql: sql, args: []any{organizationID, int64(limit)}, rows: one(new(bool), &n)})
			return n, err
		}}
	}
	return []removal{
		by("endpoints", blankEndpointsSQL),
		{"deliveries", func(ctx context.Context) (int, error) { return s.removeDeliveries(ctx, organizationID, limit) }},
		by("tallies", removeTalliesSQL),
		by("recoveries", removeRecoveriesSQL),
		by("operations", removeOperationsSQL),
		by("pauses", removePausesSQL),
		{"events", func(ctx context.Context) (int, error) { return s.removeEvents(ctx, organizationID, limit) }},
		by("deleted endpoints", removeEndpointsSQL),
	}
}

// These statements remove up to $2 rows of the organization $1, and return how many.
const (
	// blankEndpointsSQL deletes endpoints as DeleteEndpoint does, and takes all texts from them.
	blankEndpointsSQL = `
WITH blank AS (
	UPDATE {s}.endpoints
	SET deleted_at = coalesce(deleted_at, clock_timestamp()), url = '', description = '', event_types = '{}', secret = '', next_secret = '', credentials = '',
		next_secret_at = NULL, disabled_reason = '', failing_since = NULL, version = version + 1, revision = revision + 1
	WHERE key = ANY (ARRAY(
		SELECT key FROM {s}.endpoints
		WHERE organization_id = $1::text AND (deleted_at IS NULL OR url <> '' OR description <> '')
		ORDER BY id LIMIT $2::bigint FOR UPDATE))
	RETURNING key
), firsts AS (
	DELETE FROM {s}.firsts WHERE endpoint = ANY (ARRAY(SELECT key FROM blank))
), urls AS (
	DELETE FROM {s}.urls WHERE endpoint = ANY (ARRAY(SELECT key FROM blank))
)
SELECT count(*)::int FROM blank`

	// The rows of an hour count as one, as in purgeTallies.
	removeTalliesSQL = `
WITH old AS MATERIALIZED (
	SELECT t.endpoint_id, t.hour
	FROM {s}.endpoints p
	CROSS JOIN LATERAL (
		SELECT t.endpoint_id, t.hour FROM {s}.tallies t WHERE t.endpoint_id = p.id AND t.reason = '' LIMIT $2::bigint
	) AS t
	WHERE p.organization_id = $1::text
	LIMIT $2::bigint
), gone AS (
	DELETE FROM {s}.tallies t USING old WHERE t.endpoint_id = old.endpoint_id AND t.hour = old.hour
)
SELECT count(*)::int FROM old`

	removeRecoveriesSQL = `
WITH gone AS (
	DELETE FROM {s}.recoveries
	WHERE endpoint_id = ANY (ARRAY(
		SELECT endpoint_id FROM {s}.recoveries WHERE organization_id = $1::text AND NOT (` + overMany + `) LIMIT $2::bigint))
	RETURNING endpoint_id
)
SELECT count(*)::int FROM gone`

	removeOperationsSQL = `
WITH gone AS (
	DELETE FROM {s}.operations
	WHERE id = ANY (ARRAY(
		SELECT id FROM {s}.operations WHERE organization_id = $1::text ORDER BY id LIMIT $2::bigint FOR UPDATE))
	RETURNING id
)
SELECT count(*)::int FROM gone`

	// In their order, as endpoints go: over shards, an organization that moves has both in several.
	removePausesSQL = `
WITH gone AS (
	DELETE FROM {s}.pauses
	WHERE (organization_id, endpoint_id) IN (
		SELECT organization_id, endpoint_id FROM {s}.pauses WHERE organization_id = $1::text ORDER BY endpoint_id LIMIT $2::bigint)
	RETURNING organization_id
)
SELECT count(*)::int FROM gone`

	removeEndpointsSQL = `
WITH gone AS (
	DELETE FROM {s}.endpoints
	WHERE key = ANY (ARRAY(
		SELECT p.key FROM {s}.endpoints p
		WHERE p.organization_id = $1::text AND p.deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT FROM {s}.queue q WHERE q.endpoint IN (p.key, -p.key))
			AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.endpoint IN (p.key, -p.key))
		ORDER BY p.key LIMIT $2::bigint FOR UPDATE))
	RETURNING key
)
SELECT count(*)::int FROM gone`
)

// removeDeliveries removes deliveries to the endpoints of an organization, with their attempts.
func (s *Store) removeDeliveries(ctx context.Context, organizationID string, limit int) (int, error) {
	ids, err := s.selectIDs(ctx, `
		SELECT id FROM ((SELECT d.id FROM {s}.endpoints p
			CROSS JOIN LATERAL (SELECT q.id FROM {s}.queue q WHERE q.endpoint IN (p.key, -p.key) LIMIT $2::bigint) AS d
			WHERE p.organization_id = $1::text LIMIT $2::bigint)
		UNION ALL
			(SELECT d.id FROM {s}.endpoints p
			CROSS JOIN LATERAL (SELECT h.id FROM {s}.deliveries h WHERE h.endpoint IN (p.key, -p.key) LIMIT $2::bigint) AS d
			WHERE p.organization_id = $1::text LIMIT $2::bigint)) AS d
		LIMIT $2::bigint`, organizationID, int64(limit))
	if err == nil && len(ids) > 0 {
		err = givingWay(func() error { return s.run(ctx, join([]step{prune, giveWay}, deleteDeliveries(ids))...) })
	}
	return len(ids), err
}

// selectIDs returns the ids that a query finds.
func (s *Store) selectIDs(ctx context.Context, sql string, args ...any) (ids []pgtype.UUID, err error) {
	err = s.read(ctx, step{sql: sql, args: args, rows: func(rows pgx.Rows) (err error) {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
		return err
	}})
	return ids, err
}

// deleteDeliveries returns the statements that delete deliveries with their attempts. Each sees what
// the ones before it had to wait for, such as a delivery whose outcome was being stored.
func deleteDeliveries(ids []pgtype.UUID) []step {
	args := []any{ids}
	return []step{
		{sql: `DELETE FROM {s}.queue WHERE id = ANY ($1::uuid[])`, args: args},
		{sql: `DELETE FROM {s}.deliveries WHERE id = ANY ($1::uuid[])`, args: args},
		{sql: `DELETE FROM {s}.attempts WHERE delivery_id = ANY ($1::uuid[])`, args: args},
	}
}

// removeEvents removes events of an organization, the newest first, with deliveries of theirs that are
// left: fewer than limit only if there are no more. It notes after each step how far it has come. A walk
// that earlier calls have begun may have passed what was stored meanwhile. So at its end another one
// begins, unless it has found nothing.
func (s *Store) removeEvents(ctx context.Context, organizationID string, limit int) (n int, err error) {
	w := s.walks.get(organizationID)
	for begun := w.cursor == ""; n < limit; {
		r := alotwebhook.Recovery{OrganizationID: organizationID, Cursor: w.cursor}
		e, err := newErasure(&r, limit-n)
		if err == nil {
			err = s.read(ctx, prune, e.find.step())
		}
		if err == nil && len(e.events) > 0 {
			err = s.deleteEvents(ctx, e.events)
		}
		if err != nil {
			return n, err
		}
		n += len(e.events)
		w.cursor, w.found = e.next, w.found || len(e.events) > 0
		ended := e.next == "" && (begun || !w.found)
		if e.next == "" {
			w, begun = walk{}, true
		}
		s.walks.set(organizationID, w)
		if ended {
			break
		}
	}
	return n, nil
}

func (s *Store) deleteEvents(ctx context.Context, events []pgtype.UUID) error {
	left, err := s.selectIDs(ctx, `SELECT unnest(`+deliveriesOf("queue", "")+` || `+deliveriesOf("deliveries", "")+`)`, events)
	if err != nil {
		return err
	}
	return givingWay(func() error {
		return s.run(ctx, join([]step{prune, giveWay}, deleteDeliveries(left), []step{
			{sql: `DELETE FROM {s}.events WHERE id = ANY ($1::uuid[])`, args: []any{events}},
		})...)
	})
}

// walks remembers how far Remove has looked through the events of all organizations.
type walks struct {
	mu sync.Mutex
	of map[string]walk // by organization
}

// walk says where to go on: below the event whose id is cursor; "" is the beginning.
type walk struct {
	cursor string
	found  bool // it has found something
	at     time.Time
}

// walkFor is how long a walk is remembered, so that it is the same Remove that goes on.
const walkFor = time.Minute

func (w *walks) get(organizationID string) walk {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of := w.of[organizationID]; time.Since(of.at) < walkFor {
		return of
	}
	return walk{}
}

// set remembers a walk unless it is at its beginning, and forgets those of long ago.
func (w *walks) set(organizationID string, to walk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[string]walk{}
	}
	for id, of := range w.of {
		if id == organizationID || time.Since(of.at) >= walkFor {
			delete(w.of, id)
		}
	}
	if to.at = time.Now(); to.cursor != "" {
		w.of[organizationID] = to
	}
}
