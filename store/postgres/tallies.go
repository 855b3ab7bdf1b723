package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Tallier = (*Store)(nil)

// AddTallies implements [alotwebhook.Tallier]. An hour of an endpoint is one row for
// its successes, with the durations of all attempts, and one row for each reason
// of failures. All processes write the rows in one order, so that they wait for
// each other and do not deadlock.
func (s *Store) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	var endpoints, reasons []string
	var hours []time.Time
	var attempts, durations, slowest []int64
	add := func(t *alotwebhook.Tally, reason alotwebhook.FailureReason, n int64, all, most time.Duration) {
		endpoints, hours, reasons = append(endpoints, t.EndpointID), append(hours, t.Hour), append(reasons, string(reason))
		attempts, durations, slowest = append(attempts, n), append(durations, int64(all)), append(slowest, int64(most))
	}
	for i := range tallies {
		t := &tallies[i]
		add(t, "", t.Succeeded, t.Duration, t.Slowest)
		for reason, n := range t.Reasons {
			add(t, reason, n, 0, 0)
		}
	}
	err := s.runPlain(ctx, step{
		// $1 … $6 hold the columns of the rows, in their order.
		sql: `
			INSERT INTO {s}.tallies AS t (endpoint_id, hour, reason, attempts, duration_ns, slowest_ns)
			SELECT endpoint_id COLLATE "C", hour, reason COLLATE "C", sum(attempts), sum(duration_ns), max(slowest_ns)
			FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
				AS i (endpoint_id, hour, reason, attempts, duration_ns, slowest_ns)
			GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
			ON CONFLICT (endpoint_id, hour, reason) DO UPDATE SET attempts = t.attempts + excluded.attempts,
				duration_ns = t.duration_ns + excluded.duration_ns, slowest_ns = greatest(t.slowest_ns, excluded.slowest_ns)`,
		args: []any{endpoints, hours, reasons, attempts, durations, slowest},
	})
	return s.explain("add tallies", err)
}

// Tallies implements [alotwebhook.Tallier].
func (s *Store) Tallies(ctx context.Context, endpointIDs []string, since time.Time) (list []alotwebhook.Tally, err error) {
	if endpointIDs == nil {
		endpointIDs = []string{}
	}
	err = s.read(ctx, step{
		sql: `
			SELECT endpoint_id, hour, reason, attempts, duration_ns, slowest_ns FROM {s}.tallies
			WHERE endpoint_id = ANY ($1::text[]) AND hour >= $2::timestamptz
			ORDER BY endpoint_id, hour, reason`,
		args: []any{endpointIDs, since},
		rows: readTallies(&list),
	})
	if err != nil {
		return nil, s.explain("read tallies", err)
	}
	return list, nil
}

// readTallies returns a function that reads the rows of tallies into list.
func readTallies(list *[]alotwebhook.Tally) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*list = nil
		for rows.Next() {
			if *list, err = appendTally(*list, rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// appendTally reads a row into a tally of list. The rows of an hour follow each
// other. The first one, which has no reason, begins a new tally; the others add
// their reasons to it.
func appendTally(list []alotwebhook.Tally, rows pgx.Rows) ([]alotwebhook.Tally, error) {
	var t alotwebhook.Tally
	var reason alotwebhook.FailureReason
	if err := rows.Scan(&t.EndpointID, &t.Hour, &reason, &t.Succeeded, &t.Duration, &t.Slowest); err != nil {
		return nil, err
	}
	if reason == "" {
		t.Hour = t.Hour.UTC()
		return append(list, t), nil
	}
	last := &list[len(list)-1]
	if last.Reasons == nil {
		last.Reasons = map[alotwebhook.FailureReason]int64{}
	}
	last.Reasons[reason] = t.Succeeded // the column attempts, read into Succeeded
	return list, nil
}

// purgeTallies deletes the rows of up to limit ($2) hours that began at until ($1)
// or before. Each hour of an endpoint has one row without a reason, so those are
// the ones to count.
func (s *Store) purgeTallies(ctx context.Context, until time.Time, limit int, r *alotwebhook.PurgeResult) error {
	return s.run(ctx, step{
		sql: `
			WITH old AS MATERIALIZED (
				SELECT endpoint_id, hour FROM {s}.tallies WHERE hour <= $1::timestamptz AND reason = ''
				LIMIT $2::bigint FOR UPDATE SKIP LOCKED
			), gone AS (
				DELETE FROM {s}.tallies t USING old WHERE t.endpoint_id = old.endpoint_id AND t.hour = old.hour
			)
			SELECT count(*)::int FROM old`,
		args: []any{until, int64(limit)},
		rows: count(&r.Tallies),
	})
}
