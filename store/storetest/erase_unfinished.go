package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// ofEvent selects one event.
func ofEvent(event alotwebhook.Event) alotwebhook.Recovery {
	return alotwebhook.Recovery{EventID: event.ID}
}

// requireErasedAfter requires that a delivery was erased before its end, after so many attempts.
func requireErasedAfter(t *trial, d alotwebhook.Delivery, attempts int) {
	t.Helper()
	require.Equal(t, alotwebhook.ReasonErased, d.LastReason)
	requireEndedAfter(t, d, attempts)
}

// requireEndedAfter requires that a delivery was failed by a call, after so many attempts.
func requireEndedAfter(t *trial, d alotwebhook.Delivery, attempts int) {
	t.Helper()
	require.Equal(t, alotwebhook.StateFailed, d.State)
	require.WithinDuration(t, time.Now(), d.FinishedAt, slack)
	require.True(t, d.NextAttemptAt.IsZero())
	require.Equal(t, attempts, d.AttemptCount, "its end is not an attempt")
}

// Redelivery would send nothing, or what nobody may have any more.
func eraseRedeliver(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 4)
	t.enqueue(events...)
	c := t.claim(3)
	t.finish(telling(delivered(c[0])), telling(failed(c[1])), telling(retry(c[2], long)))
	ids := idsOf(events, e)
	require.Equal(t, 4, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	other := t.emit("org_1", completed, 1)
	last := t.claimOne()
	t.finish(failed(last))
	require.Zero(t, t.redeliver(ids...))
	require.Equal(t, 1, t.redeliver(append(ids, last.DeliveryID)...))
	require.Equal(t, other[0].ID, t.claimOne().EventID)
	t.requireForgotten(events...)
}

// What is not sent yet must not be, whatever it waits for.
func eraseUnfinished(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", invited)
	events := newPersonals(t, "org_1", 3)
	for _, event := range events {
		t.enqueue(event)
	}
	rest := append(t.emit("org_1", completed, 1), t.emit("org_1", invited, 2)...)
	c := t.claimAs(alotwebhook.ClaimRequest{Limit: 2, Busy: map[string]int{other.ID: 1000}}).Deliveries
	t.finish(telling(retry(c[0], long)), telling(retry(c[1], 0)))
	since := t.stored(e.ID).FailingSince
	require.False(t, since.IsZero())
	require.Equal(t, 3, t.erase(alotwebhook.Recovery{Subject: personal[1]}))

	for i, id := range idsOf(events, e) {
		d := t.delivery(id)
		requireErasedAfter(t, d, []int{1, 1, 0}[i])
		require.Len(t, d.Attempts, d.AttemptCount, "the attempts are kept")
		require.Equal(t, []int{503, 503, 0}[i], d.LastStatusCode, "that of the newest attempt")
	}
	t.requireForgotten(events...)
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{State: alotwebhook.StateFailed})))
	require.Equal(t, alotwebhook.Stats{Pending: 3, FailingEndpoints: 1}, withoutAge(t.stats()))
	require.Equal(t, since, t.stored(e.ID).FailingSince)
	claims := t.claim(100)
	require.ElementsMatch(t, append(idsOf(rest[:1], e), idsOf(rest[1:], other)...), claimedIDs(claims), "nobody else loses anything")
	t.finishAll(claims)
	if result := t.claimAs(alotwebhook.ClaimRequest{Limit: 1}); t.values == 1 { // others may look for work sooner
		require.Zero(t, result.NextIn, "nothing will fall due")
	}
}

// What is parked would be sent when the endpoint is enabled, in a month perhaps.
func eraseParked(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 2)
	t.enqueue(events...)
	t.finish(telling(retry(t.claim(1)[0], long)))
	kept := t.emit("org_1", completed, 1)
	t.setDisabled(&e, true)
	require.Equal(t, 2, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	sum := 0
	for _, id := range idsOf(events, e) {
		d := t.delivery(id)
		requireErasedAfter(t, d, d.AttemptCount)
		sum += d.AttemptCount
	}
	require.Equal(t, 1, sum)
	t.requireForgotten(events...)
	require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, t.stats())
	t.setDisabled(&e, false)
	require.Equal(t, idsOf(kept, e), claimedIDs(t.claim(100)))
	t.requireForgotten(events...)
}

// A request that is under way cannot be called back. Its answer must not be kept.
func eraseLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 6)
	for _, event := range events {
		t.enqueue(event)
	}
	ids := idsOf(events, e)
	c := t.claim(6)
	held := release(c[5])
	held.Held, held.NextAttemptIn = true, long
	t.finish(held)
	require.Equal(t, 6, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	require.Zero(t, t.stats())
	var before []alotwebhook.Delivery
	for _, id := range ids {
		d := t.delivery(id)
		requireErasedAfter(t, d, 0)
		before = append(before, d)
	}
	again := release(c[4])
	again.Held, again.NextAttemptIn = true, long
	outcomes := []alotwebhook.Outcome{telling(delivered(c[0])), telling(failed(c[1])), telling(retry(c[2], 0)), release(c[3]), again, telling(delivered(c[5]))}
	require.ElementsMatch(t, claimedIDs(c), t.lost(outcomes...))
	for i, id := range ids {
		require.Equal(t, before[i], t.delivery(id), "the late outcome changes nothing")
	}
	t.requireForgotten(events...)
	require.True(t, t.stored(e.ID).FailingSince.IsZero())
	require.Empty(t, t.claim(100))
	require.Zero(t, t.redeliver(ids...))
}

// A process may be killed with a delivery that is erased, or hang with one.
func eraseLeaseOver(t *trial) {
	t.endpoint("org_1", completed)
	before, after := newPersonal(t, "org_1"), newPersonal(t, "org_1")
	t.enqueue(before)
	first := t.claimOneFor(brief)
	require.Equal(t, 1, t.erase(ofEvent(before)), "before the lease runs out")
	t.enqueue(after)
	second := t.claimOneFor(brief)
	time.Sleep(2 * brief)
	require.Equal(t, 1, t.erase(ofEvent(after)), "after the lease has run out")
	require.Empty(t, t.claim(100))
	require.ElementsMatch(t, []string{first.DeliveryID, second.DeliveryID}, t.lost(telling(delivered(first)), telling(delivered(second))))
	requireErasedAfter(t, t.delivery(first.DeliveryID), 0)
	requireErasedAfter(t, t.delivery(second.DeliveryID), 0)
	t.requireForgotten(before, after)
	require.Zero(t, t.stats())
}

// The first in line may hold up all others when somebody asks to be forgotten.
func eraseOrdered(t *trial) {
	e := t.ordered("org_1")
	events := t.emit("org_1", completed, 6)
	ids := idsOf(events, e)
	t.finish(holding(retry(t.requireNext(ids[0]), long), 2*long))
	require.Empty(t, t.claim(100))
	t.erase(ofEvent(events[0]))
	t.erase(ofEvent(events[2]))
	for i, id := range ids {
		require.Equal(t, []string{"", "", "", ids[1], ids[1], ids[1]}[i], t.delivery(id).WaitsFor)
	}
	t.finish(holding(retry(t.requireNext(ids[1]), 0), long))
	t.setDisabled(&e, true)
	t.erase(ofEvent(events[1]))
	t.setDisabled(&e, false)
	t.requireRest(ids[3], ids[4], ids[5])
}

// A store may wait with the next one until the attempt is over, so that there is but one at a time.
func eraseOrderedLeased(t *trial) {
	e := t.ordered("org_1")
	events := t.emit("org_1", completed, 4)
	ids := idsOf(events, e)
	first := t.requireNext(ids[0])
	t.erase(ofEvent(events[0]))
	require.Equal(t, ids[:1], t.lost(holding(telling(delivered(first)), long)))
	second := t.requireNext(ids[1])
	t.erase(ofEvent(events[1]))
	require.Equal(t, ids[1:2], t.lost(holding(telling(retry(second, long)), 2*long)), "a lost outcome keeps no place")
	t.requireRest(ids[2:]...)
	t.requireErased(events[:2]...)
}
