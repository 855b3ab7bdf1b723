package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/alot/alotwebhook"
)

// Of an ordered endpoint, one delivery is claimed at a time. Its lane is in the order in which the
// events were emitted, but for deliveries whose next_at has moved: by a failed attempt, or a lease
// that stands in the row. Where such a one keeps its place, the table firsts names it. Endpoints
// that are not ordered have no part in any of this.

// firstSQL finds the first delivery of the endpoint p.key, due or not. None if nothing is due and
// nothing is held up. at is the time, and from, a condition, may spare what cannot be there.
func firstSQL(at, from string) string {
	return `
	SELECT q.*
	FROM (
		(SELECT 0 AS rank, q.id, f.until
		FROM {s}.firsts f
		JOIN {s}.queue q ON q.id = f.delivery
		WHERE f.endpoint = p.key AND q.endpoint = p.key AND (q.next_at <= greatest(f.until, ` + at + `) OR q.token <> 0))
		UNION ALL
		(SELECT 1, q.id, NULL
		FROM {s}.queue q
		WHERE q.endpoint = p.key AND q.next_at <= ` + at + from + `
		ORDER BY q.next_at, q.id
		LIMIT 1)
	) AS q
	ORDER BY q.rank
	LIMIT 1`
}

// claimOrderedSQL is claimSQL for ordered endpoints: it returns the first delivery of each, with
// the time in µs until that is due.
//
//	$1 … $3  of each pick: the endpoint's key, and next_at and id where its lane begins
var claimOrderedSQL = `
WITH now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
)
SELECT q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.tried, q.claims, q.token, q.next_at, p.revision, p.ordered,
	greatest(extract(epoch FROM q.next_at - (SELECT at FROM now)) * 1000000, 0)::bigint
FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[]) AS w (endpoint, at, id)
CROSS JOIN LATERAL (
	SELECT p.key, p.revision, p.ordered, NOT p.disabled AND p.deleted_at IS NULL AS active
	FROM {s}.endpoints p
	WHERE p.key = w.endpoint
	OFFSET 0
) AS p
CROSS JOIN LATERAL (` + firstSQL(`(SELECT at FROM now)`, ` AND (q.next_at, q.id) >= (w.at, w.id)`) + `) AS f
CROSS JOIN LATERAL (
	SELECT q.* FROM {s}.queue q WHERE q.id = f.id OFFSET 0
) AS q
WHERE p.active`

// claimSteps returns the statements that read the rows of the picks.
func (s *Store) claimSteps(picks []pick, rows *[]row) (steps []step) {
	var keys []int64
	var starts []time.Time
	var ids []pgtype.UUID
	var others []pick
	for _, p := range picks {
		if !p.ordered {
			others = append(others, p)
			continue
		}
		keys, starts, ids = append(keys, p.lane.key), append(starts, p.base.at), append(ids, param(p.base.id))
	}
	if len(others) > 0 {
		steps = append(steps, step{sql: claimSQL, args: s.claimArgs(others), rows: readRows(rows)})
	}
	if len(keys) > 0 {
		steps = append(steps, step{sql: claimOrderedSQL, args: []any{keys, starts, ids}, rows: readRows(rows)})
	}
	return steps
}

// inOrder reports whether a row may be taken as far as order goes. It notes in the pick what
// else the row says: that the endpoint is ordered, or is so no more, and when its first delivery
// is due.
func (p *pick) inOrder(r *row) bool {
	p.seen = true
	if r.ordered != p.ordered {
		p.changed = true
		return false
	}
	p.wait = r.wait
	return r.wait == 0
}

// isHeldUp reports whether a pick has seen the first delivery of an ordered lane and could not take
// it: somebody has given it back while the claim read. The lane gives nothing more to this claim,
// which would see the same again.
func (p *pick) isHeldUp(got int) bool { return p.ordered && p.seen && !p.changed && got == 0 }

// tookAll is more than any claim takes of a lane.
const tookAll = 1 << 30

// settleOrdered is settle for a lane of which the pick, or the endpoint, is ordered. The lane
// keeps its turn while its first delivery is due: pick passes over it as long as that is under
// way. The caller holds mu.
func (ls *lanes) settleOrdered(p *pick) {
	l := p.lane
	if p.changed {
		l.ordered = !p.ordered
		if l.ordered {
			ls.ordered++
			l.start = place{} // what others have stored before start, or what was parked, comes first
		} else {
			ls.ordered--
		}
	}
	if p.seen && p.wait == 0 {
		if l.turn != nil {
			ls.turns.MoveToBack(l.turn)
		}
		return
	}
	ls.rest(p)
	if next := time.Now().Add(p.wait); p.wait > 0 && (l.next.IsZero() || next.Before(l.next)) {
		ls.setNext(l, next)
	}
}

// underWayOrdered returns the lanes of which something is under way, or nil if no lane is
// ordered.
func (s *Store) underWayOrdered() map[int64]bool {
	if !s.lanes.anyOrdered() {
		return nil
	}
	return s.held.lanes()
}

func (ls *lanes) anyOrdered() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.ordered > 0
}

// lanes returns the lanes of which something is under way.
func (h *held) lanes() map[int64]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	busy := make(map[int64]bool, len(h.byLane))
	for _, n := range h.ends {
		busy[n.endpoint] = true
	}
	return busy
}

// places are deliveries of ordered endpoints.
type places struct {
	endpoints []int64
	ids       []pgtype.UUID
}

func (p *places) add(endpoint int64, id uuid) {
	p.endpoints, p.ids = append(p.endpoints, endpoint), append(p.ids, param(id))
}

// keep returns the statements that have the deliveries keep their places, whatever their next_at
// becomes.
func (p *places) keep() []step {
	if len(p.ids) == 0 {
		return nil
	}
	return []step{{
		sql: `
			INSERT INTO {s}.firsts (endpoint, delivery)
			SELECT DISTINCT ON (w.endpoint) w.endpoint, w.id FROM unnest($1::bigint[], $2::uuid[]) AS w (endpoint, id)
			ORDER BY w.endpoint
			ON CONFLICT (endpoint) DO UPDATE SET delivery = excluded.delivery, until = NULL
			WHERE firsts.delivery <> excluded.delivery`,
		args: []any{p.endpoints, p.ids},
	}}
}

// lose returns the statements that take their places from deliveries.
func (p *places) lose() []step {
	if len(p.ids) == 0 {
		return nil
	}
	return []step{{
		sql: `DELETE FROM {s}.firsts f USING unnest($1::bigint[], $2::uuid[]) AS w (endpoint, id)
			WHERE f.endpoint = w.endpoint AND f.delivery = w.id`,
		args: []any{p.endpoints, p.ids},
	}}
}

// retriedSQL decides which deliveries keep their places after a failed attempt: their endpoints
// $1, ids $2, and how long they may hold up others in all, in µs $3. It follows retrySQL.
const retriedSQL = `
WITH o AS MATERIALIZED (
	SELECT o.endpoint, o.id, q.next_at, q.attempts - q.tried = 1 AS first, clock_timestamp() + o.us * interval '1 microsecond' AS until
	FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS o (endpoint, id, us)
	CROSS JOIN LATERAL (SELECT q.next_at, q.attempts, q.tried FROM {s}.queue q WHERE q.id = o.id OFFSET 0) AS q
), kept AS (
	INSERT INTO {s}.firsts (endpoint, delivery, until)
	SELECT DISTINCT ON (o.endpoint) o.endpoint, o.id, o.until FROM o WHERE o.first AND o.next_at <= o.until
	ORDER BY o.endpoint
	ON CONFLICT (endpoint) DO UPDATE SET delivery = excluded.delivery, until = excluded.until
)
DELETE FROM {s}.firsts f USING o
WHERE f.endpoint = o.endpoint AND f.delivery = o.id
	AND CASE WHEN o.first THEN o.next_at > o.until ELSE f.until IS NULL OR f.until < o.next_at END`

// keepOrder returns the statements that keep the order of ordered endpoints after the outcomes
// that were stored.
func (f *finishing) keepOrder() []step {
	var kept, lost, retried places
	var holds []int64
	for i, o := range f.outcomes {
		endpoint, ok := f.endpoints[f.ids[i]]
		switch {
		case !ok || o.HoldsUp <= 0:
		case o.State != alotwebhook.StatePending:
			lost.add(endpoint, f.ids[i])
		case o.Attempt.Number == 0:
			kept.add(endpoint, f.ids[i])
		default:
			retried.add(endpoint, f.ids[i])
			holds = append(holds, o.HoldsUp.Microseconds())
		}
	}
	steps := join(kept.keep(), lost.lose())
	if len(retried.ids) > 0 {
		steps = append(steps, step{sql: retriedSQL, args: []any{retried.endpoints, retried.ids, holds}})
	}
	return steps
}

// doubtOrderedSQL is doubtSQL for ordered endpoints, of which only the first delivery can have
// been under way: the slots of the dead process $1.
var doubtOrderedSQL = `
UPDATE {s}.queue SET claims = 1
WHERE token = 0 AND claims = 0 AND next_at <= statement_timestamp() AND id = ANY (` + lockable(`ARRAY(
	SELECT f.id
	FROM {s}.endpoints p
	CROSS JOIN LATERAL (`+firstSQL(`statement_timestamp()`, ``)+`) AS f
	WHERE p.ordered AND (p.key % 256)::int = ANY ($1::int[]))`) + `)`

// waitsForSQL finds what an unfinished delivery d of the endpoint p waits for, if that is ordered.
// For all others it reads nothing.
var waitsForSQL = `
	SELECT f.id, f.until
	FROM (SELECT) AS one
	CROSS JOIN LATERAL (` + firstSQL(`statement_timestamp()`, ``) + `) AS f
	WHERE p.ordered AND d.endpoint > 0 AND NOT p.disabled AND p.deleted_at IS NULL
		AND d.next_at <= statement_timestamp() AND f.id <> d.id`

// setWaits sets what a delivery waits for.
func setWaits(d *alotwebhook.Delivery, first *uuid, until *time.Time) {
	if first != nil && d.State == alotwebhook.StatePending {
		d.WaitsFor, d.WaitsUntil = encodeID(deliveryPrefix, *first), instant(until)
	}
}

// forgetFirst deletes what is known of the order of an endpoint that was deleted.
func (s *Store) forgetFirst(ctx context.Context, endpoint int64) error {
	return s.run(ctx, step{sql: `DELETE FROM {s}.firsts WHERE endpoint = $1::bigint`, args: []any{endpoint}})
}
