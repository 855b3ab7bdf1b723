package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A large claim takes several deliveries in a turn where backlogs are long, and
// still no endpoint has its second turn before every other has had its first.
func TestLongBacklogsTakeTurnsOfSeveral(t *testing.T) {
	t.Parallel()
	const endpoints, each, limit = 100, 20, 200
	store, pool := openAt(t, postgrestest.DSN(t), small)
	put := putEndpoints(t, store, endpoints)
	fillQueue(t, pool, store.Schema(), endpoints*each, endpoints)
	got := map[string]int{}
	claim := func() (took map[string]int) {
		took = map[string]int{}
		r, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: 32, Lease: time.Minute})
		require.NoError(t, err)
		require.Len(t, r.Deliveries, limit)
		for _, d := range r.Deliveries {
			took[d.Endpoint.ID]++
			got[d.Endpoint.ID]++
		}
		return took
	}
	first := claim()
	require.Len(t, first, endpoints)
	for round := range 3 {
		for range 2 {
			took := claim()
			require.Len(t, took, endpoints/2, "a turn is of four")
		}
		for _, e := range put {
			require.Equal(t, 2+4*(round+1), got[e.ID], "every endpoint has had its turn")
		}
	}
}

// A claim writes nothing: it neither changes nor locks a row of the queue, and but for once a
// second, when the process extends its lease, there is nothing new in the write-ahead log.
func TestClaimWritesNothing(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "autovacuum = off", "wal_level = minimal", "max_wal_senders = 0", "checkpoint_timeout = '1h'", "max_wal_size = '4GB'")
	store, pool := openAt(t, cluster.DSN(), small)
	const n, claims = 1000, 20
	putEndpoints(t, store, 50)
	fillQueue(t, pool, store.Schema(), n*(claims+1), 50)
	run(t, pool, `VACUUM`) // sets the hints of all rows, which reading would otherwise
	require.Len(t, claimSome(t, store, n, n, time.Hour), n, "which makes it the owner")
	var rows, position string
	read := func() (wal int64, rowsNow string) {
		var now string
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT md5(string_agg(concat_ws(' ', ctid, xmin, xmax, next_at, token, claims), ',' ORDER BY id)) FROM `+store.Schema()+`.queue`).Scan(&rowsNow))
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_current_wal_insert_lsn()::text`).Scan(&now))
		if position != "" {
			require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint`, now, position).Scan(&wal))
		}
		position = now
		return wal, rowsNow
	}
	_, rows = read()
	least := int64(1 << 62)
	for range claims {
		require.Len(t, claimSome(t, store, n, n, time.Hour), n)
		wal, rowsNow := read()
		require.Equal(t, rows, rowsNow)
		least = min(least, wal)
	}
	require.Zero(t, least)
	require.Empty(t, claimSome(t, store, n, n, time.Hour), "all are under way")
}
