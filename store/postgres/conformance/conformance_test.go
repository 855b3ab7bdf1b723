package conformance

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named pgx
	_ "github.com/lib/pq"              // the driver named postgres
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	schemas := postgrestest.NewSchemas(t)
	storetest.Run(t, func(t testing.TB) alotwebhook.Store { return schemas.Open(t, postgrestest.DSN(t)) })
}

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("left out under the race detector; .ci/run and .ci/run long run it without")
	}
}

func TestConformanceOnOneConnection(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	schemas := postgrestest.NewSchemas(t)
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return schemas.Open(t, postgrestest.DSN(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	})
}

// Each store has a pool and a memory of its own, as in three processes.
func TestConformanceOfThreeStores(t *testing.T) {
	t.Parallel()
	schemas := postgrestest.NewSchemas(t)
	storetest.RunShared(t, func(t testing.TB) []alotwebhook.Store {
		schema := schemas.Take(t)
		stores := make([]alotwebhook.Store, 3)
		for i := range stores {
			store, err := postgres.New(t.Context(), postgrestest.Pool(t, small), &postgres.Options{Schema: schema})
			require.NoError(t, err)
			stores[i] = store
		}
		return stores
	})
}

func TestTxConformance(t *testing.T) {
	t.Parallel()
	schemas := postgrestest.NewSchemas(t)
	storetest.RunTx(t, func(t testing.TB) storetest.Host {
		schema := schemas.Take(t)
		pool := postgrestest.Pool(t)
		store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: schema})
		require.NoError(t, err)
		return storetest.Host{Store: store, Begin: func(ctx context.Context) (storetest.Tx, error) {
			tx, err := pool.Begin(ctx)
			if err != nil {
				return storetest.Tx{}, err
			}
			return storetest.Tx{
				Enqueuer: store.Tx(tx),
				Commit:   func() error { return tx.Commit(ctx) },
				Rollback: func() error { return tx.Rollback(ctx) },
			}, nil
		}}
	})
}

func TestSQLTxConformance(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schemas := postgrestest.NewSchemas(t)
			storetest.RunTx(t, func(t testing.TB) storetest.Host {
				db, err := sql.Open(driver, postgrestest.DSN(t))
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				store, err := postgres.New(t.Context(), postgrestest.Pool(t, small), &postgres.Options{Schema: schemas.Take(t)})
				require.NoError(t, err)
				return storetest.Host{Store: store, Begin: func(ctx context.Context) (storetest.Tx, error) {
					tx, err := db.BeginTx(ctx, nil)
					if err != nil {
						return storetest.Tx{}, err
					}
					return storetest.Tx{Enqueuer: store.SQLTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
				}}
			})
		})
	}
}

func small(c *pgxpool.Config) { c.MaxConns = 2 }

func BenchmarkStore(b *testing.B) {
	open := func(tb testing.TB) alotwebhook.Store {
		pool := postgrestest.Pool(tb)
		schema := postgrestest.Schema(tb, pool)
		store, err := postgres.New(tb.Context(), pool, &postgres.Options{Schema: schema, Migrate: true})
		require.NoError(tb, err)
		return store
	}
	b.Run("Claim", func(b *testing.B) { storetest.BenchmarkClaim(b, open) })
	b.Run("Deliver", func(b *testing.B) { storetest.BenchmarkDeliver(b, open) })
}
