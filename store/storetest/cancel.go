package storetest

import (
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var cancelRules = []rule{
	{"Unfinished", "Cancel fails deliveries that are due or wait with ReasonCanceled, which is not an attempt, and returns how many. They keep their attempts, and FailingSince stays.", cancelUnfinished},
	{"Parked", "Cancel fails parked deliveries.", cancelParked},
	{"Leased", "Cancel fails a delivery that is leased. The outcome of its attempt is lost, whatever it is.", cancelLeased},
	{"LeaseOver", "A canceled delivery is not due again when its lease has run out, nor has a late outcome an effect.", cancelLeaseOver},
	{"Held", "Cancel fails a delivery whose lease was extended by Held.", cancelHeld},
	{"Finished", "Cancel leaves finished deliveries alone.", cancelFinished},
	{"Unknown", "An unknown delivery is skipped; the others are canceled.", cancelUnknown},
	{"Many", "Cancel takes any number of ids. One that is there several times counts once.", cancelMany},
	{"Redelivered", "A canceled delivery that is redelivered becomes pending again. It keeps its attempts, and its retry schedule starts again.", cancelRedelivered},
	{"Ordered", "A canceled delivery of an ordered endpoint holds up nobody.", cancelOrdered},
	{"OrderedLeased", "The delivery behind one that was canceled during its attempt comes once the outcome of that is lost, at the latest.", cancelOrderedLeased},
	{"Purge", "What is kept of a canceled delivery is purged by the time when it was canceled.", cancelPurge},
}

func (t *trial) cancel(ids ...string) int {
	t.Helper()
	n, err := t.store.Cancel(t.ctx(), ids)
	require.NoError(t, err)
	return n
}

// requireCanceled requires that a delivery was canceled after so many attempts.
func requireCanceled(t *trial, d alotwebhook.Delivery, attempts int) {
	t.Helper()
	require.Equal(t, alotwebhook.ReasonCanceled, d.LastReason)
	requireEndedAfter(t, d, attempts)
}

// An event with wrong data may have gone out to a thousand customers, some of whom reject it. What is
// not sent yet must be stopped, and the history must tell it from what their receivers did.
func cancelUnfinished(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 4)
	ids := idsOf(events, e)
	c := t.claimAs(alotwebhook.ClaimRequest{Limit: 2, Busy: map[string]int{other.ID: 1000}}).Deliveries
	t.finish(retry(c[0], long), retry(c[1], 0))
	since := t.stored(e.ID).FailingSince
	require.False(t, since.IsZero())
	require.Equal(t, 3, t.cancel(ids[:3]...))

	for i, id := range ids[:3] {
		d := t.delivery(id)
		requireCanceled(t, d, []int{1, 1, 0}[i])
		require.Len(t, d.Attempts, d.AttemptCount, "the attempts are kept")
		require.Equal(t, []int{503, 503, 0}[i], d.LastStatusCode, "that of the newest attempt")
	}
	require.Equal(t, newestFirst(ids[:3]), deliveryIDs(t.list(alotwebhook.Filter{State: alotwebhook.StateFailed})))
	require.Equal(t, alotwebhook.Stats{Pending: 1 + 4, FailingEndpoints: 1}, withoutAge(t.stats()))
	require.Equal(t, since, t.stored(e.ID).FailingSince)
	rest := t.claim(100)
	require.ElementsMatch(t, append(idsOf(events, other), ids[3]), claimedIDs(rest), "nobody else loses anything")
	t.finishAll(rest)
	if result := t.claimAs(alotwebhook.ClaimRequest{Limit: 1}); t.values == 1 { // others may look for work sooner
		require.Zero(t, result.NextIn, "nothing will fall due")
	}
}

// withoutAge returns what does not change with the time.
func withoutAge(st alotwebhook.Stats) alotwebhook.Stats {
	st.OldestDue, st.OldestDueFailing = 0, 0
	return st
}

// What is parked would be sent when the endpoint is enabled, in a month perhaps.
func cancelParked(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 3), e)
	t.finish(retry(t.claim(1)[0], long))
	t.setDisabled(&e, true)
	require.Equal(t, 2, t.cancel(ids[:2]...))
	requireCanceled(t, t.delivery(ids[0]), 1)
	requireCanceled(t, t.delivery(ids[1]), 0)
	require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, t.stats())
	t.setDisabled(&e, false)
	require.Equal(t, ids[2:], claimedIDs(t.claim(100)))
	requireCanceled(t, t.delivery(ids[1]), 0)
}

// A request that is under way cannot be called back. Its outcome must not send the delivery once more,
// nor say that the endpoint has failed.
func cancelLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 6), e)
	c := t.claim(5)
	require.Equal(t, 5, t.cancel(ids[:5]...))
	require.Equal(t, alotwebhook.Stats{Pending: 1}, withoutAge(t.stats()))
	var before []alotwebhook.Delivery
	for _, id := range ids[:5] {
		d := t.delivery(id)
		requireCanceled(t, d, 0)
		before = append(before, d)
	}
	held := release(c[4])
	held.Held, held.NextAttemptIn = true, long
	require.ElementsMatch(t, ids[:5], t.lost(delivered(c[0]), failed(c[1]), retry(c[2], 0), release(c[3]), held))
	for i, id := range ids[:5] {
		require.Equal(t, before[i], t.delivery(id), "the late outcome changes nothing")
	}
	require.True(t, t.stored(e.ID).FailingSince.IsZero())
	require.Equal(t, ids[5:], claimedIDs(t.claim(100)))
}

// A process may be killed with a delivery that is canceled, or hang with one.
func cancelLeaseOver(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	before := t.claimOneFor(brief)
	require.Equal(t, 1, t.cancel(before.DeliveryID), "before the lease runs out")
	t.emit("org_1", completed, 1)
	after := t.claimOneFor(brief)
	time.Sleep(2 * brief)
	require.Equal(t, 1, t.cancel(after.DeliveryID), "after the lease has run out")
	require.Empty(t, t.claim(100))
	require.ElementsMatch(t, []string{before.DeliveryID, after.DeliveryID}, t.lost(delivered(before), delivered(after)))
	for _, c := range []alotwebhook.Claimed{before, after} {
		requireCanceled(t, t.delivery(c.DeliveryID), 0)
	}
	require.Zero(t, t.stats())
}

// The receiver has it, but the process cannot store that for now. Canceled is what the caller was told.
func cancelHeld(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	held := release(c)
	held.Held, held.NextAttemptIn = true, long
	t.finish(held)
	require.Equal(t, 1, t.cancel(c.DeliveryID))
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c)))
	requireCanceled(t, t.delivery(c.DeliveryID), 0)
	require.Empty(t, t.claim(100))
}

// Between the look and the click a delivery may come to its end. What has happened must stay in the
// history.
func cancelFinished(t *trial) {
	gone, e := t.endpoint("org_2", completed), t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_2", completed, 1), gone)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), gone.ID))
	ids = append(ids, idsOf(t.emit("org_1", completed, 3), e)...)
	c := t.claim(2)
	t.finish(delivered(c[0]), failed(c[1]))
	require.Equal(t, 1, t.cancel(ids[3]))
	var before []alotwebhook.Delivery
	for _, id := range ids {
		before = append(before, t.delivery(id))
	}
	time.Sleep(2 * time.Millisecond) // a second end would have another time
	require.Zero(t, t.cancel(ids...))
	for i, id := range ids {
		require.Equal(t, before[i], t.delivery(id))
	}
}

// A page may show a delivery that has been purged in the meantime. It must not keep the others from
// being canceled.
func cancelUnknown(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 2), e)
	unknown := alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, e.ID)
	require.Zero(t, t.cancel())
	require.Zero(t, t.cancel(unknown))
	require.Equal(t, 2, t.cancel(ids[0], unknown, ids[1]))
	require.Empty(t, t.claim(100))
}

// A database takes so many arguments in one statement, and no more.
func cancelMany(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 1200)
	t.enqueue(events...)
	ids := idsOf(events, e)
	all := append(ids[:1100:1100], ids[:100]...)
	for range 1500 {
		all = append(all, alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, e.ID))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	require.Equal(t, 1100, t.cancel(all...))
	require.Equal(t, alotwebhook.Stats{Pending: 100}, withoutAge(t.stats()))
	require.ElementsMatch(t, ids[1100:], claimedIDs(t.claim(2000)))
}

// It may have been canceled by mistake.
func cancelRedelivered(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(retry(c, long))
	require.Equal(t, 1, t.cancel(c.DeliveryID))
	requireCanceled(t, t.delivery(c.DeliveryID), 1)
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	d := t.delivery(c.DeliveryID)
	require.Equal(t, alotwebhook.StatePending, d.State)
	require.True(t, d.FinishedAt.IsZero())
	require.Equal(t, alotwebhook.ReasonStatus, d.LastReason, "the reason is that of the newest attempt again")
	c = t.claimOne()
	require.Equal(t, []int{2, 1, 1}, []int{c.Attempt, c.Try, c.Claims}, "Attempt goes on, Try and Claims start again")

	require.Equal(t, 1, t.cancel(c.DeliveryID), "under way")
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c)), "it is the outcome of an attempt that was canceled")
	t.setDisabled(&e, true)
	require.Equal(t, 1, t.cancel(c.DeliveryID), "parked")
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	t.requireState(c.DeliveryID, alotwebhook.StateParked)
	t.setDisabled(&e, false)
	again := t.claimOne()
	require.Equal(t, []int{2, 1, 1}, []int{again.Attempt, again.Try, again.Claims})
	require.NotEqual(t, c.Token, again.Token)
	t.finish(delivered(again))
	require.Len(t, t.delivery(c.DeliveryID).Attempts, 2)
}

// Often the first in line is canceled because it holds up all others.
func cancelOrdered(t *trial) {
	e, ids := t.inLine(6)
	t.finish(holding(retry(t.requireNext(ids[0]), long), 2*long))
	require.Empty(t, t.claim(100))
	require.Equal(t, 2, t.cancel(ids[0], ids[2]), "the first, and one behind it")
	for i, id := range ids {
		require.Equal(t, []string{"", "", "", ids[1], ids[1], ids[1]}[i], t.delivery(id).WaitsFor)
	}
	t.finish(holding(retry(t.requireNext(ids[1]), 0), long))
	t.setDisabled(&e, true)
	require.Equal(t, 1, t.cancel(ids[1]), "parked, with the place")
	t.setDisabled(&e, false)
	require.Equal(t, 1, t.redeliver(ids[0]), "it comes behind what is due")
	t.requireRest(ids[3], ids[4], ids[5], ids[0])
}

// A store may wait with the next one until the attempt is over, so that there is but one at a time.
func cancelOrderedLeased(t *trial) {
	_, ids := t.inLine(4)
	first := t.requireNext(ids[0])
	require.Equal(t, 1, t.cancel(ids[0]))
	require.Equal(t, ids[:1], t.lost(holding(delivered(first), long)))
	second := t.requireNext(ids[1])
	require.Equal(t, 1, t.cancel(ids[1]))
	require.Equal(t, ids[1:2], t.lost(holding(retry(second, long), 2*long)), "a lost outcome keeps no place")
	t.requireRest(ids[2:]...)
}

// Canceled deliveries hold personal data for no longer than others.
func cancelPurge(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 2), e)
	c := t.claim(1)[0]
	require.Equal(t, 2, t.cancel(ids...))
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: long}))
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 2})
	require.Zero(t, t.redeliver(ids...), "the payloads are gone")
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 2, Events: 2})
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c)))
}
