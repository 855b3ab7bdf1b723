package sqltest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// business does a handler's work: it commits a row together with the mark that the
// event was handled.
func business(ctx context.Context, db *sql.DB, s *dedupe.SQL, beforeCommit func() error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO business (score) VALUES (82)"); err != nil {
		return err
	}
	if err := s.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx)); err != nil {
		return err
	}
	if beforeCommit != nil {
		if err := beforeCommit(); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func makeBusiness(t testing.TB, db *sql.DB) {
	t.Helper()
	_, err := db.Exec("CREATE TABLE IF NOT EXISTS business (score BIGINT)")
	require.NoError(t, err)
}

func TestTxCommitsBoth(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		s := newSQL(t, db, dialect, nil)
		makeBusiness(t, db)
		for range 3 {
			require.NoError(t, alotwebhook.Once(t.Context(), s, "evt", time.Minute, func(ctx context.Context) error {
				return business(ctx, db, s, nil)
			}))
		}
		require.Equal(t, 1, count(t, db, "business"))
	})
}

func TestTxRollsBackBoth(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		s := newSQL(t, db, dialect, nil)
		makeBusiness(t, db)
		refused := errors.New("score below 0")
		err := alotwebhook.Once(t.Context(), s, "evt", time.Minute, func(ctx context.Context) error {
			return business(ctx, db, s, func() error { return refused })
		})
		require.Equal(t, refused, err)
		require.Zero(t, count(t, db, "business"))
		claimed(t, s, "evt", time.Minute) // the key is free again at once
	})
}

// A handler outlives its lease, and a second one takes the event over. Only the
// second one can commit.
func TestTxOfALostClaimDoesNotCommit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		s := newSQL(t, db, dialect, nil)
		makeBusiness(t, db)
		const lease = 200 * time.Millisecond
		err := alotwebhook.Once(t.Context(), s, "evt", lease, func(ctx context.Context) error {
			<-ctx.Done()
			for { // the sender repeats the event, to another process
				err := alotwebhook.Once(t.Context(), s, "evt", time.Minute, func(ctx context.Context) error {
					return business(ctx, db, s, nil)
				})
				if !errors.Is(err, alotwebhook.ErrInProgress) {
					require.NoError(t, err)
					break
				}
			}
			// The first one ignores that its context has ended.
			return business(context.WithoutCancel(ctx), db, s, nil)
		})
		require.ErrorIs(t, err, alotwebhook.ErrClaimLost)
		require.Equal(t, 1, count(t, db, "business"))
	})
}

func TestTxWithoutAClaim(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB) {
		db := open()
		s := newSQL(t, db, dialect, nil)
		makeBusiness(t, db)
		require.ErrorContains(t, business(t.Context(), db, s, nil), "there is no claim")
		require.Zero(t, count(t, db, "business"))
	})
}

// A transaction of pgx is not an *sql.Tx.
func TestCompleteStatementInPgx(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, pool)
	_, err := pool.Exec(t.Context(), "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	pool = postgrestest.PoolAt(t, withSettings(postgrestest.DSN(t), "search_path="+schema))
	db := stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := newSQL(t, db, dedupe.PostgreSQL, nil)
	makeBusiness(t, db)

	handle := func(ctx context.Context) error {
		query, args, err := s.CompleteStatement(alotwebhook.ClaimFromContext(ctx))
		if err != nil {
			return err
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO business (score) VALUES (82)"); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, query, args...)
			if err == nil && tag.RowsAffected() != 1 {
				err = alotwebhook.ErrClaimLost
			}
			return err
		})
	}
	for range 2 {
		require.NoError(t, alotwebhook.Once(t.Context(), s, "evt", time.Minute, handle))
	}
	require.Equal(t, 1, count(t, db, "business"))

	// A handler whose claim was replaced commits nothing.
	err = alotwebhook.Once(t.Context(), s, "another", time.Minute, func(ctx context.Context) error {
		require.NoError(t, s.Release(ctx, alotwebhook.ClaimFromContext(ctx)))
		claimed(t, s, "another", time.Minute)
		return handle(ctx)
	})
	require.ErrorIs(t, err, alotwebhook.ErrClaimLost)
	require.Equal(t, 1, count(t, db, "business"))
	require.Error(t, handle(t.Context()), "without a claim")
}

// A handler's transaction on SQLite that has read cannot complete a claim once another one
// has written. The error names the cure.
func TestATransactionThatHasReadNamesTheCure(t *testing.T) {
	t.Parallel()
	db := handle(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "customer.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	s := newSQL(t, db, dedupe.SQLite, nil)
	c := claimed(t, s, "a", time.Minute)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM alotwebhook_handled").Scan(&n))
	claimed(t, s, "b", time.Minute)
	require.ErrorContains(t, s.Tx(tx).Complete(t.Context(), c), "_txlock=immediate")
}
