package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Partitions: events, deliveries and attempts have one per day of the
// millisecond that their ids begin with, all three with the same bounds.

const (
	// daysAhead is how many days after today have their partition.
	daysAhead = 2
	day       = 24 * time.Hour
	// partitionsEvery is how often a process looks whether one is missing.
	partitionsEvery = time.Hour
	// lockPatience bounds what waits behind a change to the partitions that waits itself.
	lockPatience = "200ms"
)

var partitioned = [...]string{"events", "deliveries", "attempts"}

const (
	dayLayout      = "20060102"
	defaultSuffix  = "default"
	uuidTextFormat = "%x-%x-%x-%x-%x"
)

func uuidText(u uuid) string {
	return fmt.Sprintf(uuidTextFormat, u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// makePartitions makes the missing partitions of today to daysAhead. A day
// that has rows in the default partition already stays there, and so does all
// where the role does not own the tables.
func (s *Store) makePartitions(ctx context.Context) error {
	missing, err := s.missingPartitions(ctx)
	if err != nil {
		return s.explain("look for partitions", err)
	}
	for _, d := range missing {
		if err := s.makePartition(ctx, d); err != nil && !partitionRefused(err) {
			return s.explain("make the partitions of "+d.Format(time.DateOnly), err)
		}
	}
	return nil
}

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

// makePartition makes a table apart and attaches it: unlike CREATE TABLE …
// PARTITION OF, that waits for nobody who writes to other partitions.
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

// changePartitions runs fn in a transaction that gives up rather than to make
// others wait.
func (s *Store) changePartitions(ctx context.Context, fn func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
		if err := s.lockMigrations(ctx, tx); err != nil {
			return err
		}
		if err := execScript(ctx, tx, `SET LOCAL lock_timeout = '`+lockPatience+`'; SET LOCAL client_min_messages = 'warning'`); err != nil {
			return err
		}
		return fn(tx)
	})
}

// partitionRefused: the change cannot be made now or at all, and nothing is lost by that.
func partitionRefused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "55P03", // lock_not_available: next time
		"42501", // insufficient_privilege
		"23514", // check_violation: the default partition has rows of the day
		"42P07", // duplicate_table
		"42809", // wrong_object_type: attached already, by another process
		"42P17": // invalid_object_definition: it would overlap
		return true
	}
	return false
}

// keepPartitions makes missing partitions now and then. It is called by claims,
// so that no host needs a timer of its own.
func (s *Store) keepPartitions(ctx context.Context) {
	if now := time.Now(); now.After(s.partitionsDue) {
		s.partitionsDue = now.Add(partitionsEvery)
		if err := s.makePartitions(ctx); err != nil {
			s.partitionsDue = now.Add(time.Minute)
		}
	}
}
