package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// finishSQL moves deliveries that have ended from the queue into the history,
// each with its last attempt.
//
//	$1   ids of the deliveries
//	$2   fencing tokens: a row with another one stays as it is
//	$3   whether they were delivered; otherwise they have failed
//	$4   numbers of the attempts; 0 where there was none
//	$5   when the attempts started
//	$6   their durations in ns
//	$7   HTTP status codes, 0 without a response
//	$8   failure reasons, "" for a success
//	$9   details of the failures
//	$10  beginnings of the response bodies
//	$11  how many attempts a row without a token must have; -1: such a row stays as it is
//	$12  the owner of the slots. Once others have taken these over, rows without a token stay
//	     as they are
//	$13  true when no attempt of this Finish has failed, no endpoint is ordered, and nothing is to be told
//	$14  the keys of the endpoints: a row without a token that is to another one stays as it is
//	$15  the numbers of the URLs that the endpoints had; none if all are 0
//
// With $13 the statement also clears failing_since of the endpoints that have it
// set. Without it, updateFailingSince weighs successes and failures instead.
//
// The first row of the result is the number of rows moved. The ids and endpoints
// of these rows follow, but not if $13 is set and all of them were moved: then
// their number says everything.
const finishSQL = `
WITH o AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::int[], $5::timestamptz[], $6::bigint[],
		$7::int[], $8::text[], $9::text[], $10::text[], $11::int[], $14::bigint[], $15::int[])
		AS o (id, token, delivered, number, started_at, duration_ns, status_code, reason, detail, response_body, attempts, endpoint, url)
), ended AS (
	DELETE FROM {s}.queue q
	USING o
	WHERE q.id = o.id AND (q.token = o.token OR ` + unwrittenLease + `)
	RETURNING q.id, q.endpoint, q.event_id, q.event_type, q.attempts,
		o.delivered, o.number, o.started_at, o.duration_ns, o.status_code, o.reason, o.detail, o.response_body, o.url
), kept AS (
	INSERT INTO {s}.deliveries (id, endpoint, event_id, event_type, finished_at, attempts, delivered,
		number, started_at, duration_ns, status_code, reason, detail, response_body, url)
	SELECT id, endpoint, event_id, event_type, clock_timestamp(), attempts + (number <> 0)::int, delivered,
		number, started_at, duration_ns, status_code, reason, detail, response_body, url
	FROM ended
), healed AS (
	UPDATE {s}.endpoints
	SET failing_since = NULL, revision = revision + 1
	WHERE $13::boolean AND failing_since IS NOT NULL
		AND key = ANY (ARRAY(SELECT DISTINCT endpoint FROM ended WHERE delivered AND number <> 0))
)
SELECT NULL::uuid, count(*) FROM ended
UNION ALL
SELECT id, endpoint FROM ended WHERE NOT $13::boolean OR (SELECT count(*) FROM ended) <> cardinality($1::uuid[])`

// unwrittenLease is a condition on a row q without a token and an outcome o: that the row is the one
// that this process has claimed.
const unwrittenLease = `q.token = 0 AND q.attempts = o.attempts AND q.endpoint = o.endpoint AND (SELECT true FROM {s}.owners WHERE id = $12::bigint)`

// retrySQL makes unfinished deliveries due again and keeps their attempts. It takes
// the arguments of finishSQL with two differences: $3 holds the µs until each falls
// due, and $13 says which of them stay leased until then; it writes these leases into
// the rows. It returns the ids and endpoints of the rows that it changed.
const retrySQL = `
WITH o AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::timestamptz[], $6::bigint[],
		$7::int[], $8::text[], $9::text[], $10::text[], $11::int[], $13::boolean[], $14::bigint[], $15::int[])
		AS o (id, token, next_in_us, number, started_at, duration_ns, status_code, reason, detail, response_body, attempts, held, endpoint, url)
), again AS (
	UPDATE {s}.queue q
	SET next_at = clock_timestamp() + o.next_in_us * interval '1 microsecond',
		claims = CASE WHEN o.held THEN -1 ELSE 0 END, -- the next claim of what was held counts as its first
		token = CASE WHEN o.held THEN o.token ELSE 0 END,
		attempts = q.attempts + (o.number <> 0)::int
	FROM o
	WHERE q.id = o.id AND (q.token = o.token OR ` + unwrittenLease + `)
	RETURNING q.id, q.endpoint, o.number, o.started_at, o.duration_ns, o.status_code, o.reason, o.detail, o.response_body, o.url
), kept AS (
	INSERT INTO {s}.attempts (delivery_id, number, started_at, duration_ns, status_code, reason, detail, response_body, url)
	SELECT id, number, started_at, duration_ns, status_code, reason, detail, response_body, url
	FROM again
	WHERE number <> 0
)
SELECT id, endpoint FROM again`

// Finish implements [alotwebhook.Queue] in one transaction of one round trip: a
// statement for the deliveries that have ended, and one for those that are due
// again. If an attempt has failed, failing_since takes a second round trip, and so do the
// order of an ordered endpoint and operations.
func (s *Store) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	if len(outcomes) == 0 {
		return nil, ctx.Err()
	}
	f := s.sortOutcomes(outcomes)
	err = s.within(ctx, func(conn *pgxpool.Conn) error {
		clear(f.endpoints)
		steps := join(beginFinish, f.lockOwner(), f.steps())
		if !f.failures {
			return s.send(ctx, conn, append(steps, commit))
		}
		if err := s.send(ctx, conn, steps); err != nil {
			return err
		}
		told, err := f.noteOperations()
		if err != nil {
			return err
		}
		return s.send(ctx, conn, join([]step{f.updateFailingSince()}, f.keepOrder(), told, []step{commit}))
	})
	if err != nil {
		return nil, s.explain("record outcomes", err)
	}
	s.held.settle(f)
	s.noteRetries(f)
	return f.lost(), nil
}

// finishing is the work of one Finish.
type finishing struct {
	outcomes []alotwebhook.Outcome
	// ids are the deliveries' ids, in the order of the outcomes. The zero id stands
	// for an outcome that is lost in any case: its id is malformed, it has no token,
	// or another one of the same delivery stands before it.
	ids          []uuid
	ended, again outcomeArgs
	owner        int64 // of the slots
	failures     bool  // an attempt has failed, an endpoint is ordered, or there is an operation
	// endpoints holds, by delivery, the endpoint of each outcome that was stored: 0
	// where finishSQL left it out. An outcome that is not in it is lost.
	endpoints map[uuid]int64
}

// outcomeArgs are the arguments of finishSQL or retrySQL, one slice for each
// parameter. pgx encodes a FlatArray at half the cost of a slice of structs.
type outcomeArgs struct {
	ids                        pgtype.FlatArray[pgtype.UUID]
	tokens                     []int64
	delivered                  []bool  // $3 of finishSQL
	nextIn                     []int64 // $3 of retrySQL, in µs
	held                       []bool  // $13 of retrySQL
	numbers                    []int32
	attempts                   []int32 // $11
	endpoints                  []int64 // $14
	started                    pgtype.FlatArray[pgtype.Timestamptz]
	durations                  []int64 // ns
	codes                      []int32
	reasons, details, response []string
	urls                       []*int32 // $15
	moved                      bool     // one of urls is not nil
}

// sortOutcomes parts the outcomes into those that end a delivery and those that
// make it due again.
func (s *Store) sortOutcomes(outcomes []alotwebhook.Outcome) *finishing {
	f := &finishing{outcomes: outcomes, ids: make([]uuid, len(outcomes)), endpoints: make(map[uuid]int64, len(outcomes)), owner: s.owns.id.Load()}
	seen := make(map[uuid]bool, len(outcomes))
	for i, o := range outcomes {
		id, ok := decodeID(deliveryPrefix, o.DeliveryID)
		if !ok || o.Token == 0 || seen[id] {
			continue
		}
		f.ids[i], seen[id] = id, true
		f.failures = f.failures || o.Attempt.Number != 0 && o.State != alotwebhook.StateDelivered || o.HoldsUp > 0 || o.Operation != nil
		if o.State == alotwebhook.StatePending {
			f.again.add(id, o, s.held)
			f.again.nextIn = append(f.again.nextIn, max(o.NextAttemptIn.Microseconds(), 0))
			f.again.held = append(f.again.held, o.Held)
		} else {
			f.ended.add(id, o, s.held)
			f.ended.delivered = append(f.ended.delivered, o.State == alotwebhook.StateDelivered)
		}
	}
	return f
}

func (a *outcomeArgs) add(id uuid, o alotwebhook.Outcome, h *held) {
	attempts, endpoint := h.fence(id, o.Token)
	a.ids = append(a.ids, param(id))
	a.attempts, a.endpoints = append(a.attempts, attempts), append(a.endpoints, endpoint)
	a.tokens = append(a.tokens, o.Token)
	a.numbers = append(a.numbers, int32(o.Attempt.Number))
	a.started = append(a.started, pgtype.Timestamptz{Time: o.Attempt.StartedAt, Valid: !o.Attempt.StartedAt.IsZero()})
	a.durations = append(a.durations, int64(o.Attempt.Duration))
	a.codes = append(a.codes, int32(o.Attempt.StatusCode))
	a.reasons = append(a.reasons, string(o.Attempt.Reason))
	a.details = append(a.details, o.Attempt.Detail)
	a.response = append(a.response, o.Attempt.ResponseBody)
	a.addURL(o.URLs)
}

// args returns the arguments. third is $3 and last $13, in which the two statements differ.
func (a *outcomeArgs) args(third any, owner int64, last any) []any {
	return []any{a.ids, a.tokens, third, a.numbers, a.started, a.durations, a.codes, a.reasons, a.details, a.response, a.attempts, owner, last, a.endpoints, a.urlsOrNone()}
}

// lockOwner returns the statement that keeps the slots with their owner until the transaction
// ends. It waits for a process that is moving them, so that the statements after it see what
// that process has written.
func (f *finishing) lockOwner() []step {
	return []step{{sql: `SELECT FROM {s}.owners WHERE id = $1::bigint FOR KEY SHARE`, args: []any{f.owner}}}
}

// steps returns the statements that store the outcomes.
func (f *finishing) steps() (steps []step) {
	if a := &f.ended; len(a.ids) > 0 {
		steps = append(steps, step{sql: finishSQL, args: a.args(a.delivered, f.owner, !f.failures), rows: f.noteEnded})
	}
	if a := &f.again; len(a.ids) > 0 {
		steps = append(steps, step{sql: retrySQL, args: a.args(a.nextIn, f.owner, a.held), rows: f.note})
	}
	return append(steps, f.forgetOld()...)
}

// forgetOld returns the statements that delete old attempts, of each delivery at every
// KeptAttempts-th attempt. An outcome that is lost does no harm: the delivery has at
// least as many attempts as its claim said.
func (f *finishing) forgetOld() []step {
	var ids []pgtype.UUID
	var until []int32
	for i, o := range f.outcomes {
		n := o.Attempt.Number
		if n >= 2*alotwebhook.KeptAttempts && n%alotwebhook.KeptAttempts == 0 && f.ids[i] != (uuid{}) {
			ids, until = append(ids, param(f.ids[i])), append(until, int32(n-alotwebhook.KeptAttempts))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return []step{prune, {
		// $1 are the deliveries, $2 the numbers up to which their attempts go. The first
		// condition is for the planner.
		sql: `DELETE FROM {s}.attempts a USING unnest($1::uuid[], $2::int[]) AS old (id, until)
			WHERE a.delivery_id = ANY ($1::uuid[]) AND a.delivery_id = old.id AND a.number <= old.until`,
		args: []any{ids, until},
	}}
}

// noteEnded reads the result of finishSQL.
func (f *finishing) noteEnded(rows pgx.Rows) error {
	var none *uuid
	var moved int
	if !rows.Next() {
		return rows.Err()
	}
	if err := rows.Scan(&none, &moved); err != nil {
		return err
	}
	if moved == len(f.ended.ids) {
		for _, id := range f.ended.ids {
			f.endpoints[id.Bytes] = 0 // until note has read its row, if the result has one
		}
	}
	return f.note(rows)
}

// note reads ids and endpoints of rows that were moved or changed.
func (f *finishing) note(rows pgx.Rows) error {
	for rows.Next() {
		var id uuid
		var endpoint int64
		if err := rows.Scan(&id, &endpoint); err != nil {
			return err
		}
		f.endpoints[id] = endpoint
	}
	return rows.Err()
}

// lost returns the ids of the deliveries whose outcomes changed nothing.
func (f *finishing) lost() (lost []string) {
	for i, o := range f.outcomes {
		if _, ok := f.endpoints[f.ids[i]]; !ok {
			lost = append(lost, o.DeliveryID)
		}
	}
	return lost
}

// updateFailingSince returns the statement that sets or clears failing_since of
// each endpoint as the outcomes that were stored would do one after the other.
func (f *finishing) updateFailingSince() step {
	type health struct {
		cleared bool       // by a success
		since   *time.Time // the first failure after the last success; nil for none
	}
	of := map[int64]health{} // by endpoint
	for i, o := range f.outcomes {
		key, ok := f.endpoints[f.ids[i]]
		switch h := of[key]; {
		case !ok || o.Attempt.Number == 0:
		case o.State == alotwebhook.StateDelivered:
			of[key] = health{cleared: true}
		case h.since == nil && !o.Blameless:
			h.since = nullable(o.Attempt.StartedAt)
			of[key] = h
		}
	}
	// All processes lock the endpoints in the order of their keys, so that they wait
	// for each other and do not deadlock.
	keys := slices.Sorted(maps.Keys(of))
	cleared := make([]bool, len(keys))
	since := make([]*time.Time, len(keys))
	for i, key := range keys {
		cleared[i], since[i] = of[key].cleared, of[key].since
	}
	return step{
		// $1 holds the keys of the endpoints, $2 and $3 the fields of their health. Only
		// rows that change are written.
		sql: `
			WITH f AS MATERIALIZED (
				SELECT p.key, CASE WHEN f.cleared THEN f.since ELSE coalesce(p.failing_since, f.since) END AS since
				FROM unnest($1::bigint[], $2::boolean[], $3::timestamptz[]) AS f (key, cleared, since)
				JOIN {s}.endpoints p ON p.key = f.key
				ORDER BY p.key
				FOR NO KEY UPDATE OF p
			)
			UPDATE {s}.endpoints p
			SET failing_since = f.since, revision = revision + 1
			FROM f
			WHERE p.key = f.key AND p.failing_since IS DISTINCT FROM f.since`,
		args: []any{keys, cleared, since},
	}
}

// noteRetries tells the lanes which endpoints have a delivery that falls due
// again, and when.
func (s *Store) noteRetries(f *finishing) {
	now := time.Now()
	for i, o := range f.outcomes {
		if key, ok := f.endpoints[f.ids[i]]; ok && o.State == alotwebhook.StatePending {
			s.lanes.later(key, now.Add(max(o.NextAttemptIn, 0)))
		}
	}
}
