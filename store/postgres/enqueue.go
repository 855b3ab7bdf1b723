package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// One event in a transaction of the host's is what most hosts emit, thousands of times an hour.
// Planning would cost more than all else. So no statement here gives the planner a reason to
// plan anew for other arguments: whatever an argument is compared with, or how long an array
// is, it sees only (SELECT $1), of which it knows nothing. After five calls over a connection
// it keeps the plan, unless the driver or a pooler prepares no statements. OFFSET 0, and a
// condition on deleted_at that no partial index fits, make it find endpoints by their
// organization.

// enqueueKnown stores an event if it is new, and its deliveries, if this process knows all
// endpoints that get it. Otherwise it stores nothing.
//
//	$1 … $6  its id, type, organization id, payload, traceparent and subject
//	$7, $8   the ids of the endpoints that are known, and of their deliveries
//	$9       what an endpoint may subscribe to in order to get it
//
// A result row is an endpoint that gets the event: its key, its id, whether it is disabled,
// whether it is unknown, whether the event is new, and the clock in µs since 1970, since a number
// reads the same whatever the DateStyle of a host's transaction.
const enqueueKnown = `
WITH fanned AS MATERIALIZED (
	SELECT p.key, p.id, p.disabled, ($8::uuid[])[array_position($7::text[], p.id)] AS delivery, clock_timestamp() AS at
	FROM {s}.endpoints p
	WHERE p.organization_id = (SELECT $3::text) AND num_nulls(p.deleted_at) = 1 AND p.event_types && (SELECT $9::text[])
), stored AS (
	INSERT INTO {s}.events (id, type, organization_id, payload, trace_parent, subject, created_at)
	SELECT $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, ` + storedAt + `
	WHERE NOT EXISTS (SELECT FROM fanned WHERE delivery IS NULL)
	ON CONFLICT DO NOTHING
	RETURNING id
), queued AS (
	INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
	SELECT f.delivery, f.key, st.id, $2::text, f.at FROM stored st CROSS JOIN fanned f
)
SELECT key, id, disabled, delivery IS NULL, EXISTS (SELECT FROM stored), (date_part('epoch', at) * 1000000)::bigint FROM fanned`

// enqueueOne stores an event if it is new, and a delivery to every endpoint that gets it. It
// computes their ids as deliveryID does, which costs a fifth of the statement.
//
//	$1 … $6  its id, type, organization id, payload, traceparent and subject
//	$7       its id as text
//	$8       what an endpoint may subscribe to in order to get it
//
// The result is that of enqueueKnown.
const enqueueOne = `
WITH stored AS (
	INSERT INTO {s}.events (id, type, organization_id, payload, trace_parent, subject, created_at)
	VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, ` + storedAt + `)
	ON CONFLICT DO NOTHING
	RETURNING id
), fanned AS MATERIALIZED (
	SELECT p.key, p.id, p.disabled, sha256(convert_to($7::text || p.id, 'UTF8')) AS sum, clock_timestamp() AS at
	FROM {s}.endpoints p
	WHERE p.organization_id = (SELECT $3::text) AND num_nulls(p.deleted_at) = 1 AND p.event_types && (SELECT $8::text[])
), queued AS (
	INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
	SELECT encode(substring(uuid_send(st.id) FOR 6) || set_byte(set_byte(substring(f.sum FOR 10),
			0, get_byte(f.sum, 0) & 15 | 112), 2, get_byte(f.sum, 2) & 63 | 128), 'hex')::uuid,
		f.key, st.id, $2::text, f.at
	FROM stored st CROSS JOIN fanned f
)
SELECT key, id, disabled, false, EXISTS (SELECT FROM stored), (date_part('epoch', at) * 1000000)::bigint FROM fanned`

// storedAt is the present. Over a connection with another client_encoding than UTF8,
// PostgreSQL would store other payloads than were emitted. There it is NULL, which fails. So does
// another database than the store's.
const storedAt = `(SELECT CASE WHEN current_setting('client_encoding') IN ('UTF8', 'UNICODE') AND ` + atHome + ` THEN clock_timestamp() END)`

// atHome is true in the store's database, and fails in another one, even if that has the same tables:
// no boolean can be made of the sentence with the two names.
const atHome = `CASE WHEN current_database() = {home} THEN true ELSE ('the database ' || current_database() || ' instead of ' || {home})::boolean END`

// These statements store several events. The process first reads their subscribers, and makes
// the deliveries itself.
const (
	// findSubscribers returns, for each organization ($1) with an event type ($2) and the subscriptions
	// with a star that include it ($3, with blanks between), the endpoints that get it: the number of
	// these from 0, key, id, whether it is disabled, and the clock in µs since 1970.
	findSubscribers = `
SELECT w.place - 1, p.key, p.id, p.disabled, (date_part('epoch', clock_timestamp()) * 1000000)::bigint
FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::text[])) WITH ORDINALITY AS w (organization_id, type, stars, place)
CROSS JOIN LATERAL (
	SELECT p.key, p.id, p.disabled
	FROM {s}.endpoints p
	WHERE p.organization_id = w.organization_id AND num_nulls(p.deleted_at) = 1
		AND (w.type = ANY (p.event_types) OR p.event_types && string_to_array(w.stars, ' '))
	OFFSET 0
) AS p`

	// findStored returns which of the events ($1) are stored already, by their numbers from 0.
	// They are in ascending order, so that the server opens the partitions of their days alone.
	// It is planned anew each time for that, which a few events do not pay for. If there is none
	// from the first to the last, as with one process that emits what has just happened, it looks
	// for none.
	findStored = `
SELECT i.place - 1 FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS i (id, place)
CROSS JOIN LATERAL (
	SELECT FROM {s}.events e
	WHERE e.id = i.id AND e.id >= ($1::uuid[])[1] AND e.id <= ($1::uuid[])[cardinality($1::uuid[])]
	OFFSET 0
) AS e
WHERE EXISTS (SELECT FROM {s}.events WHERE id >= ($1::uuid[])[1] AND id <= ($1::uuid[])[cardinality($1::uuid[])])`

	// insertEvents stores events: $1 … $6 their ids, types, organization ids, payloads,
	// traceparents and subjects. Where one of the last two arrays is empty, all are NULL. It fails if an
	// event is there: somebody else has stored it since findStored.
	insertEvents = `
INSERT INTO {s}.events (id, type, organization_id, payload, trace_parent, subject, created_at)
SELECT unnest((SELECT $1::uuid[])), unnest((SELECT $2::text[])), unnest((SELECT $3::text[])), unnest((SELECT $4::text[])),
	unnest((SELECT $5::text[])), unnest((SELECT $6::text[])), ` + storedAt

	// insertNewEvents does not fail then, but costs half as much again. It returns which events
	// it has not stored, by their numbers from 0, and looks for them only if there are any.
	insertNewEvents = `
WITH stored AS (` + insertEvents + `
	ON CONFLICT DO NOTHING
	RETURNING id
)
SELECT i.place - 1 FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS i (id, place)
WHERE (SELECT count(*) FROM stored) < cardinality($1::uuid[]) AND i.id NOT IN (SELECT id FROM stored)`

	// insertDeliveries stores deliveries: $1 … $4 their ids, endpoints, events and event types,
	// and $5 how many µs before now each is due, so that the events of a call keep their order.
	insertDeliveries = `
INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
SELECT unnest((SELECT $1::uuid[])), unnest((SELECT $2::bigint[])), unnest((SELECT $3::uuid[])), unnest((SELECT $4::text[])),
	(SELECT clock_timestamp()) - unnest((SELECT $5::int[])) * interval '1 microsecond'`
)

// resultRows is a result of pgx or of database/sql.
type resultRows interface {
	Next() bool
	Scan(...any) error
	Err() error
}

// query is a statement of an enqueue or of an erasure, for whatever driver.
type query struct {
	sql  string
	args []any                  // in the form that pgx takes; see literals
	rows func(resultRows) error // nil if there are none
	// reads is set if it changes nothing.
	reads bool
}

// sender executes queries in order, in one round trip if it can. last says that the
// transaction needs no more. There may be no queries.
type sender func(last bool, queries ...query) error

// manyEvents is how many events it takes until looking for stored ones first costs less than
// inserting in a way that does not fail if somebody else stores one meanwhile.
const manyEvents = 100

// Enqueue implements [alotwebhook.Enqueuer] with one commit: one round trip for one event, two
// for up to 5,000. One event among many costs a fraction of one event alone.
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return s.enqueue(ctx, events, func(m *emission) error {
		if len(m.events) < manyEvents || !s.prepares {
			return s.enqueueFew(ctx, m)
		}
		err := s.enqueueMany(ctx, m)
		if sqlState(err) == "23505" { // unique_violation: somebody else is storing one of them, too
			return s.enqueueFew(ctx, m)
		}
		return err
	})
}

// enqueueFew stores events in a transaction of the store's own.
func (s *Store) enqueueFew(ctx context.Context, m *emission) error {
	err := s.within(ctx, func(conn *pgxpool.Conn) error { return m.storeAmongOthers(s.sender(ctx, conn, beginPlain)) })
	if m.remember = err == nil && m.isNew && s.owns.id.Load() != 0; m.remember {
		s.recent.add(m.events[0].id, m.content)
	}
	return err
}

// enqueueMany does the same, but fails if somebody else stores one of the events.
func (s *Store) enqueueMany(ctx context.Context, m *emission) error {
	return s.within(ctx, func(conn *pgxpool.Conn) error {
		return m.store(s.sender(ctx, conn, beginPlain), func(c *chunk, last bool) error { return s.stream(ctx, conn, c, last) })
	})
}

// sender returns a sender that begins a transaction first, by the steps of opening, and commits at last.
func (s *Store) sender(ctx context.Context, conn *pgxpool.Conn, opening []step) sender {
	before := opening
	return func(last bool, queries ...query) error {
		steps := before
		before = nil
		for _, q := range queries {
			steps = append(steps[:len(steps):len(steps)], q.step())
		}
		if last { // should more follow, it needs another transaction
			steps = append(steps[:len(steps):len(steps)], commit)
			before = opening
		}
		return s.send(ctx, conn, steps)
	}
}

// read reads the result of the query.
func (q query) read(rows resultRows) error {
	if q.rows != nil {
		return q.rows(rows)
	}
	for rows.Next() { // executes it to the end
	}
	return rows.Err()
}

// step returns the query as a step of the store's own transaction.
func (q query) step() step {
	st := step{sql: q.sql, args: q.args}
	if q.rows != nil {
		st.rows = func(rows pgx.Rows) error { return q.rows(rows) }
	}
	return st
}

// enqueue has store store the events, and notes the endpoints that have deliveries due.
func (s *Store) enqueue(ctx context.Context, events []alotwebhook.Event, store func(*emission) error) error {
	if err := s.made(); err != nil {
		return err
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	m, err := newEmission(events, &s.audiences)
	if err != nil {
		return err
	}
	if err := store(m); err != nil {
		return s.explain(fmt.Sprintf("enqueue %d events", len(events)), err)
	}
	s.lanes.due(m.found, m.remember)
	return nil
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
		// $1 the endpoint's id; of the event $2 id, $3 type, $4 organization id, $5 payload,
		// $6 traceparent, $7 subject and $9 whether it is a test; $8 the delivery's id. No row comes back where there is no
		// endpoint.
		sql: `
			WITH target AS MATERIALIZED (
				SELECT key FROM {s}.endpoints WHERE id = $1 AND deleted_at IS NULL
			), stored AS (
				INSERT INTO {s}.events (id, type, organization_id, payload, trace_parent, subject, test, created_at)
				SELECT $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::text, nullif($9::boolean, false), clock_timestamp() FROM target
				ON CONFLICT DO NOTHING
				RETURNING id, type
			), queued AS (
				INSERT INTO {s}.queue (id, endpoint, event_id, event_type, next_at)
				SELECT $8::uuid, CASE WHEN $9::boolean THEN -t.key ELSE t.key END, st.id, st.type, clock_timestamp() FROM stored st, target t
			)
			SELECT key FROM target`,
		args: []any{endpointID, param(id), event.Type, event.OrganizationID, string(event.Payload()), textOrNull(event.TraceParent), textOrNull(event.Subject), param(delivery), event.Test},
		rows: one(&found, &key),
	})
	if err != nil {
		return s.explain("enqueue an event to one endpoint", err)
	}
	if !found {
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, endpointID)
	}
	s.lanes.distrust()
	return nil
}
