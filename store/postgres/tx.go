package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// step is one statement of a transaction. rows reads its result, and may be nil.
type step struct {
	sql    string
	args   []any
	rows   func(pgx.Rows) error
	begins bool // it begins the transaction
}

// Settings that the store makes in its own transactions. They end with the transaction.
const (
	timeouts = `SELECT set_config('statement_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '30s', true),
		set_config('datestyle', 'ISO', true)` // pgx reads no other style of dates that come as text
	// byIndex makes the planner use indexes and nested loops. It cannot know how few
	// rows a LIMIT inside LATERAL lets through, and would hash whole tables. So one
	// plan serves for all arguments, however large the tables grow.
	byIndex = timeouts + `, set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
		set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
		set_config('plan_cache_mode', 'force_generic_plan', true)`
)

var (
	begin = []step{{sql: `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`, begins: true}, {sql: byIndex}}
	// beginFinish waits less for locks. Somebody else's transaction may hold one row for long:
	// the batch of outcomes then fails soon, and those of other rows are stored without it.
	beginFinish = []step{begin[0], {sql: byIndex + `, set_config('lock_timeout', '1s', true)`}}
	// beginPlain leaves the choice of a plan to the planner.
	beginPlain = []step{begin[0], {sql: timeouts}}
	// beginRead begins a transaction that sees the database as of one moment. It takes
	// no locks that anybody waits for. A standby would allow it, and show a history that
	// may be hours old.
	beginRead = []step{
		{sql: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, begins: true}, {sql: byIndex},
		{sql: `SELECT pg_is_in_recovery()`, rows: refuseStandby},
	}
)

var commit = step{sql: `COMMIT`}

// prune makes the planner look at the arguments of the statements that follow, so that
// it opens only the partitions of the days that they ask for.
var prune = step{sql: `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`}

// run executes the steps in one transaction and one round trip.
func (s *Store) run(ctx context.Context, steps ...step) error {
	return s.pipeline(ctx, join(begin, steps, []step{commit}))
}

// runPlain is like run, for statements that join many rows in memory.
func (s *Store) runPlain(ctx context.Context, steps ...step) error {
	return s.pipeline(ctx, join(beginPlain, steps, []step{commit}))
}

// read is like run, for statements that only read.
func (s *Store) read(ctx context.Context, steps ...step) error {
	return s.pipeline(ctx, join(beginRead, steps, []step{commit}))
}

func (s *Store) pipeline(ctx context.Context, steps []step) error {
	return s.within(ctx, func(conn *pgxpool.Conn) error { return s.send(ctx, conn, steps) })
}

func join(parts ...[]step) (all []step) {
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// inTx calls fn with a transaction of as many round trips as it likes, and commits. No
// timeout of the role's applies to it, but the given ones of statements and of locks.
func (s *Store) inTx(ctx context.Context, statement, lock string, fn func(pgx.Tx) error) error {
	return s.within(ctx, func(conn *pgxpool.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
		if err != nil {
			return notBegun(err)
		}
		limits := fmt.Sprintf(`SET LOCAL statement_timeout = '%s'; SET LOCAL lock_timeout = '%s'`, statement, lock)
		if err := execScript(ctx, tx, limits); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err // within rolls back
		}
		return tx.Commit(ctx)
	})
}

// maxRepeats is how often within repeats a transaction that PostgreSQL ended in favour of
// another one.
const maxRepeats = 3

// within calls fn with a connection, over which fn sends begin, its steps and commit. It
// calls fn again after a deadlock or a serialization failure, over the next connection if
// the one that it had was dead, and once over a new connection if it leads to a server that
// takes no writes: none of these leaves anything behind.
func (s *Store) within(ctx context.Context, fn func(*pgxpool.Conn) error) (err error) {
	moved, repeats, dead := false, 0, int32(0)
	for {
		err = s.once(ctx, fn)
		switch {
		case takesNoWrites(err):
			s.pool.Reset() // its other connections may lead to the same server
			if moved {
				return err
			}
			moved = true
		case lostRace(err) && repeats < maxRepeats:
			repeats++
		case errors.As(err, new(neverBegun)) && dead < s.pool.Config().MaxConns: // all of them may be
			dead++
		default:
			return err
		}
	}
}

// once calls fn with a connection of the pool.
func (s *Store) once(ctx context.Context, fn func(*pgxpool.Conn) error) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := checkClientEncoding(conn.Conn())
		if err == nil {
			err = fn(conn)
		}
		if err != nil {
			s.recover(ctx, conn.Conn(), err)
		}
		return err
	})
}

// checkClientEncoding refuses a connection over which PostgreSQL would turn payloads into
// another encoding. A role, a database or the connection string may have set that. It asks
// nobody: the server reports the encoding by itself, and every change of it.
func checkClientEncoding(conn *pgx.Conn) error {
	switch encoding := conn.PgConn().ParameterStatus("client_encoding"); encoding {
	case "", "UTF8", "UNICODE": // some poolers report nothing
		return nil
	default:
		return fmt.Errorf("the connection's client_encoding is %s, and payloads need UTF8: "+
			"put client_encoding=UTF8 into the connection string, or reset it for the role and the database", encoding)
	}
}

// recover leaves a connection fit for the pool after an error, or closes it. One that was
// lost is seldom the only one, and each would make another call fail.
func (s *Store) recover(ctx context.Context, conn *pgx.Conn, err error) {
	if conn.IsClosed() {
		if ctx.Err() == nil && !errors.As(err, new(neverBegun)) {
			s.pool.Reset()
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	switch {
	case takesNoWrites(err):
		_ = conn.Close(ctx)
	case conn.PgConn().TxStatus() != 'I':
		// Without this the pool would close the connection.
		_, _ = conn.Exec(ctx, `ROLLBACK`)
	}
}

// noWrites is an error that says that the server takes no writes.
type noWrites struct{ error }

func (e noWrites) Unwrap() error { return e.error }

var errStandby = noWrites{errors.New("the server is a standby, whose tables may be old")}

// refuseStandby reads the result of pg_is_in_recovery.
func refuseStandby(rows pgx.Rows) error {
	var standby bool
	if err := one(new(bool), &standby)(rows); err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	return nil
}

// neverBegun is the error of a transaction of which the server has executed nothing, since
// its session had ended before.
type neverBegun struct{ error }

func (e neverBegun) Unwrap() error { return e.error }

// notBegun marks the error of a BEGIN. It is noWrites if it is what a standby says to READ
// WRITE. There is no other reason for feature_not_supported, and the message may be in any
// language. It is neverBegun if the server says that the session was terminated. Whatever else
// ends a connection may have let a commit through, whose answer was lost with that of BEGIN;
// pgconn.SafeToRetry does not tell them apart.
func notBegun(err error) error {
	switch sqlState(err) {
	case "0A000":
		return noWrites{err}
	case "57P01", "57P05": // admin_shutdown, idle_session_timeout
		return neverBegun{err}
	}
	return err
}

// takesNoWrites reports whether the server refuses every write: it is a standby, or was
// made read-only. After a fail-over, connections that were kept lead to such a server for
// as long as they live, while a new one finds the primary.
func takesNoWrites(err error) bool {
	const readOnlyTransaction = "25006"
	return errors.As(err, new(noWrites)) || sqlState(err) == readOnlyTransaction
}

func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// send sends all steps in one round trip and reads their results.
func (s *Store) send(ctx context.Context, conn *pgxpool.Conn, steps []step) error {
	var batch pgx.Batch
	for _, st := range steps {
		batch.Queue(s.sql(st.sql), st.args...)
	}
	results := conn.SendBatch(ctx, &batch)
	for _, st := range steps {
		if err := st.read(results); err != nil {
			_ = results.Close()
			if st.begins {
				err = notBegun(err)
			}
			return err
		}
	}
	return results.Close()
}

func (st step) read(results pgx.BatchResults) error {
	if st.rows == nil {
		_, err := results.Exec()
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := st.rows(rows); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}

// one returns a function that reads a result of at most one row into dest. It sets *found
// if there was a row.
func one(found *bool, dest ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		*found = true
		return rows.Scan(dest...)
	}
}

// explain wraps an error: it says what the store was doing and, if that is known, what to
// do about it.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if hint := s.hint(err); hint != "" {
		return fmt.Errorf("alotwebhook: postgres: %s: %w (%s)", doing, err, hint)
	}
	return fmt.Errorf("alotwebhook: postgres: %s: %w", doing, err)
}

// inHostTx is an error in a transaction of the host's, which may be on another
// database, and of another driver than pgx.
type inHostTx struct {
	error
	sql bool // of database/sql, where a transaction may be of any database
}

func (e inHostTx) Unwrap() error { return e.error }

// sqlState returns the SQLSTATE that the server gave, through whatever driver.
func sqlState(err error) string {
	var state interface{ SQLState() string } // pgx, lib/pq
	if errors.As(err, &state) {
		return state.SQLState()
	}
	var field interface{ Field(byte) string } // bun's pgdriver
	if errors.As(err, &field) {
		return field.Field('C')
	}
	return ""
}

func (s *Store) hint(err error) string {
	if hosts := (inHostTx{}); errors.As(err, &hosts) {
		return s.hintInHostTx(hosts)
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return hintNotConnected(err)
	}
	if errors.As(err, new(noWrites)) {
		return "the server is a standby, which takes no writes until it is promoted"
	}
	switch sqlState(err) {
	case "25006":
		return "the server takes no writes: it is a standby, or about to be replaced"
	case "42P01":
		return fmt.Sprintf("somebody has dropped a table of schema %q: restore it from a backup. "+
			"postgres.Migrate makes tables anew only after the whole schema is dropped", s.schema)
	case "3F000":
		return fmt.Sprintf("schema %q is missing: restore it from a backup, or make an empty one by postgres.Migrate", s.schema)
	case "42501":
		return fmt.Sprintf("the role lacks a right on schema %q, on a table in it such as migrations, or on the database: grant it; docs/sending.md lists the rights", s.schema)
	case "26000", "42P05": // of prepared statements: not there, or there already
		return "a pooler between does not know prepared statements: " + adviceModes
	case "57014":
		return "canceled, or slower than the store allows: 10 seconds in general, 1 second where others wait"
	case "57P01", "57P02", "57P03":
		return hintRestart
	}
	return ""
}

// hintNotConnected says what to do when a connection was not made: the server may have refused it.
func hintNotConnected(err error) string {
	switch sqlState(err) {
	case "":
		return "is the server running, and is the address right?"
	case "28P01":
		return "the password is wrong, or the role has none: look at the connection string, or at what gives the password to it"
	case "28000":
		return "the server takes nobody of this role from here: create the role with LOGIN, or look at pg_hba.conf"
	case "3D000":
		return "create the database, or mend its name in the connection string"
	case "42501":
		return "grant the role CONNECT on the database"
	case "53300":
		return "the server, the database or the role has as many connections as it may: make the pools smaller, or max_connections larger"
	case "57P01", "57P02", "57P03":
		return hintRestart
	}
	return ""
}

const hintRestart = "the server is shutting down or starting up"

// hintWithoutState is hintInHostTx for an error that no PostgreSQL has given.
func hintWithoutState(err inHostTx) string {
	switch {
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, sql.ErrTxDone):
		return "the transaction has ended; use it before its Commit or Rollback"
	case !err.sql, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), connectionLost(err):
		return ""
	}
	return "is tx a transaction of PostgreSQL?"
}

// connectionLost reports whether err is one of a connection.
func connectionLost(err error) bool {
	return errors.As(err, new(net.Error)) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

func (s *Store) hintInHostTx(err inHostTx) string {
	switch sqlState(err) {
	case "":
		return hintWithoutState(err)
	case "23502": // see enqueueSQL
		return "the transaction's connection has a client_encoding that is not UTF8: put client_encoding=UTF8 into its connection string, or reset it for the role and the database"
	case "22P02": // see atHome
		return "the transaction is on another database than the store's pool: begin it on that one"
	case "26000", "42P05":
		return "a pooler between does not know prepared statements: with pgx " + adviceModes + "; with lib/pq put binary_parameters=yes into the connection string"
	case "25006":
		return "the transaction is read-only: begin one that may write"
	case "25P02":
		return "a statement before this one has failed: look at its error, and roll back"
	case "42P01", "3F000": // the store has seen its tables in New
		return fmt.Sprintf("the transaction's database has no tables of the store in schema %q: begin it on the database that the store's pool is on", s.schema)
	case "42P02":
		return "what was given as the transaction drops the arguments of statements: give the *sql.Tx in it"
	case "42501":
		return fmt.Sprintf("the transaction's role lacks a right on schema %q: grant it, or set the role back", s.schema)
	}
	return ""
}
