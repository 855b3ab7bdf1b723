package storetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var fairnessRules = []rule{
	{"BigBacklog", "If several endpoints have due deliveries and free slots, they take turns, however long the backlog of one is. Each Store value keeps turns of its own.", bigBacklog},
	{"ManyEndpoints", "An endpoint for which a claim had no room comes first in the next claim.", manyEndpoints},
	{"BusyHidesNobody", "The backlog of a busy endpoint does not prevent claims of others.", busyHidesNobody},
	{"ManyBusyHideNobody", "The backlogs of many busy endpoints do not prevent claims of others.", manyBusyHideNobody},
	{"DisabledHidesNobody", "The backlog of a disabled endpoint does not prevent claims of others.", disabledHidesNobody},
	{"LateComer", "An endpoint whose first delivery comes late gets its turn before the backlog of the others is done.", lateComer},
}

// backlog stores an endpoint, alone in its organization, with n due deliveries.
func (t *trial) backlog(org string, n int) alotwebhook.Endpoint {
	t.Helper()
	e := t.endpoint(org, completed)
	t.enqueue(newEvents(t, org, completed, n)...)
	return e
}

// A customer with 5 events must not wait behind another customer's 1,000.
func bigBacklog(t *trial) {
	big := t.backlog("org_big", 1000)
	small := t.backlog("org_small", 5)
	served := perEndpoint(t.claim(10))
	if t.values == 1 {
		require.Positive(t, served[small.ID], "a claim with room for both takes from both")
		require.Positive(t, served[big.ID], "a claim with room for both takes from both")
	}
	claims := 2 * t.values
	for range claims - 1 {
		t.serve(served, 10)
	}
	require.Equal(t, 5, served[small.ID], "the 5 deliveries wait behind 1,000 of another endpoint")
	require.Equal(t, 10*claims-5, served[big.ID], "a claim must use all of Limit while deliveries are due")
}

// serve claims up to limit deliveries, and adds to served what each endpoint got.
func (t *trial) serve(served map[string]int, limit int) {
	t.Helper()
	for id, n := range perEndpoint(t.claim(limit)) {
		served[id] += n
	}
}

// With more endpoints than a claim has room for, turns must go around. Otherwise the same
// endpoints could be served each time, and the others never.
func manyEndpoints(t *trial) {
	const endpoints, limit = 50, 7
	rounds := 2 * (endpoints/limit + 1) * t.values // twice as many as strict turns would need
	for i := range endpoints {
		t.backlog(fmt.Sprintf("org_%d", i), max(20, rounds*limit/endpoints+1)) // more than they take
	}
	served := map[string]int{}
	for range rounds {
		t.serve(served, limit)
	}
	require.Len(t, served, endpoints, "each must have had a turn after %d claims of %d", rounds, limit)
}

// A store that looks at the oldest rows only, and then drops those of busy endpoints,
// finds nothing: the backlog of a receiver that hangs would stop all others.
func busyHidesNobody(t *trial) {
	busy := t.backlog("org_busy", 3000)
	other := t.backlog("org_other", 3)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 32, Busy: map[string]int{busy.ID: 32}}
	require.Equal(t, map[string]int{other.ID: 3}, perEndpoint(t.claimAs(c).Deliveries))
	c.Busy[busy.ID] = 30
	require.Equal(t, map[string]int{busy.ID: 2}, perEndpoint(t.claimAs(c).Deliveries))
}

// The backlogs of many busy endpoints, as that of one, must not hide the rows behind them.
func manyBusyHideNobody(t *trial) {
	busy := map[string]int{}
	for i := range 40 {
		busy[t.backlog(fmt.Sprintf("org_%d", i), 30).ID] = 4
	}
	other := t.backlog("org_other", 2)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 4, Busy: busy}
	require.Equal(t, map[string]int{other.ID: 2}, perEndpoint(t.claimAs(c).Deliveries))
}

// An endpoint may be disabled for days. All that time its backlog grows, and must not
// slow the others down.
func disabledHidesNobody(t *trial) {
	disabled := t.backlog("org_disabled", 3000)
	t.setDisabled(&disabled, true)
	other := t.backlog("org_other", 3)
	require.Equal(t, map[string]int{other.ID: 3}, perEndpoint(t.claim(10)))
}

// A store that keeps endpoints in a queue could let a newcomer wait until the backlog of
// those before it is empty.
func lateComer(t *trial) {
	for i := range 3 {
		t.backlog(fmt.Sprintf("org_%d", i), 100)
	}
	t.claim(4)
	late := t.backlog("org_late", 1)
	served := map[string]int{}
	for range 2 * t.values {
		t.serve(served, 4)
	}
	require.Equal(t, 1, served[late.ID], "the delivery of the fourth endpoint waits behind the backlog of three")
}
