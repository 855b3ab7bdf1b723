package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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
	// partitionsTimeout is how long a claim stays for that after its own work.
	partitionsTimeout = 3 * time.Second
	// lockPatience is how long a change to the partitions waits for its lock. All
	// later statements on the table wait behind it as long.
	lockPatience = "200ms"
	// makeTimeout bounds each statement that makes partitions. The one that attaches
	// them holds a lock on the default partitions while PostgreSQL looks through them.
	makeTimeout = "1s"
	// maxDefault is the size in bytes from which a default partition is not looked through
	// while today's events go there.
	maxDefault = 128 << 20
	// dropTimeout bounds the count of a day's rows before they are dropped. Nobody but
	// redeliveries of deliveries so old waits for that.
	dropTimeout = "5min"
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
// ahead. Where it cannot, rows go into the default partition: if that has rows of a day
// already or is too large to be looked through, if others hold the tables, or if the role
// does not own them.
func (s *Store) makePartitions(ctx context.Context) error {
	if err := s.identifyAttempts(ctx); err != nil {
		return s.explain("set the replica identity of attempts", err)
	}
	missing, live, err := s.missingPartitions(ctx)
	if err != nil {
		return s.explain("find missing partitions", err)
	}
	for _, d := range missing {
		switch err := s.makePartition(ctx, d, live); {
		case err == nil, madeByAnother(err):
		case errors.Is(err, errDefaultRows):
			s.logNoPartition(ctx, d, err)
		case errors.Is(err, errDefaultLarge), partitionRefused(err): // and the next day's would be, too
			s.logNoPartition(ctx, d, err)
			return nil
		default:
			return s.explain("make the partitions of "+d.Format(time.DateOnly), err)
		}
	}
	return nil
}

// logNoPartition logs why a day has no partitions. A role that does not own the tables is
// no problem: then somebody else is to make them.
func (s *Store) logNoPartition(ctx context.Context, d time.Time, err error) {
	level := slog.LevelWarn
	if sqlState(err) == "42501" {
		level = slog.LevelDebug
	}
	s.logger.Log(ctx, level, "alotwebhook: postgres: the partitions of a day were not made; its rows go into the default partitions",
		"day", d.Format(time.DateOnly), "error", err)
}

// missingPartitions returns the days from today to $1 days ahead that have no
// partition in the schema $2, and whether today is among them. makePartition makes that of
// attempts last, so where it is there, all three are.
func (s *Store) missingPartitions(ctx context.Context) (days []time.Time, today bool, err error) {
	err = s.run(ctx, step{
		sql: `SELECT d AT TIME ZONE 'UTC', n = 0
			FROM generate_series(0, $1::int) AS n, LATERAL (
				SELECT date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + n * interval '1 day') AS day (d)
			WHERE to_regclass($2::text || '.attempts_' || to_char(d, 'YYYYMMDD')) IS NULL`,
		args: []any{int32(daysAhead), quoted(s.schema)},
		rows: func(rows pgx.Rows) error {
			var d time.Time
			var first bool
			_, err := pgx.ForEachRow(rows, []any{&d, &first}, func() error {
				days, today = append(days, d.UTC()), today || first
				return nil
			})
			return err
		},
	})
	return days, today, err
}

// identify returns the statement that lets PostgreSQL delete from a partition of attempts
// where a publication covers all tables. A partition does not take it over from its table.
func identify(partition string) string {
	return fmt.Sprintf("ALTER TABLE {s}.%s REPLICA IDENTITY FULL;\n", partition)
}

// personal are the columns that may tell of somebody, by their tables.
var personal = map[string][]string{"events": {"payload", "subject"}, "deliveries": {"detail", "response_body"}, "attempts": {"detail", "response_body"}}

// unsampled returns the statements that keep such columns of a day out of the statistics: PostgreSQL
// would take samples of them, which outlive what is erased. No plan needs them. A partition does not take
// it over from its table.
func unsampled(d time.Time) string {
	var b strings.Builder
	for _, table := range partitioned {
		for _, column := range personal[table] {
			fmt.Fprintf(&b, "ALTER TABLE {s}.%s_%s ALTER COLUMN %s SET STATISTICS 0;\n", table, d.Format(dayLayout), column)
		}
	}
	return b.String()
}

// identifyAttempts identifies the partitions of attempts ($1) that an older release has made, if the
// role owns them.
func (s *Store) identifyAttempts(ctx context.Context) error {
	var without []string
	err := s.run(ctx, step{
		sql: `SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
			WHERE i.inhparent = to_regclass($1::text) AND c.relreplident = 'd' AND pg_has_role(c.relowner, 'USAGE')`,
		args: []any{s.quoted + ".attempts"},
		rows: func(rows pgx.Rows) (err error) {
			without, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		},
	})
	for _, partition := range without {
		if err == nil {
			err = s.changePartitions(ctx, makeTimeout, func(tx pgx.Tx) error {
				return execScript(ctx, tx, s.sql(identify(pgx.Identifier{partition}.Sanitize())))
			})
		}
	}
	if partitionRefused(err) {
		return nil // the next time
	}
	return err
}

// Why a day is left to the default partitions.
var (
	errDefaultRows  = errors.New("the default partitions have rows of that day, and keep it")
	errDefaultLarge = errors.New("a default partition is too large to be looked through while emits wait; docs/operating.md says what to do")
)

// makePartition makes the three partitions of a day. It creates each as a table by
// itself and attaches it: unlike CREATE TABLE … PARTITION OF, this does not wait
// for transactions that write to other partitions. live says that today's events go into
// the default partitions.
func (s *Store) makePartition(ctx context.Context, d time.Time, live bool) error {
	if err := s.lookInDefault(ctx, d, live); err != nil {
		return err
	}
	var create, attach strings.Builder
	for _, table := range partitioned {
		of := table + "_" + d.Format(dayLayout)
		fmt.Fprintf(&create, "CREATE TABLE IF NOT EXISTS {s}.%s (LIKE {s}.%s INCLUDING ALL);\n", of, table)
		fmt.Fprintf(&attach, "ALTER TABLE {s}.%s ATTACH PARTITION {s}.%s FOR VALUES FROM ('%s') TO ('%s');\n",
			table, of, uuidText(firstOf(d)), uuidText(firstOf(d.Add(day))))
	}
	create.WriteString(identify("attempts_"+d.Format(dayLayout)) + unsampled(d))
	return s.changePartitions(ctx, makeTimeout, func(tx pgx.Tx) error {
		// One statement attaches all three, so that makeTimeout bounds the whole.
		return execScript(ctx, tx, s.sql(create.String())+"DO "+literal(s.sql("BEGIN\n"+attach.String()+"END")))
	})
}

// lookInDefault returns an error if the default partitions are to keep a day, whose ids
// lie between $1 and $2: they have rows of it, or they are live, and one is larger than $3
// and has no CHECK constraint ($4 names the schema). PostgreSQL would look through them row
// by row, and keep emits from them meanwhile, unless such a constraint says that the day is
// not there.
func (s *Store) lookInDefault(ctx context.Context, d time.Time, live bool) error {
	var taken, large bool
	err := s.run(ctx, step{
		sql: `SELECT EXISTS (SELECT FROM {s}.events_default WHERE id >= $1::uuid AND id < $2::uuid)
				OR EXISTS (SELECT FROM {s}.deliveries_default WHERE id >= $1::uuid AND id < $2::uuid)
				OR EXISTS (SELECT FROM {s}.attempts_default WHERE delivery_id >= $1::uuid AND delivery_id < $2::uuid),
			EXISTS (SELECT FROM unnest(ARRAY['events_default', 'deliveries_default', 'attempts_default']) AS t (name)
				WHERE pg_relation_size(to_regclass($4::text || '.' || name)) > $3::bigint AND NOT EXISTS (
					SELECT FROM pg_constraint
					WHERE conrelid = to_regclass($4::text || '.' || name) AND contype = 'c' AND convalidated))`,
		args: []any{param(firstOf(d)), param(firstOf(d.Add(day))), s.maxDefault, s.quoted},
		rows: one(new(bool), &taken, &large),
	})
	switch {
	case err != nil:
		return err
	case taken:
		return errDefaultRows
	case large && live:
		return errDefaultLarge
	}
	return nil
}

// changePartitions runs fn in a transaction that fails after lockPatience, so that
// others do not wait long behind it. It ends a statement that takes longer than timeout.
// One process at a time changes partitions.
func (s *Store) changePartitions(ctx context.Context, timeout string, fn func(pgx.Tx) error) error {
	return s.inTx(ctx, timeout, timeout, func(tx pgx.Tx) error {
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
	switch sqlState(err) {
	case "55P03", // lock_not_available: somebody holds the table for longer than lockPatience
		"42501", // insufficient_privilege: the role does not own the tables
		"23514", // check_violation: the default partition has rows of the day
		"57014": // query_canceled: the default partition is too large
		return true
	}
	return madeByAnother(err)
}

// madeByAnother reports whether err means that another process was faster.
func madeByAnother(err error) bool {
	switch sqlState(err) {
	case "42P07", // duplicate_table: it has made the partition
		"42809", // wrong_object_type: it has attached it
		"42P17": // invalid_object_definition: the bounds overlap another partition's
		return true
	}
	return false
}

// keepPartitions makes missing partitions once in partitionsEvery, or a minute after it
// failed. Claims call it after their work, so that no host has to run a timer for it.
func (s *Store) keepPartitions(ctx context.Context) {
	now := time.Now()
	if !now.After(s.partitionsDue) {
		return
	}
	s.partitionsDue = now.Add(partitionsEvery)
	ctx, cancel := context.WithTimeout(ctx, partitionsTimeout)
	defer cancel()
	if err := s.makePartitions(ctx); err != nil {
		s.logger.Warn("alotwebhook: postgres: missing partitions were not made; until they are, rows go into the default partitions", "error", err)
		if ctx.Err() == nil { // else it took too long, and would again in a minute
			s.partitionsDue = now.Add(time.Minute)
		}
	}
}
