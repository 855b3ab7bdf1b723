package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var leaseRules = []rule{
	{"Hides", "A claimed delivery is not due again before its lease has passed.", leaseHides},
	{"RunsOut", "If a lease runs out without a Finish, the delivery is due again by itself.", leaseRunsOut},
	{"Token", "Each claim has a token that no other claim of the delivery has had.", leaseToken},
	{"Claims", "Claims is how often the delivery was claimed since its last outcome or release.", leaseClaims},
	{"Fenced", "If the Token of an outcome is not that of the delivery's newest claim, the outcome changes nothing and Finish returns the delivery's id in lost; the others of the batch are stored.", leaseFenced},
	{"RanOutButNewest", "A claim whose lease has run out is still the newest until the delivery is claimed again, and its outcome is stored.", leaseRanOutButNewest},
	{"RanOutThenRetried", "If an outcome is stored after the lease has run out, the delivery is due when the outcome says, and not when the lease ran out.", leaseRanOutThenRetried},
	{"NextAttemptAt", "While a delivery is under lease, its NextAttemptAt is when it fell due or the end of the lease, and afterwards when it is due again.", leaseNextAttemptAt},
}

// Two processes that send the same delivery at the same time would send the event twice.
func leaseHides(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.claimOne()
	for range 3 {
		require.Empty(t, t.claim(10), "the delivery is leased for an hour")
	}
	t.requireState(t.list(alotwebhook.Filter{})[0].ID, alotwebhook.StatePending)
}

// A process that crashed cannot give its deliveries back. Another must get them without
// anybody's help.
func leaseRunsOut(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	before := time.Now()
	first := t.claimOneFor(brief)
	again := t.awaitDue(long)
	require.GreaterOrEqual(t, time.Since(before), brief-time.Millisecond, "it was claimed again before its lease had passed")
	require.Equal(t, []string{first.DeliveryID}, claimedIDs(again))
	require.Equal(t, first.Attempt, again[0].Attempt, "the store knows of no attempt")
	require.Equal(t, first.Try, again[0].Try)
	require.Equal(t, 2, again[0].Claims)
	t.finish(delivered(again[0]))
	t.requireState(first.DeliveryID, alotwebhook.StateDelivered)
}

// A process that was held up for minutes may still come back with an outcome. A token
// that was given again would make it look valid.
func leaseToken(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	seen := map[int64]bool{}
	for i := range 8 {
		c := t.claimOne()
		require.NotZero(t, c.Token)
		require.False(t, seen[c.Token], "claim %d has the token of an earlier claim", i+1)
		seen[c.Token] = true
		if i%2 == 0 {
			t.finish(release(c))
			continue
		}
		t.finish(failed(c))
		require.Equal(t, 1, t.redeliver(c.DeliveryID))
	}
}

// The dispatcher fails a delivery that was claimed five times without any outcome: it may
// be the reason why the processes crash. An outcome shows that it is not.
func leaseClaims(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	const flash = 20 * time.Millisecond
	require.Equal(t, 1, t.claimOneFor(flash).Claims)
	require.Equal(t, 2, t.awaitDue(flash)[0].Claims)
	third := t.awaitDue(long)[0]
	require.Equal(t, 3, third.Claims)
	t.finish(release(third))
	require.Equal(t, 1, t.claimOneFor(flash).Claims, "a release starts the count again")
	second := t.awaitDue(long)[0]
	require.Equal(t, 2, second.Claims)
	t.finish(retry(second, 0))
	require.Equal(t, 1, t.claimOne().Claims, "an outcome starts the count again")
}

// Between the end of the lease and the late outcome, another process has sent the
// delivery, and its outcome is the one that counts.
func leaseFenced(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	other := t.claim(1)
	require.Len(t, other, 1)
	stale := t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Lease: 20 * time.Millisecond}).Deliveries[0]
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
	require.True(t, stored.FailingSince.IsZero(), "a lost outcome does not change the endpoint")

	require.Equal(t, []string{stale.DeliveryID}, t.lost(release(stale)), "a stale release is lost, too")
	require.Empty(t, t.claim(10), "the newer lease holds")
	t.finish(delivered(fresh))
	require.Equal(t, []string{stale.DeliveryID}, t.lost(lateOutcome))
	t.requireState(stale.DeliveryID, alotwebhook.StateDelivered)
}

// When a lease runs out and nobody claims the delivery again, its attempt was made all the same. To
// lose the outcome would mean to send the event again without need.
func leaseRanOutButNewest(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOneFor(20 * time.Millisecond)
	t.await("the lease runs out", func() bool { return t.stats().OldestDue > 0 })
	if t.values > 1 {
		return // another may have taken over all that this value had
	}
	t.finish(delivered(c))
	t.requireState(c.DeliveryID, alotwebhook.StateDelivered)
	require.Empty(t, t.claim(10), "a delivered delivery is not due")
}

// A store that keeps the end of the lease in another place than the due time could make
// the delivery due at once, and forget the wait before the retry.
func leaseRanOutThenRetried(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOneFor(20 * time.Millisecond)
	t.await("the lease runs out", func() bool { return t.stats().OldestDue > 0 })
	t.claimAs(alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Busy: map[string]int{c.Endpoint.ID: 1}})
	if t.values > 1 {
		return // another may have taken over all that this value had
	}
	t.finish(retry(c, long))
	require.Empty(t, t.claim(10), "the retry is due in an hour")
	require.Len(t, t.delivery(c.DeliveryID).Attempts, 1)
}

// The page of a delivery shows that it is due or under way, or when it will be tried again if
// the process that sends it has crashed.
func leaseNextAttemptAt(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	next := t.delivery(c.DeliveryID).NextAttemptAt
	require.False(t, next.IsZero())
	require.True(t, next.Before(time.Now().Add(long+slack)), next)
	t.finish(retry(c, 2*long))
	require.WithinDuration(t, time.Now().Add(2*long), t.delivery(c.DeliveryID).NextAttemptAt, slack)
}
