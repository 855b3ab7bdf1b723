package postgres_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// processes returns n stores on one new schema, each with a pool and a memory of its own, as
// in several processes, and a pool for the test.
func processes(t *testing.T, n int) (stores []*postgres.Store, pool *pgxpool.Pool) {
	t.Helper()
	pool = postgrestest.Pool(t, small)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true}
	for range n {
		store, err := postgres.New(t.Context(), postgrestest.Pool(t, small), opts)
		require.NoError(t, err)
		stores = append(stores, store)
	}
	return stores, pool
}

// two returns two processes on one new schema with endpoints, each of an organization of its own,
// and events to them in turns.
func two(t *testing.T, endpoints, events int) (a, b *postgres.Store, put []alotwebhook.Endpoint) {
	t.Helper()
	stores, _ := processes(t, 2)
	put = putEndpoints(t, stores[0], endpoints)
	enqueueAll(t, stores[0], put, events)
	return stores[0], stores[1], put
}

// claimSome claims up to limit deliveries, perEndpoint of each endpoint.
func claimSome(t testing.TB, s alotwebhook.Store, limit, perEndpoint int, lease time.Duration) []alotwebhook.Claimed {
	t.Helper()
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: perEndpoint, Lease: lease})
	require.NoError(t, err)
	return r.Deliveries
}

// awaitClaims claims until it has n deliveries, none of them twice.
func awaitClaims(t testing.TB, s alotwebhook.Store, n, perEndpoint int, lease time.Duration) (claimed []alotwebhook.Claimed) {
	t.Helper()
	require.Eventually(t, func() bool {
		claimed = append(claimed, claimSome(t, s, n-len(claimed), perEndpoint, lease)...)
		return len(claimed) == n
	}, patience, 5*time.Millisecond)
	require.Len(t, idsOf(claimed), n, "claimed twice")
	return claimed
}

// stopClaiming says that the process claims no more.
func stopClaiming(t testing.TB, s alotwebhook.Store) {
	t.Helper()
	require.Empty(t, claimSome(t, s, 0, 1, time.Minute))
}

// idsOf returns the ids of the claimed deliveries in order, each once.
func idsOf(claimed []alotwebhook.Claimed) []string {
	ids := map[string]bool{}
	for _, c := range claimed {
		ids[c.DeliveryID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// finishAll records a success of each delivery and returns which were lost, in order.
func finishAll(t testing.TB, s alotwebhook.Store, claimed []alotwebhook.Claimed) []string {
	t.Helper()
	lost, err := s.Finish(t.Context(), outcomesOf(claimed))
	require.NoError(t, err)
	slices.Sort(lost)
	return lost
}

// again returns outcomes by which the deliveries are due again at once after a failure.
func again(claimed []alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := outcomesOf(claimed)
	for i := range outcomes {
		outcomes[i].State = alotwebhook.StatePending
		outcomes[i].Attempt.StatusCode, outcomes[i].Attempt.Reason = 500, alotwebhook.ReasonStatus
	}
	return outcomes
}

func pendingOf(t testing.TB, s alotwebhook.Store) int {
	t.Helper()
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	return int(stats.Pending)
}

// disable stores the endpoint as disabled.
func disable(t testing.TB, s alotwebhook.Store, id string) {
	t.Helper()
	e, err := s.Endpoint(t.Context(), id)
	require.NoError(t, err)
	e.Disabled = true
	require.NoError(t, s.PutEndpoint(t.Context(), e))
}

// requireStates requires that the deliveries, at most 100, have these states.
func requireStates(t testing.TB, s alotwebhook.Store, want map[alotwebhook.DeliveryState]int) {
	t.Helper()
	page, next, err := s.Deliveries(t.Context(), alotwebhook.Filter{Limit: 100})
	require.NoError(t, err)
	require.Empty(t, next)
	got := map[alotwebhook.DeliveryState]int{}
	for _, d := range page {
		got[d.State]++
	}
	require.Equal(t, want, got)
}

// A delivery that is released while its process gives everything away is due at once, and has not
// been claimed in vain.
func TestReleaseBesideHandOver(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 1)
	s := stores[0]
	enqueueAll(t, s, putEndpoints(t, s, 1), 1)
	for range 60 {
		c := awaitClaims(t, s, 1, 1, time.Hour)
		require.Equal(t, 1, c[0].Claims)
		left := make(chan error, 1)
		go func() {
			_, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: time.Hour})
			left <- err
		}()
		lost, err := s.Finish(t.Context(), []alotwebhook.Outcome{{DeliveryID: c[0].DeliveryID, Token: c[0].Token, State: alotwebhook.StatePending}})
		require.NoError(t, err)
		require.Empty(t, lost)
		require.NoError(t, <-left)
		d, err := s.Delivery(t.Context(), c[0].DeliveryID)
		require.NoError(t, err)
		require.False(t, d.NextAttemptAt.After(time.Now()), "it is leased until %v", d.NextAttemptAt)
	}
}
