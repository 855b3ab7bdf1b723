package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

var historyRules = []rule{
	{"Event", "Event returns the event, or ErrNotFound.", historyEvent},
	{"DeliveryNotFound", "Delivery returns the delivery, or ErrNotFound.", historyDeliveryNotFound},
	{"Filters", "Deliveries returns the deliveries that match every field of the filter; a zero field matches all.", historyFilters},
	{"Subject", "The filter's Subject selects the deliveries of events of that subject, together with every other field.", historySubject},
	{"SubjectAmongMany", "The deliveries of a subject are found at once among many others.", subjectAmongMany},
	{"Unfinished", "StateUnfinished selects pending and parked deliveries, in one listing. No delivery has it as its state.", historyUnfinished},
	{"ListsAsOne", "A list has each delivery as Delivery returns it, but without attempts.", historyListsAsOne},
	{"Order", "Deliveries returns them in descending order of their ids, no matter in which order they were stored.", historyOrder},
	{"Pages", "The cursor continues a listing. Over all pages, each delivery comes once. After the last page, the cursor is \"\".", historyPages},
	{"RareInMany", "A page may be short if the store has passed over more than 100 deliveries that do not match; its cursor continues there.", historyRareInMany},
	{"PagesWhileAdding", "While newer deliveries are stored, a listing misses and repeats none.", historyPagesWhileAdding},
	{"PageDefault", "A page has 100 deliveries if Limit is 0.", historyPageDefault},
	{"EventTimestamp", "Event returns the Timestamp as the payload has it: in UTC, cut to milliseconds.", historyEventTimestamp},
	{"UTC", "All times that a store returns are in UTC.", historyUTC},
	{"SinceUntilCut", "Since and Until are cut to milliseconds before they are compared.", historySinceUntilCut},
	{"SinceUntil", "Since (inclusive) and Until (exclusive) bound the time in the event's id, in whole milliseconds.", historySinceUntil},
}

// Support looks an event up by its id, and an event that was never emitted must be told
// from one that was.
func historyEvent(t *trial) {
	event := newEvent(t, "org_1", completed)
	_, err := t.store.Event(t.ctx(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	event.Timestamp = time.Date(2026, 5, 25, 14, 23, 0, 7e6, time.UTC)
	t.enqueue(event)
	got, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.True(t, event.Timestamp.Equal(got.Timestamp), "Timestamp is %v, not %v", got.Timestamp, event.Timestamp)
	got.Timestamp = event.Timestamp
	require.Equal(t, event, got)
}

// Whoever reads the history must find the timestamp that the receiver got.
func historyEventTimestamp(t *trial) {
	for _, at := range []time.Time{
		time.Date(2026, 5, 25, 14, 23, 0, 7_999_999, time.UTC),
		time.Date(2026, 5, 25, 23, 23, 0, 999_999_999, time.FixedZone("", 9*60*60)),
		time.Date(1969, 12, 31, 23, 59, 59, 1_500_000, time.UTC),
	} {
		event := newEvent(t, "org_1", completed)
		event.Timestamp = at
		t.enqueue(event)
		got, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
		require.Equal(t, at.UTC().Truncate(time.Millisecond), got.Timestamp)
		require.Equal(t, string(event.Payload()), string(got.Payload()))
	}
}

// The API shows times as they come. In the zone of a server they would look different
// from process to process.
func historyUTC(t *trial) {
	zone := time.FixedZone("", -3*60*60)
	e := newEndpoint(t, "org_1", completed)
	for _, at := range []*time.Time{&e.CreatedAt, &e.UpdatedAt, &e.NextSecretAt} {
		*at = time.Now().In(zone)
	}
	t.put(&e)
	r := newRecovery(e)
	for _, at := range []*time.Time{&r.FailedSince, &r.FailedUntil, &r.Since, &r.Until, &r.Oldest, &r.CreatedAt, &r.UpdatedAt, &r.FinishedAt} {
		*at = time.Now().In(zone)
	}
	t.putRecovery(&r)
	t.emit("org_1", completed, 2)
	c := t.claim(1)
	o := retry(c[0], 0)
	o.Attempt.StartedAt = time.Now().In(zone)
	t.finish(o)
	c = t.claim(1)
	t.finish(delivered(c[0]))
	t.setDisabled(&e, true)

	stored, err := t.store.Endpoint(t.ctx(), e.ID)
	require.NoError(t, err)
	r = t.recoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID})[0]
	times := map[string]time.Time{
		"Endpoint.CreatedAt": stored.CreatedAt, "Endpoint.UpdatedAt": stored.UpdatedAt, "Endpoint.NextSecretAt": stored.NextSecretAt,
		"Endpoint.DisabledAt": stored.DisabledAt, "Endpoint.FailingSince": stored.FailingSince,
		"Recovery.Since": r.Since, "Recovery.Until": r.Until, "Recovery.Oldest": r.Oldest,
		"Recovery.FailedSince": r.FailedSince, "Recovery.FailedUntil": r.FailedUntil,
		"Recovery.CreatedAt": r.CreatedAt, "Recovery.UpdatedAt": r.UpdatedAt, "Recovery.FinishedAt": r.FinishedAt,
	}
	for _, listed := range t.list(alotwebhook.Filter{}) {
		d := t.delivery(listed.ID)
		times["Delivery.CreatedAt"], times["Delivery.NextAttemptAt"], times["Delivery.FinishedAt"] = d.CreatedAt, d.NextAttemptAt, d.FinishedAt
		for _, a := range d.Attempts {
			times["Attempt.StartedAt"] = a.StartedAt
		}
		for field, at := range times {
			require.Equal(t, time.UTC, at.Location(), field)
		}
	}
}

// A recovery begins at a moment, and an id knows whole milliseconds only. Each event must
// be in exactly one of two ranges that meet.
func historySinceUntilCut(t *trial) {
	e := t.endpoint("org_1", completed)
	ids := idsOf(t.emit("org_1", completed, 3), e)
	at, ok := typeid.Time("dlv", ids[1])
	require.True(t, ok)
	from, until := slices.Index(ids, firstAt(ids, at)), slices.Index(ids, firstAt(ids, at.Add(time.Millisecond)))
	if until < 0 {
		until = len(ids)
	}
	listed := func(f alotwebhook.Filter) []string { return deliveryIDs(t.list(f)) }
	for _, rest := range []time.Duration{0, 1, time.Microsecond, time.Millisecond - 1} {
		require.ElementsMatch(t, ids[from:], listed(alotwebhook.Filter{Since: at.Add(rest)}), "Since, %v after the millisecond", rest)
		require.ElementsMatch(t, ids[:from], listed(alotwebhook.Filter{Until: at.Add(rest)}), "Until, %v after the millisecond", rest)
		require.ElementsMatch(t, ids[:until], listed(alotwebhook.Filter{Until: at.Add(time.Millisecond + rest)}), "Until, %v after the next", rest)
	}
}

// firstAt returns the first of the ids whose time is at or later, or "".
func firstAt(ids []string, at time.Time) string {
	for _, id := range ids {
		if of, ok := typeid.Time("dlv", id); ok && !of.Before(at) {
			return id
		}
	}
	return ""
}

// The settings pages and the API respond with 404 because of ErrNotFound.
func historyDeliveryNotFound(t *trial) {
	e := t.endpoint("org_1", completed)
	_, err := t.store.Delivery(t.ctx(), alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, e.ID))
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// A store that keeps a narrow table for lists must not let it differ from the delivery
// itself.
func historyListsAsOne(t *trial) {
	for _, listed := range t.variety() {
		require.Empty(t, listed.Attempts, "a list has no attempts")
		one := t.delivery(listed.ID)
		for _, at := range [][2]time.Time{
			{one.CreatedAt, listed.CreatedAt}, {one.FinishedAt, listed.FinishedAt}, {one.NextAttemptAt, listed.NextAttemptAt},
		} {
			require.True(t, at[0].Equal(at[1]), "%v and %v", at[0], at[1])
		}
		require.Len(t, one.Attempts, one.AttemptCount)
		require.Equal(t,
			fmt.Sprint(one.EventID, one.EventType, one.OrganizationID, one.EndpointID, one.State, one.AttemptCount, one.LastStatusCode, one.LastReason),
			fmt.Sprint(listed.EventID, listed.EventType, listed.OrganizationID, listed.EndpointID, listed.State, listed.AttemptCount, listed.LastStatusCode, listed.LastReason))
	}
}

// eventAt returns an event whose id has the given time.
func eventAt(t *trial, org, eventType string, at time.Time) alotwebhook.Event {
	t.Helper()
	event := newEvent(t, org, eventType)
	// An id begins with its millisecond: those ten characters of the least id of then.
	const begin = len("evt_") + 10
	event.ID = typeid.First("evt", at)[:begin] + event.ID[begin:]
	return event
}

// People look for the newest delivery first. The order by id makes cursors possible.
func historyOrder(t *trial) {
	e := t.endpoint("org_1", completed)
	base := time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)
	var events []alotwebhook.Event
	for _, ms := range []int{50, 10, 40, 10, 30, 60, 0, 20} {
		event := eventAt(t, "org_1", completed, base.Add(time.Duration(ms)*time.Millisecond))
		events = append(events, event)
		t.enqueue(event)
	}
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{Limit: 3})))
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{EndpointID: e.ID, Limit: 3})))
	require.Equal(t, newestFirst(idsOf(events, e)), deliveryIDs(t.list(alotwebhook.Filter{OrganizationID: "org_1"})))
}

// A page or export that misses a delivery would hide exactly the failure that somebody
// looks for.
func historyPages(t *trial) {
	e := t.endpoint("org_1", completed)
	want := newestFirst(idsOf(t.emit("org_1", completed, 12), e))
	for _, f := range []alotwebhook.Filter{
		{}, {OrganizationID: "org_1"}, {EndpointID: e.ID}, {EventType: completed}, {State: alotwebhook.StatePending}, {State: alotwebhook.StateUnfinished},
	} {
		for _, limit := range []int{1, 5, 6, 12, 13} {
			f.Limit, f.Cursor = limit, ""
			var got []string
			for page := 1; ; page++ {
				deliveries, next, err := t.store.Deliveries(t.ctx(), f)
				require.NoError(t, err)
				got = append(got, deliveryIDs(deliveries)...)
				if next == "" {
					require.Equal(t, (len(want)+limit-1)/limit, page, "the last page has no cursor, even if it is full")
					break
				}
				require.Len(t, deliveries, limit, "a page before the last is full")
				require.LessOrEqual(t, len(got), len(want), "in pages of %d", limit)
				require.Equal(t, got[len(got)-1], next, "the cursor is the last id of the page before")
				f.Cursor = next
			}
			require.Equal(t, want, got, "in pages of %d", limit)
		}
	}
}

// A search for a few deliveries among millions would take minutes if each page had to be
// full. It must still find all of them.
func historyRareInMany(t *trial) {
	const many = 4000
	e := t.endpoint("org_1", completed, invited)
	other := t.endpoint("org_2", completed, invited)
	begin := time.Now().Add(-time.Hour)
	var events, rare []alotwebhook.Event
	for i := range many {
		org, eventType := "org_1", completed
		switch i {
		case 1, 2, many - 1:
			eventType = invited
		case 3, 4:
			org = "org_2"
		}
		event := eventAt(t, org, eventType, begin.Add(time.Duration(i)*time.Millisecond))
		events = append(events, event)
		if eventType == invited {
			rare = append(rare, event)
		}
	}
	t.enqueue(events...)
	for _, f := range []alotwebhook.Filter{
		{EventType: invited}, {OrganizationID: "org_1", EventType: invited}, {EndpointID: e.ID, EventType: invited, State: alotwebhook.StatePending},
	} {
		t.requirePages(f, newestFirst(idsOf(rare, e)))
	}
	t.requirePages(alotwebhook.Filter{OrganizationID: "org_2"}, newestFirst(idsOf(events[3:5], other)))
	t.requirePages(alotwebhook.Filter{EventType: invited, State: alotwebhook.StateUnfinished, OrganizationID: "org_1"}, newestFirst(idsOf(rare, e)))
	t.requirePages(alotwebhook.Filter{EventType: invited, State: alotwebhook.StateFailed}, nil)
	t.requirePages(alotwebhook.Filter{OrganizationID: "org_3"}, nil)
}

// requirePages requires that a listing with small pages has these ids, in at most 50 pages.
func (t *trial) requirePages(f alotwebhook.Filter, want []string) {
	t.Helper()
	f.Limit = 2
	var got []string
	for range 50 {
		page, next, err := t.store.Deliveries(t.ctx(), f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), f.Limit)
		got = append(got, deliveryIDs(page)...)
		if next == "" {
			require.Equal(t, want, got, "filter %+v", f)
			return
		}
		require.True(t, f.Cursor == "" || next < f.Cursor, "the cursor must go down")
		f.Cursor = next
	}
	require.FailNow(t, "there are more pages than the number of deliveries explains", "filter %+v", f)
}

// Events arrive while a person pages through the history. Pages by offset would then
// repeat deliveries.
func historyPagesWhileAdding(t *trial) {
	e := t.endpoint("org_1", completed)
	var events []alotwebhook.Event
	for i := range 100 { // each in a millisecond of its own, since within one the order of ids is random
		events = append(events, eventAt(t, "org_1", completed, time.Now().Add(-time.Hour+time.Duration(i)*time.Millisecond)))
	}
	t.enqueue(events...)
	want := newestFirst(idsOf(events, e))
	var got []string
	f := alotwebhook.Filter{EndpointID: e.ID, Limit: 7}
	for {
		page, next, err := t.store.Deliveries(t.ctx(), f)
		require.NoError(t, err)
		got = append(got, deliveryIDs(page)...)
		if f.Cursor = next; next == "" || len(got) > len(want) {
			break
		}
		t.enqueue(newEvents(t, "org_1", completed, 3)...)
	}
	require.Equal(t, want, got)
}

// A history of millions must not be loaded because a caller forgot the limit.
func historyPageDefault(t *trial) {
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, 101)...)
	page, next, err := t.store.Deliveries(t.ctx(), alotwebhook.Filter{})
	require.NoError(t, err)
	require.Len(t, page, 100)
	page, next, err = t.store.Deliveries(t.ctx(), alotwebhook.Filter{Cursor: next})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Empty(t, next)
}

// Recoveries and people select by time. Bounds that overlap or have a gap would send
// deliveries twice or miss some.
func historySinceUntil(t *trial) {
	e := t.endpoint("org_1", completed)
	base := time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	var events []alotwebhook.Event
	for ms := range 6 {
		event := eventAt(t, "org_1", completed, at(ms))
		event.Timestamp = base.Add(-24 * time.Hour) // must have no influence
		events = append(events, event)
	}
	t.enqueue(events...)
	ids := idsOf(events, e)
	for _, f := range []alotwebhook.Filter{{}, {EndpointID: e.ID, Limit: 2}, {OrganizationID: "org_1", State: alotwebhook.StatePending}} {
		list := func(since, until time.Time) []string {
			t.Helper()
			f.Since, f.Until = since, until
			return deliveryIDs(t.list(f))
		}
		require.Equal(t, newestFirst(ids[2:]), list(at(2), time.Time{}))
		require.Equal(t, newestFirst(ids[:4]), list(time.Time{}, at(4)))
		require.Equal(t, newestFirst(ids[2:4]), list(at(2), at(4)))
		require.Equal(t, newestFirst(ids[2:3]), list(at(2).In(time.FixedZone("", 3600)), at(3)))
		require.Empty(t, list(at(3), at(3)))
		require.Empty(t, list(at(6), time.Time{}))
		require.Empty(t, list(time.Time{}, at(0)))
		require.Equal(t, newestFirst(ids), list(base.Add(-time.Hour), base.Add(time.Hour)))
	}
}
