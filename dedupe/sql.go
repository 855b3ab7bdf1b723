package dedupe

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/loglimit"
	"github.com/alot/alotwebhook/store/sqltx"
)

// SQLConfig configures an [SQL]. A nil *SQLConfig stands for the defaults.
type SQLConfig struct {
	// Retention is how long a handled event is remembered at least, up to 100
	// years. Its row is deleted an hour later at the earliest. If Retention is shorter than the
	// time in which the sender may repeat an event, such an event is handled
	// again. Zero or less stands for the default. Defaults to [DefaultRetention].
	Retention time.Duration

	// Logger gets a warning if [SQL.Claim] cannot delete expired rows, because the table
	// then grows without end; at most ten a minute. Defaults to [slog.Default].
	Logger *slog.Logger
}

// SQL is an [alotwebhook.Deduper] in the table alotwebhook_handled of your own
// database. Any number of processes may share it, because leases are judged by the
// database's clock. A claim costs one statement and one commit. So does its
// completion, unless that is part of your own transaction. [NewSQL] makes one; the
// methods of a nil or zero SQL return an error that says so.
type SQL struct {
	db        *sql.DB
	dialect   Dialect
	sql       *statements
	retention int64 // in milliseconds
	claims    atomic.Uint64
	logger    *slog.Logger // nil stands for slog.Default()
	lines     loglimit.Limiter
}

var _ alotwebhook.Deduper = (*SQL)(nil)

// NewSQL returns an SQL on your database handle. The table must exist before it is
// used: create it with [SQL.CreateTable], or put [Schema] into your own migrations.
// The error is an [alotwebhook.FieldError]: db is nil, or the dialect is unknown.
func NewSQL(db *sql.DB, dialect Dialect, cfg *SQLConfig) (*SQL, error) {
	if db == nil {
		return nil, &alotwebhook.FieldError{Field: "db", Problem: "is nil; give an open *sql.DB"}
	}
	s := &SQL{db: db, dialect: dialect, sql: dialects[dialect], retention: milliseconds(DefaultRetention)}
	if s.sql == nil {
		return nil, &alotwebhook.FieldError{Field: "dialect", Problem: fmt.Sprintf("is %q; it must be dedupe.SQLite or dedupe.PostgreSQL", dialect)}
	}
	if cfg != nil {
		s.logger = guarded(cfg.Logger)
	}
	if cfg != nil && cfg.Retention > 0 {
		s.retention = milliseconds(cfg.Retention)
	}
	return s, nil
}

// errNotMade is returned in place of the panic of a nil pointer.
var errNotMade = errors.New("alotwebhook: the dedupe.SQL is nil or zero; make it with NewSQL")

// check refuses an SQL that NewSQL has not made.
func (s *SQL) check() error {
	if s == nil || s.db == nil {
		return errNotMade
	}
	return nil
}

// Schema returns the statements that create the table, for your own migrations.
// Each ends with a semicolon. For an unknown dialect it returns "".
func Schema(dialect Dialect) string {
	s := dialects[dialect]
	if s == nil {
		return ""
	}
	return strings.Join(s.create, ";\n") + ";\n"
}

// CreateTable creates the table if it does not exist. Several processes may call it
// at the same time.
func (s *SQL) CreateTable(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	var options sql.TxOptions
	if s.dialect == PostgreSQL {
		options.Isolation = sql.LevelReadCommitted // whatever is the default there
	}
	tx, err := s.db.BeginTx(ctx, &options)
	if err != nil {
		return failed("create the table", err)
	}
	defer tx.Rollback() // does nothing after a commit
	create := s.sql.create
	if s.dialect == PostgreSQL {
		// IF NOT EXISTS alone fails if two transactions create the table at the
		// same time, so the second one waits for this lock.
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

// claimTries is how often Claim tries if each time the key is released between the
// statement that did not get it and the one that asks who has it.
const claimTries = 3

// Claim implements [alotwebhook.Deduper]. Every hundredth successful claim deletes
// expired rows, so that the table does not grow without end. An [alotwebhook.FieldError]
// refuses a key that is none, and a lease of zero or less. A lease is rounded up to
// milliseconds; one of more than 100 years counts as 100 years. If ctx ends meanwhile, Claim
// may take some seconds more, to leave no claim behind that nobody has.
func (s *SQL) Claim(ctx context.Context, key string, lease time.Duration) (alotwebhook.DedupeClaim, error) {
	claim := alotwebhook.DedupeClaim{Key: key}
	if err := cmp.Or(s.check(), checkInput(key, lease)); err != nil {
		return claim, err
	}
	for range claimTries {
		if err := s.claim(ctx, &claim, lease); err != nil {
			return claim, failed("claim "+key, err)
		}
		if claim.State != "" {
			break
		}
	}
	if claim.State == "" { // other processes claim and release the key all the time
		claim.State = alotwebhook.DedupeInProgress
	}
	if claim.State == alotwebhook.DedupeClaimed && s.claims.Add(1)%purgeEvery == 0 {
		if _, err := s.purge(ctx, 2*purgeEvery); err != nil {
			s.warn(ctx, failed("purge", err)) // the claim holds all the same, and the next purge does the work
		}
	}
	return claim, nil
}

// warn logs why expired rows were not deleted.
func (s *SQL) warn(ctx context.Context, err error) {
	logger := s.logger
	if logger == nil {
		logger = guarded(slog.Default())
	}
	if _, ok := s.lines.Allow("purge"); ok && ctx.Err() == nil {
		logger.WarnContext(ctx, "alotwebhook: dedupe: expired rows were not deleted; without that the table grows", "error", err)
	}
}

// guarded returns a logger that lets no panic through: a claim holds, whatever is wrong with its log.
func guarded(log *slog.Logger) *slog.Logger { return caught.LoggerOf("SQLConfig.Logger", log) }

// claim tries once to claim the key of c, and fills in c. It leaves the state empty
// if the key was released in the meantime.
func (s *SQL) claim(ctx context.Context, c *alotwebhook.DedupeClaim, lease time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	token := rand.Int64N(1<<63-1) + 1 // not a counter: Release deletes the row that would hold it
	switch err := s.insert(ctx, c.Key, token, lease); {
	case err == nil:
		c.Token, c.State = token, alotwebhook.DedupeClaimed
		return nil
	case !errors.Is(err, sql.ErrNoRows):
		s.giveBack(ctx, c.Key, token)
		return err
	}
	return s.look(ctx, c)
}

// look fills in the state of a key that somebody else has.
func (s *SQL) look(ctx context.Context, c *alotwebhook.DedupeClaim) error {
	var done bool
	var left int64
	err := s.alone(ctx, func(q runner) error { return q.QueryRowContext(ctx, s.sql.look, c.Key).Scan(&done, &left) })
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case done:
		c.State = alotwebhook.DedupeDone
	case left > 0:
		left = min(left, milliseconds(longest)) // which a Duration holds, whatever the row says
		c.State, c.Wait = alotwebhook.DedupeInProgress, time.Duration(left)*time.Millisecond
	}
	return nil
}

// afterwards is how much longer than its context a claim may take, and then the statement that gives it back.
const afterwards = 2 * time.Second

// insert executes the statement that claims. That is not cut off when ctx ends: the database might commit it all
// the same, later than anything that is sent to find out. The error is that of ctx if it has ended meanwhile.
func (s *SQL) insert(ctx context.Context, key string, token int64, lease time.Duration) error {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		wait := time.NewTimer(afterwards)
		defer wait.Stop()
		select {
		case <-wait.C:
			cancel()
		case <-longer.Done():
		}
	})()
	err := s.alone(longer, func(q runner) error {
		return q.QueryRowContext(longer, s.sql.claim, key, token, milliseconds(lease)).Scan(&token)
	})
	if err == nil || longer.Err() != nil {
		return ctx.Err()
	}
	return err
}

// giveBack releases a claim that may have been stored although its caller gets an error. Otherwise nobody would
// have it, and every repetition of the event would get 409 until its lease is over. If this fails too, it does.
func (s *SQL) giveBack(ctx context.Context, key string, token int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	_, _ = s.change(ctx, s.sql.release, key, token)
}

// milliseconds rounds up, so that no lease is shorter than its caller asked for, unless that is more than
// the longest.
func milliseconds(d time.Duration) int64 {
	return int64((min(d, longest) + time.Millisecond - 1) / time.Millisecond)
}

// Complete implements [alotwebhook.Deduper] in a transaction of its own. Use
// [SQL.Tx] to complete a claim in a transaction of yours.
func (s *SQL) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.complete(ctx, c, func(mark func(sqltx.Tx) error) error {
		return s.alone(ctx, func(q runner) error { return mark(q) })
	})
}

// Release implements [alotwebhook.Deduper].
func (s *SQL) Release(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if err := cmp.Or(s.check(), checkClaim(c)); err != nil {
		return err
	}
	n, err := s.change(ctx, s.sql.release, c.Key, c.Token)
	switch {
	case err != nil:
		return failed("release "+c.Key, err)
	case n == 0:
		return lost(c)
	}
	return nil
}

// Tx completes claims inside your own transaction; see [SQL.Tx].
type Tx struct {
	s  *SQL
	tx sqltx.Tx
}

// Tx returns a [Tx] that completes claims inside tx. The transaction must be on the
// database of s. It is a [*sql.Tx], or the transaction of a library above database/sql:
// package sqltx lists them.
func (s *SQL) Tx(tx sqltx.Tx) *Tx { return &Tx{s, tx} }

// Complete marks the claim's event as handled once the transaction commits. A handler
// gets its claim from [alotwebhook.ClaimFromContext]. If Complete returns an error,
// roll back: after [alotwebhook.ErrClaimLost], another handler has handled the event
// or is about to. An [*alotwebhook.FieldError] refuses a tx that is nil or no
// transaction, such as a *sql.DB.
func (t *Tx) Complete(ctx context.Context, c alotwebhook.DedupeClaim) error {
	if t == nil || t.s.check() != nil {
		return errNotMade
	}
	tx, err := sqltx.Of(t.tx)
	if err != nil {
		return err
	}
	return t.s.complete(ctx, c, func(mark func(sqltx.Tx) error) error { return mark(tx) })
}

// CompleteStatement returns the statement that [Tx.Complete] executes, with its
// arguments. It is for a transaction that is not an *sql.Tx, such as one of pgx.
// Execute it there. If it does not affect exactly one row, the claim is lost, and
// the transaction must be rolled back. The error says that c is not a claim, or that
// [NewSQL] did not make s.
func (s *SQL) CompleteStatement(c alotwebhook.DedupeClaim) (query string, args []any, err error) {
	if err := cmp.Or(s.check(), checkClaim(c)); err != nil {
		return "", nil, err
	}
	return s.sql.complete, []any{c.Key, c.Token, s.retention}, nil
}

// complete marks the claim's event as handled, in the transaction that in gives to its argument.
func (s *SQL) complete(ctx context.Context, c alotwebhook.DedupeClaim, in func(func(sqltx.Tx) error) error) error {
	query, args, err := s.CompleteStatement(c)
	if err != nil {
		return err
	}
	var n int64
	err = in(func(q sqltx.Tx) (err error) {
		n, err = affected(q.ExecContext(ctx, query, args...))
		if err == nil && n == 0 {
			// No row changed. Most often, that is because the handler's transaction
			// has completed the claim already.
			n, err = s.own(ctx, q, c)
		}
		return err
	})
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
	purgeEvery = 100  // successful claims between two purges
	purgeBatch = 1000 // rows that one statement of Purge deletes at most
)

// Purge deletes the expired rows and returns their number. Claim does the same, bit
// by bit; call Purge for a table in which nothing is claimed any more.
func (s *SQL) Purge(ctx context.Context) (rows int64, err error) {
	if err := s.check(); err != nil {
		return 0, err
	}
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

// purge deletes at most limit expired rows.
func (s *SQL) purge(ctx context.Context, limit int) (int64, error) {
	return s.change(ctx, s.sql.purge, limit)
}

// change executes a statement by itself, and returns the number of rows that it changed.
func (s *SQL) change(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = s.alone(ctx, func(q runner) (err error) {
		rows, err = affected(q.ExecContext(ctx, query, args...))
		return err
	})
	return rows, err
}

// affected returns the number of rows that a statement changed.
func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func failed(what string, err error) error {
	advice, text := "", err.Error()
	switch {
	case strings.Contains(text, "no such table"), strings.Contains(text, `relation "alotwebhook_handled" does not exist`):
		advice = "; call CreateTable at the start, or put dedupe.Schema into your migrations"
	case strings.Contains(text, "database is locked"): // of SQLite
		advice = "; begin transactions with the write lock, which _txlock=immediate in the data source name does, and have a busy timeout"
	}
	return fmt.Errorf("alotwebhook: cannot %s in alotwebhook_handled: %w%s", what, err, advice)
}
