package storetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var fairnessRules = []rule{
	{"BigBacklog", "With several endpoints that have due deliveries and free slots, no endpoint's backlog goes before another's turn.", bigBacklog},
	{"ManyEndpoints", "Whoever did not fit into this claim comes first in the next.", manyEndpoints},
	{"BusyHidesNobody", "What a busy endpoint has waiting does not keep others from being claimed.", busyHidesNobody},
	{"ManyBusyHideNobody", "What busy endpoints have waiting does not keep others from being claimed.", manyBusyHideNobody},
	{"DisabledHidesNobody", "What a disabled endpoint has waiting does not keep others from being claimed.", disabledHidesNobody},
	{"LateComer", "An endpoint whose first delivery comes late takes its turn before the backlog of others.", lateComer},
}

// backlog makes an endpoint of an organization of its own with n deliveries due.
func (t *trial) backlog(org string, n int) alotwebhook.Endpoint {
	t.Helper()
	e := t.endpoint(org, completed)
	t.enqueue(newEvents(t, org, completed, n)...)
	return e
}

func bigBacklog(t *trial) {
	big := t.backlog("org_big", 1000)
	small := t.backlog("org_small", 5)
	first := perEndpoint(t.claim(10))
	require.Positive(t, first[small.ID], "a claim with room for both takes from both")
	require.Positive(t, first[big.ID], "a claim with room for both takes from both")
	second := perEndpoint(t.claim(10))
	require.Equal(t, 5, first[small.ID]+second[small.ID], "1,000 deliveries stand before 5 of another endpoint")
	require.Equal(t, 15, first[big.ID]+second[big.ID], "no slot is left free while deliveries are due")
}

func manyEndpoints(t *trial) {
	const endpoints, limit = 50, 7
	for i := range endpoints {
		t.backlog(fmt.Sprintf("org_%d", i), 20)
	}
	served := map[string]int{}
	const rounds = 2 * (endpoints/limit + 1) // in strict turns half of it would do
	for range rounds {
		for id, n := range perEndpoint(t.claim(limit)) {
			served[id] += n
		}
	}
	require.Len(t, served, endpoints, "each has had its turn after %d claims of %d", rounds, limit)
}

func busyHidesNobody(t *trial) {
	busy := t.backlog("org_busy", 3000)
	other := t.backlog("org_other", 3)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 32, Busy: map[string]int{busy.ID: 32}}
	require.Equal(t, map[string]int{other.ID: 3}, perEndpoint(t.claimAs(c).Deliveries))
	c.Busy[busy.ID] = 30
	require.Equal(t, map[string]int{busy.ID: 2}, perEndpoint(t.claimAs(c).Deliveries))
}

func manyBusyHideNobody(t *trial) {
	busy := map[string]int{}
	for i := range 40 {
		busy[t.backlog(fmt.Sprintf("org_%d", i), 30).ID] = 4
	}
	other := t.backlog("org_other", 2)
	c := alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 4, Busy: busy}
	require.Equal(t, map[string]int{other.ID: 2}, perEndpoint(t.claimAs(c).Deliveries))
}

func disabledHidesNobody(t *trial) {
	disabled := t.backlog("org_disabled", 3000)
	t.setDisabled(&disabled, true)
	other := t.backlog("org_other", 3)
	require.Equal(t, map[string]int{other.ID: 3}, perEndpoint(t.claim(10)))
}

func lateComer(t *trial) {
	for i := range 3 {
		t.backlog(fmt.Sprintf("org_%d", i), 100)
	}
	t.claim(4)
	late := t.backlog("org_late", 1)
	served := perEndpoint(t.claim(4))[late.ID] + perEndpoint(t.claim(4))[late.ID]
	require.Equal(t, 1, served, "one delivery of a fourth endpoint waits behind the backlog of three")
}
