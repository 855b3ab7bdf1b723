package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var leaseRules = []rule{
	{"Hides", "A claimed delivery is not due again before its lease has passed.", leaseHides},
	{"RunsOut", "When the lease has passed without a Finish, the delivery is due again by itself.", leaseRunsOut},
	{"Token", "Each claim carries a fencing token that no other claim of the same delivery carried.", leaseToken},
	{"Claims", "Claims is how often the delivery was claimed since its last outcome or release.", leaseClaims},
	{"Fenced", "An outcome whose Lease is not the delivery's newest any more changes nothing, and the delivery's id is returned in lost; the others of the batch count.", leaseFenced},
	{"RanOutButNewest", "A lease that ran out but that nobody else took is still the newest.", leaseRanOutButNewest},
	{"RanOutThenRetried", "A lease that ran out but that nobody else took is still the newest: the delivery is due when its outcome says so, not when the lease ran out.", leaseRanOutThenRetried},
	{"NextAttemptAt", "The end of the lease is when the attempt under way is given up for lost.", leaseNextAttemptAt},
}

func leaseHides(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.claimOne()
	for range 3 {
		require.Empty(t, t.claim(10), "the delivery is leased for an hour")
	}
	t.requireState(t.list(alotwebhook.Filter{})[0].ID, alotwebhook.StatePending)
}

func leaseRunsOut(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	before := time.Now()
	first := t.claimOneFor(brief)
	again := t.awaitDue(long)
	require.GreaterOrEqual(t, time.Since(before), brief-time.Millisecond, "it was claimed again before its lease had passed")
	require.Equal(t, []string{first.DeliveryID}, claimedIDs(again))
	require.Equal(t, first.Attempt, again[0].Attempt, "nothing was attempted as far as the store knows")
	require.Equal(t, first.Try, again[0].Try)
	require.Equal(t, 2, again[0].Claims)
	t.finish(delivered(again[0]))
	t.requireState(first.DeliveryID, alotwebhook.StateDelivered)
}

func leaseToken(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	seen := map[int64]bool{}
	for i := range 8 {
		c := t.claimOne()
		require.NotZero(t, c.Token)
		require.False(t, seen[c.Token], "claim %d carries a token that was given before", i+1)
		seen[c.Token] = true
		if i%2 == 0 {
			t.finish(release(c))
			continue
		}
		t.finish(failed(c))
		require.Equal(t, 1, t.redeliver(c.DeliveryID))
	}
}

func leaseClaims(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	const flash = 20 * time.Millisecond
	require.Equal(t, 1, t.claimOneFor(flash).Claims)
	require.Equal(t, 2, t.awaitDue(flash)[0].Claims)
	third := t.awaitDue(long)[0]
	require.Equal(t, 3, third.Claims)
	t.finish(release(third))
	require.Equal(t, 1, t.claimOneFor(flash).Claims, "a release begins the count anew")
	second := t.awaitDue(long)[0]
	require.Equal(t, 2, second.Claims)
	t.finish(retry(second, 0))
	require.Equal(t, 1, t.claimOne().Claims, "an outcome begins the count anew")
}

func leaseFenced(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	stale := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 20 * time.Millisecond}).Deliveries[0]
	other := t.claim(1)
	require.Len(t, other, 1, "the other delivery is due longer than the lease of the first runs")
	fresh := t.awaitDue(long)[0]
	require.Equal(t, stale.DeliveryID, fresh.DeliveryID)

	lateOutcome := outcome(stale, alotwebhook.StateFailed, 500, alotwebhook.ReasonStatus)
	lost := t.lost(lateOutcome, delivered(other[0]))
	require.Equal(t, []string{stale.DeliveryID}, lost)
	d := t.delivery(stale.DeliveryID)
	require.Equal(t, alotwebhook.StatePending, d.State)
	require.Empty(t, d.Attempts)
	require.Empty(t, t.claim(10), "the newer lease holds")
	t.requireState(other[0].DeliveryID, alotwebhook.StateDelivered)
	stored, err := t.store.Endpoint(t.ctx(), stale.Endpoint.ID)
	require.NoError(t, err)
	require.True(t, stored.FailingSince.IsZero(), "a lost outcome says nothing of the endpoint")

	require.Equal(t, []string{stale.DeliveryID}, t.lost(release(stale)), "a stale release is lost, too")
	require.Empty(t, t.claim(10), "the newer lease holds")
	t.finish(delivered(fresh))
	require.Equal(t, []string{stale.DeliveryID}, t.lost(lateOutcome))
	t.requireState(stale.DeliveryID, alotwebhook.StateDelivered)
}

func leaseRanOutButNewest(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOneFor(20 * time.Millisecond)
	t.await("the lease runs out", func() bool { return t.stats().OldestDue > 0 })
	t.finish(delivered(c))
	t.requireState(c.DeliveryID, alotwebhook.StateDelivered)
	require.Empty(t, t.claim(10), "a delivered delivery is not due")
}

func leaseRanOutThenRetried(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOneFor(20 * time.Millisecond)
	t.await("the lease runs out", func() bool { return t.stats().OldestDue > 0 })
	t.claimAs(alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Busy: map[string]int{c.Endpoint.ID: 1}})
	t.finish(retry(c, long))
	require.Empty(t, t.claim(10), "the retry is due in an hour")
	require.Len(t, t.delivery(c.DeliveryID).Attempts, 1)
}

func leaseNextAttemptAt(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	require.WithinDuration(t, time.Now().Add(long), t.delivery(c.DeliveryID).NextAttemptAt, slack)
}
