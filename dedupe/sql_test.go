package dedupe_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// The tests that need a database are in the module dedupe/sqltest.

func TestNewSQLRefuses(t *testing.T) {
	t.Parallel()
	_, err := dedupe.NewSQL(nil, dedupe.SQLite, nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorContains(t, err, "db is nil")
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
