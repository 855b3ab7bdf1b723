package postgres

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
)

// claimSQL reads due deliveries of the endpoints that the picks name. Of each
// endpoint it walks the index queue_due from the pick's start. It writes nothing: the process
// owns the slots of these endpoints, and remembers what it has read.
//
//	$1 … $4  of each pick: the key of its lane, how many rows, and next_at and id where the walk starts
//
// Each row of the result is a due delivery, with the revision of its endpoint's row: a cached
// endpoint of that revision need not be read again.
//
// All joins are nested loops over indexes; byIndex in tx.go says why and how.
const claimSQL = `
WITH now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
)
SELECT q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.tried, q.claims, q.token, q.next_at, p.revision, p.ordered, 0::bigint
FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::uuid[]) AS w (endpoint, n, at, id)
CROSS JOIN LATERAL (
	SELECT p.revision, p.ordered AND w.endpoint > 0 AS ordered, (NOT p.disabled OR w.endpoint < 0) AND p.deleted_at IS NULL AS active
	FROM {s}.endpoints p
	WHERE p.key = abs(w.endpoint)
	OFFSET 0 -- keeps this subquery apart, so that the key's index is used
) AS p
CROSS JOIN LATERAL (
	SELECT q.id, q.endpoint, q.event_id, q.event_type, q.attempts, q.tried, q.claims, q.token, q.next_at
	FROM {s}.queue q
	WHERE q.endpoint = w.endpoint
		AND q.next_at <= (SELECT at FROM now)
		AND (q.next_at, q.id) >= (w.at, w.id)
	ORDER BY q.next_at, q.id
	LIMIT w.n
) AS q
WHERE p.active`

// reclaimSQL leases deliveries in their rows that were claimed before without an outcome: from
// now on the new token alone counts. If this process dies, too, they are due when this lease has
// run out, behind what is due longer. What a host's transaction is erasing it leaves alone.
//
//	$1, $2  ids and the tokens that the rows must have
//	$3      the lease in µs
//	$4      the new token
//	$5      1 if a claim has been lost that the row does not count yet, else 0
var reclaimSQL = `
UPDATE {s}.queue q
SET next_at = clock_timestamp() + $3::bigint * interval '1 microsecond', token = $4::bigint, claims = q.claims + r.lost
FROM unnest($1::uuid[], $2::bigint[], $5::int[]) AS r (id, token, lost)
WHERE q.id = r.id AND q.token = r.token AND q.next_at <= clock_timestamp() AND q.id = ANY (` + lockable(`$1::uuid[]`) + `)
RETURNING q.id, q.claims`

// lockable returns an array of those of the queue's rows, by an array of their ids, that nobody has
// locked, and locks them. A host's transaction may hold the others for long.
func lockable(ids string) string {
	return `ARRAY(SELECT id FROM {s}.queue WHERE id = ANY (` + ids + `) FOR NO KEY UPDATE SKIP LOCKED)`
}

// row is a due delivery.
type row struct {
	id, event               uuid
	eventType               string
	endpoint, revision      int64
	token                   int64 // of a lease that stood in the row and has run out; 0 for none
	attempts, tried, claims int   // claims counts those that have ended without an outcome
	due                     time.Time
	again                   bool          // it was claimed before: to take it has to be written
	lost                    int32         // 1 if claims lacks the last of these claims
	ordered                 bool          // the endpoint is
	wait                    time.Duration // until the first delivery of an ordered endpoint is due
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
	if c.Limit <= 0 {
		return alotwebhook.ClaimResult{}, s.explain("leave what is due to other processes", s.leave(ctx, c))
	}
	if err := s.balance(ctx, c); err != nil {
		return alotwebhook.ClaimResult{}, s.explain("find out whose turn it is to send", err)
	}
	s.held.begin()
	defer s.held.end()
	s.lanes.back(s.held.lapse(time.Now(), c.Lease))
	claimed, err := s.claimRounds(ctx, c)
	if err == nil && len(claimed) == 0 && s.owns.toldNow != s.owns.told { // meanwhile others gave it slots
		if err = s.balance(ctx, c); err == nil {
			claimed, err = s.claimRounds(ctx, c)
		}
	}
	if err != nil && len(claimed) == 0 {
		return alotwebhook.ClaimResult{}, s.explain("claim deliveries", err)
	}
	s.keepPartitions(ctx)
	return alotwebhook.ClaimResult{Deliveries: claimed, NextIn: sooner(s.lanes.nextIn(), s.held.nextIn(s.lanes.knows))}, nil
}

// sooner returns the shorter of two times, of which 0 stands for never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// claimRounds claims from the endpoints that the lanes know, in as many rounds as
// it takes to reach the limit, and surveys the queue for more endpoints when those
// give too little. Once it has claimed something, it passes over lanes that get their turn
// later: while much is emitted, each round would find more. When a later round fails, it returns
// the deliveries of the rounds before beside the error.
func (s *Store) claimRounds(ctx context.Context, c alotwebhook.ClaimRequest) (claimed []alotwebhook.Claimed, err error) {
	taken := map[int64]int{}
	late := 0         // lanes that are born at late or after are passed over; 0 passes over none
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
		picks := s.lanes.pick(c, c.Limit-len(claimed), taken, late, s.underWayOrdered())
		if len(picks) == 0 {
			if surveyed || !s.lanes.surveyPays(len(claimed) == 0) {
				break
			}
			if _, err := s.survey(ctx, cheapSurvey); err != nil {
				return claimed, err
			}
			if surveyed = true; late > 0 {
				late = s.lanes.close()
			}
			continue
		}
		more, err := s.claimPicks(ctx, c, picks, taken)
		if err != nil {
			return claimed, err
		}
		if claimed = append(claimed, more...); late == 0 && len(claimed) > 0 {
			late = s.lanes.close()
		}
	}
	return claimed, nil
}

// meetStrangers reads the organizations of lanes of which nothing was claimed yet. A claim needs
// them only while it withholds an organization.
func (s *Store) meetStrangers(ctx context.Context, c alotwebhook.ClaimRequest) error {
	if len(c.Withheld) == 0 {
		return nil
	}
	keys := s.lanes.strangers()
	if len(keys) == 0 {
		return nil
	}
	return s.read(ctx, step{
		sql: `SELECT w.lane, p.organization_id FROM unnest($1::bigint[]) AS w (lane)
			CROSS JOIN LATERAL (SELECT organization_id FROM {s}.endpoints WHERE key = abs(w.lane) OFFSET 0) AS p`,
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
// first reads the deliveries. The second reads their payloads, and the endpoints
// that the cache does not have in their present revision, and leases in their rows those that
// were claimed before. Where this process has just emitted all that it will find, the first one
// ends the transaction, and seldom something is missing. taken counts, by endpoint key, the
// deliveries that the whole claim has taken.
func (s *Store) claimPicks(ctx context.Context, c alotwebhook.ClaimRequest, picks []pick, taken map[int64]int) (claimed []alotwebhook.Claimed, err error) {
	token := rand.Int64N(1<<63-1) + 1
	var rows []row
	var now, until time.Time
	alone := areFresh(picks)
	err = s.within(ctx, func(conn *pgxpool.Conn) error {
		rows, until = s.rows[:0], time.Now().Add(c.Lease)
		steps := join(begin, []step{
			lockQueue, // first the queue, as everywhere: no deadlock with who locks the tables
			// The clock is read before the claim: the next search has to begin before
			// anything that falls due while this one runs.
			{sql: `SELECT clock_timestamp()`, rows: one(new(bool), &now)},
		}, s.claimSteps(picks, &rows), []step{s.tell()})
		if alone {
			steps = append(steps, commit)
		}
		if err := s.send(ctx, conn, steps); err != nil {
			return err
		}
		slices.SortFunc(rows, byDue) // the join promises no order
		s.rows = rows
		rows = s.choose(rows, picks)
		f := filling{contents: make(map[uuid]content, len(rows)), again: map[uuid]int{}}
		if err := s.complete(ctx, conn, s.missing(&f, rows, c.Lease, token), alone); err != nil {
			return err
		}
		claimed = s.filled(&f, &rows, token)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		r := &rows[i]
		s.held.add(&holding{id: r.id, endpoint: r.endpoint, token: token, attempts: r.attempts, at: place{r.due, r.id}, until: until, written: r.again, ordered: r.ordered})
	}
	s.settlePicks(picks, rows, now, taken)
	return claimed, nil
}

// choose returns the rows that the picks take: none that is under way, and no more of an
// endpoint than its pick says. If others have taken over this process's slots, it takes none at all.
// The result takes the place of rows.
func (s *Store) choose(rows []row, picks []pick) (chosen []row) {
	chosen = rows[:0]
	if s.owns.toldNow < 0 {
		return chosen
	}
	by, left := make(map[int64]*pick, len(picks)), make(map[int64]int, len(picks))
	for i := range picks {
		p := &picks[i]
		by[p.lane.key], left[p.lane.key] = p, p.n
	}
	for i := range rows {
		r := &rows[i]
		if p := by[r.endpoint]; left[r.endpoint] == 0 || (r.ordered || p.ordered) && !p.inOrder(r) {
			continue
		}
		switch s.held.standing(r) {
		case busy:
			continue
		case ended:
			r.again, r.lost = true, 1
		case suspect:
			r.again = true
		}
		left[r.endpoint]--
		chosen = append(chosen, *r)
	}
	return chosen
}

// byDue orders rows as the queue does: by due time, then by id.
func byDue(a, b row) int {
	return cmp.Or(a.due.Compare(b.due), slices.Compare(a.id[:], b.id[:]))
}

// claimArgs returns the arguments of claimSQL. The rows of deliveries that are under way are in the
// queue still, so it asks for so many rows more.
func (s *Store) claimArgs(picks []pick) []any {
	keys := make([]int64, len(picks))
	counts := make([]int32, len(picks))
	starts := make([]time.Time, len(picks))
	ids := make([]pgtype.UUID, len(picks))
	for i, p := range picks {
		keys[i], counts[i] = p.lane.key, int32(p.n+s.held.ahead(p.lane.key, p.start))
		starts[i], ids[i] = p.start.at, param(p.start.id)
	}
	return []any{keys, counts, starts, ids}
}

// readRows returns a function that appends the result of claimSQL to rows.
func readRows(rows *[]row) func(pgx.Rows) error {
	return func(result pgx.Rows) error {
		var r row
		var id, event pgtype.UUID // pgx scans a [16]byte by reflection
		var eventType repeatedText
		var wait int64
		dest := []any{&id, &r.endpoint, &event, &eventType, &r.attempts, &r.tried, &r.claims, &r.token, &r.due, &r.revision, &r.ordered, &wait}
		for result.Next() {
			if err := result.Scan(dest...); err != nil {
				return err
			}
			r.id, r.event, r.eventType = id.Bytes, event.Bytes, string(eventType)
			r.wait = time.Duration(wait) * time.Microsecond
			*rows = append(*rows, r)
		}
		return result.Err()
	}
}

// repeatedText is a text that is often the same as in the row before, and then takes no memory.
type repeatedText string

// ScanBytes implements [pgtype.BytesScanner].
func (t *repeatedText) ScanBytes(text []byte) error {
	if string(*t) != string(text) {
		*t = repeatedText(text)
	}
	return nil
}

// areFresh reports whether all picks are of fresh lanes, and none of an ordered one.
func areFresh(picks []pick) bool {
	return !slices.ContainsFunc(picks, func(p pick) bool { return !p.fresh || p.ordered })
}

// filling is what makes claimed deliveries of rows, beside the endpoints.
type filling struct {
	contents map[uuid]content // by event
	again    map[uuid]int     // how often those that were leased before were claimed without an outcome
}

// missing returns the steps that read the payloads and the endpoints that belong to the rows,
// as far as the process does not know them, and lease those again that were leased before.
func (s *Store) missing(f *filling, rows []row, lease time.Duration, token int64) (steps []step) {
	s.recent.fill(rows, f.contents)
	if events := f.events(rows); len(events) > 0 {
		steps = append(steps, f.read(events))
	}
	if keys := s.endpoints.missing(rows); len(keys) > 0 {
		steps = append(steps, s.endpoints.fetch(keys))
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.again }) {
		steps = append(steps, reclaim(rows, lease, token, f.again)...)
	}
	return steps
}

// complete executes the steps and commits. committed says that the transaction has ended, so
// that steps, if there are any, need another one.
func (s *Store) complete(ctx context.Context, conn *pgxpool.Conn, steps []step, committed bool) error {
	switch {
	case !committed:
		return s.send(ctx, conn, append(steps, commit))
	case len(steps) > 0:
		return s.send(ctx, conn, join(begin, []step{lockQueue}, steps, []step{commit}))
	}
	return nil
}

// filled returns the rows as claimed deliveries. A row that somebody else was quicker with is
// taken out of rows.
func (s *Store) filled(f *filling, rows *[]row, token int64) []alotwebhook.Claimed {
	kept := (*rows)[:0]
	claimed := make([]alotwebhook.Claimed, 0, len(*rows))
	for _, r := range *rows {
		if n, ok := f.again[r.id]; ok {
			r.claims = n
		} else if r.again {
			continue
		}
		kept = append(kept, r)
		claimed = append(claimed, r.claimed(token, f.contents[r.event], s.endpoints[endpointOf(r.endpoint)].endpoint))
	}
	*rows = kept
	return claimed
}

// events returns the ids of the rows' events whose payloads are not known, in ascending order.
func (f *filling) events(rows []row) (events []pgtype.UUID) {
	events = make([]pgtype.UUID, 0, len(rows))
	for _, r := range rows {
		if _, ok := f.contents[r.event]; !ok {
			f.contents[r.event] = content{}
			events = append(events, param(r.event))
		}
	}
	slices.SortFunc(events, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	return events
}

// read returns the step that reads the contents of these events.
func (f *filling) read(events []pgtype.UUID) step {
	return step{
		// $1 holds the ids of the events, $2 the least and $3 the greatest of them: by
		// these bounds the server opens the partitions of their days alone.
		sql: `SELECT id, payload, trace_parent FROM {s}.events
			WHERE id = ANY ($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND payload IS NOT NULL`,
		args: []any{pgtype.FlatArray[pgtype.UUID](events), events[0], events[len(events)-1]},
		rows: func(result pgx.Rows) error {
			var id pgtype.UUID
			var payload []byte // each row's is new
			var trace zeronull.Text
			dest := []any{&id, &payload, &trace}
			for result.Next() {
				if err := result.Scan(dest...); err != nil {
					return err
				}
				f.contents[id.Bytes] = content{payload, string(trace)}
			}
			return result.Err()
		},
	}
}

// reclaim returns the steps that lease the rows again that were leased before. It notes in
// claims how often each was claimed without an outcome.
func reclaim(rows []row, lease time.Duration, token int64, claims map[uuid]int) []step {
	var ids []pgtype.UUID
	var tokens []int64
	var lost []int32
	var first places
	for _, r := range rows {
		if r.again {
			ids, tokens, lost = append(ids, param(r.id)), append(tokens, r.token), append(lost, r.lost)
		}
		if r.again && r.ordered {
			first.add(r.endpoint, r.id)
		}
	}
	return append(first.keep(), step{
		sql:  reclaimSQL,
		args: []any{ids, tokens, lease.Microseconds(), token, lost},
		rows: func(result pgx.Rows) error {
			for result.Next() {
				var id uuid
				var n int
				if err := result.Scan(&id, &n); err != nil {
					return err
				}
				claims[id] = n
			}
			return result.Err()
		},
	})
}

// settlePicks tells the lanes how many deliveries each pick gave and where the
// last of them stood. now is the database's clock before the claim.
func (s *Store) settlePicks(picks []pick, rows []row, now time.Time, taken map[int64]int) {
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
		if cached, ok := s.endpoints[endpointOf(p.lane.key)]; ok {
			s.lanes.belongs(p.lane.key, cached.endpoint.OrganizationID)
		}
		if p.isHeldUp(g.n) {
			taken[p.lane.key] = tookAll
		}
		s.lanes.settle(p, g.n, g.last, now)
	}
}
