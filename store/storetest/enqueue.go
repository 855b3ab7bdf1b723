package storetest

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var enqueueRules = []rule{
	{"FansOut", "Enqueue stores one delivery for each endpoint of the organization that subscribes to the type. It is pending and due at once, and its id is DeliveryID.", fansOut},
	{"SameIDAgain", "An event whose id is stored already changes nothing.", sameIDAgain},
	{"SameIDTwiceInOneCall", "An event that is in one batch twice is stored once.", sameIDTwiceInOneCall},
	{"SameIDConcurrently", "If several callers store the same event at the same time, it is stored once, and none gets an error.", sameIDConcurrently},
	{"SameIDAfterChanges", "An event whose id is stored already changes nothing, even if the subscriptions or the event have changed.", sameIDAfterChanges},
	{"SameIDAfterDelivery", "An event whose id is stored already changes nothing, even if its deliveries are finished.", sameIDAfterDelivery},
	{"NobodySubscribed", "An event to which no endpoint subscribes is stored without a delivery.", nobodySubscribed},
	{"NothingToStore", "An empty batch is no error and stores nothing.", nothingToStore},
	{"ParksForDisabled", "A delivery to a disabled endpoint is parked. It becomes pending once the endpoint is enabled.", parksForDisabled},
	{"KeepsPayload", "A claim and Event return the payload byte for byte as Event.Payload gave it, up to 256 KiB.", keepsPayload},
	{"KeepsTraceParent", "A claim and Event return the TraceParent that the event was stored with, \"\" if that has none.", keepsTraceParent},
	{"TraceParentsOfMany", "Of a batch, each event keeps its own TraceParent.", traceParentsOfMany},
	{"TraceParentStays", "An event keeps its TraceParent for all attempts and redeliveries, as long as its payload.", traceParentStays},
	{"TraceParentOfTheFirst", "An event whose id is stored already keeps the TraceParent that it has, or has none.", traceParentOfTheFirst},
	{"KeepsSubject", "Event returns the Subject that the event was stored with, \"\" if that has none, and the filter finds its deliveries by it. No payload has it.", keepsSubject},
	{"SubjectsOfMany", "Of a batch, each event keeps its own Subject.", subjectsOfMany},
	{"SubjectOfTheFirst", "An event whose id is stored already keeps the Subject that it has, or has none.", subjectOfTheFirst},
	{"SubjectStays", "An event keeps its Subject until it is erased or deleted, also when its payload is gone.", subjectStays},
	{"KeepsCallersSlices", "The caller may change its slices, and those of a result, after a method has returned.", keepsCallersSlices},
	{"ToOneEndpoint", "EnqueueTo stores the event with one delivery, to the given endpoint only, no matter which types that subscribes to.", toOneEndpoint},
	{"ToUnknownEndpoint", "If the endpoint does not exist, EnqueueTo returns ErrNotFound and stores nothing.", toUnknownEndpoint},
	{"ToStoredEvent", "EnqueueTo of an event that is stored already stores nothing and returns nil, whoever the event was for.", toStoredEvent},
	{"ToDisabledEndpoint", "EnqueueTo to a disabled endpoint parks the delivery.", toDisabledEndpoint},
}

// An endpoint that is left out misses an event that its owner asked for. One that is
// included by mistake gets the data of another customer.
func fansOut(t *trial) {
	a, b := t.endpoint("org_1", completed), t.endpoint("org_1", invited, completed)
	t.endpoint("org_1", invited)
	t.endpoint("org_2", completed)
	event := newEvent(t, "org_1", completed)
	before := time.Now()
	t.enqueue(event)

	want := []string{alotwebhook.DeliveryID(event.ID, a.ID), alotwebhook.DeliveryID(event.ID, b.ID)}
	require.Equal(t, newestFirst(want), deliveryIDs(t.list(alotwebhook.Filter{})))
	d := t.delivery(want[0])
	require.Equal(t, alotwebhook.Delivery{
		ID: want[0], EventID: event.ID, EventType: completed, OrganizationID: "org_1", EndpointID: a.ID,
		State: alotwebhook.StatePending, CreatedAt: d.CreatedAt, NextAttemptAt: d.NextAttemptAt, Attempts: d.Attempts,
	}, d)
	require.Empty(t, d.Attempts)
	require.WithinDuration(t, before, d.CreatedAt, slack)
	require.WithinDuration(t, before, d.NextAttemptAt, slack)
	require.ElementsMatch(t, want, claimedIDs(t.claim(10)))
}

// If the connection breaks during a commit, the caller cannot know whether the event was
// stored, and emits it again. It must not be delivered twice for that.
func sameIDAgain(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	t.enqueue(event)
	t.enqueue(newEvent(t, "org_1", completed), event)
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	require.Len(t, t.claim(10), 2)
	t.enqueue(event) // also while the delivery is under lease
	require.Empty(t, t.claim(10))
}

// A caller that gathers events may gather one twice. A store that inserts all of a batch
// with one statement must not fail or deliver it twice.
func sameIDTwiceInOneCall(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event, newEvent(t, "org_1", completed), event)
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	require.Len(t, t.claim(10), 2)
}

// Two processes may emit the same event at the same time. The batches have their events
// in different orders, because stores that lock rows can run into a deadlock there.
func sameIDConcurrently(t *trial) {
	t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 10)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			mine := append(events[i:len(events):len(events)], events[:i]...) // each goroutine has another order
			errs[i] = t.store.Enqueue(t.ctx(), mine)
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, t.list(alotwebhook.Filter{}), 10)
	require.Len(t, t.claim(100), 10)
}

// An event that was emitted twice must reach the endpoints of the first time only: an
// endpoint that subscribed in between was not meant.
func sameIDAfterChanges(t *trial) {
	e := t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	t.endpoint("org_1", completed)
	t.endpoint("org_2", invited)
	e.EventTypes = []string{invited}
	t.put(&e)
	changed := event
	changed.OrganizationID, changed.Type, changed.Data = "org_2", invited, json.RawMessage(`{"other":1}`)
	t.enqueue(event)
	t.enqueue(changed)

	require.Len(t, t.list(alotwebhook.Filter{}), 1)
	claim := t.claimOne()
	require.Equal(t, e.ID, claim.Endpoint.ID)
	require.Equal(t, string(event.Payload()), string(claim.Payload))
	stored, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, "org_1", stored.OrganizationID)
}

// A host may repeat its emits long after they were delivered, for example after restoring
// a backup. Finished deliveries must not start again.
func sameIDAfterDelivery(t *trial) {
	t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 2)
	claims := t.claim(2)
	t.finish(delivered(claims[0]), failed(claims[1]))
	t.enqueue(events...)
	require.Empty(t, t.claim(10))
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	t.requireState(claims[0].DeliveryID, alotwebhook.StateDelivered)
	t.requireState(claims[1].DeliveryID, alotwebhook.StateFailed)
}

// An event that nobody subscribed to can still be looked up in the history, and its id must be
// known: an endpoint that subscribes later does not get it when it is emitted again.
func nobodySubscribed(t *trial) {
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	require.Empty(t, t.list(alotwebhook.Filter{}))
	stored, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, string(event.Payload()), string(stored.Payload()))

	t.endpoint("org_1", completed) // subscribes after the event was stored
	t.enqueue(event)
	require.Empty(t, t.claim(10))
}

// A caller need not check for an empty batch.
func nothingToStore(t *trial) {
	t.enqueue()
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// An endpoint is disabled to mend its receiver. Its owner expects to get the events of
// that time afterwards.
func parksForDisabled(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	t.put(&e)
	events := t.emit("org_1", completed, 3)
	for _, id := range idsOf(events, e) {
		t.requireState(id, alotwebhook.StateParked)
	}
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	for _, id := range idsOf(events, e) {
		t.requireState(id, alotwebhook.StatePending)
	}
	require.Equal(t, idsOf(events, e), claimedIDs(t.claim(10)))
}

// The signature covers the bytes of the payload. A store that parses and prints them
// again, as a JSON column does, changes numbers, white space and the order of keys.
func keepsPayload(t *trial) {
	t.endpoint("org_1", completed)
	for _, data := range []string{
		`{"big":123456789012345678901234567890,"float":1.0,"b":1,"a":2,"nested":{"x":[1, 2]}}`,
		`"<script>&\u0000\u2028 é 日本 😀"`,
		` null`,
		`"` + strings.Repeat("é日x", 256<<10/6) + `"`,
	} {
		event := newEvent(t, "org_1", completed)
		event.Data = json.RawMessage(data)
		want := string(event.Payload())
		t.enqueue(event)
		claim := t.claimOne()
		// require.Equal would print 256 KiB.
		require.True(t, want == string(claim.Payload), "the claimed payload differs: it has %d bytes, and %d were stored", len(claim.Payload), len(want))
		stored, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
		require.True(t, want == string(stored.Payload()), "the event's payload differs")
		require.Equal(t, event.Timestamp.UnixMilli(), stored.Timestamp.UnixMilli())
	}
}

// A caller may reuse its buffers after the call. A store that keeps a reference to them
// would deliver other bytes than it was given.
func keepsCallersSlices(t *trial) {
	e := newEndpoint(t, "org_1", completed)
	types := e.EventTypes
	t.put(&e)
	types[0] = invited
	event := newEvent(t, "org_1", completed)
	want := string(event.Payload())
	events := []alotwebhook.Event{event}
	require.NoError(t, t.store.Enqueue(t.ctx(), events))
	copy(event.Data, `{"other"`)
	events[0] = alotwebhook.Event{}
	require.Equal(t, want, string(t.claimOne().Payload))

	for range 2 { // the second time, the results must not show the changes to the first ones
		stored, err := t.store.Endpoint(t.ctx(), e.ID)
		require.NoError(t, err)
		require.Equal(t, []string{completed}, stored.EventTypes)
		stored.EventTypes[0] = invited
		got, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
		require.Equal(t, want, string(got.Payload()))
		copy(got.Data, `{"other"`)
	}
}

// A test event must reach the endpoint that is tested, even if it does not subscribe to
// the type, and no other endpoint.
func toOneEndpoint(t *trial) {
	t.endpoint("org_1", completed)
	e := t.endpoint("org_1", invited)
	event := newEvent(t, "org_1", completed)
	for range 2 { // the second call changes nothing
		require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
	}
	require.Equal(t, idsOf([]alotwebhook.Event{event}, e), deliveryIDs(t.list(alotwebhook.Filter{})))
	claim := t.claimOne()
	require.Equal(t, e.ID, claim.Endpoint.ID)
	require.Equal(t, string(event.Payload()), string(claim.Payload))
}

// An endpoint may be deleted while somebody has its page open and sends it a test event. That
// person must hear of it.
func toUnknownEndpoint(t *trial) {
	event := newEvent(t, "org_1", completed)
	gone := newEndpoint(t, "org_1", completed)
	require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), gone.ID, event), alotwebhook.ErrNotFound)
	_, err := t.store.Event(t.ctx(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// An event id stands for one event, and what was sent with it must stay the same.
func toStoredEvent(t *trial) {
	first, other := t.endpoint("org_1", completed), t.endpoint("org_1", invited)
	events := newEvents(t, "org_1", completed, 2)
	t.enqueue(events[0])
	require.NoError(t, t.store.EnqueueTo(t.ctx(), first.ID, events[1]))
	for _, event := range events {
		require.NoError(t, t.store.EnqueueTo(t.ctx(), other.ID, event))
		t.enqueue(event)
	}
	require.Equal(t, map[string]int{first.ID: 2}, perEndpoint(t.claim(10)))
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	gone := newEndpoint(t, "org_1", completed)
	require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), gone.ID, events[0]), alotwebhook.ErrNotFound, "the endpoint is looked for first")
}

// An event for one endpoint alone that is no test waits as any other.
func toDisabledEndpoint(t *trial) {
	e := t.endpoint("org_1", invited)
	t.setDisabled(&e, true)
	event := newEvent(t, "org_1", completed)
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
	id := alotwebhook.DeliveryID(event.ID, e.ID)
	t.requireState(id, alotwebhook.StateParked)
	require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, t.stats())
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	require.Equal(t, id, t.claimOne().DeliveryID)
}
