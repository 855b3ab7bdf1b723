package postgres

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// enqueueSQL stores events and fans them out. The delivery's id is
// alotwebhook.DeliveryID: the event id's first six bytes, then the beginning of
// the SHA-256 of both ids, with a UUIDv7's version and variant. It returns the
// endpoints that have something to do now. A microsecond between two events
// keeps their order.
//
// The planner has no estimate of the arrays' lengths and would nest the wrong
// loops: IS TRUE and OFFSET 0 keep it from that. What is new is looked up in a
// hash table, the endpoints by an index.
const enqueueSQL = `
WITH input AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
		AS i (id, name, type, organization_id, payload, place)
), now AS MATERIALIZED (
	SELECT clock_timestamp() - count(*) * interval '1 microsecond' AS at FROM input
), stored AS (
	INSERT INTO {s}.events (id, type, organization_id, payload, created_at)
	SELECT id, type, organization_id, payload, clock_timestamp() FROM input
	ON CONFLICT DO NOTHING
	RETURNING id
), fanned AS (
	SELECT i.id, i.type, i.place, p.key, left(i.id::text, 13) AS begin,
		encode(sha256(convert_to(i.name || p.id, 'UTF8')), 'hex') AS sum
	FROM input i
	CROSS JOIN LATERAL (
		SELECT p.key, p.id, p.event_types, p.deleted_at
		FROM {s}.endpoints p
		WHERE p.organization_id = i.organization_id
		OFFSET 0
	) AS p
	WHERE p.deleted_at IS NULL AND i.type = ANY (p.event_types) AND (i.id IN (SELECT id FROM stored)) IS TRUE
), queued AS (
	INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
	SELECT (begin || '-7' || substr(sum, 2, 3) || '-'
		|| translate(substr(sum, 5, 1), '0123456789abcdef', '89ab89ab89ab89ab') || substr(sum, 6, 15))::uuid,
		key, id, type, (SELECT at FROM now) + place * interval '1 microsecond'
	FROM fanned
	RETURNING endpoint
)
SELECT q.endpoint, p.id, clock_timestamp()
FROM (SELECT DISTINCT endpoint FROM queued) AS q
CROSS JOIN LATERAL (SELECT p.id, p.disabled FROM {s}.endpoints p WHERE p.key = q.endpoint OFFSET 0) AS p
WHERE NOT p.disabled`

// Enqueue implements [alotwebhook.Enqueuer]: one round trip and one commit.
// Events given many at once cost a fraction of what they cost one by one.
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return s.enqueue(ctx, events, func(chunks []enqueueArgs) ([]lane, error) {
		var found []lane
		steps := make([]step, len(chunks))
		for i, c := range chunks {
			steps[i] = step{sql: enqueueSQL, args: c.pgx(), rows: func(rows pgx.Rows) (err error) {
				found, err = appendLanes(found, rows)
				return err
			}}
		}
		err := s.runPlain(ctx, steps...)
		return found, err
	})
}

func (s *Store) enqueue(ctx context.Context, events []alotwebhook.Event, store func([]enqueueArgs) ([]lane, error)) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	chunks, err := chunk(events)
	if err != nil {
		return err
	}
	found, err := store(chunks)
	if err != nil {
		return s.explain(fmt.Sprintf("enqueue %d events", len(events)), err)
	}
	s.lanes.due(found)
	return nil
}

// appendLanes reads what enqueueSQL returns.
func appendLanes(found []lane, rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}) ([]lane, error) {
	for rows.Next() {
		var l lane
		var now time.Time
		if err := rows.Scan(&l.key, &l.id, &now); err != nil {
			return nil, err
		}
		l.start.at = now.Add(-lateness)
		found = append(found, l)
	}
	return found, rows.Err()
}

// enqueueArgs are the columns of one statement.
type enqueueArgs struct {
	ids                                  []pgtype.UUID
	names, types, organizations, payload []string
}

// The bounds of one statement.
const (
	chunkEvents = 5000
	chunkBytes  = 8 << 20
)

// chunk turns events into columns, in the order of their ids: whoever stores
// the same events at the same time then waits, and does not deadlock.
func chunk(events []alotwebhook.Event) ([]enqueueArgs, error) {
	sorted := slices.SortedStableFunc(slices.Values(events), func(a, b alotwebhook.Event) int { return cmp.Compare(a.ID, b.ID) })
	chunks := []enqueueArgs{{}}
	size := 0
	for i, e := range sorted {
		if i > 0 && e.ID == sorted[i-1].ID {
			continue // the first of them counts
		}
		id, ok := decodeID(eventPrefix, e.ID)
		if !ok {
			return nil, &alotwebhook.FieldError{Field: "id", Problem: "is not an event id"}
		}
		if size > chunkBytes || len(chunks[len(chunks)-1].ids) == chunkEvents {
			chunks, size = append(chunks, enqueueArgs{}), 0
		}
		c := &chunks[len(chunks)-1]
		payload := string(e.Payload())
		size += len(payload)
		c.ids = append(c.ids, param(id))
		c.names = append(c.names, e.ID)
		c.types = append(c.types, e.Type)
		c.organizations = append(c.organizations, e.OrganizationID)
		c.payload = append(c.payload, payload)
	}
	return chunks, nil
}

func (c enqueueArgs) pgx() []any {
	return []any{c.ids, c.names, c.types, c.organizations, c.payload}
}

// text gives the columns as array literals, which every driver passes on.
func (c enqueueArgs) text() []any {
	ids := make([]string, len(c.ids))
	for i, id := range c.ids {
		ids[i] = uuidText(id.Bytes)
	}
	return []any{arrayLiteral(ids), arrayLiteral(c.names), arrayLiteral(c.types), arrayLiteral(c.organizations), arrayLiteral(c.payload)}
}

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func arrayLiteral(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		_, _ = arrayEscapes.WriteString(&b, v) // a Builder takes everything
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// Tx returns an Enqueuer inside the host's transaction: what it stores commits
// or rolls back with it, in one round trip per call. Neither settings nor
// savepoints are left in the transaction. After an error of the database the transaction is
// aborted, as after any failed statement. A nil tx is refused by Enqueue, with an
// [*alotwebhook.FieldError].
//
// Enqueue late in the transaction, and commit soon: see the package comment on
// deliveries that commit more than a second after they were emitted.
func (s *Store) Tx(tx pgx.Tx) alotwebhook.Enqueuer { return pgxEnqueuer{s, tx} }

type pgxEnqueuer struct {
	store *Store
	tx    pgx.Tx
}

// Enqueue implements [alotwebhook.Enqueuer].
func (q pgxEnqueuer) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if v := reflect.ValueOf(q.tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return &alotwebhook.FieldError{Field: "tx", Problem: "is nil; give the transaction that Begin returned, after a look at its error"}
	}
	return q.store.enqueueInTx(ctx, events, func(c enqueueArgs, found []lane) ([]lane, error) {
		rows, err := q.tx.Query(ctx, q.store.sql(enqueueSQL), c.pgx()...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		return appendLanes(found, rows)
	})
}

// SQLTx is [Store.Tx] for hosts on database/sql, whatever their driver for
// PostgreSQL and whatever stands on top of it: tx is a [*sql.Tx], or what a
// library has for one; package sqltx says what that is in GORM, sqlx and others. What
// is no transaction, nil and *sql.DB among it, is refused by Enqueue, with an
// [*alotwebhook.FieldError].
func (s *Store) SQLTx(tx sqltx.Tx) alotwebhook.Enqueuer { return sqlEnqueuer{s, tx} }

type sqlEnqueuer struct {
	store *Store
	tx    sqltx.Tx
}

// Enqueue implements [alotwebhook.Enqueuer].
func (q sqlEnqueuer) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	tx, err := sqltx.Of(q.tx)
	if err != nil {
		return err
	}
	return q.store.enqueueInTx(ctx, events, func(c enqueueArgs, found []lane) ([]lane, error) {
		rows, err := tx.QueryContext(ctx, q.store.sql(enqueueSQL), c.text()...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		return appendLanes(found, rows)
	})
}

// enqueueInTx stores chunk by chunk in a transaction of the host's.
func (s *Store) enqueueInTx(ctx context.Context, events []alotwebhook.Event, store func(enqueueArgs, []lane) ([]lane, error)) error {
	return s.enqueue(ctx, events, func(chunks []enqueueArgs) (found []lane, err error) {
		for _, c := range chunks {
			if found, err = store(c, found); err != nil {
				return nil, inHostTx{err}
			}
		}
		return found, nil
	})
}

// EnqueueTo implements [alotwebhook.Queue].
func (s *Store) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	id, ok := decodeID(eventPrefix, event.ID)
	if !ok {
		return &alotwebhook.FieldError{Field: "id", Problem: "is not an event id"}
	}
	delivery, _ := decodeID(deliveryPrefix, alotwebhook.DeliveryID(event.ID, endpointID))
	var found bool
	var key int64
	err := s.run(ctx, step{
		sql: `
			WITH target AS MATERIALIZED (
				SELECT key FROM {s}.endpoints WHERE id = $1 AND deleted_at IS NULL
			), stored AS (
				INSERT INTO {s}.events (id, type, organization_id, payload, created_at)
				SELECT $2::uuid, $3::text, $4::text, $5::text, clock_timestamp() FROM target
				ON CONFLICT DO NOTHING
				RETURNING id, type
			), queued AS (
				INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
				SELECT $6::uuid, t.key, st.id, st.type, clock_timestamp() FROM stored st, target t
			)
			SELECT key FROM target`,
		args: []any{endpointID, param(id), event.Type, event.OrganizationID, string(event.Payload()), param(delivery)},
		rows: one(&found, &key),
	})
	if err != nil {
		return s.explain("enqueue an event to one endpoint", err)
	}
	if !found {
		return fmt.Errorf("%w: endpoint %q", alotwebhook.ErrNotFound, endpointID)
	}
	s.lanes.distrust()
	return nil
}
