package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Surveyor = (*Store)(nil)

// backlogsSQL counts the queue by endpoint first, and only then by organization. The deliveries $1
// are under way, and not due. $2 is how many organizations it returns.
const backlogsSQL = `
SELECT p.organization_id,
	coalesce(sum(q.n) FILTER (WHERE NOT p.disabled), 0)::bigint,
	coalesce(sum(q.n) FILTER (WHERE p.disabled), 0)::bigint,
	coalesce(sum(q.due) FILTER (WHERE NOT p.disabled), 0)::bigint,
	coalesce(extract(epoch FROM statement_timestamp() - min(q.first) FILTER (WHERE NOT p.disabled)), 0)::float8
FROM (
	SELECT endpoint, count(*) AS n, count(*) FILTER (WHERE next_at <= statement_timestamp() AND id NOT IN (SELECT h FROM unnest($1::uuid[]) AS h)) AS due,
		min(next_at) FILTER (WHERE id NOT IN (SELECT h FROM unnest($1::uuid[]) AS h)) AS first
	FROM {s}.queue
	GROUP BY endpoint
) AS q
JOIN {s}.endpoints p ON p.key = q.endpoint AND p.deleted_at IS NULL
GROUP BY p.organization_id
ORDER BY sum(q.n) DESC, p.organization_id
LIMIT $2::bigint`

// Backlogs implements [alotwebhook.Surveyor]. It counts the whole queue, as Stats does.
func (s *Store) Backlogs(ctx context.Context, limit int) (list []alotwebhook.Backlog, err error) {
	err = s.runPlain(ctx, step{
		sql:  backlogsSQL,
		args: []any{s.held.underWay(), int64(max(limit, 0))},
		rows: func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b alotwebhook.Backlog, err error) {
				var oldest float64
				err = row.Scan(&b.OrganizationID, &b.Pending, &b.Parked, &b.Due, &oldest)
				b.OldestDue = age(oldest)
				return b, err
			})
			return err
		},
	})
	return list, s.explain("count the backlogs", err)
}

// Totals implements [alotwebhook.Surveyor].
func (s *Store) Totals(ctx context.Context, since time.Time) (list []alotwebhook.Tally, err error) {
	err = s.runPlain(ctx, step{
		sql: `
			SELECT '', hour, reason, sum(attempts)::bigint, sum(duration_ns)::bigint, max(slowest_ns) FROM {s}.tallies
			WHERE hour >= $1::timestamptz
			GROUP BY hour, reason ORDER BY hour, reason`,
		args: []any{roundUp(since)},
		rows: readTallies(&list),
	})
	if err != nil {
		return nil, s.explain("add up the tallies", err)
	}
	return list, nil
}

// Processes implements [alotwebhook.Surveyor].
func (s *Store) Processes(ctx context.Context) (list []alotwebhook.Process, err error) {
	err = s.read(ctx, step{
		sql: `
			SELECT o.id::text, extract(epoch FROM now.at - o.seen)::float8, extract(epoch FROM o.until - now.at)::float8,
				(SELECT count(*) FROM {s}.slots s WHERE s.owner = o.id)::float8
			FROM {s}.owners o CROSS JOIN (SELECT clock_timestamp() AS at) AS now
			ORDER BY o.id::text COLLATE "C"`,
		rows: func(rows pgx.Rows) (err error) {
			list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p alotwebhook.Process, err error) {
				var seen, left, slots float64
				err = row.Scan(&p.ID, &seen, &left, &slots)
				p.Seen, p.Left, p.Share = age(seen), time.Duration(left*float64(time.Second)), slots/slotCount
				return p, err
			})
			return err
		},
	})
	return list, s.explain("list the processes", err)
}
