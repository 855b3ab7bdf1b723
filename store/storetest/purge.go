package storetest

import (
	"math"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var purgeRules = []rule{
	{"Payloads", "Purge erases the payload of an event whose deliveries are all finished. The history stays, and Event returns ErrNotFound.", purgePayloads},
	{"History", "Purge deletes finished deliveries, their attempts and their events.", purgeHistory},
	{"Unfinished", "Purge changes no delivery that is due, under lease or waiting, and none that is parked while Parked is 0.", purgeUnfinished},
	{"Expires", "A delivery that was parked for longer than Parked fails with ReasonExpired, which is not an attempt. Then it is as any failed one.", purgeExpires},
	{"ExpiresOnlyParked", "Purge expires no delivery of an endpoint that is enabled, and none before its time.", purgeExpiresOnlyParked},
	{"ExpiresFromDisabling", "The time of a parked delivery counts from when its endpoint was disabled, if that was after it fell due.", purgeExpiresFromDisabling},
	{"ExpiresFromDue", "The time of a parked delivery counts from when it fell due, if that was after its endpoint was disabled.", purgeExpiresFromDue},
	{"ExpiresLimit", "One call expires at most Limit deliveries, of all endpoints together.", purgeExpiresLimit},
	{"PartlyFinished", "An event keeps its payload while one of its deliveries is unfinished.", purgePartlyFinished},
	{"NotBeforeItsTime", "Purge changes nothing before its time has passed.", purgeNotBeforeItsTime},
	{"ZeroKeeps", "A time of 0 means for ever.", purgeZeroKeeps},
	{"NoLimit", "A Limit of 0 or less stands for 1,000, and the largest number for itself.", purgeNoLimit},
	{"Limit", "One call changes at most Limit rows of each kind. The host calls again while a result reaches Limit.", purgeLimit},
	{"Unheard", "For an event without a delivery, the time counts from when it was stored.", purgeUnheard},
	{"Redelivered", "For a redelivered delivery, the time counts from when it finished again.", purgeRedelivered},
	{"ForgetsID", "An event that was deleted is unknown, and its id can be stored again. Its claims have tokens that those before had not.", purgeForgetsID},
	{"FromTheLastEnd", "The time of an event counts from when the last of its deliveries was finished.", purgeFromTheLastEnd},
	{"PastWhatStays", "What has to stay does not keep what comes after it from being purged, however much it is.", purgePastWhatStays},
}

// soon is a retention time that passes during a test.
const soon = time.Millisecond

func (t *trial) purge(p alotwebhook.PurgeRequest) alotwebhook.PurgeResult {
	t.Helper()
	r, err := t.store.Purge(t.ctx(), p)
	require.NoError(t, err)
	return r
}

// awaitPurge calls Purge until the sum of its results is want. It fails if the sum exceeds
// want.
func (t *trial) awaitPurge(p alotwebhook.PurgeRequest, want alotwebhook.PurgeResult) {
	t.Helper()
	var sum alotwebhook.PurgeResult
	t.await("everything has passed its time and is purged", func() bool {
		r := t.purge(p)
		sum.Expired += r.Expired
		sum.Payloads += r.Payloads
		sum.Deliveries += r.Deliveries
		sum.Events += r.Events
		return sum.Expired >= want.Expired && sum.Payloads >= want.Payloads && sum.Deliveries >= want.Deliveries && sum.Events >= want.Events
	})
	require.Equal(t, want, sum)
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p), "nothing is left to purge")
}

// purgeAll calls Purge until it purges nothing. Together the calls must purge want.
func (t *trial) purgeAll(p alotwebhook.PurgeRequest, want alotwebhook.PurgeResult) {
	t.Helper()
	var sum alotwebhook.PurgeResult
	for r := t.purge(p); r != (alotwebhook.PurgeResult{}); r = t.purge(p) {
		sum.Payloads += r.Payloads
		sum.Deliveries += r.Deliveries
		sum.Events += r.Events
	}
	require.Equal(t, want, sum)
}

// requireTooSoonFor is requireTooSoon for a purge by any of the times.
func (t *trial) requireTooSoonFor(purge func(past time.Duration) alotwebhook.PurgeRequest, before, after func()) {
	t.Helper()
	for gap := brief; gap < slack; gap *= 4 {
		for t.purge(purge(1)) != (alotwebhook.PurgeResult{}) { // what the try before has left
		}
		began := time.Now()
		before()
		time.Sleep(gap) // so much older are the changes by before than those by after
		half := time.Now()
		after()
		past := time.Since(began)
		r := t.purge(purge(past))
		if time.Since(half) < past {
			require.Zero(t, r, "purged although %v have not passed", past)
			return
		}
	}
	require.FailNow(t, "the machine is too slow for this test")
}

// Payloads hold personal data and must go after the retention time. The history without
// them must stay readable.
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
	require.Empty(t, t.claim(10), "the event ids are still known")
}

// A database must not grow without end.
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

// A delivery may be retried, or parked, for longer than the retention time. To erase its
// payload would lose an event.
func purgeUnfinished(t *trial) {
	due, off := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	t.setDisabled(&off, true)
	t.emit("org_1", completed, 4)
	c := t.claim(3)
	t.finish(retry(c[0], long), delivered(c[1]))
	p := alotwebhook.PurgeRequest{Payloads: soon, History: 2 * soon}
	var sum int
	t.await("the finished delivery is purged", func() bool { sum += t.purge(p).Deliveries; return sum > 0 })
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

// The deliveries of an event share one payload. The endpoint that is still retried needs
// it.
func purgePartlyFinished(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	c := t.claim(2)
	t.finish(delivered(c[0]), retry(c[1], 0))
	p := alotwebhook.PurgeRequest{Payloads: soon}
	time.Sleep(10 * soon) // the time passes, which must have no effect here
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	again := t.claimOne()
	require.Equal(t, string(event.Payload()), string(again.Payload))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1})
	require.Len(t, t.list(alotwebhook.Filter{}), 1)
	t.finish(delivered(again))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
}

// The retention time is a promise to those who read the history.
func purgeNotBeforeItsTime(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.emit("org_2", completed, 1)
	t.finishAll(t.claim(10))
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: long}))
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
}

// A host that keeps everything sets 0. To take it for "at once" would destroy its
// history.
func purgeZeroKeeps(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	t.emit("org_2", completed, 1)
	t.finishAll(t.claim(10))
	time.Sleep(10 * soon) // the time passes, so that a store that takes 0 for "at once" fails
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Limit: 10}))
}

// Without a limit, the first purge of a large database could take hours, hold locks and
// block the queue.
func purgeLimit(t *trial) {
	t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 7)
	t.finishAll(t.claim(10))
	for _, event := range events {
		for _, p := range []alotwebhook.PurgeRequest{{Payloads: long, Limit: 2}, {History: long, Limit: 2}} {
			require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p), "event %s", event.ID)
		}
	}
	time.Sleep(20 * soon) // the time passes for all
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

// An event that nobody subscribed to has no delivery that could finish, but its payload may hold
// personal data all the same.
func purgeUnheard(t *trial) {
	event := t.emit("org_1", completed, 1)[0]
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 1})
	_, err := t.store.Event(t.ctx(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Events: 1})
}

// A person who redelivers an old delivery must not lose it to the purge while it is being
// retried.
func purgeRedelivered(t *trial) {
	t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(failed(c))
	require.Equal(t, 1, t.redeliver(c.DeliveryID))
	time.Sleep(10 * soon) // the time passes since the first end, which must have no effect
	p := alotwebhook.PurgeRequest{Payloads: soon, History: soon}
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	t.finish(delivered(t.claimOne()))
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: long}))
	require.Equal(t, 2, t.delivery(c.DeliveryID).AttemptCount)
}

// A store cannot remember every id for ever. Hosts need to know how long an id protects an event
// from being sent twice: until a purge deletes it.
func purgeForgetsID(t *trial) {
	t.endpoint("org_1", completed)
	event := t.emit("org_1", completed, 1)[0]
	seen := map[int64]bool{}
	var stale alotwebhook.Claimed
	for range 3 { // claims, of which the last one ends the delivery
		stale = t.claimOne()
		seen[stale.Token] = true
		t.finish(release(stale))
	}
	last := t.claimOne()
	seen[last.Token] = true
	t.finish(delivered(last))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
	t.requireUnknown(event)
	t.enqueue(event)
	for range 4 {
		c := t.claimOne()
		require.Equal(t, 1, c.Attempt)
		require.False(t, seen[c.Token], "the token was that of a claim before the purge")
		require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(stale)), "a claim from before the purge is not the newest")
		t.finish(release(c))
	}
}

// The deliveries of an event may end days apart. The payload of the last one is to be there for as
// long as that of any other.
func purgeFromTheLastEnd(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	var events []alotwebhook.Event
	var second alotwebhook.Claimed
	tries := 0
	t.requireTooSoonFor(func(past time.Duration) alotwebhook.PurgeRequest { return alotwebhook.PurgeRequest{Payloads: past} }, func() {
		tries++
		events = t.emit("org_1", completed, 1)
		c := t.claim(2)
		second = c[1]
		t.finish(delivered(c[0]))
	}, func() { t.finish(delivered(second)) })
	for _, event := range events {
		_, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
	}
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: len(events)})
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 2 * tries, Events: tries})
}

// A customer may have disabled an endpoint for weeks. A store that looks at the oldest rows
// only, and passes over those that have to stay, would purge nothing in all that time.
func purgePastWhatStays(t *trial) {
	off, waits := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	const stays = 60
	t.enqueue(newEvents(t, "org_1", completed, stays)...)
	t.enqueue(newEvents(t, "org_2", completed, stays)...)
	for _, c := range t.claim(4 * stays) {
		if c.Endpoint.ID == waits.ID {
			t.finish(retry(c, long))
		} else {
			t.finish(release(c))
		}
	}
	t.setDisabled(&off, true)
	t.endpoint("org_3", completed)
	gone := newEvents(t, "org_3", completed, 7)
	t.enqueue(gone...)
	t.finishAll(t.claim(10))
	unheard := newEvents(t, "org_4", completed, 5)
	t.enqueue(unheard...)
	time.Sleep(20 * soon) // the time passes for all
	t.purgeAll(alotwebhook.PurgeRequest{Payloads: soon, Limit: 2}, alotwebhook.PurgeResult{Payloads: 12})
	t.purgeAll(alotwebhook.PurgeRequest{History: soon, Limit: 2}, alotwebhook.PurgeResult{Deliveries: 7, Events: 12})
	require.Equal(t, alotwebhook.Stats{Pending: stays, Parked: stays, FailingEndpoints: 1, DisabledEndpoints: 1}, t.stats())
}

// Whoever computes a Limit may get a negative one.
func purgeNoLimit(t *trial) {
	e := t.disabledEndpoint("org_1")
	for _, limit := range []int{0, -1, math.MinInt, math.MaxInt} {
		id := alotwebhook.DeliveryID(t.emit("org_1", completed, 1)[0].ID, e.ID)
		expired := 0
		for tries := 0; tries < 100 && expired == 0; tries++ {
			time.Sleep(soon)
			expired = t.purge(alotwebhook.PurgeRequest{Parked: time.Microsecond, Limit: limit}).Expired
		}
		require.Equal(t, 1, expired, "with the limit %d", limit)
		t.requireState(id, alotwebhook.StateFailed)
	}
}
