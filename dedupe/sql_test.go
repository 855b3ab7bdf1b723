package dedupe_test

import (
	"database/sql"
	"testing"

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

func TestSchema(t *testing.T) {
	t.Parallel()
	for _, d := range []dedupe.Dialect{dedupe.SQLite, dedupe.PostgreSQL} {
		require.Contains(t, dedupe.Schema(d), "CREATE TABLE IF NOT EXISTS alotwebhook_handled (")
		require.NotContains(t, dedupe.Schema(d), "{")
		require.NotContains(t, dedupe.Schema(d), "$")
	}
	require.Empty(t, dedupe.Schema("oracle"))
}
