package postgres

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// dropFrom is how many deliveries a day must have left to be dropped as a whole.
// With fewer, deleting them row by row is cheap, and no lock on the tables is
// needed before the day is empty.
const dropFrom = 10_000

// Purge implements [alotwebhook.History]. A day that has passed [PurgeRequest.History] as a
// whole and has more than 10,000 deliveries is dropped at once and counted in
// full, whatever the Limit; that takes no longer than deleting a few rows. All
// else goes row by row.
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	p.Limit = cmp.Or(p.Limit, 1000)
	days, now, err := s.days(ctx)
	if err != nil {
		return r, s.explain("purge", err)
	}
	for _, d := range days {
		if p.History > 0 && d.begins(now.Add(-p.History)) {
			dropped, err := s.purgeHistory(ctx, d, now, p, &r)
			if err != nil {
				return r, s.explain("purge the history of "+d.suffix, err)
			}
			if dropped {
				continue
			}
		}
		if p.Payloads > 0 && d.begins(now.Add(-p.Payloads)) && r.Payloads < p.Limit {
			if err = s.purgePayloads(ctx, d, now, p, &r); err != nil {
				return r, s.explain("purge the payloads of "+d.suffix, err)
			}
		}
	}
	if p.History > 0 {
		if err = s.purgeEndpoints(ctx, now.Add(-p.History), p.Limit); err != nil {
			return r, s.explain("purge deleted endpoints", err)
		}
	}
	if p.Tallies > 0 {
		err = s.purgeTallies(ctx, now.Add(-p.Tallies), p.Limit, &r)
	}
	return r, s.explain("purge tallies", err)
}

// dayTables are the partitions of one day, or the default ones.
type dayTables struct {
	suffix string
	start  time.Time // zero for the default ones
}

func (d dayTables) isDefault() bool { return d.suffix == defaultSuffix }

// begins reports whether something of that day may be older than t. Ids of the
// default partitions may say anything.
func (d dayTables) begins(t time.Time) bool { return d.isDefault() || d.start.Before(t) }

// days lists the days that have partitions, oldest first, and the database's clock.
func (s *Store) days(ctx context.Context) (days []dayTables, now time.Time, err error) {
	err = s.read(ctx, step{
		sql: `
			SELECT right(c.relname, -length('attempts_')), clock_timestamp()
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = to_regclass($1::text) ORDER BY 1`,
		args: []any{s.quoted + ".attempts"},
		rows: func(rows pgx.Rows) error {
			for rows.Next() {
				var d dayTables
				if err := rows.Scan(&d.suffix, &now); err != nil {
					return err
				}
				var err error
				if d.start, err = time.Parse(dayLayout, d.suffix); err == nil || d.isDefault() {
					days = append(days, d)
				}
			}
			return rows.Err()
		},
	})
	return days, now, err
}

func (s *Store) purgeHistory(ctx context.Context, d dayTables, now time.Time, p alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult) (dropped bool, err error) {
	until := now.Add(-p.History)
	if !d.isDefault() && !d.start.Add(day).After(until) {
		if dropped, err := s.dropDay(ctx, d, until, r); dropped || err != nil {
			return dropped, err
		}
	}
	if n := p.Limit - r.Deliveries; n > 0 {
		if err := s.purgeDeliveries(ctx, d, until, n, r); err != nil {
			return false, err
		}
	}
	if n := p.Limit - r.Events; n > 0 {
		return false, s.purgeEvents(ctx, d, until, n, r)
	}
	return false, nil
}

// on puts the day's partitions into a statement.
func (d dayTables) on(sql string) string { return fmt.Sprintf(sql, d.suffix) }

func (s *Store) purgeDeliveries(ctx context.Context, d dayTables, until time.Time, limit int, r *alotwebhook.PurgeResult) error {
	return s.runPlain(ctx, step{
		sql: d.on(`
			WITH gone AS (
				DELETE FROM {s}.deliveries_%[1]s
				WHERE id = ANY (ARRAY(
					SELECT id FROM {s}.deliveries_%[1]s WHERE finished_at <= $1::timestamptz
					ORDER BY id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
				RETURNING id
			), attempts AS (
				DELETE FROM {s}.attempts_%[1]s WHERE delivery_id = ANY (ARRAY(SELECT id FROM gone))
			)
			SELECT count(*)::int FROM gone`),
		args: []any{until, int64(limit)},
		rows: count(&r.Deliveries),
	})
}

// count adds a result of one number to n.
func count(n *int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var more int
		err := one(new(bool), &more)(rows)
		*n += more
		return err
	}
}

// The ids of an event's deliveries: from and to, all that begin with its millisecond.
const ofEvent = `BETWEEN (left(e.id::text, 13) || '-0000-0000-000000000000')::uuid AND (left(e.id::text, 13) || '-ffff-ffff-ffffffffffff')::uuid`

// purgeEvents deletes events that have no deliveries, or none any more.
func (s *Store) purgeEvents(ctx context.Context, d dayTables, until time.Time, limit int, r *alotwebhook.PurgeResult) error {
	return s.run(ctx, step{
		sql: d.on(`
			WITH gone AS (
				DELETE FROM {s}.events_%[1]s
				WHERE id = ANY (ARRAY(
					SELECT e.id FROM {s}.events_%[1]s e
					WHERE e.created_at <= $1::timestamptz
						AND NOT EXISTS (SELECT FROM {s}.queue q WHERE q.id ` + ofEvent + ` AND q.event_id = e.id)
						AND NOT EXISTS (SELECT FROM {s}.deliveries_%[1]s h WHERE h.id ` + ofEvent + ` AND h.event_id = e.id)
					ORDER BY e.id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
				RETURNING id
			)
			SELECT count(*)::int FROM gone`),
		args: []any{until, int64(limit)},
		rows: count(&r.Events),
	})
}

func (s *Store) purgePayloads(ctx context.Context, d dayTables, now time.Time, p alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult) error {
	return s.run(ctx, step{
		sql: d.on(`
			WITH erased AS (
				UPDATE {s}.events_%[1]s SET payload = NULL
				WHERE id = ANY (ARRAY(
					SELECT e.id FROM {s}.events_%[1]s e
					WHERE e.payload IS NOT NULL AND e.created_at <= $1::timestamptz
						AND NOT EXISTS (SELECT FROM {s}.queue q WHERE q.id ` + ofEvent + ` AND q.event_id = e.id)
						AND NOT EXISTS (SELECT FROM {s}.deliveries_%[1]s h
							WHERE h.id ` + ofEvent + ` AND h.event_id = e.id AND h.finished_at > $1::timestamptz)
					ORDER BY e.id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
				RETURNING id
			)
			SELECT count(*)::int FROM erased`),
		args: []any{now.Add(-p.Payloads), int64(p.Limit - r.Payloads)},
		rows: count(&r.Payloads),
	})
}

// dropDay drops a day all of which has passed its time, if it is worth it or
// nothing is left. What others do with other days goes on; should they hold the
// tables for long, the drop is left for the next purge.
func (s *Store) dropDay(ctx context.Context, d dayTables, until time.Time, r *alotwebhook.PurgeResult) (dropped bool, err error) {
	var deliveries, events int
	err = s.changePartitions(ctx, func(tx pgx.Tx) error {
		// Readers may go on; nothing is written to a day so old but by redeliveries.
		if err := execScript(ctx, tx, s.sql(d.on(`LOCK TABLE {s}.events_%[1]s, {s}.deliveries_%[1]s IN SHARE MODE`))); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, s.sql(d.on(`
			SELECT NOT EXISTS (SELECT FROM {s}.queue WHERE id >= $1::uuid AND id < $2::uuid)
				AND h.latest <= $3::timestamptz AND e.latest <= $3::timestamptz
				AND (h.n >= $4::bigint OR h.n + e.n = 0),
				h.n, e.n
			FROM (SELECT count(*) AS n, coalesce(max(finished_at), '-infinity') AS latest FROM {s}.deliveries_%[1]s) AS h,
				(SELECT count(*) AS n, coalesce(max(created_at), '-infinity') AS latest FROM {s}.events_%[1]s) AS e`)),
			param(firstOf(d.start)), param(firstOf(d.start.Add(day))), until, int64(dropFrom),
		).Scan(&dropped, &deliveries, &events)
		if err != nil || !dropped {
			return err
		}
		return execScript(ctx, tx, s.sql(d.on(`DROP TABLE {s}.events_%[1]s, {s}.deliveries_%[1]s, {s}.attempts_%[1]s`)))
	})
	switch {
	case partitionRefused(err):
		return false, nil
	case err != nil || !dropped:
		return false, err
	}
	r.Deliveries += deliveries
	r.Events += events
	return true, nil
}

// purgeEndpoints forgets deleted endpoints that no history speaks of any more,
// and their recoveries.
func (s *Store) purgeEndpoints(ctx context.Context, until time.Time, limit int) error {
	return s.run(ctx, purgeRecoveries(until, limit), step{
		sql: `
			DELETE FROM {s}.endpoints
			WHERE key = ANY (ARRAY(
				SELECT p.key FROM {s}.endpoints p
				WHERE p.deleted_at <= $1::timestamptz
					AND NOT EXISTS (SELECT FROM {s}.queue q WHERE q.endpoint = p.key)
					AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.endpoint = p.key)
				LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`,
		args: []any{until, int64(limit)},
	})
}
