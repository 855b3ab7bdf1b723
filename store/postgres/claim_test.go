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
