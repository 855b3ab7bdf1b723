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
	{"FansOut", "Enqueue stores one delivery per endpoint of the organization that subscribes to the type, pending and due at once, under DeliveryID.", fansOut},
	{"SameIDAgain", "An event id that is stored already changes nothing.", sameIDAgain},
	{"SameIDTwiceInOneCall", "The same id twice in one call counts once.", sameIDTwiceInOneCall},
	{"SameIDConcurrently", "An event id that is stored already changes nothing, whoever stores it at the same moment.", sameIDConcurrently},
	{"SameIDAfterChanges", "An event id that is stored already changes nothing, even if the subscriptions or the event are different now.", sameIDAfterChanges},
	{"SameIDAfterDelivery", "An event id that is stored already changes nothing, finished or not.", sameIDAfterDelivery},
	{"NobodySubscribed", "An event that nobody subscribes to is stored all the same, without a delivery.", nobodySubscribed},
	{"NothingToStore", "An empty batch is stored at once.", nothingToStore},
	{"ParksForDisabled", "A delivery to a disabled endpoint is parked, and goes out once the endpoint is enabled.", parksForDisabled},
	{"KeepsPayload", "What was stored is what is claimed: Event.Payload, byte for byte, up to 256 KiB.", keepsPayload},
	{"KeepsCallersSlices", "The arguments' slices are the caller's once the method returned.", keepsCallersSlices},
	{"ToOneEndpoint", "EnqueueTo stores the event with one delivery to that endpoint alone, whatever it subscribes to.", toOneEndpoint},
	{"ToUnknownEndpoint", "EnqueueTo returns ErrNotFound when there is no such endpoint, and stores nothing.", toUnknownEndpoint},
}

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

func sameIDAgain(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	t.enqueue(event)
	t.enqueue(newEvent(t, "org_1", completed), event)
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	require.Len(t, t.claim(10), 2)
	t.enqueue(event) // while leased
	require.Empty(t, t.claim(10))
}

func sameIDTwiceInOneCall(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	t.enqueue(event, newEvent(t, "org_1", completed), event)
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	require.Len(t, t.claim(10), 2)
}

func sameIDConcurrently(t *trial) {
	t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 10)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			mine := append(events[i:len(events):len(events)], events[:i]...) // each in another order
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

func nobodySubscribed(t *trial) {
	event := newEvent(t, "org_1", completed)
	t.enqueue(event)
	require.Empty(t, t.list(alotwebhook.Filter{}))
	stored, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, string(event.Payload()), string(stored.Payload()))

	t.endpoint("org_1", completed) // too late
	t.enqueue(event)
	require.Empty(t, t.claim(10))
}

func nothingToStore(t *trial) {
	t.enqueue()
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

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
		// Not require.Equal: it would print 256 KiB.
		require.True(t, want == string(claim.Payload), "the claimed payload has %d bytes of %d, or differs", len(claim.Payload), len(want))
		stored, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
		require.True(t, want == string(stored.Payload()), "the event's payload differs")
		require.Equal(t, event.Timestamp.UnixMilli(), stored.Timestamp.UnixMilli())
	}
}

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

	for range 2 { // what a method returned is the caller's, too
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

func toOneEndpoint(t *trial) {
	t.endpoint("org_1", completed)
	e := t.endpoint("org_1", invited)
	event := newEvent(t, "org_1", completed)
	for range 2 { // the same id again changes nothing here, too
		require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
	}
	require.Equal(t, idsOf([]alotwebhook.Event{event}, e), deliveryIDs(t.list(alotwebhook.Filter{})))
	claim := t.claimOne()
	require.Equal(t, e.ID, claim.Endpoint.ID)
	require.Equal(t, string(event.Payload()), string(claim.Payload))
}

func toUnknownEndpoint(t *trial) {
	event := newEvent(t, "org_1", completed)
	gone := newEndpoint(t, "org_1", completed)
	require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), gone.ID, event), alotwebhook.ErrNotFound)
	_, err := t.store.Event(t.ctx(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}
