package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var statsRules = []rule{
	{"Empty", "Stats of an empty store are zero.", statsEmpty},
	{"Counts", "Pending counts the unfinished deliveries of enabled endpoints: due, waiting and under way. Parked counts those of disabled endpoints.", statsCounts},
	{"OldestDue", "OldestDue is the longest time for which a delivery has been due to an enabled endpoint that is not failing; 0 if none is.", statsOldestDue},
	{"OldestDueFailing", "OldestDueFailing is the longest time for which a delivery has been due to an enabled endpoint that is failing; 0 if none is.", statsOldestDueFailing},
	{"CountsEndpoints", "FailingEndpoints counts the enabled endpoints whose FailingSince is not zero. DisabledEndpoints counts the disabled ones.", statsCountsEndpoints},
}

// A dashboard must not show work where there is none.
func statsEmpty(t *trial) {
	require.Equal(t, alotwebhook.Stats{}, t.stats())
	t.endpoint("org_1", completed)
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// An alert on Pending must not fire because of an endpoint that is disabled on purpose.
func statsCounts(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.emit("org_1", completed, 5)
	counts := func(pending, parked int64) {
		t.Helper()
		st := t.stats()
		require.Equal(t, []int64{pending, parked}, []int64{st.Pending, st.Parked})
	}
	counts(10, 0)
	c := t.claimAs(alotwebhook.ClaimRequest{Limit: 4, Busy: map[string]int{other.ID: 1000}}).Deliveries
	counts(10, 0)
	t.finish(delivered(c[0]), failed(c[1]), retry(c[2], long))
	counts(8, 0)
	t.setDisabled(&other, true)
	counts(3, 5)
	t.emit("org_1", completed, 1)
	counts(4, 6)
	t.setDisabled(&other, false)
	counts(10, 0)
	t.redeliver(c[0].DeliveryID)
	counts(11, 0)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	counts(6, 0)
}

// OldestDue is the best sign that processes do not keep up, or that none is running. Retries that
// wait as planned are no such sign, nor are endpoints that get little because they fail.
func statsOldestDue(t *trial) {
	t.endpoint("org_1", completed)
	before := time.Now()
	t.emit("org_1", completed, 2)
	time.Sleep(20 * time.Millisecond) // the deliveries are due for at least this long
	age := t.stats().OldestDue
	require.GreaterOrEqual(t, age, 15*time.Millisecond)
	require.LessOrEqual(t, age, time.Since(before)+time.Second)
	c := t.claim(2)
	if t.values == 1 { // what another process has under way may count
		require.Zero(t, t.stats().OldestDue, "a delivery under lease is not due")
	}
	t.finish(retry(c[0], long), delivered(c[1]))
	require.Zero(t, t.stats().OldestDue, "a delivery that waits is not due")
}

// Three receivers that are down hold up their own deliveries for a quarter of an hour, while all
// others are served at once. An alert must not take the one for the other.
func statsOldestDueFailing(t *trial) {
	failing := t.failEndpoint() // its delivery is due again at once
	time.Sleep(brief)
	before := time.Now()
	t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	time.Sleep(20 * time.Millisecond)
	st := t.stats()
	require.GreaterOrEqual(t, st.OldestDue, 15*time.Millisecond)
	require.LessOrEqual(t, st.OldestDue, time.Since(before)+time.Second)
	require.GreaterOrEqual(t, st.OldestDueFailing, st.OldestDue+brief/2, "the delivery of the failing endpoint fell due before")

	t.finish(delivered(t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Busy: map[string]int{failing.ID: 1000}}).Deliveries[0]))
	st = t.stats()
	require.Zero(t, st.OldestDue, "only the failing endpoint has something due")
	require.NotZero(t, st.OldestDueFailing)
	c := t.claimOne()
	if t.values == 1 { // what another process has under way may count
		require.Zero(t, t.stats().OldestDueFailing, "a delivery under lease is not due")
	}
	t.emit("org_1", completed, 1)
	require.NotZero(t, t.stats().OldestDueFailing)
	t.finish(delivered(c))
	st = t.stats()
	require.NotZero(t, st.OldestDue, "the endpoint is failing no more")
	require.Zero(t, st.OldestDueFailing)
	failing = t.stored(failing.ID)
	t.setDisabled(&failing, true)
	require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, t.stats())
}

// Many endpoints that fail at once say that something is wrong on the sender's side. One that
// nothing is emitted to is disabled all the same.
func statsCountsEndpoints(t *trial) {
	counts := func(failing, disabled int64) {
		t.Helper()
		st := t.stats()
		require.Equal(t, []int64{failing, disabled}, []int64{st.FailingEndpoints, st.DisabledEndpoints})
	}
	a, b, idle := t.endpoint("org_1", completed), t.endpoint("org_2", completed), t.endpoint("org_3", completed)
	counts(0, 0)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 0))
	counts(1, 0)
	t.emit("org_2", completed, 1)
	t.finish(failed(t.claimAs(alotwebhook.ClaimRequest{Limit: 1, Busy: map[string]int{a.ID: 1000}}).Deliveries[0]))
	counts(2, 0)
	t.finish(delivered(t.claimOne()))
	counts(1, 0)
	b = t.stored(b.ID)
	t.setDisabled(&b, true)
	t.setDisabled(&idle, true)
	counts(0, 2)
	t.setDisabled(&b, false) // clears its FailingSince
	counts(0, 1)
	t.emit("org_2", completed, 1)
	t.finish(failed(t.claimOne()))
	counts(1, 1)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), b.ID))
	counts(0, 1)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), idle.ID))
	counts(0, 0)
}
