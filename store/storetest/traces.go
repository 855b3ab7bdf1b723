package storetest

import (
	"encoding/json"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// newTraced returns an event with a traceparent that the number n alone determines. 0 stands for
// none.
func newTraced(t *trial, org string, n int) alotwebhook.Event {
	t.Helper()
	event := newEvent(t, org, completed)
	event.TraceParent = traceParent(n)
	return event
}

func traceParent(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("00-%032x-%016x-01", n, n)
}

// requireTraces requires that the claims are those of the events, each with its traceparent.
func requireTraces(t *trial, events []alotwebhook.Event, claims []alotwebhook.Claimed) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for _, event := range events {
		want[event.ID] = event.TraceParent
	}
	for _, c := range claims {
		got[c.EventID] = c.TraceParent
		require.Equal(t, want[c.EventID], c.TraceParent, "%s, to %s", c.DeliveryID, c.Endpoint.ID)
	}
	require.Equal(t, want, got)
}

// requireTrace requires that Event returns the event with its traceparent.
func requireTrace(t *trial, event alotwebhook.Event) {
	t.Helper()
	stored, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, event.TraceParent, stored.TraceParent)
	require.Equal(t, string(event.Payload()), string(stored.Payload()))
}

// An attempt is linked to the span that emitted its event: in another process, and hours later. The
// span of another event would mislead whoever follows it.
func keepsTraceParent(t *trial) {
	e := t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	for n := range 4 {
		event := newTraced(t, "org_1", n%3)
		t.enqueue(event)
		requireTrace(t, event)
		claims := t.claim(10)
		require.Len(t, claims, 2)
		requireTraces(t, []alotwebhook.Event{event}, claims)
		t.finishAll(claims)

		event = newTraced(t, "org_1", n%2)
		require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
		requireTrace(t, event)
		c := t.claimOne()
		requireTraces(t, []alotwebhook.Event{event}, []alotwebhook.Claimed{c})
		t.finish(delivered(c))
	}
	t.ordered("org_3") // a store may read its deliveries in another way
	for n := range 2 {
		event := newTraced(t, "org_3", n)
		t.enqueue(event)
		c := t.claimOne()
		requireTraces(t, []alotwebhook.Event{event}, []alotwebhook.Claimed{c})
		t.finish(holding(delivered(c), long))
	}
}

// A store that stores many events at once may have another way for it than for one.
func traceParentsOfMany(t *trial) {
	t.endpoint("org_1", completed)
	for _, size := range []int{3, 700} {
		for name, traced := range map[string]func(i int) bool{
			"all":         func(int) bool { return true },
			"none":        func(int) bool { return false },
			"every third": func(i int) bool { return i%3 == 1 },
			"the last":    func(i int) bool { return i == size-1 },
		} {
			events := newEvents(t, "org_1", completed, size)
			for i := range events {
				if traced(i) {
					events[i].TraceParent = traceParent(i + 1)
				}
			}
			t.enqueue(events...)
			claims := t.claim(size)
			t.Logf("of %d events, with a traceparent: %s", size, name)
			requireTraces(t, events, claims)
			for _, i := range []int{0, size / 2, size - 1} {
				requireTrace(t, events[i])
			}
			t.finishAll(claims)
		}
	}
}

// A retry may come an hour after the emit, and a redelivery after a week.
func traceParentStays(t *trial) {
	t.endpoint("org_1", completed)
	event := newTraced(t, "org_1", 1)
	t.enqueue(event)
	next := func() alotwebhook.Claimed {
		t.Helper()
		c := t.claimOne()
		requireTraces(t, []alotwebhook.Event{event}, []alotwebhook.Claimed{c})
		return c
	}
	t.finish(release(next()))
	t.finish(retry(next(), 0))
	c := next()
	t.finish(failed(c))
	t.redeliver(c.DeliveryID)
	t.finish(delivered(next()))
	t.redeliver(c.DeliveryID)
	e := t.stored(c.Endpoint.ID)
	t.setDisabled(&e, true)
	requireTrace(t, event)
	t.setDisabled(&e, false)

	erased := newTraced(t, "org_2", 2)
	t.enqueue(erased)
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 1})
	t.requireUnknown(erased)
	requireTrace(t, event)
	t.finish(delivered(next()))
}

// Whoever emits an event again does so in another span. The request was caused by the first one.
func traceParentOfTheFirst(t *trial) {
	t.endpoint("org_1", completed)
	for n := range 2 { // the first has a traceparent, or none
		event := newTraced(t, "org_1", n)
		again := event
		again.TraceParent, again.Data = traceParent(7), json.RawMessage(`{"other":1}`)
		t.enqueue(event, again)
		t.enqueue(again)
		t.enqueue(newTraced(t, "org_2", 8), again)
		requireTrace(t, event)
		c := t.claimOne()
		requireTraces(t, []alotwebhook.Event{event}, []alotwebhook.Claimed{c})
		t.finish(delivered(c))
	}
}

// Most events are emitted in a transaction, and by a request that is traced.
func txKeepsTraceParent(t *trial) {
	t.endpoint("org_1", completed)
	for _, size := range []int{1, 1, 3, 150} {
		for first := range 2 { // by turns, events have a traceparent and have none
			events := newEvents(t, "org_1", completed, size)
			for i := range events {
				if i%2 == first {
					events[i].TraceParent = traceParent(i + 1)
				}
			}
			tx := t.begin()
			t.enqueueIn(tx, events...)
			require.NoError(t, tx.Commit())
			requireTrace(t, events[0])
			claims := t.claim(size)
			requireTraces(t, events, claims)
			t.finishAll(claims)
		}
	}
}
