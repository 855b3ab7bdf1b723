package dedupe_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/store/sqltx"
)

// The tests that need a database are in the module dedupe/sqltest.

func TestNewSQLRefuses(t *testing.T) {
	t.Parallel()
	_, err := dedupe.NewSQL(nil, dedupe.SQLite, nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorContains(t, err, "db is nil")
}

func TestTxRefusesWhatIsNoTransaction(t *testing.T) {
	t.Parallel()
	handled, err := dedupe.NewSQL(&sql.DB{}, dedupe.SQLite, nil)
	require.NoError(t, err)
	for _, c := range []struct {
		tx   sqltx.Tx
		says string
	}{
		{nil, "tx is nil"},
		{(*sql.Tx)(nil), "tx is nil"},
		{&sql.DB{}, "tx is a *sql.DB, which is no transaction"},
	} {
		err := handled.Tx(c.tx).Complete(t.Context(), alotwebhook.DedupeClaim{Key: "evt", State: alotwebhook.DedupeClaimed})
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, c.says)
	}
}

// Whoever forgot NewSQL reads it, and gets no panic.
func TestAnSQLThatWasNotMadeIsRefused(t *testing.T) {
	t.Parallel()
	const says = "alotwebhook: the dedupe.SQL is nil or zero; make it with NewSQL"
	c := alotwebhook.DedupeClaim{Key: "a", State: alotwebhook.DedupeClaimed, Token: 1}
	for _, s := range []*dedupe.SQL{nil, {}} {
		requireUnusable(t, s, says)
		require.EqualError(t, s.CreateTable(t.Context()), says)
		_, err := s.Purge(t.Context())
		require.EqualError(t, err, says)
		_, _, err = s.CompleteStatement(c)
		require.EqualError(t, err, says)
		require.EqualError(t, s.Tx(&sql.Tx{}).Complete(t.Context(), c), says)
	}
	for _, tx := range []*dedupe.Tx{nil, {}} {
		require.EqualError(t, tx.Complete(t.Context(), c), says)
	}
	err := alotwebhook.Once(t.Context(), &dedupe.SQL{}, "a", 0, neverCalled)
	require.EqualError(t, err, "alotwebhook: cannot tell whether a was handled: the dedupe.SQL is nil or zero; make it with NewSQL")
	require.Equal(t, 503, alotwebhook.StatusCode(err))
}

func TestSQLRefusesLeasesAndKeys(t *testing.T) {
	t.Parallel()
	handled, err := dedupe.NewSQL(&sql.DB{}, dedupe.SQLite, nil) // which panics if it is asked
	require.NoError(t, err)
	requireRefused(t, handled)
}

func TestSQLBoundsItsRetention(t *testing.T) {
	t.Parallel()
	for retention, want := range map[time.Duration]int64{
		math.MaxInt64:                    100 * 365 * 24 * 3600 * 1000,
		1:                                1,
		time.Millisecond:                 1,
		time.Millisecond + 1:             2, // at least the retention
		time.Hour:                        3600 * 1000,
		-1:                               dedupe.DefaultRetention.Milliseconds(),
		100*365*24*time.Hour - time.Hour: (100*365*24 - 1) * 3600 * 1000,
	} {
		handled, err := dedupe.NewSQL(&sql.DB{}, dedupe.SQLite, &dedupe.SQLConfig{Retention: retention})
		require.NoError(t, err)
		_, args, err := handled.CompleteStatement(alotwebhook.DedupeClaim{Key: "a", State: alotwebhook.DedupeClaimed})
		require.NoError(t, err)
		require.Equal(t, want, args[2], "%v", retention)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for _, d := range []dedupe.Dialect{dedupe.SQLite, dedupe.PostgreSQL} {
		require.Contains(t, dedupe.Schema(d), "CREATE TABLE IF NOT EXISTS alotwebhook_handled (")
		require.NotContains(t, dedupe.Schema(d), "{")
		require.NotContains(t, dedupe.Schema(d), "$")
	}
	require.Empty(t, dedupe.Schema("oracle"))
}

// hanging is a driver whose database answers nothing, until its caller gives up.
type hanging struct{ asked chan string }

func (h hanging) Connect(context.Context) (driver.Conn, error) { return h, nil }
func (h hanging) Driver() driver.Driver                        { return nil }
func (h hanging) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (h hanging) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (h hanging) Close() error                                 { return nil }

func (h hanging) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	h.asked <- query
	<-ctx.Done()
	return nil, ctx.Err()
}

func (h hanging) ExecContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	_, err := h.QueryContext(ctx, query, nil)
	return nil, err
}

// A claim outlasts its caller by some seconds, so that it is known what it has done, and not for ever.
func TestAClaimThatHangsEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		database := hanging{make(chan string, 9)}
		db := sql.OpenDB(database)
		defer db.Close()
		handled, err := dedupe.NewSQL(db, dedupe.PostgreSQL, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		start := time.Now()
		_, err = handled.Claim(ctx, "a", time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 19*time.Second, time.Since(start))
		require.Contains(t, <-database.asked, "INSERT")
		require.Contains(t, <-database.asked, "DELETE", "what may have been claimed is given back")
		_, err = handled.Claim(ctx, "a", time.Minute)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, database.asked, "nothing is claimed for a caller that has gone")
	})
}
