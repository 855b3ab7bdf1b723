package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// A process that is gone loses its slots when its lease has run out. What it had under way
// comes once more, and that counts; what it had not claimed comes as if nothing had happened. Its
// own outcomes change nothing from then on.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	const endpoints = 40
	a, b, _ := two(t, endpoints, 3*endpoints)
	stale := awaitClaims(t, a, 2*endpoints, 2, 200*time.Millisecond)
	fresh := awaitClaims(t, b, 3*endpoints, 2, time.Hour)
	claims := map[string]int{}
	for _, c := range fresh {
		claims[c.DeliveryID] = c.Claims
	}
	for _, c := range stale {
		require.Equal(t, 2, claims[c.DeliveryID], "it was under way")
		delete(claims, c.DeliveryID)
	}
	for id, n := range claims {
		require.Equal(t, 1, n, "nobody had claimed %s", id)
	}
	require.Empty(t, claimSome(t, b, 10, 10, time.Hour))

	lost, err := a.Finish(t.Context(), again(stale[:10]))
	require.NoError(t, err)
	require.Len(t, lost, 10)
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	require.Equal(t, 3*endpoints, pendingOf(t, b))
	require.Empty(t, claimSome(t, b, 10, 10, time.Hour), "a stale outcome has made nothing due")
	require.Empty(t, finishAll(t, b, fresh))
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	requireDelivered(t, b, 3*endpoints)
}

// A delivery that was under way in each of five processes when they died has been claimed six
// times.
func TestPoisonIsFound(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 6)
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 1), 1)
	for died, s := range stores[:5] {
		require.Equal(t, died+1, awaitClaims(t, s, 1, 1, 50*time.Millisecond)[0].Claims)
	}
	require.Equal(t, 6, awaitClaims(t, stores[5], 1, 1, time.Hour)[0].Claims)
}

// Processes die one after the other, each with one delivery under way. What was near it is not
// taken for poison: all take-overs together count once.
func TestTakeOversAloneAreNoPoison(t *testing.T) {
	t.Parallel()
	const deliveries = 9
	stores, _ := processes(t, 7)
	enqueueAll(t, stores[0], putEndpoints(t, stores[0], 1), deliveries)
	made := map[string]int{}
	for _, s := range stores[:6] {
		made[awaitClaims(t, s, 1, deliveries, 50*time.Millisecond)[0].DeliveryID]++
	}
	for _, c := range awaitClaims(t, stores[6], deliveries, deliveries, time.Hour) {
		require.LessOrEqual(t, c.Claims, made[c.DeliveryID]+2, "its claims, the one that was counted in doubt, and this one")
	}
}

// A process that claims no more hands over at once what it does not have under way. That it
// finishes itself.
func TestHandOver(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 2)
	a, b := stores[0], stores[1]
	const endpoints = 20
	put := putEndpoints(t, a, endpoints)
	enqueueAll(t, a, put, 3*endpoints)
	underWay := awaitClaims(t, a, endpoints, 1, time.Hour)
	stopClaiming(t, a)
	rest := claimSome(t, b, 100, 100, time.Hour)
	require.Len(t, idsOf(rest), 2*endpoints)
	require.Empty(t, claimSome(t, b, 100, 100, time.Hour))
	for _, c := range rest {
		require.Equal(t, 1, c.Claims)
	}
	require.Empty(t, finishAll(t, b, rest))
	half, err := a.Finish(t.Context(), again(underWay[:endpoints/2]))
	require.NoError(t, err)
	require.Empty(t, half)
	require.Empty(t, finishAll(t, a, underWay[endpoints/2:]))
	require.Equal(t, idsOf(underWay), finishAll(t, a, underWay), "these claims have ended")

	retried := awaitClaims(t, b, endpoints/2, 1, time.Hour)
	require.Equal(t, idsOf(underWay[:endpoints/2]), idsOf(retried))
	for _, c := range retried {
		require.Equal(t, []int{2, 1}, []int{c.Attempt, c.Claims})
	}
	require.Empty(t, finishAll(t, b, retried))
	stopClaiming(t, b)
	require.Zero(t, count(t, pool, a.Schema()+".owners"))

	enqueueAll(t, a, put, endpoints)
	require.Len(t, claimSome(t, a, 100, 100, time.Hour), endpoints, "with a Limit it claims anew")
}

// A lease that was handed over, and runs out without an outcome, is a claim that was lost.
func TestHandedOverLeaseRunsOut(t *testing.T) {
	t.Parallel()
	a, b, _ := two(t, 1, 1)
	stale := awaitClaims(t, a, 1, 1, 100*time.Millisecond)
	stopClaiming(t, a)
	fresh := awaitClaims(t, b, 1, 1, time.Hour)
	require.Equal(t, idsOf(stale), idsOf(fresh))
	require.Equal(t, 2, fresh[0].Claims)
	require.Equal(t, idsOf(stale), finishAll(t, a, stale))
	require.Empty(t, finishAll(t, b, fresh))
}

// A process that joins gets its share of the endpoints. While they move, deliveries are under
// way in both, and none is claimed twice or lost.
func TestJoiningProcessGetsItsShare(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	const endpoints = 100
	put := putEndpoints(t, stores[0], endpoints)
	var underWay [2][]alotwebhook.Claimed
	seen := map[string]bool{}
	emitted := 0
	round := func(of ...int) (shares [2]map[string]bool) {
		enqueueAll(t, stores[0], put, endpoints)
		emitted += endpoints
		for _, i := range of {
			before := underWay[i]
			underWay[i] = claimSome(t, stores[i], 10*endpoints, 10, time.Hour)
			shares[i] = map[string]bool{}
			for _, c := range underWay[i] {
				require.False(t, seen[c.DeliveryID], "claimed twice")
				require.Equal(t, 1, c.Claims)
				seen[c.DeliveryID] = true
				shares[i][c.Endpoint.ID] = true
			}
			require.Empty(t, finishAll(t, stores[i], before), "what was under way while slots moved")
		}
		return shares
	}
	require.Len(t, round(0)[0], endpoints)
	var shares [2]map[string]bool
	require.Eventually(t, func() bool {
		shares = round(0, 1)
		return len(shares[0]) > endpoints/5 && len(shares[1]) > endpoints/5
	}, patience, 20*time.Millisecond)
	for {
		shares = round(0, 1)
		for id := range shares[0] {
			require.False(t, shares[1][id], "each endpoint is served by one")
		}
		if len(seen) == emitted {
			break
		}
	}
	for i, s := range stores {
		require.Empty(t, finishAll(t, s, underWay[i]))
	}
	require.Zero(t, pendingOf(t, stores[0]))
}

// A process that is alive, but claims no more without a word, keeps its slots for as long as
// its lease lasts. After that its outcomes still count until another takes over.
func TestSilentOwner(t *testing.T) {
	t.Parallel()
	stores, pool := processes(t, 2)
	a, b := stores[0], stores[1]
	put := putEndpoints(t, a, 8)
	enqueueAll(t, a, put, 8)
	silent := awaitClaims(t, a, 4, 1, time.Hour)
	for range 20 {
		require.Empty(t, claimSome(t, b, 10, 10, time.Hour))
	}
	tag, err := pool.Exec(t.Context(), `UPDATE `+a.Schema()+`.owners SET until = clock_timestamp() WHERE id = (SELECT min(id) FROM `+a.Schema()+`.owners)`)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	require.Empty(t, finishAll(t, a, silent[:1]))
	got := awaitClaims(t, b, 7, 1, time.Hour)
	require.Subset(t, idsOf(got), idsOf(silent[1:]))
	require.Equal(t, idsOf(silent), finishAll(t, a, silent))

	require.Empty(t, claimSome(t, a, 10, 10, time.Hour), "it begins anew, and all is under way")
	require.Empty(t, finishAll(t, b, got))
	enqueueAll(t, a, put, 80)
	served := 0
	require.Eventually(t, func() bool { // they share the slots
		for _, s := range stores {
			some := claimSome(t, s, 100, 100, time.Hour)
			require.Empty(t, finishAll(t, s, some))
			served += len(some)
		}
		return served == 80
	}, patience, 20*time.Millisecond)
}

// No process is woken for what falls due to another one.
func TestNextIsOfOwnEndpoints(t *testing.T) {
	t.Parallel()
	stores, _ := processes(t, 2)
	const endpoints = 50
	put := putEndpoints(t, stores[0], endpoints)
	waits := [2]time.Duration{time.Hour, 3 * time.Hour}
	var claimed [2][]alotwebhook.Claimed
	require.Eventually(t, func() bool { // the second one gets its share
		enqueueAll(t, stores[0], put, endpoints)
		for i, s := range stores {
			require.Empty(t, finishAll(t, s, claimed[i]))
			claimed[i] = claimSome(t, s, 10*endpoints, 10*endpoints, time.Hour)
		}
		return len(claimed[0]) > 0 && len(claimed[1]) > 0 && len(claimed[0])+len(claimed[1]) == endpoints
	}, patience, 20*time.Millisecond)
	for i, s := range stores {
		outcomes := again(claimed[i])
		for j := range outcomes {
			outcomes[j].NextAttemptIn = waits[i]
		}
		lost, err := s.Finish(t.Context(), outcomes)
		require.NoError(t, err)
		require.Empty(t, lost)
	}
	for i, s := range stores {
		r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Hour})
		require.NoError(t, err)
		require.Empty(t, r.Deliveries)
		require.InDelta(t, waits[i], r.NextIn, float64(time.Hour/2), "process %d", i)
	}
}
