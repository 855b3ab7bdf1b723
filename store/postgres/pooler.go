package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// poolerPatience is how long New waits for a second connection.
const poolerPatience = 15 * time.Second

const adviceModes = "set the pool's DefaultQueryExecMode to pgx.QueryExecModeExec, or have the pooler keep prepared statements " +
	"(PgBouncer 1.21 or later with max_prepared_statements above 0)"

var errPooler = errors.New("a pooler stands between, which lends its sessions for a transaction each and does not know prepared statements, " +
	"as PgBouncer before 1.21; the pool's mode pgx.QueryExecModeCacheStatement needs them: " + adviceModes)

// checkPooler refuses a pool whose connections keep prepared statements in sessions that are lent
// to others meanwhile. One connection alone would not notice; two that are busy get each
// other's sessions. A pool of one connection says nothing about that, and is let through.
func (s *Store) checkPooler(ctx context.Context) error {
	if !s.prepares {
		return nil
	}
	return s.pool.AcquireFunc(ctx, func(first *pgxpool.Conn) error {
		session, known, err := statementIn(ctx, first.Conn())
		// A server tells its number to those who connect to it. A pooler that keeps statements
		// apart gives them names of its own.
		if err != nil || session == first.Conn().PgConn().PID() || !known || s.pool.Config().MaxConns == 1 {
			return err
		}
		shared, err := s.lentToOthers(ctx, session)
		if err == nil && shared {
			err = errPooler
		}
		return err
	})
}

// statementIn prepares a statement and forgets it. It returns the number of the session in
// which it did, and whether that knows the statement by its name.
func statementIn(ctx context.Context, conn *pgx.Conn) (session uint32, known bool, err error) {
	tx, err := conn.Begin(ctx) // keeps the session
	if err != nil {
		return 0, false, err
	}
	defer tx.Rollback(ctx)
	name := fmt.Sprintf("alotwebhook_%016x", rand.Uint64())
	if _, err := tx.Prepare(ctx, name, "SELECT 1"); err != nil {
		return 0, false, err
	}
	err = tx.QueryRow(ctx, `SELECT pg_backend_pid(), EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1::text)`,
		pgx.QueryExecModeExec, name).Scan(&session, &known)
	return session, known, errors.Join(err, conn.Deallocate(ctx, name))
}

// lentToOthers reports whether a second connection gets the session of one that is still open.
func (s *Store) lentToOthers(ctx context.Context, session uint32) (lent bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, poolerPatience)
	defer cancel()
	second, err := s.pool.Acquire(waiting)
	if err != nil {
		return false, ctx.Err() // the host has all connections
	}
	defer second.Release()
	err = second.QueryRow(ctx, `SELECT pg_backend_pid() = $1::int`, pgx.QueryExecModeExec, int32(session)).Scan(&lent)
	return lent, err
}
