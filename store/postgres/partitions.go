package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The tables events, deliveries and attempts have one partition for each day (UTC).
// A row belongs to the day of the millisecond with which its id begins; attempts
// go by the id of their delivery.

const (
	// daysAhead is the number of days after today for which partitions are made.
	daysAhead = 2
	day       = 24 * time.Hour
	// partitionsEvery is how often a process checks whether a partition is missing.
	partitionsEvery = time.Hour
	// lockPatience is how long a change to the partitions waits for its lock. All
	// later statements on the table wait behind it as long.
	lockPatience = "200ms"
)

// partitioned are the tables that have partitions.
var partitioned = [...]string{"events", "deliveries", "attempts"}

// The names of partitions end with the day, as in events_20260131, or with
// _default.
const (
	dayLayout      = "20060102"
	defaultSuffix  = "default"
	uuidTextFormat = "%x-%x-%x-%x-%x"
)

// uuidText spells a uuid as PostgreSQL does.
func uuidText(u uuid) string {
	return fmt.Sprintf(uuidTextFormat, u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// makePartitions makes the partitions that are missing for today and the days
// ahead. It leaves rows in the default partition where it cannot: if that has
// rows of a day already, or if the role does not own the tables.
func (s *Store) makePartitions(ctx context.Context) error {
	missing, err := s.missingPartitions(ctx)
	if err != nil {
		return s.explain("find missing partitions", err)
	}
	for _, d := range missing {
		if err := s.makePartition(ctx, d); err != nil && !partitionRefused(err) {
			return s.explain("make the partitions of "+d.Format(time.DateOnly), err)
		}
	}
	return nil
}

// missingPartitions returns the days from today to $1 days ahead that have no
// partition in the schema $2. makePartition makes that of attempts last, so where
// it is there, all three are.
func (s *Store) missingPartitions(ctx context.Context) (days []time.Time, err error) {
	err = s.run(ctx, step{
		sql: `SELECT d AT TIME ZONE 'UTC'
			FROM generate_series(0, $1::int) AS n, LATERAL (
				SELECT date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + n * interval '1 day') AS day (d)
			WHERE to_regclass($2::text || '.attempts_' || to_char(d, 'YYYYMMDD')) IS NULL`,
		args: []any{int32(daysAhead), quoted(s.schema)},
		rows: func(rows pgx.Rows) error {
			var d time.Time
			_, err := pgx.ForEachRow(rows, []any{&d}, func() error {
				days = append(days, d.UTC())
				return nil
			})
			return err
		},
	})
	return days, err
}

// makePartition makes the three partitions of a day. It creates each as a table by
// itself and attaches it: unlike CREATE TABLE … PARTITION OF, this does not wait
// for transactions that write to other partitions.
func (s *Store) makePartition(ctx context.Context, d time.Time) error {
	return s.changePartitions(ctx, func(tx pgx.Tx) error {
		for _, table := range partitioned {
			script := s.sql(fmt.Sprintf(`
				CREATE TABLE IF NOT EXISTS {s}.%[1]s_%[2]s (LIKE {s}.%[1]s INCLUDING ALL);
				ALTER TABLE {s}.%[1]s ATTACH PARTITION {s}.%[1]s_%[2]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
				table, d.Format(dayLayout), uuidText(firstOf(d)), uuidText(firstOf(d.Add(day)))))
			if err := execScript(ctx, tx, script); err != nil {
				return err
			}
		}
		return nil
	})
}

// changePartitions runs fn in a transaction that fails after lockPatience, so that
// others do not wait long behind it. One process at a time changes partitions.
func (s *Store) changePartitions(ctx context.Context, fn func(pgx.Tx) error) error {
	return s.inTx(ctx, func(tx pgx.Tx) error {
		if err := s.lockMigrations(ctx, tx); err != nil {
			return err
		}
		if err := execScript(ctx, tx, `SET LOCAL lock_timeout = '`+lockPatience+`'; SET LOCAL client_min_messages = 'warning'`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// partitionRefused reports whether err means that partitions cannot be changed now,
// or not by this role. Nothing is lost by that: rows without a partition of their
// own go into the default one, and the change is tried again later.
func partitionRefused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "55P03", // lock_not_available: somebody holds the table for longer than lockPatience
		"42501", // insufficient_privilege: the role does not own the tables
		"23514", // check_violation: the default partition has rows of the day
		"42P07", // duplicate_table: another process has made it
		"42809", // wrong_object_type: another process has attached it
		"42P17": // invalid_object_definition: its bounds overlap another partition's
		return true
	}
	return false
}

// keepPartitions makes missing partitions once in partitionsEvery, or a minute
// after it failed. Claims call it, so that no host has to run a timer for it.
func (s *Store) keepPartitions(ctx context.Context) {
	if now := time.Now(); now.After(s.partitionsDue) {
		s.partitionsDue = now.Add(partitionsEvery)
		if err := s.makePartitions(ctx); err != nil {
			s.partitionsDue = now.Add(time.Minute)
		}
	}
}
