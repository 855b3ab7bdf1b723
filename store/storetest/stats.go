package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var statsRules = []rule{
	{"Empty", "Stats of an empty store are zero.", statsEmpty},
	{"Counts", "Pending counts the unfinished deliveries of enabled endpoints: due, waiting and under way. Parked counts those of disabled endpoints.", statsCounts},
	{"OldestDue", "OldestDue is the longest time for which a delivery has been due; 0 if none is.", statsOldestDue},
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
// wait as planned are no such sign.
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
