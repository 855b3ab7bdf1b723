package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var purgeRules = []rule{
	{"Payloads", "Purge erases the payload of an event with only finished deliveries; the history stays, and Event is ErrNotFound.", purgePayloads},
	{"History", "Purge deletes finished deliveries, their attempts and their events.", purgeHistory},
	{"Unfinished", "Nothing unfinished is touched: due, leased, waiting or parked.", purgeUnfinished},
	{"PartlyFinished", "An event keeps its payload while one of its deliveries is unfinished.", purgePartlyFinished},
	{"NotBeforeItsTime", "What has not passed its time is kept.", purgeNotBeforeItsTime},
	{"ZeroKeeps", "0 keeps for ever.", purgeZeroKeeps},
	{"Limit", "At most Limit rows of each kind; a host calls again while any reached Limit.", purgeLimit},
	{"Unheard", "An event without a delivery passes its time from when it was stored.", purgeUnheard},
	{"Redelivered", "A redelivered delivery counts anew from when it was finished again.", purgeRedelivered},
	{"ForgetsID", "An event that was purged is unknown: its id may be stored again.", purgeForgetsID},
}

const soon = time.Millisecond

func (t *trial) purge(p alotwebhook.PurgeRequest) alotwebhook.PurgeResult {
	t.Helper()
	r, err := t.store.Purge(t.ctx(), p)
	require.NoError(t, err)
	return r
}

// awaitPurge purges until all that is wanted has passed its time, and wants no more than that.
func (t *trial) awaitPurge(p alotwebhook.PurgeRequest, want alotwebhook.PurgeResult) {
	t.Helper()
	var sum alotwebhook.PurgeResult
	t.await("purging what has passed its time", func() bool {
		r := t.purge(p)
		sum.Payloads += r.Payloads
		sum.Deliveries += r.Deliveries
		sum.Events += r.Events
		return sum.Payloads >= want.Payloads && sum.Deliveries >= want.Deliveries && sum.Events >= want.Events
	})
	require.Equal(t, want, sum)
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p), "nothing is left to purge")
}

func purgePayloads(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 2)
	t.finishAll(t.claim(10))
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 2})
	for _, event := range events {
		_, err := t.store.Event(t.ctx(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
	all := t.list(alotwebhook.Filter{})
	require.Len(t, all, 4)
	require.Equal(t, completed, all[0].EventType)
	require.Len(t, t.delivery(all[0].ID).Attempts, 1)
	t.enqueue(events...)
	require.Empty(t, t.claim(10), "the event ids are known still")
}

func purgeHistory(t *trial) {
	e := t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 3)
	t.finishAll(t.claim(10))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 6, Events: 3})
	require.Empty(t, t.list(alotwebhook.Filter{}))
	require.Empty(t, t.list(alotwebhook.Filter{EndpointID: e.ID}))
	_, err := t.store.Delivery(t.ctx(), alotwebhook.DeliveryID(events[0].ID, e.ID))
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	_, err = t.store.Event(t.ctx(), events[0].ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	_, err = t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err, "endpoints are not purged")
}

func purgeUnfinished(t *trial) {
	due, off := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	t.setDisabled(&off, true)
	t.emit("org_1", completed, 4)
	c := t.claim(3)
	t.finish(retry(c[0], long), delivered(c[1]))
	p := alotwebhook.PurgeRequest{Payloads: soon, History: 2 * soon}
	var sum int
	t.await("the finished one is purged", func() bool { sum += t.purge(p).Deliveries; return sum > 0 })
	require.Len(t, t.list(alotwebhook.Filter{}), 4)
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	for _, d := range t.list(alotwebhook.Filter{}) {
		_, err := t.store.Event(t.ctx(), d.EventID)
		require.NoError(t, err, "the payload of an unfinished delivery is kept")
	}
	require.Len(t, t.delivery(c[0].DeliveryID).Attempts, 1)
	t.finish(delivered(c[2]))
	require.Equal(t, map[string]int{due.ID: 1}, perEndpoint(t.claim(10)))
}

func purgePartlyFinished(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	c := t.claim(2)
	t.finish(delivered(c[0]), retry(c[1], 0))
	p := alotwebhook.PurgeRequest{Payloads: soon}
	time.Sleep(10 * soon) // that the payload could have passed its time, if it counted
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	again := t.claimOne()
	require.Equal(t, string(event.Payload()), string(again.Payload))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1})
	require.Len(t, t.list(alotwebhook.Filter{}), 1)
	t.finish(delivered(again))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
}

func purgeNotBeforeItsTime(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.emit("org_2", completed, 1)
	t.finishAll(t.claim(10))
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: long}))
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
}

func purgeZeroKeeps(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.emit("org_2", completed, 1)
	t.finishAll(t.claim(10))
	time.Sleep(10 * soon) // that a zero taken for "at once" would show
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Limit: 10}))
}

func purgeLimit(t *trial) {
	t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 7)
	t.finishAll(t.claim(10))
	for _, event := range events {
		for _, p := range []alotwebhook.PurgeRequest{{Payloads: long, Limit: 2}, {History: long, Limit: 2}} {
			require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p), "event %s", event.ID)
		}
	}
	time.Sleep(20 * soon) // that all have passed their time
	for _, want := range []int{3, 3, 1, 0} {
		require.Equal(t, alotwebhook.PurgeResult{Payloads: want}, t.purge(alotwebhook.PurgeRequest{Payloads: soon, Limit: 3}))
	}
	for _, want := range []int{3, 3, 1, 0} {
		r := t.purge(alotwebhook.PurgeRequest{History: soon, Limit: 3})
		require.Equal(t, want, r.Deliveries)
		require.LessOrEqual(t, r.Events, 3)
	}
	t.await("events follow their deliveries", func() bool {
		return t.purge(alotwebhook.PurgeRequest{History: soon, Limit: 3}) == alotwebhook.PurgeResult{}
	})
	require.Empty(t, t.list(alotwebhook.Filter{}))
}

func purgeUnheard(t *trial) {
	event := t.emit("org_1", completed, 1)[0]
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 1})
	_, err := t.store.Event(t.ctx(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Events: 1})
}

func purgeRedelivered(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	time.Sleep(10 * soon) // that the first end could have passed its time
	p := alotwebhook.PurgeRequest{Payloads: soon, History: soon}
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	t.finish(delivered(t.claimOne()))
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: long}))
	require.Equal(t, 2, t.delivery(c.DeliveryID).AttemptCount)
}

func purgeForgetsID(t *trial) {
	t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	t.finish(delivered(t.claimOne()))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
	t.enqueue(event)
	require.Equal(t, 1, t.claimOne().Attempt)
}
