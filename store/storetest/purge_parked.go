package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// A customer may leave and never enable the endpoint again. What is parked for it must not
// keep payloads, which hold personal data, for ever. Somebody who comes back all the same
// can send again what is there still.
func purgeExpires(t *trial) {
	e := t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 2)
	t.finish(retry(t.claim(1)[0], 0))
	t.setDisabled(&e, true)
	events = append(events, t.emit("org_1", completed, 1)...)
	ids := idsOf(events, e)
	t.awaitPurge(alotwebhook.PurgeRequest{Parked: soon}, alotwebhook.PurgeResult{Expired: 3})
	require.Equal(t, alotwebhook.Stats{DisabledEndpoints: 1}, t.stats())
	for i, id := range ids {
		d := t.delivery(id)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonExpired, d.LastReason)
		require.WithinDuration(t, time.Now(), d.FinishedAt, slack)
		require.True(t, d.NextAttemptAt.IsZero())
		require.Equal(t, []int{1, 0, 0}[i], d.AttemptCount, "no attempt was made")
		require.Len(t, d.Attempts, d.AttemptCount)
	}
	require.Equal(t, newestFirst(ids), deliveryIDs(t.list(alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StateFailed})))

	require.Equal(t, 2, t.redeliver(ids[0], ids[1]), "its payload is there still")
	for i, want := range []alotwebhook.FailureReason{alotwebhook.ReasonStatus, ""} {
		d := t.delivery(ids[i])
		require.Equal(t, alotwebhook.StateParked, d.State)
		require.Equal(t, want, d.LastReason, "the reason is that of the newest attempt again")
	}
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	again := t.claim(10)
	require.ElementsMatch(t, ids[:2], claimedIDs(again))
	require.Equal(t, []int{1, 1}, []int{again[0].Try, again[1].Try}, "a redelivery begins its schedule anew")
	t.finishAll(again)
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 3})
	require.Zero(t, t.redeliver(ids[2]), "its payload is gone")
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 3, Events: 3})
}

// A delivery that is late is no delivery that nobody wants. And whoever disables an
// endpoint for a day relies on the time that was promised.
func purgeExpiresOnlyParked(t *trial) {
	off := t.endpoint("org_2", completed)
	t.setDisabled(&off, true)
	t.emit("org_2", completed, 1)
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{Parked: long}), "it is parked for a moment only")

	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 3)
	c := t.claim(2)
	t.finish(retry(c[0], long))
	time.Sleep(10 * soon) // the time passes, which must have no effect here
	require.Equal(t, alotwebhook.PurgeResult{Expired: 1}, t.purge(alotwebhook.PurgeRequest{Parked: soon}), "that of the disabled endpoint")
	t.setDisabled(&e, true)
	t.setDisabled(&e, false)
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{Parked: soon}), "the endpoint is enabled again")
	t.setDisabled(&e, true)
	t.awaitPurge(alotwebhook.PurgeRequest{Parked: soon}, alotwebhook.PurgeResult{Expired: 1})
	t.finish(delivered(c[1])) // its lease had not run out
	t.requireState(c[0].DeliveryID, alotwebhook.StateParked)
}

// requireTooSoon requires that nothing expires by a time that has passed since before, but
// not since after. In between it waits. If the machine is so slow that the time has passed
// since after as well, it tries again with a longer one. So before and after may be called
// several times.
func (t *trial) requireTooSoon(before, after func()) {
	t.Helper()
	t.requireTooSoonFor(func(past time.Duration) alotwebhook.PurgeRequest { return alotwebhook.PurgeRequest{Parked: past} }, before, after)
}

// An endpoint may be disabled because it has failed for days. What it was to get in these
// days must wait for as long as everything else.
func purgeExpiresFromDisabling(t *trial) {
	var e alotwebhook.Endpoint
	try := 0
	t.requireTooSoon(func() {
		try++
		organization := fmt.Sprint("org_", try)
		e = t.endpoint(organization, completed)
		t.emit(organization, completed, 1)
	}, func() { t.setDisabled(&e, true) })
	t.awaitPurge(alotwebhook.PurgeRequest{Parked: soon}, alotwebhook.PurgeResult{Expired: int(t.stats().Parked)})
}

// An event may be redelivered to an endpoint that was disabled long ago, and a new event
// has only just been stored. Neither has waited yet.
func purgeExpiresFromDue(t *trial) {
	var c alotwebhook.Claimed
	try, organization := 0, ""
	t.requireTooSoon(func() {
		try++
		organization = fmt.Sprint("org_", try)
		e := t.endpoint(organization, completed)
		t.emit(organization, completed, 1)
		c = t.claimOne()
		t.finish(failed(c))
		t.setDisabled(&e, true)
	}, func() {
		t.emit(organization, completed, 1)
		t.redeliver(c.DeliveryID)
	})
	t.awaitPurge(alotwebhook.PurgeRequest{Parked: soon}, alotwebhook.PurgeResult{Expired: int(t.stats().Parked)})
}

// Without a limit, the first purge after an upgrade could fail millions of deliveries in
// one transaction.
func purgeExpiresLimit(t *trial) {
	for i := range 3 {
		e := t.endpoint("org_1", completed)
		t.emit("org_1", completed, 1+i)
		t.setDisabled(&e, true)
	}
	parked := int(t.stats().Parked)
	time.Sleep(20 * soon) // the time passes for all
	p := alotwebhook.PurgeRequest{Parked: soon, Limit: 4}
	for sum := 0; sum < parked; {
		r := t.purge(p)
		require.Equal(t, alotwebhook.PurgeResult{Expired: min(4, parked-sum)}, r, "after %d of %d", sum, parked)
		sum += r.Expired
	}
	require.Zero(t, t.purge(p))
	require.Equal(t, alotwebhook.Stats{DisabledEndpoints: 3}, t.stats())
}
