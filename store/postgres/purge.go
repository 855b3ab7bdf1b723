package postgres

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
)

// dropFrom is how many deliveries a day must have for its partitions to be dropped
// with their rows. The rows of a smaller day are cheap to delete one by one, and no
// lock on the tables is needed until the day is empty.
const dropFrom = 10_000

// maxKept is how many deliveries and events of a dropped day may be kept at most: those
// that are not finished, or were finished of late. All writers wait while they are moved.
const maxKept = 1000

// Purge implements [alotwebhook.History]. A day that is older than the request's
// History as a whole and has 10,000 deliveries or more is dropped at once and
// counted in full, whatever the Limit: that takes no longer than deleting a few
// rows. Up to 1,000 deliveries and events of it that have to stay move into the default
// partitions. Everything else goes row by row.
//
// An error of the database in one part does not stop the others. Parked deliveries expire
// first, and payloads go before the history.
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (r alotwebhook.PurgeResult, err error) {
	p.Limit = cmp.Or(max(p.Limit, 0), 1000)
	days, now, err := s.days(ctx)
	if err != nil {
		return r, s.explain("purge", err)
	}
	for _, part := range s.purgeParts(ctx, p, days, now, &r) {
		failed := part.purge()
		if part.day && sqlState(failed) == "42P01" {
			continue // another process has dropped it
		}
		if failed != nil && err == nil {
			err = s.explain("purge "+part.name, failed)
		}
		if failed != nil && sqlState(failed) == "" { // no connection, or no time left
			break
		}
	}
	return r, err
}

// purgePart is a part of a Purge that does not need the others.
type purgePart struct {
	name  string
	day   bool // of one day that can be dropped
	purge func() error
}

func (s *Store) purgeParts(ctx context.Context, p alotwebhook.PurgeRequest, days []dayTables, now time.Time, r *alotwebhook.PurgeResult) (parts []purgePart) {
	add := func(name string, purge func() error) { parts = append(parts, purgePart{name: name, purge: purge}) }
	addDay := func(name string, d dayTables, purge func() error) {
		parts = append(parts, purgePart{name + d.suffix, !d.isDefault(), purge})
	}
	if p.Parked > 0 {
		add("what is parked", func() (err error) {
			r.Expired, err = s.expire(ctx, now.Add(-p.Parked), p.Limit)
			return err
		})
	}
	for _, d := range days {
		if p.Payloads > 0 && d.begins(now.Add(-p.Payloads)) {
			addDay("the payloads of ", d, func() error { return s.purgePayloads(ctx, d, now, p, r) })
		}
	}
	for _, d := range days {
		if p.History > 0 && d.begins(now.Add(-p.History)) {
			addDay("the history of ", d, func() error { return s.purgeHistory(ctx, d, now, p, r) })
		}
	}
	if p.History > 0 {
		add("operations", func() error { return s.purgeOperations(ctx, now.Add(-p.History), p.Limit, r) })
		add("deleted endpoints", func() error { return s.purgeEndpoints(ctx, now.Add(-p.History), p.Limit) })
	}
	if p.Tallies > 0 {
		add("tallies", func() error { return s.purgeTallies(ctx, now.Add(-p.Tallies), p.Limit, r) })
	}
	add("the queue's indexes", func() error { return s.tryRebuild(ctx) })
	return parts
}

// dayTables are the partitions of one day, or the default ones.
type dayTables struct {
	suffix string    // of the tables' names: 20260131, or default
	start  time.Time // when the day begins; zero for the default ones
}

func (d dayTables) isDefault() bool { return d.suffix == defaultSuffix }

// begins reports whether rows of that day may be older than t. The default
// partitions may have rows of any day.
func (d dayTables) begins(t time.Time) bool { return d.isDefault() || d.start.Before(t) }

// days returns the days that have partitions, the oldest first and the default
// partitions last, and the database's clock. It reads them off the names of the
// partitions of attempts ($1).
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

// purgeHistory drops the day, or deletes those of its deliveries and events that
// have passed their time, up to the limit.
func (s *Store) purgeHistory(ctx context.Context, d dayTables, now time.Time, p alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult) error {
	until := now.Add(-p.History)
	if !d.isDefault() && !d.start.Add(day).After(until) {
		if dropped, err := s.dropDay(ctx, d, until, r); dropped || err != nil {
			return err
		}
	}
	if n := p.Limit - r.Deliveries; n > 0 {
		if err := s.purgeDeliveries(ctx, d, until, n, r); err != nil {
			return err
		}
	}
	if n := p.Limit - r.Events; n > 0 {
		return s.purgeEvents(ctx, d, until, n, r)
	}
	return nil
}

// on puts the suffix of the day's partitions into a statement, where it says %[1]s.
func (d dayTables) on(sql string) string { return fmt.Sprintf(sql, d.suffix) }

// purgeDeliveries deletes deliveries that were finished at until ($1) or before,
// with their attempts, up to limit ($2).
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

// count returns a function that adds a result of one row with one number to n.
func count(n *int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var more int
		err := one(new(bool), &more)(rows)
		*n += more
		return err
	}
}

// ofEvent is a condition on the id of a delivery. All deliveries of an event e meet
// it, since their ids begin with the event's millisecond. It lets the primary key
// find them.
const ofEvent = `BETWEEN ` + atInstant + ` AND ` + endOfInstant

// purgeEvents deletes events that were stored at until ($1) or before and have no
// delivery any more, or never had one, up to limit ($2).
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

// purgePayloads erases the payloads of events that were stored, and whose deliveries
// were all finished, at $1 or before: that is now less the time for which payloads
// are kept. $2 is how many the limit leaves.
func (s *Store) purgePayloads(ctx context.Context, d dayTables, now time.Time, p alotwebhook.PurgeRequest, r *alotwebhook.PurgeResult) error {
	if r.Payloads >= p.Limit {
		return nil
	}
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
					ORDER BY e.organization_id, e.stored_by, e.id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
				RETURNING id
			)
			SELECT count(*)::int FROM erased`),
		args: []any{now.Add(-p.Payloads), int64(p.Limit - r.Payloads)},
		rows: count(&r.Payloads),
	})
}

// dropDay drops the partitions of a day if nearly all its rows have passed their time
// and it has at least dropFrom deliveries, or no row at all. Transactions on other
// days go on meanwhile. If one holds the tables for longer than lockPatience, the
// next purge tries again.
func (s *Store) dropDay(ctx context.Context, d dayTables, until time.Time, r *alotwebhook.PurgeResult) (dropped bool, err error) {
	var c dayCount
	err = s.changePartitions(ctx, dropTimeout, func(tx pgx.Tx) error {
		// The lock keeps writers out, not readers. On a day so old, only a redelivery
		// writes.
		err := execScript(ctx, tx, s.sql(d.on(`LOCK TABLE {s}.events_%[1]s, {s}.deliveries_%[1]s, {s}.attempts_%[1]s IN SHARE MODE`)))
		if err != nil {
			return err
		}
		if c, err = s.countDay(ctx, tx, d, until); err != nil || !c.droppable() {
			return err
		}
		if c.kept > 0 {
			err = s.keepOfDay(ctx, tx, d, until)
		}
		if err == nil {
			err = execScript(ctx, tx, s.sql(d.on(`DROP TABLE {s}.events_%[1]s, {s}.deliveries_%[1]s, {s}.attempts_%[1]s`)))
		}
		dropped = err == nil
		return err
	})
	switch {
	case partitionRefused(err):
		return false, nil
	case err != nil || !dropped:
		return false, err
	}
	r.Deliveries += c.deliveries
	r.Events += c.events
	return true, nil
}

// dayCount counts the deliveries and the events of a day that have passed their time, and
// the queued deliveries, other deliveries and other events that have to stay.
type dayCount struct{ deliveries, events, kept int }

func (c dayCount) droppable() bool {
	return c.kept <= maxKept && (c.deliveries >= dropFrom || c.deliveries+c.events+c.kept == 0)
}

// keptIDs selects the ids of the deliveries that stay when a day is dropped, with those of
// their events: $1 and $2 are the bounds of the day's ids, $3 is until.
const keptIDs = `
	SELECT id, event_id FROM {s}.queue WHERE id >= $1::uuid AND id < $2::uuid
	UNION ALL
	SELECT id, event_id FROM {s}.deliveries_%[1]s WHERE finished_at > $3::timestamptz`

// countDay counts up to maxKept rows that stay, and one more. The parameters are those of
// keptIDs, and $4 is that number. Events of deliveries that stay are not counted as events
// that go.
func (s *Store) countDay(ctx context.Context, tx pgx.Tx, d dayTables, until time.Time) (c dayCount, err error) {
	err = tx.QueryRow(ctx, s.sql(d.on(`
		WITH kept AS MATERIALIZED (SELECT * FROM (`+keptIDs+`) AS k LIMIT $4::bigint)
		SELECT (SELECT count(*) FROM {s}.deliveries_%[1]s WHERE finished_at <= $3::timestamptz),
			(SELECT count(*) FROM {s}.events_%[1]s e WHERE e.created_at <= $3::timestamptz)
				- (SELECT count(*) FROM {s}.events_%[1]s e WHERE e.created_at <= $3::timestamptz AND e.id = ANY (ARRAY(SELECT event_id FROM kept))),
			(SELECT count(*) FROM kept)
				+ (SELECT count(*) FROM (SELECT FROM {s}.events_%[1]s WHERE created_at > $3::timestamptz LIMIT $4::bigint) AS late)`)),
		param(firstOf(d.start)), param(firstOf(d.start.Add(day))), until, int64(maxKept+1),
	).Scan(&c.deliveries, &c.events, &c.kept)
	return c, err
}

// keepOfDay detaches the partitions of a day and stores the rows again that have to stay.
// They go into the default partitions, since no other takes their ids. The parameters
// are those of keptIDs.
func (s *Store) keepOfDay(ctx context.Context, tx pgx.Tx, d dayTables, until time.Time) error {
	for _, table := range partitioned {
		if err := execScript(ctx, tx, s.sql(d.on(`ALTER TABLE {s}.`+table+` DETACH PARTITION {s}.`+table+`_%[1]s`))); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, s.sql(d.on(`
		WITH kept AS MATERIALIZED (`+keptIDs+`
		), events AS (
			INSERT INTO {s}.events SELECT e.* FROM {s}.events_%[1]s e
			WHERE e.created_at > $3::timestamptz OR e.id = ANY (ARRAY(SELECT event_id FROM kept))
		), attempts AS (
			INSERT INTO {s}.attempts SELECT a.* FROM {s}.attempts_%[1]s a WHERE a.delivery_id = ANY (ARRAY(SELECT id FROM kept))
		)
		INSERT INTO {s}.deliveries SELECT h.* FROM {s}.deliveries_%[1]s h WHERE h.finished_at > $3::timestamptz`)),
		param(firstOf(d.start)), param(firstOf(d.start.Add(day))), until)
	return err
}

// purgeEndpoints deletes the rows of endpoints that were deleted at until ($1) or
// before and have no delivery any more, and their recoveries, up to limit ($2).
func (s *Store) purgeEndpoints(ctx context.Context, until time.Time, limit int) error {
	return s.run(ctx, purgeRecoveries(until, limit), step{
		sql: `
			DELETE FROM {s}.endpoints
			WHERE key = ANY (ARRAY(
				SELECT p.key FROM {s}.endpoints p
				WHERE p.deleted_at <= $1::timestamptz
					AND NOT EXISTS (SELECT FROM {s}.queue q WHERE q.endpoint IN (p.key, -p.key))
					AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.endpoint IN (p.key, -p.key))
				LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`,
		args: []any{until, int64(limit)},
	})
}
