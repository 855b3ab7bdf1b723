package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var removeRules = []rule{
	{"Everything", "Remove deletes all that belongs to an organization: endpoints, events, deliveries, finished or not, their attempts, recoveries of its endpoints, tallies, operations and pauses.", removeEverything},
	{"OthersStay", "Remove deletes nothing of other organizations, no recovery over many endpoints, and no pause of all.", removeOthersStay},
	{"Limit", "Remove deletes up to limit rows of each kind, endpoints first. It returns the largest of these numbers, less than limit once nothing is left.", removeLimit},
	{"Late", "An outcome that comes after its delivery was removed is lost, and brings nothing back.", removeLate},
	{"Again", "Of an organization that has nothing, or nothing any more, Remove deletes nothing, and returns 0.", removeAgain},
	{"Tallies", "Remove deletes the tallies of deleted endpoints as well, also those that were added later, and takes all out of Totals.", with(removeTallies)},
	{"ForgetsID", "The ids of what was removed are unknown, and can be stored again. Claims have tokens that those before had not.", removeForgetsID},
}

// removePage removes up to limit rows of each kind.
func (t *trial) removePage(org string, limit int) int {
	t.Helper()
	n, err := t.store.Remove(t.ctx(), org, limit)
	require.NoError(t, err)
	require.LessOrEqual(t, n, limit)
	return n
}

// remove removes an organization.
func (t *trial) remove(org string) {
	t.Helper()
	for range endless {
		if t.removePage(org, 1000) < 1000 {
			return
		}
	}
	require.FailNow(t, "a removal has no end", org)
}

// A customer who leaves may have it in the contract that nothing is kept. What were left would be found
// years later, by whoever looks for something else.
func removeEverything(t *trial) {
	of := t.tenant("org_1")
	for kind, n := range t.kinds(of) {
		require.NotZero(t, n, kind)
	}
	require.NotEmpty(t, of.leased)
	t.remove(of.org)
	t.requireNothingOf(of)
	require.Zero(t, t.stats())
	require.Empty(t, t.claim(100))
	require.Empty(t, t.claimOperations(100, long))
	require.Empty(t, t.ofSubject(personal[1]))
	require.NotContains(t, t.everything(of.events...), of.org)
	t.enqueue(newEvent(t, of.org, completed))
	require.Empty(t, t.list(alotwebhook.Filter{}), "nobody is left to be told of anything")
}

// What is removed of another customer cannot be brought back.
func removeOthersStay(t *trial) {
	var others []tenant
	for _, org := range []string{"org_2", "org_10", "Org_1", "org_1 ", "org_", "org_é", "org%"} {
		others = append(others, t.tenant(org))
	}
	of := t.tenant("org_1")
	many := newRecoveryOfMany(t, "org_1", alotwebhook.RecoveryRemoving)
	all := newRecoveryOfMany(t, "", alotwebhook.RecoveryCanceled)
	t.putRecovery(&many)
	t.putRecovery(&all)
	pauser, pauses := capabilityOf[alotwebhook.Pauser](t.store)
	if pauses {
		t.putPauses(pauser, newPause("", ""))
	}
	before := map[string]string{}
	for _, other := range others {
		before[other.org] = t.allOf(other)
	}
	stats := t.stats()
	mine := len(t.list(alotwebhook.Filter{OrganizationID: "org_1", State: alotwebhook.StatePending}))
	parked := len(t.list(alotwebhook.Filter{OrganizationID: "org_1", State: alotwebhook.StateParked}))
	t.remove("org_1")
	t.requireNothingOf(of)
	for _, other := range others {
		require.Equal(t, before[other.org], t.allOf(other), "%q is as it was", other.org)
	}
	t.requireRecoveries(alotwebhook.RecoveryFilter{Many: true}, many, all)
	after := t.stats()
	require.Equal(t, []int64{stats.Pending - int64(mine), stats.Parked - int64(parked)}, []int64{after.Pending, after.Parked})
	if pauses {
		list, err := pauser.Pauses(t.ctx())
		require.NoError(t, err)
		require.Empty(t, list[0].OrganizationID, "the pause of all stays")
	}
	for _, other := range others {
		for _, c := range other.leased {
			t.finish(holding(delivered(c), long))
		}
	}
}

// An organization may have millions of rows, and the queue must not wait for them. Endpoints go first,
// so that nothing more is sent.
func removeLimit(t *trial) {
	const limit = 3
	var of tenant
	of.org = "org_1"
	for range 5 {
		e := newEndpoint(t, of.org, completed)
		t.putWith(&e, newOperation(t, alotwebhook.OpEndpointCreated, e))
		r := newRecovery(e)
		t.putRecovery(&r)
		t.addTenant(e)
		of.endpoints = append(of.endpoints, e)
	}
	of.events = newEvents(t, of.org, completed, 8)
	of.events[6].Type, of.events[7].Type = invited, invited
	t.enqueue(of.events...)
	for _, c := range t.claim(12) {
		t.finish(retry(c, 0))
	}
	before := t.kinds(of)
	for call := 1; ; call++ {
		require.Less(t, call, 200, "a removal has no end")
		n := t.removePage(of.org, limit)
		after := t.kinds(of)
		for kind := range before {
			require.LessOrEqual(t, before[kind]-after[kind], n, "%s in one call, which returned %d", kind, n)
		}
		require.LessOrEqual(t, after["endpoints"], max(5-call*limit, 0), "endpoints go first")
		if before = after; n < limit {
			break
		}
	}
	t.requireNothingOf(of)
	require.Zero(t, t.stats())
}

// A process does not know that a customer has left, and may be late.
func removeLate(t *trial) {
	e, ordered := t.endpoint("org_1", completed), t.ordered("org_1")
	other := t.endpoint("org_2", completed)
	events := append(t.emit("org_1", completed, 4), t.emit("org_2", completed, 1)...)
	claims := t.claim(100)
	require.Equal(t, map[string]int{e.ID: 4, ordered.ID: 1, other.ID: 1}, perEndpoint(claims))
	t.remove("org_1")
	outcomes := make([]alotwebhook.Outcome, len(claims))
	var want []string
	for i, c := range claims {
		o := []alotwebhook.Outcome{delivered(c), failed(c), retry(c, 0), release(c), delivered(c)}[i%5]
		if c.Endpoint.ID == other.ID {
			o = delivered(c)
		} else {
			want = append(want, c.DeliveryID)
		}
		outcomes[i] = holding(telling(o), long)
		if o.Attempt.Number == 0 {
			outcomes[i] = holding(o, long)
		}
	}
	require.ElementsMatch(t, want, t.lost(outcomes...))
	t.requireState(alotwebhook.DeliveryID(events[4].ID, other.ID), alotwebhook.StateDelivered)
	t.requireNothingOf(tenant{org: "org_1", endpoints: []alotwebhook.Endpoint{e, ordered}, events: events[:4]})
	require.Empty(t, t.claim(100))
	require.Zero(t, t.stats())
	require.Zero(t, t.redeliver(want...))
	require.Zero(t, t.cancel(want...))
}

// Whoever removes goes on until nothing is left, and after a crash once more.
func removeAgain(t *trial) {
	require.Zero(t, t.removePage("org_1", 10))
	t.tenant("org_2")
	require.Zero(t, t.removePage("org_1", 10))
	of := t.tenant("org_1")
	for range 2 {
		t.remove("org_1")
	}
	require.Zero(t, t.removePage("org_1", 10))
	t.requireNothingOf(of)
}

// A customer may come back. Whatever was sent to the one before must not be mistaken for what is sent
// to the new one.
func removeForgetsID(t *trial) {
	e := t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	seen := map[int64]bool{}
	stale := t.claimOne()
	for range 2 {
		seen[stale.Token] = true
		t.finish(release(stale))
		stale = t.claimOne()
	}
	seen[stale.Token] = true
	t.remove("org_1")
	again := e
	again.Version = 0
	t.put(&again)
	t.enqueue(event)
	require.Equal(t, []string{stale.DeliveryID}, t.lost(delivered(stale)), "a claim from before is not the newest")
	for range 4 {
		c := t.claimOne()
		require.Equal(t, []any{stale.DeliveryID, 1}, []any{c.DeliveryID, c.Attempt})
		require.False(t, seen[c.Token], "the token was that of a claim before the removal")
		require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(stale)))
		t.finish(release(c))
	}
	t.finish(delivered(t.claimOne()))
}

// A removal that is cut short must leave no delivery that were pending for ever.
func removeCutShort(t *trial) {
	run := 0
	t.cutShort(func(ctx context.Context) (bool, error) {
		run++
		of := tenant{org: fmt.Sprintf("org_%d", run)}
		of.endpoints = append(of.endpoints, t.endpoint(of.org, completed))
		of.events = newEvents(t, of.org, completed, 50)
		t.enqueue(of.events...)
		_, err := t.store.Remove(ctx, of.org, 1000)
		if _, gone := t.store.Endpoint(t.ctx(), of.endpoints[0].ID); gone != nil {
			require.Zero(t, t.stats().Pending, "the endpoint is gone")
		}
		t.remove(of.org)
		t.requireNothingOf(of)
		return err == nil, err
	})
}

// Customers leave while others are told of their events.
func removeBesideWork(t *trial) {
	const batches, batch = 20, 20
	stays, leaves := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.ordered("org_2")
	of := tenant{org: "org_2", endpoints: []alotwebhook.Endpoint{leaves}}
	var emits [batches][]alotwebhook.Event
	for i := range emits {
		emits[i] = append(newEvents(t, "org_1", completed, batch), newEvents(t, "org_2", completed, batch)...)
		of.events = append(of.events, emits[i][batch:]...)
	}
	t.enqueue(emits[0]...)
	var claims tally
	c := t.crew(batches * batch)
	c.run(1, func(int) error {
		for _, events := range emits[1:] {
			if err := t.store.Enqueue(t.ctx(), events); err != nil {
				return fmt.Errorf("Enqueue: %w", err)
			}
		}
		return nil
	})
	c.meanwhile(func() error {
		if _, err := t.store.Remove(t.ctx(), "org_2", 7); err != nil {
			return fmt.Errorf("Remove: %w", err)
		}
		return nil
	})
	c.work(4, func(int) (int, error) { return t.workBesidePurge(map[string]bool{stays.ID: true}, &claims) })
	c.wait(t)
	require.EqualValues(t, batches*batch, c.ended.Load(), "each delivery of the organization that stays is delivered")
	t.remove("org_2")
	t.requireNothingOf(of)
	claims.requireOnce(t)
	require.Zero(t, t.stats())
	require.Len(t, t.list(alotwebhook.Filter{Limit: 1000}), batches*batch)
}

// Operators read the sums of all, and would look for a customer who has left.
func removeTallies(t *trial, s alotwebhook.Tallier) {
	later := talliedHour.Add(time.Hour)
	tally := func(e alotwebhook.Endpoint, hour time.Time, seconds time.Duration, timeouts int64) alotwebhook.Tally {
		return alotwebhook.Tally{EndpointID: e.ID, Hour: hour, Succeeded: 2, Duration: 2 * seconds * time.Second, Slowest: seconds * time.Second,
			Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: timeouts, alotwebhook.ReasonTLS: 1}}
	}
	gone, deleted, kept := t.endpoint("org_1", completed), t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	stays := tally(kept, talliedHour, 3, 5)
	delete(stays.Reasons, alotwebhook.ReasonTLS)
	t.addTallies(s, tally(gone, talliedHour, 9, 4), tally(gone, later, 9, 4), stays)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), deleted.ID))
	t.addTallies(s, tally(deleted, talliedHour, 8, 2), tally(deleted, talliedHour.Add(2*time.Hour), 1, 2))
	for range endless {
		if t.removePage("org_1", 1) < 1 {
			break
		}
	}
	t.requireTallies(s, []string{gone.ID, deleted.ID}, time.Time{})
	t.requireTallies(s, []string{kept.ID}, time.Time{}, stays)
	if all, ok := capabilityOf[alotwebhook.Surveyor](t.store); ok {
		stays.EndpointID = ""
		totals, err := all.Totals(t.ctx(), time.Time{})
		require.NoError(t, err)
		require.Len(t, totals, 1)
		require.True(t, totals[0].Hour.Equal(stays.Hour))
		totals[0].Hour = stays.Hour
		require.Equal(t, stays, totals[0])
	}
}
