package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

var _ feed.Backfiller = (*Store)(nil)

// Backfill implements [feed.Backfiller].
func (s *Store) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	if types == nil {
		types = []string{}
	}
	way := feeding{filter: feed.Filter{OrganizationID: r.OrganizationID, EventTypes: types, Since: r.Since, Cursor: r.Cursor, Limit: max(limit, 1)}}
	if err := way.parse(r.Cursor); err != nil {
		return 0, 0, at, "", err
	}
	var found bool
	var key int64
	var events []pgtype.UUID
	err = s.inOneSnapshot(ctx, func(ask func(...step) error) error {
		way.page, way.passed = feed.Page{}, nil
		if err := ask(inOrder, way.look(s.quoted), way.pass(), step{
			sql: `SELECT key FROM {s}.endpoints WHERE id = $1::text AND deleted_at IS NULL`, args: []any{r.EndpointID}, rows: one(&found, &key),
		}); err != nil {
			return err
		}
		if err := way.check(s.schema); err != nil {
			return err
		}
		events = way.choose()
		return nil
	})
	if err == nil && len(events) > 0 && found {
		sent, err = s.sendMissed(ctx, r.EndpointID, key, events)
		at = timeOf(events[len(events)-1].Bytes)
	}
	switch {
	case err != nil:
		return 0, 0, at, "", s.explainFeed("send missed events", err)
	case !found:
		return 0, 0, at, "", fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, r.EndpointID)
	case way.page.More:
		next = way.page.Next
	}
	return sent, len(events) - sent, at, next, nil
}

// sendMissed stores the deliveries of the events to an endpoint that it does not have. The events are
// locked, so that none of them is erased meanwhile.
func (s *Store) sendMissed(ctx context.Context, endpointID string, key int64, events []pgtype.UUID) (n int, err error) {
	deliveries := make([]pgtype.UUID, len(events))
	for i, id := range events {
		spelled := encodeID(eventPrefix, id.Bytes)
		u, _ := decodeID(deliveryPrefix, alotwebhook.DeliveryID(spelled, endpointID))
		deliveries[i] = param(u)
	}
	defer s.lanes.distrust()
	err = s.run(ctx, prune, step{
		sql: `SELECT FROM {s}.events WHERE id = ANY ($1::uuid[]) ORDER BY id FOR SHARE`, args: []any{events},
	}, step{
		// $1 are the events, $2 their deliveries, and $3 is the endpoint. Each is due a microsecond
		// after the one before it.
		sql: `
			WITH queued AS (
				INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
				SELECT m.id, p.key, e.id, e.type, clock_timestamp() - (cardinality($1::uuid[]) - m.place) * interval '1 microsecond'
				FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS m (event, id, place)
				JOIN {s}.events e ON e.id = m.event AND e.payload IS NOT NULL
				JOIN {s}.endpoints p ON p.key = $3::bigint AND p.deleted_at IS NULL
				WHERE NOT EXISTS (SELECT FROM {s}.queue q WHERE q.id = m.id) AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.id = m.id)
				ON CONFLICT DO NOTHING
				RETURNING id
			)
			SELECT count(*)::int FROM queued`,
		args: []any{events, deliveries, key},
		rows: count(&n),
	})
	return n, err
}
