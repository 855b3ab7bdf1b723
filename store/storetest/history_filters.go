package storetest

import (
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// variety stores deliveries of two organizations, four endpoints, two types and all four
// states, and returns them.
func (t *trial) variety() []alotwebhook.Delivery {
	t.Helper()
	a, b := t.endpoint("org_1", completed, invited), t.endpoint("org_1", completed)
	c, off := t.endpoint("org_2", completed, invited), t.endpoint("org_2", invited)
	for range 3 {
		t.emit("org_1", completed, 1)
		t.emit("org_2", invited, 1)
		t.emit("org_1", invited, 1)
		t.emit("org_2", completed, 1)
	}
	t.setDisabled(&off, true)
	for i, claim := range t.claim(100) {
		switch i % 4 {
		case 0:
			t.finish(delivered(claim))
		case 1:
			t.finish(failed(claim))
		case 2:
			t.finish(retry(claim, long))
		}
	}
	all := t.list(alotwebhook.Filter{})
	require.Len(t, all, 6+3+6+3)
	for _, d := range all {
		require.Contains(t, []string{a.ID, b.ID, c.ID, off.ID}, d.EndpointID)
	}
	return all
}

// Filters can be combined, and stores choose an index by the combination. Each choice
// must find the same. The organization protects customers from seeing each other's
// deliveries.
func historyFilters(t *trial) {
	all := t.variety()
	seen := map[alotwebhook.DeliveryState]int{}
	for _, d := range all {
		seen[d.State]++
	}
	require.Len(t, seen, 4, "all four states occur")
	for _, d := range all {
		// Try every combination of the fields of this delivery, and with the state unfinished.
		for mask := range 1 << 6 {
			if mask&(3<<4) == 3<<4 {
				continue // it can have but one state
			}
			pick := func(bit int, s string) string {
				if mask&(1<<bit) == 0 {
					return ""
				}
				return s
			}
			f := alotwebhook.Filter{
				OrganizationID: pick(0, d.OrganizationID),
				EndpointID:     pick(1, d.EndpointID),
				EventID:        pick(2, d.EventID),
				EventType:      pick(3, d.EventType),
				State:          alotwebhook.DeliveryState(pick(4, string(d.State))),
			}
			if mask&(1<<5) != 0 {
				f.State = alotwebhook.StateUnfinished
			}
			require.Equal(t, deliveryIDs(selected(all, f)), deliveryIDs(t.list(f)), "filter %+v", f)
		}
	}
	for _, limit := range []int{-1, math.MinInt, math.MaxInt} {
		for _, f := range []alotwebhook.Filter{{}, {OrganizationID: "org_1"}, {EndpointID: all[0].EndpointID}, {EventID: all[0].EventID}, {Subject: "cand_none"}} {
			want, _, err := t.store.Deliveries(t.ctx(), f)
			require.NoError(t, err)
			f.Limit = limit
			got, next, err := t.store.Deliveries(t.ctx(), f)
			require.NoError(t, err)
			require.Empty(t, next)
			require.Equal(t, deliveryIDs(want), deliveryIDs(got), "filter %+v", f)
		}
	}
	none := newEndpoint(t, "org_3", completed)
	for _, f := range []alotwebhook.Filter{
		{OrganizationID: "org_3"}, {EndpointID: none.ID}, {EventID: newEvent(t, "org_1", completed).ID}, {EventType: "candidate"},
		{OrganizationID: "org_1", EndpointID: all[0].EndpointID, EventID: all[len(all)-1].EventID, EventType: "none"},
	} {
		require.Empty(t, t.list(f), "filter %+v", f)
	}
}

// selected returns the deliveries that match a filter, by the contract.
func selected(all []alotwebhook.Delivery, f alotwebhook.Filter) (match []alotwebhook.Delivery) {
	for _, d := range all {
		if (f.OrganizationID == "" || f.OrganizationID == d.OrganizationID) &&
			(f.EndpointID == "" || f.EndpointID == d.EndpointID) &&
			(f.EventID == "" || f.EventID == d.EventID) &&
			(f.EventType == "" || f.EventType == d.EventType) &&
			(f.State == "" || f.State == d.State || f.State == alotwebhook.StateUnfinished && unfinished(d)) {
			match = append(match, d)
		}
	}
	return match
}

func unfinished(d alotwebhook.Delivery) bool {
	return d.State == alotwebhook.StatePending || d.State == alotwebhook.StateParked
}

// Whoever cancels what was emitted by mistake wants all of it, to enabled and to disabled endpoints.
// A cancelation goes down the ids and does not come back to higher ones.
func historyUnfinished(t *trial) {
	on, off := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.setDisabled(&off, true)
	events := t.emit("org_1", completed, 3)
	time.Sleep(2 * time.Millisecond) // the next ids have a later millisecond: within one, their order is random
	events = append(events, t.emit("org_1", completed, 3)...)
	c := t.claim(3)
	t.finish(delivered(c[0]), failed(c[1]), retry(c[2], long))
	want := newestFirst(append(idsOf(events, off), idsOf(events, on)[2:]...))
	for _, limit := range []int{1, 3, 10, 11} {
		listed := t.list(alotwebhook.Filter{State: alotwebhook.StateUnfinished, Limit: limit})
		require.Equal(t, want, deliveryIDs(listed), "in pages of %d", limit)
		for _, d := range listed {
			require.Equal(t, map[string]alotwebhook.DeliveryState{on.ID: alotwebhook.StatePending, off.ID: alotwebhook.StateParked}[d.EndpointID], d.State)
		}
	}
	t.setDisabled(&off, false)
	require.Equal(t, want, deliveryIDs(t.list(alotwebhook.Filter{State: alotwebhook.StateUnfinished})))
	t.finishAll(t.claim(100))
	require.Equal(t, idsOf(events, on)[2:3], deliveryIDs(t.list(alotwebhook.Filter{State: alotwebhook.StateUnfinished})))
}
