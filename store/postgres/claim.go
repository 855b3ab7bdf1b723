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

// claimSQL leases due deliveries of the endpoints that the picks name. Of each
// endpoint it walks the index queue_due from the pick's start and locks the first
// n due rows that nobody else holds. Then it moves their next_at to the end of
// the lease.
//
//	$1 … $4  of each pick: the endpoint's key, n, and next_at and id where the walk starts
//	$5       the lease in µs
//	$6       the claim's fencing token
//
// Each row of the result is a leased delivery, with the next_at that it had before
// and the revision of its endpoint's row. A cached endpoint of that revision holds.
//
// All joins are nested loops over indexes; byIndex in tx.go says why and how.
const claimSQL = `
WITH now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), locked AS MATERIALIZED (
	SELECT q.ctid AS place, q.next_at, p.revision
	FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::uuid[]) AS w (endpoint, n, at, id)
	CROSS JOIN LATERAL (
		SELECT p.key, p.revision, NOT p.disabled AND p.deleted_at IS NULL AS active
		FROM {s}.endpoints p
		WHERE p.key = w.endpoint
		OFFSET 0 -- keeps this subquery apart, so that the key's index is used
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
FROM locked
WHERE q.ctid = locked.place -- the row lock keeps the row at its place
RETURNING q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.tried, q.claims, locked.next_at, locked.revision`

// row is a delivery that claimSQL has leased.
type row struct {
	id, event               uuid
	eventType               string
	endpoint, revision      int64
	attempts, tried, claims int       // claims counts this one, too
	due                     time.Time // its next_at before the claim
}

// Claim implements [alotwebhook.Queue]. The claims of one Store go one after the
// other. The claims of several stores on one database do not wait for each other.
func (s *Store) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (alotwebhook.ClaimResult, error) {
	select {
	case <-s.claiming:
		defer func() { s.claiming <- struct{}{} }()
	case <-ctx.Done():
		return alotwebhook.ClaimResult{}, s.explain("claim deliveries", ctx.Err())
	}
	claimed, err := s.claimRounds(ctx, c)
	if err != nil && len(claimed) == 0 {
		return alotwebhook.ClaimResult{}, s.explain("claim deliveries", err)
	}
	s.keepPartitions(ctx)
	return alotwebhook.ClaimResult{Deliveries: claimed, NextIn: s.lanes.nextIn()}, nil
}

// claimRounds claims from the endpoints that the lanes know, in as many rounds as
// it takes to reach the limit, and surveys the queue for more endpoints when those
// give too little. When a later round fails, it returns the deliveries of the
// rounds before beside the error: they are leased already.
func (s *Store) claimRounds(ctx context.Context, c alotwebhook.ClaimRequest) (claimed []alotwebhook.Claimed, err error) {
	began := time.Now()
	taken := map[int64]int{}
	surveyed := false // true once this claim has nothing more to survey
	if s.lanes.surveyOverdue() {
		if surveyed, err = s.survey(ctx, 0); err != nil {
			return nil, err
		}
	}
	for len(claimed) < c.Limit {
		if err := s.meetStrangers(ctx, c); err != nil {
			return claimed, err
		}
		picks := s.lanes.pick(c, c.Limit-len(claimed), taken)
		if len(picks) == 0 {
			if surveyed || !s.lanes.surveyPays(len(claimed) == 0) {
				break
			}
			if _, err := s.survey(ctx, cheapSurvey); err != nil {
				return claimed, err
			}
			surveyed = true
			continue
		}
		more, err := s.claimPicks(ctx, c, picks, taken)
		if err != nil {
			return claimed, err
		}
		claimed = append(claimed, more...)
		// A further round must not last until the first round's leases run out:
		// it would claim the same deliveries again.
		if len(claimed) > 0 && time.Since(began) > c.Lease/2 {
			break
		}
	}
	return claimed, nil
}

// meetStrangers finds out whose the lanes are that nothing was claimed of yet. It matters
// only while an organization is withheld.
func (s *Store) meetStrangers(ctx context.Context, c alotwebhook.ClaimRequest) error {
	if len(c.Withheld) == 0 {
		return nil
	}
	keys := s.lanes.strangers()
	if len(keys) == 0 {
		return nil
	}
	return s.read(ctx, step{
		sql:  `SELECT key, organization_id FROM {s}.endpoints WHERE key = ANY ($1::bigint[])`,
		args: []any{keys},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				var key int64
				var organization string
				if err := rows.Scan(&key, &organization); err != nil {
					return err
				}
				s.lanes.belongs(key, organization)
			}
			return rows.Err()
		},
	})
}

// claimPicks is one round of a claim: one transaction of two round trips. The
// first leases the deliveries. The second reads their payloads, and the endpoints
// that the cache does not have in their present revision, and commits. taken counts,
// by endpoint key, the deliveries that the whole claim has taken.
func (s *Store) claimPicks(ctx context.Context, c alotwebhook.ClaimRequest, picks []pick, taken map[int64]int) (claimed []alotwebhook.Claimed, err error) {
	token := rand.Int64N(1<<63-1) + 1
	var rows []row
	var now time.Time
	err = s.within(ctx, func(conn *pgxpool.Conn) error {
		rows = rows[:0]
		err := s.send(ctx, conn, join(begin, []step{
			// The clock is read before the claim: the next search has to begin before
			// anything that falls due while this one runs.
			{sql: `SELECT clock_timestamp()`, rows: one(new(bool), &now)},
			{sql: claimSQL, args: claimArgs(picks, c.Lease, token), rows: readRows(&rows)},
		}))
		if err != nil {
			return err
		}
		slices.SortFunc(rows, byDue) // UPDATE promises no order
		claimed, err = s.fill(ctx, conn, rows, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.settlePicks(picks, rows, now, time.Now().Add(c.Lease), taken)
	return claimed, nil
}

// byDue orders rows as the queue does: by due time, then by id.
func byDue(a, b row) int {
	return cmp.Or(a.due.Compare(b.due), slices.Compare(a.id[:], b.id[:]))
}

// claimArgs returns the arguments of claimSQL.
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

// readRows returns a function that appends the result of claimSQL to rows.
func readRows(rows *[]row) func(pgx.Rows) error {
	return func(result pgx.Rows) error {
		for result.Next() {
			var r row
			err := result.Scan(&r.id, &r.endpoint, &r.event, &r.eventType, &r.attempts, &r.tried, &r.claims, &r.due, &r.revision)
			if err != nil {
				return err
			}
			*rows = append(*rows, r)
		}
		return result.Err()
	}
}

func byEvent(a, b row) int { return slices.Compare(a.event[:], b.event[:]) }

// fill reads the payloads and the endpoints that belong to the rows, commits, and
// returns the rows as claimed deliveries.
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
		// $1 holds the ids of the events, $2 the least and $3 the greatest of them: by
		// these bounds the server opens the partitions of their days alone.
		sql: `SELECT id, payload FROM {s}.events
			WHERE id = ANY ($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND payload IS NOT NULL`,
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

// assemble returns the rows as claimed deliveries, with their payloads and with
// their endpoints out of the cache.
func (s *Store) assemble(rows []row, payloads map[uuid][]byte, token int64) []alotwebhook.Claimed {
	claimed := make([]alotwebhook.Claimed, len(rows))
	for i, r := range rows {
		claimed[i] = alotwebhook.Claimed{
			DeliveryID: encodeID(deliveryPrefix, r.id),
			Token:      token,
			Attempt:    r.attempts + 1,
			Try:        r.attempts - r.tried + 1,
			Claims:     r.claims,
			EventID:    encodeID(eventPrefix, r.event),
			EventType:  r.eventType,
			Payload:    payloads[r.event],
			Endpoint:   s.endpoints[r.endpoint].endpoint,
		}
	}
	return claimed
}

// settlePicks tells the lanes how many deliveries each pick gave and where the
// last of them stood. now is the database's clock before the claim, until the end
// of the leases by this process's clock.
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
		if cached, ok := s.endpoints[p.lane.key]; ok {
			s.lanes.belongs(p.lane.key, cached.endpoint.OrganizationID)
		}
		s.lanes.settle(p, g.n, g.last, now, until)
	}
}
