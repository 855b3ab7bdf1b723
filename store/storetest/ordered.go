package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var orderedRules = []rule{
	{"OneAtATime", "Of an ordered endpoint a claim returns the delivery that was emitted first, and none while one is leased; other endpoints are claimed as ever.", oneAtATime},
	{"Batch", "The events of one Enqueue come in the order of the batch.", orderOfBatch},
	{"Retry", "A delivery that is due again within HoldsUp keeps its place: nothing behind it is claimed before it. NextIn is the time until then.", retryKeepsPlace},
	{"Overtaken", "After a failed attempt, a delivery that is due again later than HoldsUp after its first failed attempt is overtaken at once.", overtaken},
	{"OvertakenOnce", "A delivery that was overtaken holds up nobody any more, however often it fails.", overtakenForGood},
	{"HoldsUpInAll", "HoldsUp counts from the first failed attempt, not from the last.", holdsUpInAll},
	{"Release", "A release keeps the place.", releaseKeepsPlace},
	{"ReleaseBesideClaims", "A claim comes to its end while the first delivery is released.", releaseBesideClaims},
	{"LeaseEnds", "A delivery whose lease has run out keeps its place.", leaseEndKeepsPlace},
	{"Held", "A delivery whose lease is extended keeps its place, also when that has run out.", heldKeepsPlace},
	{"GivenAway", "The place and the lease stay with a delivery when its process claims no more.", givenAwayKeepsPlace},
	{"Ended", "The next delivery is claimed once the one before has failed.", endFreesTheNext},
	{"Parked", "Disabling and enabling an endpoint changes no order.", parkedKeepsOrder},
	{"Discarded", "A delivery that has the place and is discarded holds up nobody.", discardedFreesTheNext},
	{"Redelivered", "A finished delivery that is redelivered comes behind what is due; one that waits with the place is due at once.", redeliveredInOrder},
	{"SwitchedOn", "An endpoint that becomes ordered waits for what its Store has leased, but not for what failed before.", becomesOrdered},
	{"SwitchedOff", "Of an endpoint that is ordered no more, all is claimed that is due.", becomesUnordered},
	{"WaitsFor", "The history says which delivery a due one waits for, and until when at most.", waitsForIsShown},
}

// ordered stores an ordered endpoint.
func (t *trial) ordered(org string) alotwebhook.Endpoint {
	t.Helper()
	e := newEndpoint(t, org, completed)
	e.Ordered = true
	t.put(&e)
	return e
}

// inLine stores an ordered endpoint and n deliveries to it, and returns their ids in order.
func (t *trial) inLine(n int) (alotwebhook.Endpoint, []string) {
	t.Helper()
	e := t.ordered("org_1")
	return e, idsOf(t.emit("org_1", completed, n), e)
}

// holding marks an outcome as that of an ordered endpoint.
func holding(o alotwebhook.Outcome, d time.Duration) alotwebhook.Outcome {
	o.HoldsUp = d
	return o
}

// requireNext claims, and requires that exactly this delivery is given.
func (t *trial) requireNext(id string) alotwebhook.Claimed {
	t.Helper()
	c := t.claimOne()
	require.Equal(t, id, c.DeliveryID, "the first in line")
	return c
}

// requireRest delivers the others in order.
func (t *trial) requireRest(ids ...string) {
	t.Helper()
	for _, id := range ids {
		t.finish(holding(delivered(t.requireNext(id)), long))
	}
	require.Empty(t, t.claim(100))
}

// A consumer that applies changes one after the other must not get the second before it has
// taken the first. Others pay nothing for that.
func oneAtATime(t *trial) {
	a, b := t.ordered("org_1"), t.ordered("org_1")
	free := t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 5)
	first := t.claim(100)
	require.Equal(t, map[string]int{a.ID: 1, b.ID: 1, free.ID: 5}, perEndpoint(first))
	require.Empty(t, t.claim(100), "one is leased")
	for i, c := range first {
		require.True(t, c.Endpoint.ID == free.ID || c.EventID == events[0].ID, "claim %d is not of the first event", i)
		t.finish(holding(delivered(c), long))
	}
	second := t.claim(100)
	require.Equal(t, map[string]int{a.ID: 1, b.ID: 1}, perEndpoint(second))
	for _, c := range second {
		require.Equal(t, events[1].ID, c.EventID)
	}
	only := second[:1]
	t.finish(holding(delivered(only[0]), long))
	third := t.claimOne()
	require.Equal(t, []string{only[0].Endpoint.ID, events[2].ID}, []string{third.Endpoint.ID, third.EventID}, "the other one waits by itself")
	busy := alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 1, Busy: map[string]int{a.ID: 1, b.ID: 1}}
	t.finish(holding(delivered(third), long))
	require.Empty(t, t.claimAs(busy).Deliveries, "slots count as ever")
}

// The ids of events of one millisecond are in no order.
func orderOfBatch(t *trial) {
	e := t.ordered("org_1")
	events := newEvents(t, "org_1", completed, 30)
	for i := range events[:15] { // not that of their ids
		j := len(events) - 1 - i
		events[i], events[j] = events[j], events[i]
	}
	t.enqueue(events...)
	t.requireRest(idsOf(events, e)...)
}

// That is the point of order: an update that failed must not come after its successor.
func retryKeepsPlace(t *trial) {
	_, ids := t.inLine(3)
	t.finish(holding(retry(t.requireNext(ids[0]), long/2), long))
	requireNear(t, long/2, t.nextIn, "the retry is due next")
	require.Equal(t, 1, t.redeliver(ids[0]))
	t.finish(holding(retry(t.requireNext(ids[0]), 50*time.Millisecond), long))
	c := t.awaitDue(long)
	require.Equal(t, ids[:1], claimedIDs(c))
	require.Equal(t, []int{3, 3}, []int{c[0].Attempt, c[0].Try})
	require.Empty(t, t.claim(100))
	t.finish(holding(delivered(c[0]), long))
	t.requireRest(ids[1:]...)
}

// A receiver that rejects one event must not stop for good. Waiting out a time that ends
// before the next attempt would help nobody.
func overtaken(t *trial) {
	_, ids := t.inLine(3)
	t.finish(holding(retry(t.requireNext(ids[0]), long/2), long/2-time.Second))
	t.finish(holding(delivered(t.requireNext(ids[1])), long))
	require.Equal(t, 1, t.redeliver(ids[0]))
	t.finish(holding(delivered(t.requireNext(ids[2])), long)) // it is due longer
	t.requireRest(ids[0])
}

// Its time is over. A second one would double the wait that the host allows.
func overtakenForGood(t *trial) {
	_, ids := t.inLine(4)
	t.finish(holding(retry(t.requireNext(ids[0]), long), 0+time.Millisecond))
	require.Equal(t, 1, t.redeliver(ids[0]))
	t.finish(holding(delivered(t.requireNext(ids[1])), long))
	t.finish(holding(delivered(t.requireNext(ids[2])), long))
	t.finish(holding(delivered(t.requireNext(ids[3])), long))
	again := t.requireNext(ids[0])
	require.Equal(t, 2, again.Try)
	more := idsOf(t.emit("org_1", completed, 1), *again.Endpoint)
	t.finish(holding(retry(again, long/2), long))
	t.requireRest(more...)
}

// A schedule of many short waits would hold up the others for ever.
func holdsUpInAll(t *trial) {
	_, ids := t.inLine(2)
	const most = 400 * time.Millisecond
	t.finish(holding(retry(t.requireNext(ids[0]), 0), most))
	began, isOver := time.Now(), false
	for try := 2; ; try++ {
		c := t.claimOne()
		if c.DeliveryID == ids[1] {
			break
		}
		require.False(t, isOver, "it has kept its place for too long")
		require.Equal(t, try, c.Try)
		isOver = time.Since(began) > most
		t.finish(holding(retry(c, 0), most))
	}
}

// The end of a process cuts attempts off. The next process has to begin where it was.
func releaseKeepsPlace(t *trial) {
	_, ids := t.inLine(3)
	for range 3 {
		t.finish(holding(release(t.requireNext(ids[0])), long))
	}
	t.finish(holding(retry(t.requireNext(ids[0]), 0), long))
	t.finish(holding(release(t.requireNext(ids[0])), long))
	t.requireRest(ids...)
}

// A store that remembers what it has given may see the row of a delivery that was given back
// meanwhile, and must not wait for it.
func releaseBesideClaims(t *trial) {
	_, ids := t.inLine(2)
	for range 40 {
		c := t.requireNext(ids[0])
		released := make(chan error, 1)
		go func() {
			_, err := t.store.Finish(t.ctx(), []alotwebhook.Outcome{holding(release(c), long)})
			released <- err
		}()
		var got []alotwebhook.Claimed
		for len(got) == 0 {
			got = t.claim(100)
		}
		require.NoError(t, <-released)
		require.Equal(t, ids[:1], claimedIDs(got))
		t.finish(holding(release(got[0]), long))
	}
	t.requireRest(ids...)
}

// A crash is no reason to lose the order.
func leaseEndKeepsPlace(t *trial) {
	_, ids := t.inLine(3)
	c := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, Lease: brief}).Deliveries
	require.Equal(t, ids[:1], claimedIDs(c))
	for claims := 2; claims < 4; claims++ {
		c = t.awaitDue(brief)
		require.Equal(t, ids[:1], claimedIDs(c))
	}
	c = t.awaitDue(long)
	require.Equal(t, ids[:1], claimedIDs(c))
	t.finish(holding(delivered(c[0]), long))
	t.requireRest(ids[1:]...)
}

// What was sent and could not be recorded yet is still the first.
func heldKeepsPlace(t *trial) {
	_, ids := t.inLine(2)
	c := t.requireNext(ids[0])
	held := holding(release(c), long)
	held.Held, held.NextAttemptIn = true, long
	t.finish(held)
	require.Empty(t, t.claim(100))
	held.NextAttemptIn = brief
	t.finish(held)
	again := t.awaitDue(long)
	require.Equal(t, ids[:1], claimedIDs(again))
	t.finish(holding(delivered(again[0]), long))
	t.requireRest(ids[1:]...)
}

// A process that ends gives away what it has not under way.
func givenAwayKeepsPlace(t *trial) {
	_, ids := t.inLine(4)
	leave := func() { t.claimAs(alotwebhook.ClaimRequest{Limit: 0}) }
	c := t.requireNext(ids[0])
	leave()
	require.Empty(t, t.claim(100), "it is leased still")
	t.finish(holding(retry(c, 0), long))
	leave()
	c = t.requireNext(ids[0])
	leave()
	t.finish(holding(release(c), long))
	c = t.requireNext(ids[0])
	leave()
	t.finish(holding(delivered(c), long))
	c = t.claimAs(alotwebhook.ClaimRequest{Limit: 100, Lease: 300 * time.Millisecond}).Deliveries[0]
	require.Equal(t, ids[1], c.DeliveryID)
	leave()
	again := t.awaitDue(long)
	require.Equal(t, ids[1:2], claimedIDs(again), "when its lease has run out")
	t.finish(holding(delivered(again[0]), long))
	t.requireRest(ids[2:]...)
}

func endFreesTheNext(t *trial) {
	_, ids := t.inLine(3)
	t.finish(holding(retry(t.requireNext(ids[0]), 0), long))
	t.finish(holding(failed(t.requireNext(ids[0])), long))
	t.requireRest(ids[1:]...)
}

func parkedKeepsOrder(t *trial) {
	e, ids := t.inLine(3)
	t.finish(holding(retry(t.requireNext(ids[0]), 0), long))
	t.setDisabled(&e, true)
	ids = append(ids, idsOf(t.emit("org_1", completed, 2), e)...)
	require.Empty(t, t.claim(100))
	require.Empty(t, t.delivery(ids[1]).WaitsFor, "it is parked")
	t.setDisabled(&e, false)
	t.requireRest(ids...)
}

func discardedFreesTheNext(t *trial) {
	e, ids := t.inLine(2)
	t.finish(holding(retry(t.requireNext(ids[0]), long), 2*long))
	time.Sleep(2 * time.Millisecond) // ids have whole milliseconds
	before := time.Now()
	time.Sleep(2 * time.Millisecond)
	more := idsOf(t.emit("org_1", completed, 2), e)
	t.setDisabled(&e, true)
	n, err := t.store.Discard(t.ctx(), e.ID, before, 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	t.setDisabled(&e, false)
	t.requireRest(more...)
	require.Equal(t, 2, t.redeliver(ids...))
	got := t.claimOne()
	require.Contains(t, ids, got.DeliveryID)
}

// Who redelivers by hand has seen the order end already.
func redeliveredInOrder(t *trial) {
	_, ids := t.inLine(4)
	t.finish(holding(retry(t.requireNext(ids[0]), 0), long))
	t.finish(holding(failed(t.requireNext(ids[0])), long))
	t.finish(holding(retry(t.requireNext(ids[1]), long), 2*long))
	require.Equal(t, 1, t.redeliver(ids[0]), "finished")
	require.Empty(t, t.claim(100))
	require.Equal(t, 1, t.redeliver(ids[1]), "waiting")
	t.requireRest(ids[1], ids[2], ids[3], ids[0])
}

func becomesOrdered(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 5), e)
	c := t.claim(3)
	require.Equal(t, ids[:3], claimedIDs(c))
	t.finish(retry(c[0], long))
	if t.values > 1 { // another value does not know of them
		t.finish(delivered(c[1]), retry(c[2], long))
	}
	e.FailingSince = time.Time{}
	e.Ordered = true
	t.put(&e)
	if t.values == 1 {
		require.Empty(t, t.claim(100), "two are leased")
		t.finish(delivered(c[1]))
		require.Empty(t, t.claim(100), "one is leased")
		t.finish(retry(c[2], long))
	}
	require.Equal(t, 1, t.redeliver(ids[0]))
	t.requireRest(ids[3], ids[4], ids[0])
}

func becomesUnordered(t *trial) {
	e, ids := t.inLine(4)
	t.finish(holding(retry(t.requireNext(ids[0]), long), 2*long))
	require.Empty(t, t.claim(100))
	e.FailingSince = time.Time{}
	e.Ordered = false
	t.put(&e)
	c := t.claim(2)
	require.Equal(t, ids[1:3], claimedIDs(c))
	t.finishAll(c)
	e.Ordered = true
	t.put(&e)
	e.Ordered = false
	t.put(&e)
	require.Equal(t, ids[3:], claimedIDs(t.claim(100)))
}

// waiting returns what each delivery waits for that waits, sorted.
func (t *trial) waiting() (waits []string) {
	t.Helper()
	for _, d := range t.list(alotwebhook.Filter{}) {
		one := t.delivery(d.ID)
		require.Equal(t, []any{d.WaitsFor, d.WaitsUntil}, []any{one.WaitsFor, one.WaitsUntil}, "in a list and alone")
		if d.WaitsFor == "" {
			require.Zero(t, d.WaitsUntil)
			continue
		}
		require.Equal(t, t.delivery(d.WaitsFor).AttemptCount == 0, d.WaitsUntil.IsZero(), "the time runs from the first failed attempt on")
		waits = append(waits, d.ID+" for "+d.WaitsFor)
	}
	slices.Sort(waits)
	return waits
}

// Somebody who misses an event must find out that it waits, and for what.
func waitsForIsShown(t *trial) {
	e, ids := t.inLine(3)
	free := t.endpoint("org_2", completed)
	other := idsOf(t.emit("org_2", completed, 2), free)
	both := []string{ids[1] + " for " + ids[0], ids[2] + " for " + ids[0]}
	slices.Sort(both)
	require.Equal(t, both, t.waiting())
	first := t.claim(100)
	require.Len(t, first, 3)
	require.Equal(t, both, t.waiting(), "while it is under way")
	before := time.Now()
	for _, c := range first {
		if c.DeliveryID == ids[0] {
			t.finish(holding(retry(c, long/2), long))
		}
	}
	require.Equal(t, both, t.waiting())
	require.InDelta(t, long, t.delivery(ids[1]).WaitsUntil.Sub(before), float64(t.patience()))
	require.Empty(t, t.delivery(other[1]).WaitsFor, "of an endpoint that is not ordered")
	require.Equal(t, 1, t.redeliver(ids[0]))
	require.Equal(t, both, t.waiting())
	t.finish(holding(failed(t.requireNext(ids[0])), long))
	require.Equal(t, []string{ids[2] + " for " + ids[1]}, t.waiting())
	e.FailingSince = time.Time{}
	e.Ordered = false
	t.put(&e)
	require.Empty(t, t.waiting())
}
