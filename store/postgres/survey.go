package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A survey goes through the endpoints that have unfinished deliveries, and brings
// the lanes up to date with them. By surveys, a process hears of deliveries that
// others have emitted, released or redelivered, or left leased when they ended.

// cheapSurvey is how long a survey takes at most that is cheap, on a busy machine
// too. It is a variable for the tests alone.
var cheapSurvey = 250 * time.Millisecond

const (
	// A claim that would return nothing surveys the queue first as long as that is
	// cheap: the last survey met at most fewEndpoints, which takes about 3 ms, and
	// the price of a survey is at most cheapSurvey. Otherwise the surveys of all processes
	// take at most one part in surveyShare of a processor's time, but one of each begins every
	// maxSurveyInterval at least.
	fewEndpoints      = 1000
	surveyShare       = 20
	maxSurveyInterval = 30 * time.Second
	// The price of a survey is the least that one of the last pricedSurveys cost. So a
	// single slow one does not make a process look more rarely.
	pricedSurveys = 3
	// A survey reads pages of at most maxPageSize endpoints, and smaller ones where
	// a page would take longer than pageTime: claims go on between two pages.
	maxPageSize = 5000
	pageTime    = 50 * time.Millisecond
)

// surveySQL returns a page of the endpoints that have unfinished deliveries, in
// the order of their keys, the greatest first. It steps from endpoint to endpoint through the
// index queue_due: one probe finds the last delivery of the next endpoint, however many
// deliveries an endpoint has. It comes from the end, since deliveries leave the queue at the
// beginning: the entries that they leave in the index are read for own endpoints alone, and
// not by every process.
//
//	$1  the endpoint key before which the page begins
//	$2  how many endpoints the page holds at most
//	$3  the slots of this process; of endpoints in others it returns the keys alone
//
// Each row of the result is a sighting; see there.
const surveySQL = `
WITH RECURSIVE now AS MATERIALIZED (
	SELECT clock_timestamp() AS at
), steps AS (
	(SELECT q.endpoint
	FROM {s}.queue q
	WHERE q.endpoint < $1::bigint
	ORDER BY q.endpoint DESC, q.next_at DESC, q.id DESC
	LIMIT 1)
	UNION ALL
	SELECT q.endpoint
	FROM steps s
	CROSS JOIN LATERAL (
		SELECT q.endpoint
		FROM {s}.queue q
		WHERE q.endpoint < s.endpoint
		ORDER BY q.endpoint DESC, q.next_at DESC, q.id DESC
		LIMIT 1
	) AS q
)
SELECT s.endpoint, p.id, f.next_at, f.id, now.at, extract(epoch FROM w.next_at - now.at)::float8,
	p.deleted_at IS NOT NULL, (NOT p.disabled OR s.endpoint < 0) AND p.deleted_at IS NULL
FROM (SELECT * FROM steps LIMIT $2::int) AS s
CROSS JOIN now
LEFT JOIN {s}.endpoints p ON p.key = abs(s.endpoint) AND (abs(s.endpoint) % 256)::int = ANY ($3::int[])
LEFT JOIN LATERAL (
	SELECT q.next_at, q.id
	FROM {s}.queue q
	WHERE q.endpoint = CASE WHEN p.key IS NOT NULL THEN s.endpoint END
	ORDER BY q.next_at, q.id
	LIMIT 1
) AS f ON true
LEFT JOIN LATERAL (
	SELECT q.next_at
	FROM {s}.queue q
	WHERE q.endpoint = CASE WHEN p.key IS NOT NULL THEN s.endpoint END AND q.next_at > now.at
	ORDER BY q.next_at, q.id
	LIMIT 1
) AS w ON NOT p.disabled OR s.endpoint < 0`

var lockQueue = step{sql: `LOCK TABLE {s}.queue, {s}.endpoints IN ACCESS SHARE MODE`}

// sighting describes an endpoint with unfinished deliveries as a survey has found it. Of one in
// the slot of another process it has the key alone.
type sighting struct {
	key     int64
	id      string
	first   place         // of its first unfinished delivery
	now     time.Time     // the database's clock
	waits   bool          // it is not disabled and has a delivery that is not due yet
	nextIn  time.Duration // until the first of those falls due
	deleted bool
	active  bool // neither disabled nor deleted
}

// survey brings the lanes up to date with the queue, page by page, until it has
// seen every endpoint with unfinished deliveries or until it has taken as long as
// patience; one page at least. The next call goes on where this one stopped. all
// reports whether this one came to the end.
func (s *Store) survey(ctx context.Context, patience time.Duration) (all bool, err error) {
	for began := time.Now(); ; {
		more, err := s.surveyPage(ctx)
		if err != nil {
			s.lanes.abandonSurvey()
			return false, err
		}
		if !more || time.Since(began) >= patience {
			return !more, nil
		}
	}
}

// surveyPage reads one page and reports whether there are more. The cost of the page is
// the time that the server works on it. What holds up the process is no part of that: a
// locked table, a network that stalls, a pool without a free connection. Looking more
// rarely would spare the server nothing then.
func (s *Store) surveyPage(ctx context.Context) (more bool, err error) {
	cursor, size, slots := s.lanes.beginPage()
	var seen []sighting
	var began, ended time.Time // by the server's clock
	clock := func(at *time.Time) step {
		return step{sql: `SELECT clock_timestamp()`, rows: one(new(bool), at)}
	}
	err = s.run(ctx,
		lockQueue, // waits here, if at all
		clock(&began),
		step{sql: surveySQL, args: []any{cursor, int32(size), slots}, rows: func(rows pgx.Rows) (err error) {
			seen, err = readSightings(rows)
			return err
		}},
		clock(&ended),
		s.tell())
	if err != nil {
		return false, err
	}
	more = s.lanes.endPage(seen, ended.Sub(began))
	return more, s.failLeftOver(ctx, seen)
}

// readSightings reads the result of surveySQL.
func readSightings(rows pgx.Rows) (seen []sighting, err error) {
	for rows.Next() {
		var v sighting
		var id *string
		var first *time.Time
		var firstID pgtype.UUID
		var nextIn *float64
		var deleted, active *bool
		err := rows.Scan(&v.key, &id, &first, &firstID, &v.now, &nextIn, &deleted, &active)
		if err != nil {
			return nil, err
		}
		if id != nil && first != nil {
			v.id, v.first, v.deleted, v.active = *id, place{*first, firstID.Bytes}, *deleted, *active
		}
		if v.waits = nextIn != nil; v.waits {
			v.nextIn = time.Duration(*nextIn * float64(time.Second))
		}
		seen = append(seen, v)
	}
	return seen, rows.Err()
}

// failLeftOver fails a chunk of the deliveries that a deleted endpoint left
// unfinished: DeleteEndpoint does not stay to fail them all.
func (s *Store) failLeftOver(ctx context.Context, seen []sighting) error {
	for _, v := range seen {
		if v.deleted {
			_, err := s.failDeleted(ctx, v.key)
			return err // one chunk for each page: claims come first
		}
	}
	return nil
}

// surveyState is how far the newest survey has come, and what surveys cost.
type surveyState struct {
	number    int             // the first one's is 1
	cursor    int64           // the key of the last endpoint that it met; 0 once it is complete
	pageSize  int             // how many endpoints its next page holds at most
	began     time.Time       // zero before the first one
	cost      time.Duration   // how long the server has worked on its pages
	costs     []time.Duration // of the last complete ones, up to pricedSurveys
	met       int             // how many endpoints it met
	processes int             // how many survey, judged by how many slots this one owns
	needed    bool            // something has happened that only another survey can tell
	cheap     time.Duration   // cheapSurvey
	waited    bool            // the next one, for a claim that had something to return
}

// surveyPays reports whether a survey is worth its cost now, for a claim to which
// the known endpoints give too little. empty says that they give nothing at all.
func (ls *lanes) surveyPays(empty bool) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	v := &ls.survey
	return v.cursor != 0 || v.needed || time.Since(v.began) >= v.interval(empty) && !v.waitsFor(!empty)
}

// waitsFor reports whether the survey that is due now leaves precedence to a claim, which has
// something to return: not to the next such claim once more.
func (v *surveyState) waitsFor(something bool) bool {
	wait := something && !v.waited
	v.waited = v.waited || wait
	return wait
}

// surveyOverdue reports whether a claim has to survey even if the known endpoints
// give enough: otherwise one that is never short would never hear of others.
func (ls *lanes) surveyOverdue() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	v := &ls.survey
	return v.began.IsZero() || v.cursor != 0 ||
		time.Since(v.began) >= max(v.interval(false), lateness) && !v.waitsFor(ls.turns.Len() > 0)
}

// interval returns how long after the beginning of the last survey the next one pays. empty
// is as in surveyPays.
func (v *surveyState) interval(empty bool) time.Duration {
	price := v.price()
	if empty && v.met <= fewEndpoints && price <= v.cheap {
		return 0
	}
	share := surveyShare * time.Duration(max(v.processes, 1))
	return min(price, maxSurveyInterval/share) * share // in this order: the server's clock may jump by years
}

// price returns what a survey costs; 0 until enough of them are known. The server's clock may
// have been set back during one.
func (v *surveyState) price() time.Duration {
	if len(v.costs) < pricedSurveys {
		return 0
	}
	return max(slices.Min(v.costs), 0)
}

// beginPage begins a survey, or goes on with the one under way. It returns the
// endpoint key before which the page begins, how many endpoints it may hold, and the slots of
// this process.
func (ls *lanes) beginPage() (cursor int64, size int, slots []int32) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if v := &ls.survey; v.cursor == 0 {
		v.number++
		v.began = time.Now()
		v.cost, v.met = 0, 0
		v.needed, v.waited = false, false
	}
	for n, mine := range ls.mine {
		if mine {
			slots = append(slots, int32(n))
		}
	}
	return cmp.Or(ls.survey.cursor, math.MaxInt64), ls.survey.pageSize, slots
}

// endPage brings the lanes up to date with a page, and reports whether the survey
// goes on. A complete survey forgets the lanes in which neither it nor this process
// has found work since it began.
func (ls *lanes) endPage(seen []sighting, took time.Duration) (more bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	v, now := &ls.survey, time.Now()
	for _, s := range seen {
		v.cursor = s.key
		if s.active {
			ls.see(s, now)
		}
	}
	if v.addPage(len(seen), took) {
		return true
	}
	v.cursor = 0
	v.costs = append(v.costs[max(len(v.costs)-pricedSurveys+1, 0):], v.cost)
	for _, l := range ls.byKey {
		if l.seen < v.number && l.noted < v.number {
			ls.forget(l)
		}
	}
	return false
}

// addPage counts a page, reports whether more follow, and chooses the size of the
// next one so that it takes about pageTime.
func (v *surveyState) addPage(n int, took time.Duration) (more bool) {
	more = n == v.pageSize
	if took > pageTime {
		v.pageSize = max(int(float64(n)*float64(pageTime)/float64(took)), 1)
	} else {
		v.pageSize = min(2*v.pageSize, maxPageSize)
	}
	v.cost += took
	v.met += n
	return more
}

// see brings a lane up to date with a sighting. The caller holds mu.
func (ls *lanes) see(s sighting, now time.Time) {
	start := place{at: s.now.Add(-lateness)}
	due := !s.first.at.After(s.now)
	if due && s.first.before(start) {
		start = s.first
	}
	var next time.Time
	if s.waits {
		next = now.Add(s.nextIn)
	}
	l := ls.get(s.key, s.id, start)
	if l.noted == ls.survey.number { // this process's own notes may be newer than the page
		due = due || l.turn != nil
		if next.IsZero() || !l.next.IsZero() && l.next.Before(next) {
			next = l.next
		}
	}
	l.start, l.mark, l.seen = start, place{}, ls.survey.number
	ls.setTurn(l, due)
	ls.setNext(l, next)
}

// forget drops a lane. The caller holds mu.
func (ls *lanes) forget(l *lane) {
	ls.setTurn(l, false)
	ls.setNext(l, time.Time{})
	delete(ls.byKey, l.key)
	if l.ordered {
		ls.ordered--
	}
}

// abandonSurvey makes the next claim that finds too little begin a new survey.
func (ls *lanes) abandonSurvey() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.survey.cursor, ls.survey.needed = 0, true
}
