package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var redeliverRules = []rule{
	{"Finished", "Finished deliveries become pending again. They keep their attempts, and their retry schedule starts again.", redeliverFinished},
	{"Waiting", "A pending delivery that waits for a retry becomes due at once.", redeliverWaiting},
	{"Leased", "A delivery that is under lease does not change.", redeliverLeased},
	{"Unknown", "An unknown delivery is skipped; the others become due.", redeliverUnknown},
	{"EndpointGone", "A delivery whose endpoint was deleted does not change.", redeliverEndpointGone},
	{"PayloadGone", "A delivery whose payload was erased does not change.", redeliverPayloadGone},
	{"Disabled", "A finished delivery of a disabled endpoint becomes parked, and pending once the endpoint is enabled.", redeliverDisabled},
	{"Many", "Redeliver returns how many deliveries it made due.", redeliverMany},
	{"Twice", "A delivery that is redelivered twice is claimed once.", redeliverTwice},
	{"Due", "A delivery that is due already keeps its place, and does not count.", redeliverDue},
	{"OnceEach", "A delivery that is in the batch several times counts once.", redeliverOnceEach},
}

// A person redelivers because the first try failed. The new one has a whole schedule of
// retries, and the history of the first is still of use.
func redeliverFinished(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(retry(t.claimOne(), 0))
	c := t.claimOne()
	require.Equal(t, []int{2, 2}, []int{c.Attempt, c.Try})
	t.finish(failed(c))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))

	d := t.delivery(c.DeliveryID)
	require.Equal(t, alotwebhook.StatePending, d.State)
	require.True(t, d.FinishedAt.IsZero(), "FinishedAt is zero until it is finished again")
	require.WithinDuration(t, time.Now(), d.NextAttemptAt, slack)
	require.Len(t, d.Attempts, 2, "the attempts are kept")

	c = t.claimOne()
	require.Equal(t, []int{3, 1, 1}, []int{c.Attempt, c.Try, c.Claims}, "Attempt goes on, Try and Claims start again")
	t.finish(retry(c, 0))
	c = t.claimOne()
	require.Equal(t, []int{4, 2}, []int{c.Attempt, c.Try})
	t.finish(delivered(c))
	require.Equal(t, 1, t.redeliver(c.DeliveryID), "a delivered delivery can be redelivered, too")
	c = t.claimOne()
	require.Equal(t, []int{5, 1}, []int{c.Attempt, c.Try})
	t.finish(delivered(c))
	require.Equal(t, 5, t.delivery(c.DeliveryID).AttemptCount)
}

// A person who has mended the receiver does not want to wait for the next retry, which
// may be hours away.
func redeliverWaiting(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(retry(c, long))
	require.Empty(t, t.claim(10))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	again := t.claimOne()
	require.Equal(t, []int{2, 2}, []int{again.Attempt, again.Try}, "the schedule of a pending delivery goes on")
}

// A leased delivery is being sent at this moment. To make it due would send it twice.
func redeliverLeased(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	require.Zero(t, t.redeliver(c.DeliveryID))
	require.Empty(t, t.claim(10), "the lease holds")
	t.finish(delivered(c))
}

// A page may show a delivery that has been purged in the meantime. It must not prevent
// the redelivery of the others.
func redeliverUnknown(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	unknown := alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, e.ID)
	require.Equal(t, 1, t.redeliver(unknown, c.DeliveryID))
	require.Zero(t, t.redeliver())
	require.Len(t, t.claim(10), 1)
}

// A delivery whose endpoint was deleted can be sent to nobody.
func redeliverEndpointGone(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	c := t.claim(2)
	t.finish(failed(c[0]))
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.Zero(t, t.redeliver(claimedIDs(c)...))
	for _, id := range claimedIDs(c) {
		t.requireState(id, alotwebhook.StateFailed)
	}
	require.Empty(t, t.claim(10))
}

// A delivery whose payload was erased has nothing that could be sent.
func redeliverPayloadGone(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: time.Millisecond}, alotwebhook.PurgeResult{Payloads: 1})
	require.Zero(t, t.redeliver(c.DeliveryID))
	t.requireState(c.DeliveryID, alotwebhook.StateFailed)
	require.Empty(t, t.claim(10))
}

// The owner sees that the delivery waits, and need not redeliver it again after enabling
// the endpoint.
func redeliverDisabled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	t.setDisabled(&e, true)
	t.redeliver(c.DeliveryID)
	t.requireState(c.DeliveryID, alotwebhook.StateParked)
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	again := t.claimOne()
	require.Equal(t, []int{2, 1}, []int{again.Attempt, again.Try})
}

// A recovery redelivers in batches, and reports the sum to a person.
func redeliverMany(t *trial) {
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 300)...)
	c := t.claim(300)
	outcomes := make([]alotwebhook.Outcome, len(c))
	for i := range c {
		outcomes[i] = failed(c[i])
	}
	t.finish(outcomes...)
	require.Equal(t, 300, t.redeliver(claimedIDs(c)...))
	require.ElementsMatch(t, claimedIDs(c), claimedIDs(t.claim(1000)))
}

// A person may click twice, and two recoveries may overlap.
func redeliverTwice(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	require.Zero(t, t.redeliver(c.DeliveryID))
	again := t.claimOne()
	require.Equal(t, []int{2, 1}, []int{again.Attempt, again.Try})
}

// A delivery that is due is sent as soon as there is room for it. To put it last would only make it
// late.
func redeliverDue(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 3), e)
	require.Zero(t, t.redeliver(ids[0]))
	t.finish(retry(t.claim(1)[0], 0))
	require.Zero(t, t.redeliver(ids[0]))
	require.Equal(t, []string{ids[1], ids[2], ids[0]}, claimedIDs(t.claim(10)))
}

// A page shows a person the number that Redeliver returns. Ids may come from a form that was sent
// with some of them marked twice; and a store may work through a large batch in parts.
func redeliverOnceEach(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 700)
	t.enqueue(events...)
	outcomes := make([]alotwebhook.Outcome, 0, len(events))
	for i, c := range t.claim(len(events)) {
		if i%2 == 0 {
			outcomes = append(outcomes, failed(c))
		} else {
			outcomes = append(outcomes, retry(c, long))
		}
	}
	t.finish(outcomes...)
	ids := idsOf(events, e)
	batch := append(append(ids, ids[:350]...), ids[0], ids[0], ids[699]) // they meet across any part
	require.Equal(t, 700, t.redeliver(batch...))
	require.Len(t, t.claim(1000), 700)
}
