package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// tenant is an organization with something of each kind.
type tenant struct {
	org        string
	endpoints  []alotwebhook.Endpoint // the last one is deleted
	events     []alotwebhook.Event
	leased     []alotwebhook.Claimed
	recoveries []alotwebhook.Recovery
}

// tenant stores something of each kind for an organization.
func (t *trial) tenant(org string) tenant {
	t.Helper()
	var of tenant
	of.org = org
	on, off, ordered, gone := t.endpoint(org, completed), t.endpoint(org, completed), t.ordered(org), t.endpoint(org, completed)
	of.endpoints = []alotwebhook.Endpoint{on, off, ordered, gone}
	for range 5 {
		of.events = append(of.events, newPersonal(t, org))
		t.enqueue(of.events[len(of.events)-1])
	}
	unheard := newPersonal(t, org)
	unheard.Type = invited
	of.events = append(of.events, unheard)
	t.enqueue(unheard)
	for i, c := range t.claim(1000) {
		if c.Endpoint.OrganizationID != org { // what another tenant has released
			t.finish(holding(release(c), long))
			continue
		}
		switch i % 5 {
		case 0:
			t.finish(holding(telling(delivered(c)), long))
		case 1:
			t.finish(holding(telling(failed(c)), long))
		case 2:
			t.finish(holding(telling(retry(c, long)), 2*long))
		case 3:
			t.finish(holding(release(c), long))
		default:
			if c.Endpoint.ID != gone.ID {
				of.leased = append(of.leased, c)
			}
		}
	}
	t.setDisabled(&of.endpoints[1], true)
	for i, e := range of.endpoints {
		r := newRecovery(e)
		if i%2 == 1 {
			r.State, r.FinishedAt = alotwebhook.RecoveryDone, r.UpdatedAt
		}
		require.NoError(t, t.store.PutRecovery(t.ctx(), r, newOperation(t, alotwebhook.OpRecoveryBegun, e)))
		of.recoveries = append(of.recoveries, r)
		t.addTenant(e)
	}
	if s, ok := capabilityOf[alotwebhook.Pauser](t.store); ok {
		t.putPauses(s, newPause(org, ""))
	}
	t.finishOperations(0, t.claimOperations(1, long)[0].ID)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), gone.ID, newOperation(t, alotwebhook.OpEndpointDeleted, gone)))
	return of
}

// addTenant stores the tallies and the pause of an endpoint, if the store keeps any.
func (t *trial) addTenant(e alotwebhook.Endpoint) {
	t.Helper()
	if s, ok := capabilityOf[alotwebhook.Tallier](t.store); ok {
		t.addTallies(s, tallyOf(e.ID, talliedHour), tallyOf(e.ID, talliedHour.Add(time.Hour)))
	}
	if s, ok := capabilityOf[alotwebhook.Pauser](t.store); ok {
		t.putPauses(s, newPause(e.OrganizationID, e.ID))
	}
}

// kinds counts what is stored of a tenant, by the kind.
func (t *trial) kinds(of tenant) map[string]int {
	t.Helper()
	n := map[string]int{}
	page, _, err := t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{OrganizationID: of.org})
	require.NoError(t, err)
	n["endpoints"] = len(page)
	for _, event := range of.events {
		if _, err := t.store.Event(t.ctx(), event.ID); err == nil {
			n["events"]++
		}
	}
	n["deliveries"] = len(t.list(alotwebhook.Filter{OrganizationID: of.org, Limit: 1000}))
	n["operations"] = len(t.operations(alotwebhook.OperationFilter{OrganizationID: of.org}))
	var ids []string
	for _, e := range of.endpoints {
		ids = append(ids, e.ID)
		n["recoveries"] += len(t.recoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}))
	}
	if s, ok := capabilityOf[alotwebhook.Tallier](t.store); ok {
		list, err := s.Tallies(t.ctx(), ids, time.Time{})
		require.NoError(t, err)
		n["tallies"] = len(list)
	}
	if s, ok := capabilityOf[alotwebhook.Pauser](t.store); ok {
		list, err := s.Pauses(t.ctx())
		require.NoError(t, err)
		for _, p := range list {
			if p.OrganizationID == of.org {
				n["pauses"]++
			}
		}
	}
	return n
}

// requireNothingOf requires that nothing of a tenant can be found in any way.
func (t *trial) requireNothingOf(of tenant) {
	t.Helper()
	for kind, n := range t.kinds(of) {
		require.Zero(t, n, "%s of %s are left", kind, of.org)
	}
	for _, e := range of.endpoints {
		_, err := t.store.Endpoint(t.ctx(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		require.Empty(t, t.list(alotwebhook.Filter{EndpointID: e.ID}))
		for _, event := range of.events {
			_, err := t.store.Delivery(t.ctx(), alotwebhook.DeliveryID(event.ID, e.ID))
			require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		}
	}
	for _, event := range of.events {
		require.Empty(t, t.list(alotwebhook.Filter{EventID: event.ID}))
	}
	if s, ok := capabilityOf[alotwebhook.Surveyor](t.store); ok {
		list, err := s.Backlogs(t.ctx(), 100)
		require.NoError(t, err)
		for _, b := range list {
			require.NotEqual(t, of.org, b.OrganizationID)
		}
	}
}

// allOf returns all that can be read of a tenant as text, but for when deliveries are due next: the end
// of a lease may be known to the process alone that has it.
func (t *trial) allOf(of tenant) string {
	t.Helper()
	var all strings.Builder
	for _, listed := range t.list(alotwebhook.Filter{OrganizationID: of.org, Limit: 1000}) {
		d := t.delivery(listed.ID)
		d.NextAttemptAt = time.Time{}
		fmt.Fprintf(&all, "%+v\n", d)
	}
	for _, event := range of.events {
		t.requireKept(event)
	}
	for _, e := range of.endpoints[:len(of.endpoints)-1] {
		fmt.Fprintf(&all, "%+v\n", t.stored(e.ID))
	}
	for _, r := range of.recoveries {
		fmt.Fprintf(&all, "%+v\n", t.recoveries(alotwebhook.RecoveryFilter{EndpointID: r.EndpointID}))
	}
	fmt.Fprintf(&all, "%+v\n%v\n", t.operations(alotwebhook.OperationFilter{OrganizationID: of.org}), t.kinds(of))
	return all.String()
}
