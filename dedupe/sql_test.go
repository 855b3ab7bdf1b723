package dedupe_test

import (
	"database/sql"
	"math"
	"testing"
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
