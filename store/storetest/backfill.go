package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

// backfillRules are the rules of an optional capability, [feed.Backfiller].
var backfillRules = []rule{
	{"Missed", "Backfill stores a delivery, due at once, of each event of the organization and the types that the endpoint has none of, oldest first.", with(backfillMissed)},
	{"LeavesAlone", "Backfill leaves alone an event of which the endpoint has a delivery, pending, leased, delivered, failed or canceled, and counts it as left.", with(backfillLeavesAlone)},
	{"Pages", "A call goes through limit events at most, and the next one goes on behind it. A call that is repeated stores nothing twice.", with(backfillPages)},
	{"Since", "Backfill leaves out events with an id from before Since.", with(backfillSince)},
	{"Erased", "Backfill leaves out events without a payload.", with(backfillErased)},
	{"Disabled", "Deliveries to a disabled endpoint are parked, and without an endpoint the error is ErrNotFound.", with(backfillDisabled)},
	{"Kept", "An event that nobody was subscribed to is kept as long as a delivery of it is unfinished, and its history after that.", with(backfillKept)},
}

// backfill calls Backfill until it has gone through all, and returns what it has counted.
func (t *trial) backfill(b feed.Backfiller, r alotwebhook.Recovery, types []string, limit int) (sent, left int) {
	t.Helper()
	for range endless {
		n, m, at, next, err := b.Backfill(t.ctx(), r, types, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, n+m, limit)
		require.Equal(t, n+m == 0, at.IsZero())
		sent, left = sent+n, left+m
		if r.Cursor = next; next == "" {
			return sent, left
		}
	}
	require.FailNow(t, "a backfill has no end")
	return sent, left
}

// appear waits until all of an organization's events are in its feed: until then they may be held back.
func (t *trial) appear(events ...alotwebhook.Event) {
	t.Helper()
	if f, ok := capabilityOf[feed.Feeder](t.store); ok {
		t.reader(f, events[0].OrganizationID).until(events...)
	}
}

// A new endpoint has missed all that happened before it.
func backfillMissed(t *trial, b feed.Backfiller) {
	events := t.emit("org_1", completed, 3)
	other := t.emit("org_1", invited, 1)
	t.emit("org_2", completed, 1)
	t.appear(slices.Concat(events, other)...)
	e := t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	sent, left := t.backfill(b, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}, []string{completed}, 100)
	require.Equal(t, []int{3, 0}, []int{sent, left})
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{})))
	for _, event := range events {
		c := t.claim(1)
		require.Len(t, c, 1)
		require.Equal(t, event.ID, c[0].EventID)
		require.Equal(t, e.ID, c[0].Endpoint.ID)
		require.Equal(t, string(event.Payload()), string(c[0].Payload))
		t.finish(delivered(c[0]))
	}
	require.Empty(t, t.claim(10))
}

func backfillLeavesAlone(t *trial, b feed.Backfiller) {
	e := t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 5)
	t.appear(events...)
	c := t.claim(4)
	require.Len(t, c, 4)
	t.finish(delivered(c[0]), failed(c[1]))
	require.Equal(t, 1, t.cancel(c[2].DeliveryID))
	before := deliveryIDs(t.list(alotwebhook.Filter{}))
	sent, left := t.backfill(b, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}, []string{completed}, 2)
	require.Equal(t, []int{0, 5}, []int{sent, left})
	require.Equal(t, before, deliveryIDs(t.list(alotwebhook.Filter{})))
	for i, state := range []alotwebhook.DeliveryState{alotwebhook.StateDelivered, alotwebhook.StateFailed, alotwebhook.StateFailed, alotwebhook.StatePending} {
		t.requireState(c[i].DeliveryID, state)
	}
}

func backfillPages(t *trial, b feed.Backfiller) {
	events := newEvents(t, "org_1", completed, 25)
	t.enqueue(events...)
	t.appear(events...)
	e := t.endpoint("org_1", completed)
	r := alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}
	for range 2 {
		n, m, _, next, err := b.Backfill(t.ctx(), r, []string{completed}, 10)
		require.NoError(t, err)
		require.Equal(t, 10, n+m)
		require.NotEmpty(t, next)
	}
	require.Len(t, t.list(alotwebhook.Filter{}), 10)
	sent, left := t.backfill(b, r, []string{completed}, 10)
	require.Equal(t, []int{15, 10}, []int{sent, left})
	require.Len(t, t.list(alotwebhook.Filter{}), 25)
}

func backfillSince(t *trial, b feed.Backfiller) {
	old := t.emit("org_1", completed, 2)
	time.Sleep(3 * time.Millisecond) // so that they are of another millisecond
	events := t.emit("org_1", completed, 2)
	t.appear(append(old, events...)...)
	e := t.endpoint("org_1", completed)
	sent, left := t.backfill(b, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1", Since: timeIn(t, events[0].ID)}, []string{completed}, 10)
	require.Equal(t, []int{2, 0}, []int{sent, left})
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{})))
}

func backfillErased(t *trial, b feed.Backfiller) {
	gone, kept := newAbout(t, "org_1", "cand_1"), newAbout(t, "org_1", "cand_2")
	t.enqueue(gone, kept)
	t.appear(gone, kept)
	_, _, err := t.store.Erase(t.ctx(), alotwebhook.Recovery{Subject: "cand_1"}, 10)
	require.NoError(t, err)
	e := t.endpoint("org_1", completed)
	sent, _ := t.backfill(b, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}, []string{completed}, 10)
	require.Equal(t, 1, sent)
	require.Equal(t, kept.ID, t.claimOne().EventID)
}

func backfillDisabled(t *trial, b feed.Backfiller) {
	event := t.emit("org_1", completed, 1)[0]
	t.appear(event)
	e := t.endpoint("org_1", completed)
	t.setDisabled(&e, true)
	r := alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}
	sent, _ := t.backfill(b, r, []string{completed}, 10)
	require.Equal(t, 1, sent)
	require.Empty(t, t.claim(10))
	t.requireState(alotwebhook.DeliveryID(event.ID, e.ID), alotwebhook.StateParked)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	_, _, _, _, err := b.Backfill(t.ctx(), r, []string{completed}, 10)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

func backfillKept(t *trial, b feed.Backfiller) {
	event := t.emit("org_1", completed, 1)[0]
	t.appear(event)
	e := t.endpoint("org_1", completed)
	sent, _ := t.backfill(b, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_1"}, []string{completed}, 10)
	require.Equal(t, 1, sent)
	for range 3 {
		r, err := t.store.Purge(t.ctx(), alotwebhook.PurgeRequest{History: time.Microsecond, Payloads: time.Microsecond})
		require.NoError(t, err)
		require.Equal(t, alotwebhook.PurgeResult{}, r)
	}
	c := t.claimOne()
	require.Equal(t, string(event.Payload()), string(c.Payload))
	t.finish(delivered(c))
	t.await("all is purged", func() bool {
		_, err := t.store.Purge(t.ctx(), alotwebhook.PurgeRequest{History: time.Microsecond})
		require.NoError(t, err)
		_, err = t.store.Event(t.ctx(), event.ID)
		return err != nil && len(t.list(alotwebhook.Filter{})) == 0
	})
}
