package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// open returns an empty store in a schema of its own.
func open(t testing.TB, configure ...func(*pgxpool.Config)) *postgres.Store {
	t.Helper()
	store, _ := openAt(t, postgrestest.DSN(t), configure...)
	return store
}

func openAt(t testing.TB, dsn string, configure ...func(*pgxpool.Config)) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.PoolAt(t, dsn, configure...)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true}
	store, err := postgres.New(context.Background(), pool, opts)
	require.NoError(t, err)
	return store, pool
}
