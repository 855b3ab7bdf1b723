package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Parked deliveries expire some time after their endpoint was disabled. Somebody who edits the
// endpoint's description must not put that off, and a dispatcher's wrong clock must not bring it
// forward.
func putDisabledAt(t *trial) {
	before := time.Now()
	e := newEndpoint(t, "org_1", completed)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	e.DisabledAt = before.Add(-1000 * long)
	t.put(&e)
	at := t.stored(e.ID).DisabledAt
	require.WithinDuration(t, before, at, slack, "a new endpoint may be disabled")
	e.Description = "edited"
	t.put(&e)
	require.True(t, at.Equal(t.stored(e.ID).DisabledAt), "an edit leaves it")
	t.setDisabled(&e, false)
	require.True(t, t.stored(e.ID).DisabledAt.IsZero(), "enabling clears it")
	t.setDisabled(&e, true)
	again := t.stored(e.ID).DisabledAt
	require.WithinDuration(t, before, again, slack)
	require.False(t, again.Before(at), "it is disabled anew")
}

// discard discards deliveries of an endpoint, and returns how many.
func (t *trial) discard(e alotwebhook.Endpoint, before time.Time, limit int) int {
	t.Helper()
	n, err := t.store.Discard(t.ctx(), e.ID, before, limit)
	require.NoError(t, err)
	return n
}

// Somebody who enables an endpoint after a week may not want the week's events, which a
// receiver would take for news. But those of the last hour may be wanted, and the old ones
// after all.
func discard(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	old := t.emit("org_1", completed, 5)
	busy := alotwebhook.ClaimRequest{Limit: 2, Busy: map[string]int{other.ID: 1000}}
	c := t.claimAs(busy).Deliveries
	t.finish(retry(c[0], long), failed(c[1]))
	t.setDisabled(&e, true)
	t.setDisabled(&other, true)
	time.Sleep(2 * time.Millisecond) // the next ids have a later millisecond
	since := time.Now()
	recent := t.emit("org_1", completed, 2)
	ids := idsOf(old, e)

	require.Equal(t, 3, t.discard(e, since, 3), "no more than limit")
	require.Equal(t, 1, t.discard(e, since, 3), "one was failed already")
	require.Zero(t, t.discard(e, since, 3))
	for i, id := range ids {
		if i == 1 {
			continue
		}
		d := t.delivery(id)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonDiscarded, d.LastReason)
		require.False(t, d.FinishedAt.IsZero())
		require.Equal(t, []int{1, 1, 0, 0, 0}[i], d.AttemptCount)
	}
	require.Equal(t, alotwebhook.ReasonStatus, t.delivery(ids[1]).LastReason, "it had failed before")
	require.Equal(t, alotwebhook.Stats{Parked: 2 + 7, DisabledEndpoints: 2}, t.stats(), "the other endpoint loses nothing")

	require.Equal(t, 1, t.redeliver(ids[4]))
	t.setDisabled(&e, false)
	require.ElementsMatch(t, append(idsOf(recent, e), ids[4]), claimedIDs(t.claim(10)))
}

// The request of a leased delivery is under way and will have an outcome, which the history must
// show. If its process was killed, the lease runs out, and nobody works on the delivery any more.
func discardLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 1), e)
	c := t.claimOne()
	t.emit("org_1", completed, 1)
	t.claimOneFor(brief)
	t.setDisabled(&e, true)
	soonest := time.Now().Add(long)
	t.await("the lease runs out", func() bool { return t.discard(e, soonest, 10) == 1 })
	t.requireState(ids[0], alotwebhook.StateParked)
	t.finish(delivered(c))
	t.requireState(ids[0], alotwebhook.StateDelivered)
}

// One person may enable an endpoint at the moment when another discards what is parked for it.
// Deliveries that the first wants sent must not be discarded.
func discardEnabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	require.Zero(t, t.discard(e, time.Now().Add(long), 10))
	require.Equal(t, alotwebhook.Stats{Pending: 1}, withoutAge(t.stats()))
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	_, err := t.store.Discard(t.ctx(), e.ID, time.Now().Add(long), 10)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// An owner who disables an endpoint expects no further request, even with a long backlog.
// The pages count what waits.
func disableParks(t *trial) {
	e := t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 500)...)
	c := t.claim(2)
	t.finish(retry(c[0], long), delivered(c[1]))
	t.setDisabled(&e, true)
	require.Empty(t, t.claim(10))
	require.Len(t, t.list(alotwebhook.Filter{State: alotwebhook.StateParked}), 499)
	require.Empty(t, t.list(alotwebhook.Filter{State: alotwebhook.StatePending}))
	t.requireState(c[1].DeliveryID, alotwebhook.StateDelivered)
	require.Equal(t, alotwebhook.Stats{Parked: 499, DisabledEndpoints: 1}, t.stats())
}

// Retries that were waiting must not all be sent at once when the endpoint is enabled:
// its receiver has only just recovered.
func enableFrees(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 4), e)
	c := t.claim(2)
	t.finish(retry(c[0], long), retry(c[1], brief))
	t.setDisabled(&e, true)
	ids = append(ids, idsOf(t.emit("org_1", completed, 1), e)...)
	for _, id := range ids {
		t.requireState(id, alotwebhook.StateParked)
	}
	t.setDisabled(&e, false)
	for _, id := range ids {
		t.requireState(id, alotwebhook.StatePending)
	}
	var got []string
	t.await("the four that are due are claimed", func() bool {
		got = append(got, claimedIDs(t.claim(10))...)
		return len(got) >= 4
	})
	require.ElementsMatch(t, ids[1:], got)
	require.WithinDuration(t, time.Now().Add(long), t.delivery(ids[0]).NextAttemptAt, slack, "the retry in an hour still waits")
}
