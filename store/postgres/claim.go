package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// claimSQL leases what the picks ask for: endpoints first, a few rows of each.
// It joins by nested loops over indexes, see byIndex.
const claimSQL = `
WITH now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), free AS MATERIALIZED (
	SELECT q.ctid AS place, q.next_at, p.revision
	FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::uuid[]) AS w (endpoint, n, at, id)
	CROSS JOIN LATERAL (
		SELECT p.key, p.revision, NOT p.disabled AND p.deleted_at IS NULL AS active
		FROM {s}.endpoints p
		WHERE p.key = w.endpoint
		OFFSET 0 -- so that the key's index is used, and no other
	) AS p
	CROSS JOIN LATERAL (
		SELECT q.ctid, q.next_at
		FROM {s}.queue q
		WHERE q.endpoint = p.key
			AND q.next_at <= (SELECT at FROM now)
			AND (q.next_at, q.id) >= (w.at, w.id)
		ORDER BY q.next_at, q.id
		LIMIT w.n
		FOR UPDATE SKIP LOCKED
	) AS q
	WHERE p.active
)
UPDATE {s}.queue q
SET next_at = (SELECT at FROM now) + $5::bigint * interval '1 microsecond', lease = $6::bigint, claims = q.claims + 1
FROM free
WHERE q.ctid = free.place -- which the lock keeps in its place
RETURNING q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.tried, q.claims, free.next_at, free.revision`

// row is what claimSQL returns.
type row struct {
	id, event              uuid
	eventType              string
	endpoint, revision     int64
	attempts, tried, count int
	due                    time.Time
}

// Claim implements [alotwebhook.Queue]. Claims of one Store wait for each other;
// claims of several stores on one database do not.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	select {
	case <-s.claiming:
		defer func() { s.claiming <- struct{}{} }()
	case <-ctx.Done():
		return alotwebhook.ClaimResult{}, s.explain("claim deliveries", ctx.Err())
	}
	s.keepPartitions(ctx)
	claimed, err := s.claimRounds(ctx, c)
	if err != nil && len(claimed) == 0 {
		return alotwebhook.ClaimResult{}, s.explain("claim deliveries", err)
	}
	return alotwebhook.ClaimResult{Deliveries: claimed, NextIn: s.lanes.nextIn()}, nil
}

// claimRounds takes from the endpoints it knows of and looks for more where
// that is not enough. What it has when an error comes is leased and counts.
func (s *Store) claimRounds(ctx context.Context, c alotwebhook.ClaimRequest) (claimed []alotwebhook.Claimed, err error) {
	began := time.Now()
	taken := map[int64]int{}
	looked := false
	if s.lanes.overdue() {
		if looked, err = s.lookAround(ctx, 0); err != nil {
			return nil, err
		}
	}
	for len(claimed) < c.Limit {
		picks := s.lanes.pick(c, c.Limit-len(claimed), taken)
		if len(picks) == 0 {
			if looked || !s.lanes.mayLook(len(claimed) == 0) {
				break
			}
			if _, err := s.lookAround(ctx, cheapLook); err != nil {
				return claimed, err
			}
			looked = true
			continue
		}
		more, err := s.claimPicks(ctx, c, picks, taken)
		if err != nil {
			return claimed, err
		}
		claimed = append(claimed, more...)
		// Before the first lease runs out, or the same delivery comes again.
		if len(claimed) > 0 && time.Since(began) > c.Lease/2 {
			break
		}
	}
	return claimed, nil
}

// claimPicks is one claim in one transaction: the first round trip leases, the
// second fetches the payloads and the endpoints that are not cached as they are now.
func (s *Store) claimPicks(ctx context.Context, c alotwebhook.ClaimRequest, picks []pick, taken map[int64]int) (claimed []alotwebhook.Claimed, err error) {
	token := rand.Int64N(1<<63-1) + 1
	var rows []row
	var now time.Time
	err = s.within(ctx, func(conn *pgxpool.Conn) error {
		rows = rows[:0]
		err := s.send(ctx, conn, join(begin, []step{
			{sql: `SELECT clock_timestamp()`, rows: one(new(bool), &now)},
			{sql: claimSQL, args: claimArgs(picks, c.Lease, token), rows: readRows(&rows)},
		}))
		if err != nil {
			return err
		}
		slices.SortFunc(rows, dueFirst) // UPDATE returns them in no promised order
		claimed, err = s.fill(ctx, conn, rows, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.settlePicks(picks, rows, now, time.Now().Add(c.Lease), taken)
	return claimed, nil
}

func dueFirst(a, b row) int {
	return cmp.Or(a.due.Compare(b.due), slices.Compare(a.id[:], b.id[:]))
}

func claimArgs(picks []pick, lease time.Duration, token int64) []any {
	keys := make([]int64, len(picks))
	counts := make([]int32, len(picks))
	starts := make([]time.Time, len(picks))
	ids := make([]pgtype.UUID, len(picks))
	for i, p := range picks {
		keys[i], counts[i], starts[i], ids[i] = p.lane.key, int32(p.n), p.start.at, param(p.start.id)
	}
	return []any{keys, counts, starts, ids, lease.Microseconds(), token}
}

func readRows(rows *[]row) func(pgx.Rows) error {
	return func(result pgx.Rows) error {
		for result.Next() {
			var r row
			err := result.Scan(&r.id, &r.endpoint, &r.event, &r.eventType, &r.attempts, &r.tried, &r.count, &r.due, &r.revision)
			if err != nil {
				return err
			}
			*rows = append(*rows, r)
		}
		return result.Err()
	}
}

func byEvent(a, b row) int { return slices.Compare(a.event[:], b.event[:]) }

// fill turns rows into claimed deliveries and commits.
func (s *Store) fill(ctx context.Context, conn *pgxpool.Conn, rows []row, token int64) ([]alotwebhook.Claimed, error) {
	if len(rows) == 0 {
		return nil, s.send(ctx, conn, []step{commit})
	}
	payloads := map[uuid][]byte{}
	events := make([]pgtype.UUID, 0, len(rows))
	for _, r := range rows {
		if _, ok := payloads[r.event]; !ok {
			payloads[r.event] = nil
			events = append(events, param(r.event))
		}
	}
	steps := []step{{
		sql: `SELECT id, payload FROM {s}.events
			WHERE id = ANY ($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND payload IS NOT NULL`, // between: to open no other days
		args: []any{events, param(slices.MinFunc(rows, byEvent).event), param(slices.MaxFunc(rows, byEvent).event)},
		rows: func(result pgx.Rows) error {
			for result.Next() {
				var id uuid
				var payload string
				if err := result.Scan(&id, &payload); err != nil {
					return err
				}
				payloads[id] = []byte(payload)
			}
			return result.Err()
		},
	}}
	if missing := s.endpoints.missing(rows); len(missing) > 0 {
		steps = append(steps, s.endpoints.fetch(missing))
	}
	if err := s.send(ctx, conn, append(steps, commit)); err != nil {
		return nil, err
	}
	return s.assemble(rows, payloads, token), nil
}

func (s *Store) assemble(rows []row, payloads map[uuid][]byte, token int64) []alotwebhook.Claimed {
	claimed := make([]alotwebhook.Claimed, len(rows))
	for i, r := range rows {
		claimed[i] = alotwebhook.Claimed{
			DeliveryID: encodeID(deliveryPrefix, r.id),
			Token:      token,
			Attempt:    r.attempts + 1,
			Try:        r.attempts - r.tried + 1,
			Claims:     r.count,
			EventID:    encodeID(eventPrefix, r.event),
			EventType:  r.eventType,
			Payload:    payloads[r.event],
			Endpoint:   s.endpoints[r.endpoint].endpoint,
		}
	}
	return claimed
}

// settlePicks tells the lanes what each of them gave.
func (s *Store) settlePicks(picks []pick, rows []row, now, until time.Time, taken map[int64]int) {
	type got struct {
		n    int
		last place
	}
	by := make(map[int64]got, len(picks))
	for _, r := range rows {
		g := by[r.endpoint]
		g.n++
		if p := (place{r.due, r.id}); g.last.before(p) {
			g.last = p
		}
		by[r.endpoint] = g
		taken[r.endpoint]++
	}
	for _, p := range picks {
		g := by[p.lane.key]
		s.lanes.settle(p, g.n, g.last, now, until)
	}
}

// lookSQL steps from endpoint to endpoint through the queue's index: one probe
// finds the next endpoint's first delivery, however many there are.
const lookSQL = `
WITH RECURSIVE now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), firsts AS (
	(SELECT q.endpoint, q.next_at, q.id
	FROM {s}.queue q
	WHERE q.endpoint > $1::bigint
	ORDER BY q.endpoint, q.next_at, q.id
	LIMIT 1)
	UNION ALL
	SELECT q.endpoint, q.next_at, q.id
	FROM firsts f
	CROSS JOIN LATERAL (
		SELECT q.endpoint, q.next_at, q.id
		FROM {s}.queue q
		WHERE q.endpoint > f.endpoint
		ORDER BY q.endpoint, q.next_at, q.id
		LIMIT 1
	) AS q
)
SELECT f.endpoint, p.id, f.next_at, f.id, now.at, extract(epoch FROM w.next_at - now.at)::float8,
	p.deleted_at IS NOT NULL, NOT p.disabled AND p.deleted_at IS NULL
FROM (SELECT * FROM firsts LIMIT $2::int) AS f
CROSS JOIN now
JOIN {s}.endpoints p ON p.key = f.endpoint
LEFT JOIN LATERAL (
	SELECT q.next_at
	FROM {s}.queue q
	WHERE q.endpoint = f.endpoint AND q.next_at > now.at
	ORDER BY q.next_at, q.id
	LIMIT 1
) AS w ON NOT p.disabled`

// lookAround looks at a page of the endpoints that have unfinished deliveries,
// and at more of them until all are seen or the patience is over. The next look
// goes on there.
func (s *Store) lookAround(ctx context.Context, patience time.Duration) (all bool, err error) {
	for began := time.Now(); ; {
		more, err := s.lookAtPage(ctx)
		if err != nil {
			s.lanes.failedLook()
			return false, err
		}
		if !more || time.Since(began) >= patience {
			return !more, nil
		}
	}
}

func (s *Store) lookAtPage(ctx context.Context) (more bool, err error) {
	cursor, page := s.lanes.startLook()
	began := time.Now()
	var seen []sight
	err = s.run(ctx, step{sql: lookSQL, args: []any{cursor, int32(page)}, rows: func(rows pgx.Rows) (err error) {
		seen, err = readSights(rows)
		return err
	}})
	if err != nil {
		return false, err
	}
	more = s.lanes.endLook(seen, time.Since(began))
	return more, s.failDeleted(ctx, seen)
}

func readSights(rows pgx.Rows) (seen []sight, err error) {
	for rows.Next() {
		var v sight
		var nextIn *float64
		err := rows.Scan(&v.key, &v.id, &v.first.at, &v.first.id, &v.now, &nextIn, &v.deleted, &v.active)
		if err != nil {
			return nil, err
		}
		if v.waits = nextIn != nil; v.waits {
			v.nextIn = time.Duration(*nextIn * float64(time.Second))
		}
		seen = append(seen, v)
	}
	return seen, rows.Err()
}

// failDeleted goes on failing what a deleted endpoint left behind.
func (s *Store) failDeleted(ctx context.Context, seen []sight) error {
	for _, v := range seen {
		if v.deleted {
			_, err := s.failChunk(ctx, v.key)
			return err // one chunk per look: claims come first
		}
	}
	return nil
}

// endpointCache holds endpoints by key for as long as their revision stands.
type endpointCache map[int64]cachedEndpoint

type cachedEndpoint struct {
	revision int64
	endpoint *alotwebhook.Endpoint
}

// maxCachedEndpoints bounds the cache's memory to about ten megabytes.
const maxCachedEndpoints = 10_000

// missing returns the keys of the rows' endpoints that are not cached as they are now.
func (c endpointCache) missing(rows []row) (keys []int64) {
	if len(c) > maxCachedEndpoints {
		clear(c)
	}
	asked := map[int64]bool{}
	for _, r := range rows {
		if cached, ok := c[r.endpoint]; !(ok && cached.revision == r.revision) && !asked[r.endpoint] {
			asked[r.endpoint] = true
			keys = append(keys, r.endpoint)
		}
	}
	return keys
}

func (c endpointCache) fetch(keys []int64) step {
	return step{
		sql:  `SELECT key, revision, ` + endpointColumns + ` FROM {s}.endpoints p WHERE key = ANY ($1::bigint[])`,
		args: []any{keys},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				var key, revision int64
				e, err := scanEndpoint(rows, &key, &revision)
				if err != nil {
					return err
				}
				c[key] = cachedEndpoint{revision, &e}
			}
			return rows.Err()
		},
	}
}
