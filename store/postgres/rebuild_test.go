package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

const sparse = 32 << 10 // in these tests

// passThrough delivers 3,000 deliveries to 50 endpoints. What is for the first of them stays.
func passThrough(t *testing.T, store *postgres.Store, pool *pgxpool.Pool) (left int) {
	t.Helper()
	endpoints := putEndpoints(t, store, 50)
	for range 3 {
		enqueueAll(t, store, endpoints, 1000)
		for {
			r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Hour})
			require.NoError(t, err)
			if len(r.Deliveries) == 0 {
				break
			}
			_, err = store.Finish(t.Context(), failFirst(outcomesOf(r.Deliveries), r.Deliveries, endpoints[0].ID))
			require.NoError(t, err)
		}
		run(t, pool, `VACUUM `+store.Schema()+`.queue`) // as autovacuum does
	}
	return count(t, pool, store.Schema()+".queue")
}

// failFirst makes the outcomes of an endpoint those of a timeout, to be tried again later.
func failFirst(outcomes []alotwebhook.Outcome, claimed []alotwebhook.Claimed, endpoint string) []alotwebhook.Outcome {
	for i := range outcomes {
		if o := &outcomes[i]; claimed[i].Endpoint.ID == endpoint {
			o.State, o.NextAttemptIn = alotwebhook.StatePending, time.Hour
			o.Attempt.StatusCode, o.Attempt.Reason = 0, alotwebhook.ReasonTimeout
		}
	}
	return outcomes
}

// indexSize returns the bytes of all indexes of the queue, and how many indexes there are.
func indexSize(t *testing.T, pool *pgxpool.Pool, store *postgres.Store) (bytes, n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT sum(pg_relation_size(indexrelid)), count(*) FROM pg_index
		WHERE indrelid = $1::text::regclass`, store.Schema()+".queue").Scan(&bytes, &n))
	return bytes, n
}

func purge(t *testing.T, store *postgres.Store) {
	t.Helper()
	_, err := store.Purge(t.Context(), alotwebhook.PurgeRequest{History: 24 * time.Hour})
	require.NoError(t, err)
}

// One endpoint hangs. A purge brings the indexes back to the size of the backlog, whatever has
// passed through the queue meanwhile, and leaves those alone that are as they should be.
func TestIndexesAreAsLargeAsTheBacklog(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	left := passThrough(t, store, pool)
	require.Equal(t, 60, left)
	before, _ := indexSize(t, pool, store)
	require.Greater(t, before, 256*left+2*sparse, "else this test shows nothing")
	purge(t, store)
	after, _ := indexSize(t, pool, store)
	require.Equal(t, before, after, "they are too small to matter")

	store.SparseFrom(sparse, patience)
	purge(t, store)
	after, n := indexSize(t, pool, store)
	require.LessOrEqual(t, after, 256*left+2*sparse)
	require.Equal(t, 2, n)
	node := `SELECT relfilenode::bigint FROM pg_class WHERE oid = '` + store.Schema() + `.queue_pkey'::regclass`
	var first, second int64
	require.NoError(t, pool.QueryRow(t.Context(), node).Scan(&first))
	purge(t, store)
	require.NoError(t, pool.QueryRow(t.Context(), node).Scan(&second))
	require.Equal(t, first, second, "it is not sparse any more")
	require.Len(t, claimAfterRedelivery(t, store), left)
}

// claimAfterRedelivery makes due what waits, and claims it.
func claimAfterRedelivery(t *testing.T, store *postgres.Store) []alotwebhook.Claimed {
	t.Helper()
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{State: alotwebhook.StatePending, Limit: 500})
	require.NoError(t, err)
	var ids []string
	for _, d := range page {
		ids = append(ids, d.ID)
	}
	_, err = store.Redeliver(t.Context(), ids)
	require.NoError(t, err)
	r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 500, PerEndpoint: 500, Lease: time.Hour})
	require.NoError(t, err)
	return r.Deliveries
}

// A transaction that stays open would hold up a rebuild, which then is not begun: half an index
// would be left, and cost each write. The next purge does it, and drops what a crash has left.
func TestRebuildGivesWay(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, newDatabase(t)) // others' snapshots would hold it up, too
	passThrough(t, store, pool)
	before, _ := indexSize(t, pool, store)
	store.SparseFrom(sparse, 50*time.Millisecond)
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `SELECT FROM `+store.Schema()+`.queue LIMIT 1`)
	require.NoError(t, err)
	purge(t, store)
	after, n := indexSize(t, pool, store)
	require.Equal(t, before, after)
	require.Equal(t, 2, n)

	require.NoError(t, tx.Rollback(t.Context()))
	run(t, pool, `CREATE INDEX queue_due_ccnew ON `+store.Schema()+`.queue (endpoint, next_at, id)`)
	run(t, pool, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '`+store.Schema()+`.queue_due_ccnew'::regclass`)
	store.SparseFrom(sparse, patience)
	purge(t, store)
	after, n = indexSize(t, pool, store)
	require.Less(t, after, before)
	require.Equal(t, 2, n)
}

// Where the role does not own the tables, or PgBouncer stands between, the indexes stay as
// they are, and nothing fails.
func TestRebuildIsNotOurs(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	passThrough(t, store, pool)
	before, _ := indexSize(t, pool, store)
	role := strings.ReplaceAll(store.Schema(), "test", "plain")
	run(t, pool, `CREATE ROLE `+role+` LOGIN`)
	run(t, pool, `GRANT USAGE ON SCHEMA `+store.Schema()+` TO `+role)
	run(t, pool, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA `+store.Schema()+` TO `+role)
	for name, other := range map[string]*pgxpool.Pool{
		"plain role": postgrestest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.User = role }),
		"PgBouncer":  postgrestest.PoolAt(t, postgrestest.PgBouncer(t, postgrestest.DSN(t)), mode(pgx.QueryExecModeExec)),
	} {
		s, err := postgres.New(t.Context(), other, &postgres.Options{Schema: store.Schema(), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err, name)
		s.SparseFrom(sparse, patience)
		purge(t, s)
		after, _ := indexSize(t, pool, store)
		require.Equal(t, before, after, name)
	}
}
