package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// New looks for every table that a migration makes, and for the rights on each.
func TestNewKnowsEveryTable(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	rows, err := pool.Query(t.Context(), `SELECT relname::text FROM pg_class
		WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'migrations'`, store.Schema())
	require.NoError(t, err)
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, made, postgres.Tables)
}
