package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var statsRules = []rule{
	{"Empty", "Stats of an empty store are zero.", statsEmpty},
	{"Counts", "Pending counts unfinished deliveries to enabled endpoints: due, waiting and under way. Parked counts those that wait for a disabled endpoint.", statsCounts},
	{"OldestDue", "OldestDue is how long the delivery due longest has been due; 0 when none is.", statsOldestDue},
}

func statsEmpty(t *trial) {
	require.Equal(t, alotwebhook.Stats{}, t.stats())
	t.endpoint("org_1", completed)
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

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

func statsOldestDue(t *trial) {
	t.endpoint("org_1", completed)
	before := time.Now()
	t.emit("org_1", completed, 2)
	time.Sleep(20 * time.Millisecond) // that an age shows
	age := t.stats().OldestDue
	require.GreaterOrEqual(t, age, 15*time.Millisecond)
	require.LessOrEqual(t, age, time.Since(before)+time.Second)
	c := t.claim(2)
	require.Zero(t, t.stats().OldestDue, "what is leased is not due")
	t.finish(retry(c[0], long), delivered(c[1]))
	require.Zero(t, t.stats().OldestDue, "what waits is not due")
}
