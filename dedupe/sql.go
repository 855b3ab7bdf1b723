package dedupe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

// SQLConfig says how an [SQL] works; nil works.
type SQLConfig struct {
	// Retention is how long a handled event is remembered at least; an hour
	// later its row may be deleted. Shorter than the sender can repeat an
	// event, and one that comes again is handled again.
	// Zero or less: default. Defaults to [DefaultRetention].
	Retention time.Duration
}

// SQL is an [alotwebhook.Deduper] in a table of your own database,
// alotwebhook_handled. Any number of processes may share it; leases are judged
// by the database's clock. Claiming costs one statement and one commit, and so
// does completing, unless it is part of your own transaction.
type SQL struct {
	db        *sql.DB
	dialect   Dialect
	sql       *statements
	retention int64 // in milliseconds
	claims    atomic.Uint64
}

var _ alotwebhook.Deduper = (*SQL)(nil)

// NewSQL returns one on your database handle. The table must exist: make it with
// [SQL.CreateTable], or with [Schema] in migrations of your own. The error says
// that db is missing or the dialect is not known.
func NewSQL(db *sql.DB, dialect Dialect, cfg *SQLConfig) (*SQL, error) {
	if db == nil {
		return nil, &alotwebhook.FieldError{Field: "db", Problem: "is nil; give an open *sql.DB"}
	}
	s := &SQL{db: db, dialect: dialect, sql: dialects[dialect], retention: DefaultRetention.Milliseconds()}
	if s.sql == nil {
		return nil, &alotwebhook.FieldError{Field: "dialect", Problem: fmt.Sprintf("is %q; it must be dedupe.SQLite or dedupe.PostgreSQL", dialect)}
	}
	if cfg != nil && cfg.Retention > 0 {
		s.retention = max(1, cfg.Retention.Milliseconds())
	}
	return s, nil
}

// Schema returns the statements that create the table, each ended by a semicolon,
// for migrations of your own; "" for a dialect that is not known.
func Schema(dialect Dialect) string {
	s := dialects[dialect]
	if s == nil {
		return ""
	}
	return strings.Join(s.create, ";\n") + ";\n"
}

// CreateTable creates the table where it does not exist. Several processes may
// do so at once.
func (s *SQL) CreateTable(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed("create the table", err)
	}
	defer tx.Rollback() // nothing, after a commit
	create := s.sql.create
	if s.dialect == PostgreSQL {
		// IF NOT EXISTS alone does not hold for two at once.
		create = append([]string{`SELECT pg_advisory_xact_lock(7308330049573843)`}, create...)
	}
	for _, statement := range create {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return failed("create the table", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return failed("create the table", err)
	}
	return nil
}

// claimTries bounds how often a row may go away between a claim that did not
// get it and the look at who has it.
const claimTries = 3

// Claim implements [alotwebhook.Deduper]. Once in a hundred calls it deletes
// what has expired, so that the table does not grow without end.
func (s *SQL) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	claim := alotwebhook.DedupeClaim{Key: key}
	for range claimTries {
		if err := s.claim(ctx, &claim, lease); err != nil {
			return claim, failed("claim "+key, err)
		}
		if claim.State != "" {
			break
		}
	}
	if claim.State == "" { // others claim and release it all the time
		claim.State = alotwebhook.DedupeInProgress
	}
	if claim.State == alotwebhook.DedupeClaimed && s.claims.Add(1)%purgeEvery == 0 {
		_, _ = s.purge(ctx, 2*purgeEvery) // what fails here is done by the next one
	}
	return claim, nil
}

// claim leaves the state empty where the key became free meanwhile.
func (s *SQL) claim(ctx context.Context, c *alotwebhook.DedupeClaim, lease time.Duration) error {
	token := rand.Int64N(1<<63-1) + 1 // a released key's row is gone, so that no counter could go on
	err := s.db.QueryRowContext(ctx, s.sql.claim, c.Key, token, milliseconds(lease)).Scan(&c.Token)
	if err == nil {
		c.State = alotwebhook.DedupeClaimed
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var done bool
	var left int64
	err = s.db.QueryRowContext(ctx, s.sql.look, c.Key).Scan(&done, &left)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case done:
		c.State = alotwebhook.DedupeDone
	case left > 0:
		c.State, c.Wait = alotwebhook.DedupeInProgress, time.Duration(left)*time.Millisecond
	}
	return nil
}

// milliseconds rounds up: a lease is never shorter than was asked for.
func milliseconds(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

// Complete implements [alotwebhook.Deduper], in a transaction of its own; for
// one of yours there is [SQL.Tx].
func (s *SQL) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	return s.complete(ctx, s.db, c)
}

// Release implements [alotwebhook.Deduper].
func (s *SQL) Release(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if err := checkClaim(c); err != nil {
		return err
	}
	n, err := affected(s.db.ExecContext(ctx, s.sql.release, c.Key, c.Token))
	switch {
	case err != nil:
		return failed("release "+c.Key, err)
	case n == 0:
		return lost(c)
	}
	return nil
}

// Tx completes claims inside a transaction of yours.
type Tx struct {
	s  *SQL
	tx sqltx.Tx
}

// Tx returns what completes claims inside tx, on the database of s. tx is a
// [*sql.Tx], or what a library above database/sql has for one; package sqltx
// says what that is in GORM, sqlx and others.
func (s *SQL) Tx(tx sqltx.Tx) *Tx { return &Tx{s, tx} }

// Complete marks the claim's event as handled if tx commits, and not otherwise.
// A handler gets its claim by [alotwebhook.ClaimFromContext]. On an error, above
// all [alotwebhook.ErrClaimLost], roll back: somebody else has handled the event
// or is about to. What is no transaction, nil and *sql.DB among it, is an
// [*alotwebhook.FieldError].
func (t *Tx) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	tx, err := sqltx.Of(t.tx)
	if err != nil {
		return err
	}
	return t.s.complete(ctx, tx, c)
}

// CompleteStatement is the statement by which [Tx.Complete] marks the claim's
// event, for transactions that are no *sql.Tx, such as those of pgx itself. It
// must affect exactly one row: otherwise the claim is lost, and the transaction
// must be rolled back.
func (s *SQL) CompleteStatement(c alotwebhook.DedupeClaim) (query string, args []any, err error) {
	if err := checkClaim(c); err != nil {
		return "", nil, err
	}
	return s.sql.complete, []any{c.Key, c.Token, s.retention}, nil
}

func (s *SQL) complete(ctx context.Context, q sqltx.Tx, c alotwebhook.DedupeClaim) error {
	query, args, err := s.CompleteStatement(c)
	if err != nil {
		return err
	}
	n, err := affected(q.ExecContext(ctx, query, args...))
	if err == nil && n == 0 {
		// Most often it was completed in the handler's transaction.
		n, err = s.own(ctx, q, c)
	}
	switch {
	case err != nil:
		return failed("complete "+c.Key, err)
	case n == 0:
		return lost(c)
	}
	return nil
}

// own counts the rows that are the claim's still: 0 or 1.
func (s *SQL) own(ctx context.Context, q sqltx.Tx, c alotwebhook.DedupeClaim) (n int64, err error) {
	rows, err := q.QueryContext(ctx, s.sql.own, c.Key, c.Token)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

const (
	purgeEvery = 100
	purgeBatch = 1000
)

// Purge deletes what has expired and says how many rows that were. Claim does
// so by itself; this is for a table in which nothing is claimed any more.
func (s *SQL) Purge(ctx context.Context) (rows int64, err error) {
	for {
		n, err := s.purge(ctx, purgeBatch)
		rows += n
		if err != nil {
			return rows, failed("purge", err)
		}
		if n < purgeBatch {
			return rows, nil
		}
	}
}

func (s *SQL) purge(ctx context.Context, limit int) (int64, error) {
	return affected(s.db.ExecContext(ctx, s.sql.purge, limit))
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func failed(what string, err error) error {
	return fmt.Errorf("alotwebhook: cannot %s in alotwebhook_handled: %w", what, err)
}
