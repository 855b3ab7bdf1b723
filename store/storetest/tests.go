package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var testRules = []rule{
	{"Kept", "EnqueueTo keeps that an event is a test; Event, Claim, Delivery and Deliveries give that back, at every attempt.", testsKept},
	{"WhileDisabled", "A test is pending and claimed although its endpoint is disabled, before and after, and again when it is due again or redelivered.", testsWhileDisabled},
	{"DisabledMeanwhile", "A test that waits or is under way goes on when its endpoint is disabled; what is no test is parked.", testsDisabledMeanwhile},
	{"Beside", "A claim returns one test of an endpoint besides what is free, and none while nothing is free.", testsBeside},
	{"FailingSince", "The outcome of a test neither sets nor clears FailingSince.", testsNotFailing},
	{"Ordered", "A test has no part in the order of an ordered endpoint: it neither waits nor holds up.", testsBesideOrder},
	{"NotCounted", "Tests have no part in Stats, Backlogs and Count.", testsNotCounted},
	{"NotDiscarded", "Discard and the expiry of parked deliveries leave tests alone.", testsNotDiscarded},
	{"Deleted", "DeleteEndpoint fails the unfinished tests of the endpoint, and Redeliver leaves them alone then.", testsOfDeleted},
	{"Ended", "Cancel and Erase end tests as they end other deliveries.", testsEnded},
	{"Filters", "OnlyTests selects the deliveries of tests, NoTests all others, together with every other field.", testsFiltered},
	{"Removed", "Remove and Purge take tests like everything else.", testsRemoved},
	{"LeaseEnds", "A test whose lease has run out is claimed again, and its claims count.", testsLeaseEnds},
}

// sendTest stores a test for an endpoint.
func (t *trial) sendTest(e alotwebhook.Endpoint) alotwebhook.Event {
	t.Helper()
	event := newEvent(t, e.OrganizationID, completed)
	event.Test = true
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
	return event
}

// disabledEndpoint stores an endpoint that is disabled.
func (t *trial) disabledEndpoint(org string) alotwebhook.Endpoint {
	t.Helper()
	e := t.endpoint(org, completed)
	t.setDisabled(&e, true)
	return e
}

// A receiver books a candidate who does not exist, unless each request says that it is a test.
func testsKept(t *trial) {
	e := t.endpoint("org_1", completed)
	test := t.sendTest(e)
	other := newEvent(t, "org_1", completed)
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, other))
	t.enqueue(newEvent(t, "org_1", completed))
	require.Error(t, t.store.EnqueueTo(t.ctx(), "wh_"+newSuffix(t), test))
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, alotwebhook.Event{ID: test.ID, Type: test.Type, OrganizationID: "org_1", Timestamp: test.Timestamp, Data: test.Data}))
	for range 3 {
		for _, event := range []alotwebhook.Event{test, other} {
			stored, err := t.store.Event(t.ctx(), event.ID)
			require.NoError(t, err)
			require.Equal(t, event.Test, stored.Test)
			require.Equal(t, string(event.Payload()), string(stored.Payload()), "it is no part of the payload")
		}
		got := t.claim(10)
		require.Len(t, got, 3)
		for _, c := range got {
			is := c.EventID == test.ID
			require.Equal(t, is, c.Test)
			require.Equal(t, e.ID, c.Endpoint.ID)
			require.Equal(t, is, t.delivery(c.DeliveryID).Test)
			t.finish(retry(c, 0))
			require.Equal(t, is, t.delivery(c.DeliveryID).Test)
		}
	}
	t.finishAll(t.claim(10))
	for _, d := range t.list(alotwebhook.Filter{}) {
		require.Equal(t, d.EventID == test.ID, d.Test)
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		require.Len(t, t.delivery(d.ID).Attempts, 4)
	}
}

// Whoever has mended a receiver wants to see it work before all that is parked comes down on it.
func testsWhileDisabled(t *trial) {
	e := t.disabledEndpoint("org_1")
	t.emit("org_1", completed, 3)
	test := t.sendTest(e)
	id := alotwebhook.DeliveryID(test.ID, e.ID)
	t.requireState(id, alotwebhook.StatePending)
	require.Equal(t, []string{id}, deliveryIDs(t.list(alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StatePending})))
	require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StateParked}), 3)
	c := t.claimOne()
	require.Equal(t, id, c.DeliveryID)
	require.True(t, c.Test)
	require.True(t, c.Endpoint.Disabled)
	t.finish(release(c))
	c = t.claimOne()
	t.finish(retry(c, brief))
	c = t.awaitDue(long)[0]
	require.Equal(t, []any{id, 2}, []any{c.DeliveryID, c.Attempt})
	t.finish(delivered(c))
	require.Equal(t, 1, t.redeliver(id))
	c = t.claimOne()
	require.Equal(t, []any{id, 3, true}, []any{c.DeliveryID, c.Attempt, c.Test})
	t.finish(failed(c))
	require.Empty(t, t.claim(10), "all else is parked")
	t.setDisabled(&e, false)
	require.Len(t, t.claim(10), 3)
}

// The endpoint may be disabled by an attempt while its owner tests it.
func testsDisabledMeanwhile(t *trial) {
	e := t.endpoint("org_1", completed)
	under := t.sendTest(e)
	c := t.claimOne()
	waits := t.sendTest(e)
	t.emit("org_1", completed, 1)
	t.setDisabled(&e, true)
	t.finish(retry(c, 0))
	var got []string
	for range 2 {
		for _, c := range t.claim(10) {
			got = append(got, c.EventID)
			t.finish(delivered(c))
		}
	}
	require.ElementsMatch(t, []string{under.ID, waits.ID}, got)
	require.Empty(t, t.claim(10))
	require.Len(t, t.list(alotwebhook.Filter{State: alotwebhook.StateParked}), 1)
}

// A test that waits behind a million deliveries tests nothing, and many tests are no way around
// the limits of an endpoint.
func testsBeside(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 5)
	for range 3 {
		t.sendTest(e)
	}
	tests := func(got []alotwebhook.Claimed) (n int) {
		for _, c := range got {
			if c.Test {
				n++
			}
		}
		return n
	}
	none := alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 2, Busy: map[string]int{e.ID: 2}}
	require.Empty(t, t.claimAs(none).Deliveries)
	withheld := alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 2, Withheld: map[string]bool{"org_1": true}}
	require.Empty(t, t.claimAs(withheld).Deliveries)
	if t.values > 1 {
		return // each value may give one
	}
	got := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 2}).Deliveries
	require.Equal(t, []int{3, 1}, []int{len(got), tests(got)}, "a test takes no slot")
	t.finishAll(got)
	found := tests(got)
	for range 10 {
		more := t.claimAs(alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 2}).Deliveries
		found += tests(more)
		t.finishAll(more)
	}
	require.Equal(t, 3, found)
}

// Somebody who tests a wrong URL has not broken the endpoint, and a test that succeeds has not
// mended it.
func testsNotFailing(t *trial) {
	e := t.endpoint("org_1", completed)
	since := func() time.Time {
		stored, err := t.store.Endpoint(t.ctx(), e.ID)
		require.NoError(t, err)
		return stored.FailingSince
	}
	fail := func(o func(alotwebhook.Claimed) alotwebhook.Outcome) {
		t.sendTest(e)
		t.finish(o(t.claimOne()))
	}
	fail(failed)
	require.Zero(t, since())
	fail(func(c alotwebhook.Claimed) alotwebhook.Outcome { return retry(c, long) })
	require.Zero(t, since())
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	t.finish(retry(c, long))
	began := since()
	require.NotZero(t, began)
	fail(delivered)
	require.Equal(t, began, since())
	fail(failed)
	require.Equal(t, began, since())
	t.emit("org_1", completed, 1)
	t.sendTest(e)
	both := t.claim(10)
	require.Len(t, both, 2)
	t.finish(allDelivered(both)...)
	require.Zero(t, since())
}

// A test neither waits for the backlog of an ordered endpoint, nor holds it up.
func testsBesideOrder(t *trial) {
	e := t.ordered("org_1")
	t.emit("org_1", completed, 2)
	first := t.claimOne()
	test := t.sendTest(e)
	c := t.claimOne()
	require.Equal(t, test.ID, c.EventID)
	require.Empty(t, t.delivery(c.DeliveryID).WaitsFor)
	t.finish(retry(c, long))
	t.finish(holding(delivered(first), long))
	second := t.claimOne()
	require.NotEqual(t, first.DeliveryID, second.DeliveryID)
	require.False(t, second.Test)
}

// Figures tell how customers fare, and tests would tell of nothing but tests.
func testsNotCounted(t *trial) {
	on, off := t.endpoint("org_1", completed), t.disabledEndpoint("org_2")
	for _, e := range []alotwebhook.Endpoint{on, off} {
		t.sendTest(e)
	}
	require.Equal(t, alotwebhook.Stats{DisabledEndpoints: 1}, t.stats())
	s, ok := capabilityOf[alotwebhook.Surveyor](t.store)
	if ok {
		list, err := s.Backlogs(t.ctx(), 10)
		require.NoError(t, err)
		require.Empty(t, list)
	}
	got := t.claim(10)
	require.Len(t, got, 2)
	require.Equal(t, alotwebhook.Stats{DisabledEndpoints: 1}, t.stats())
	t.finish(failed(got[0]), failed(got[1]))
	if !ok {
		return
	}
	for _, r := range []alotwebhook.Recovery{
		{EndpointID: "rec_" + newSuffix(t), State: alotwebhook.RecoveryRunning}, {EndpointID: on.ID, OrganizationID: "org_1", State: alotwebhook.RecoveryRunning},
	} {
		n, err := s.Count(t.ctx(), r)
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

// What is discarded before an endpoint is enabled is what has gathered, not the test just sent.
func testsNotDiscarded(t *trial) {
	e := t.disabledEndpoint("org_1")
	t.emit("org_1", completed, 2)
	test := t.sendTest(e)
	n, err := t.store.Discard(t.ctx(), e.ID, time.Now().Add(time.Hour), 100)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	time.Sleep(soon)
	t.awaitPurge(alotwebhook.PurgeRequest{Parked: time.Microsecond}, alotwebhook.PurgeResult{})
	require.Equal(t, test.ID, t.claimOne().EventID)
}

// A test of an endpoint that is gone would wait for ever.
func testsOfDeleted(t *trial) {
	for _, off := range []bool{false, true} {
		e := t.endpoint("org_1", completed)
		t.setDisabled(&e, off)
		test := t.sendTest(e)
		done := t.sendTest(e)
		for _, c := range t.claim(1) {
			t.finish(retry(c, long))
		}
		require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
		for _, event := range []alotwebhook.Event{test, done} {
			id := alotwebhook.DeliveryID(event.ID, e.ID)
			d := t.delivery(id)
			require.Equal(t, alotwebhook.StateFailed, d.State)
			require.Equal(t, alotwebhook.ReasonEndpointDeleted, d.LastReason)
			require.True(t, d.Test)
			require.Zero(t, t.redeliver(id))
		}
		require.Empty(t, t.claim(10))
	}
}

func testsEnded(t *trial) {
	e := t.disabledEndpoint("org_1")
	test := t.sendTest(e)
	id := alotwebhook.DeliveryID(test.ID, e.ID)
	n, err := t.store.Cancel(t.ctx(), []string{id})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, alotwebhook.ReasonCanceled, t.delivery(id).LastReason)
	require.Empty(t, t.claim(10))
	require.Equal(t, 1, t.redeliver(id))
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{EventID: test.ID}))
	d := t.delivery(id)
	require.Equal(t, []any{alotwebhook.StateFailed, alotwebhook.ReasonErased, true}, []any{d.State, d.LastReason, d.Test})
	require.Empty(t, t.claim(10))
}

// People look at what was real, or at what they have just tried.
func testsFiltered(t *trial) {
	on, off := t.endpoint("org_1", completed), t.disabledEndpoint("org_1")
	other := t.endpoint("org_2", completed)
	for i := range 12 {
		switch i % 3 {
		case 0:
			t.enqueue(newEvent(t, []string{"org_1", "org_2"}[i%2], completed))
		case 1:
			t.sendTest([]alotwebhook.Endpoint{on, off, other}[i/4])
		default:
			event := newEvent(t, "org_1", invited)
			event.Subject, event.Test = "cand_1", i%2 == 0
			require.NoError(t, t.store.EnqueueTo(t.ctx(), []string{on.ID, off.ID}[i/6], event))
		}
	}
	got := t.claim(4)
	for i, c := range got {
		t.finish([]func(alotwebhook.Claimed) alotwebhook.Outcome{delivered, failed, release}[i%3](c))
	}
	all := t.list(alotwebhook.Filter{})
	require.Len(t, all, len(t.list(alotwebhook.Filter{NoTests: true}))+len(t.list(alotwebhook.Filter{OnlyTests: true})))
	for _, f := range []alotwebhook.Filter{
		{}, {OrganizationID: "org_1"}, {OrganizationID: "org_2"}, {EndpointID: on.ID}, {EndpointID: off.ID}, {OrganizationID: "org_1", EndpointID: off.ID},
		{EventType: completed}, {EventType: invited, OrganizationID: "org_1"}, {Subject: "cand_1"}, {EventID: all[0].EventID}, {EventID: all[5].EventID},
		{State: alotwebhook.StateDelivered}, {State: alotwebhook.StateFailed}, {State: alotwebhook.StatePending}, {State: alotwebhook.StateParked},
		{State: alotwebhook.StateUnfinished}, {OrganizationID: "org_1", State: alotwebhook.StatePending}, {EndpointID: off.ID, State: alotwebhook.StatePending},
		{EndpointID: off.ID, State: alotwebhook.StateParked}, {Subject: "cand_1", State: alotwebhook.StatePending}, {EndpointID: on.ID, State: alotwebhook.StateFailed},
	} {
		of := all
		if f.Subject != "" {
			of = nil
			for _, d := range all {
				if d.EventType == invited {
					of = append(of, d)
				}
			}
		}
		for _, is := range []bool{true, false} {
			f.OnlyTests, f.NoTests = is, !is
			var want []string
			for _, d := range selected(of, f) {
				if d.Test == is {
					want = append(want, d.ID)
				}
			}
			for _, limit := range []int{0, 1} {
				f.Limit = limit
				require.ElementsMatch(t, want, deliveryIDs(t.list(f)), "filter %+v", f)
			}
		}
		f.OnlyTests, f.NoTests = true, true
		require.Empty(t, t.list(f))
		f.OnlyTests, f.NoTests, f.Limit = false, false, 2
		require.Equal(t, deliveryIDs(selected(of, f)), deliveryIDs(t.list(f)), "filter %+v", f)
	}
}

// Nothing of an organization that has left stays, of its tests neither.
func testsRemoved(t *trial) {
	e := t.disabledEndpoint("org_1")
	t.sendTest(e)
	t.finish(delivered(t.claimOne()))
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
	require.Empty(t, t.list(alotwebhook.Filter{}))
	done, waits := t.sendTest(e), t.sendTest(e)
	t.finish(delivered(t.claim(1)[0]))
	for range endless {
		n, err := t.store.Remove(t.ctx(), "org_1", 2)
		require.NoError(t, err)
		if n < 2 {
			break
		}
	}
	for _, event := range []alotwebhook.Event{done, waits} {
		_, err := t.store.Event(t.ctx(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = t.store.Delivery(t.ctx(), alotwebhook.DeliveryID(event.ID, e.ID))
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
	require.Empty(t, t.claim(10))
}

// A test may end its process, too.
func testsLeaseEnds(t *trial) {
	e := t.disabledEndpoint("org_1")
	t.sendTest(e)
	first := t.claimOneFor(brief)
	second := t.awaitDue(long)[0]
	require.Equal(t, []any{first.DeliveryID, 2, true}, []any{second.DeliveryID, second.Claims, second.Test})
	require.Equal(t, []string{first.DeliveryID}, t.lost(delivered(first)))
	t.finish(delivered(second))
}
