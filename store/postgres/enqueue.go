package postgres

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

// enqueueSQL stores the events that are new and, for each, a delivery to every
// endpoint of its organization that subscribes to its type.
//
//	$1 … $5  of each event: id as uuid, id as text, type, organization id, payload
//
// It computes each delivery's id as alotwebhook.DeliveryID does: the first six
// bytes of the event's id, then the beginning of the SHA-256 of both ids, with the
// version and variant of a UUIDv7. The due times of the events lie 1 µs apart, the
// last one at the present, so that they keep their order. Each row of the result
// is an endpoint that has deliveries due now: its key, its id, and the clock in µs since
// 1970, since a number reads the same whatever the DateStyle of a host's transaction.
//
// The planner cannot know how long the arrays are, and would nest loops over all
// pairs of events. IS TRUE makes it look up the new events in a hash table, and
// OFFSET 0 the endpoints by their index.
//
// Over a connection with another client_encoding than UTF8, PostgreSQL would store other
// payloads than were emitted. There created_at is NULL, which fails.
const enqueueSQL = `
WITH input AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
		AS i (id, name, type, organization_id, payload, place)
), now AS MATERIALIZED (
	SELECT clock_timestamp() - count(*) * interval '1 microsecond' AS at FROM input
), stored AS (
	INSERT INTO {s}.events (id, type, organization_id, payload, created_at)
	SELECT id, type, organization_id, payload,
		CASE WHEN current_setting('client_encoding') IN ('UTF8', 'UNICODE') THEN clock_timestamp() END
	FROM input
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
SELECT q.endpoint, p.id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM (SELECT DISTINCT endpoint FROM queued) AS q
CROSS JOIN LATERAL (SELECT p.id, p.disabled FROM {s}.endpoints p WHERE p.key = q.endpoint OFFSET 0) AS p
WHERE NOT p.disabled`

// Enqueue implements [alotwebhook.Enqueuer] with one round trip and one commit. One
// event among many costs a fraction of one event alone.
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

// enqueue has store execute enqueueSQL for every chunk of the events, and notes the
// endpoints that it returns.
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

// appendLanes reads the result of enqueueSQL, from pgx or from database/sql, and
// appends it to found.
func appendLanes(found []lane, rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}) ([]lane, error) {
	for rows.Next() {
		var l lane
		var now int64
		if err := rows.Scan(&l.key, &l.id, &now); err != nil {
			return nil, err
		}
		l.start.at = time.UnixMicro(now).Add(-lateness)
		found = append(found, l)
	}
	return found, rows.Err()
}

// enqueueArgs are the arguments of one enqueueSQL.
type enqueueArgs struct {
	ids                                  []pgtype.UUID
	names, types, organizations, payload []string
}

// One statement takes at most chunkEvents events, and ends with the event whose
// payload brings it over chunkBytes bytes.
const (
	chunkEvents = 5000
	chunkBytes  = 8 << 20
)

// chunk turns events into the arguments of as few statements as the bounds allow.
// It orders them by their ids, so that two calls that store the same events at the
// same time wait for each other and do not deadlock.
func chunk(events []alotwebhook.Event) ([]enqueueArgs, error) {
	sorted := slices.SortedStableFunc(slices.Values(events), func(a, b alotwebhook.Event) int { return cmp.Compare(a.ID, b.ID) })
	chunks := []enqueueArgs{{}}
	size := 0
	for i, e := range sorted {
		if i > 0 && e.ID == sorted[i-1].ID {
			continue // of two events with one id the first counts
		}
		id, ok := decodeID(eventPrefix, e.ID)
		if !ok {
			return nil, badEventID(e.ID)
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

// badEventID refuses an event whose id no column can hold. A dispatcher has checked
// the ids of its events, so only a direct caller of the store meets it.
func badEventID(id string) error {
	return &alotwebhook.FieldError{Field: "id", Problem: fmt.Sprintf("%.64q is not %s and %d characters of base32; make events with NewEvent", id, eventPrefix, suffixLen)}
}

// pgx returns the arguments in the form that pgx takes.
func (c enqueueArgs) pgx() []any {
	return []any{c.ids, c.names, c.types, c.organizations, c.payload}
}

// text returns the arguments as PostgreSQL's array literals, such as {"a","b"}: any
// driver of database/sql can pass these on.
func (c enqueueArgs) text() []any {
	ids := make([]string, len(c.ids))
	for i, id := range c.ids {
		ids[i] = uuidText(id.Bytes)
	}
	return []any{arrayLiteral(ids), arrayLiteral(c.names), arrayLiteral(c.types), arrayLiteral(c.organizations), arrayLiteral(c.payload)}
}

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// arrayLiteral spells values as PostgreSQL reads an array of texts.
func arrayLiteral(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		_, _ = arrayEscapes.WriteString(&b, v) // writing to a Builder cannot fail
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
		return badEventID(event.ID)
	}
	delivery, _ := decodeID(deliveryPrefix, alotwebhook.DeliveryID(event.ID, endpointID))
	var found bool
	var key int64
	err := s.run(ctx, step{
		// $1 the endpoint's id; of the event $2 id, $3 type, $4 organization id and $5
		// payload; $6 the delivery's id. No row comes back where there is no endpoint.
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
