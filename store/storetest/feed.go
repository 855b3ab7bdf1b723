package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/internal/typeid"
)

// feedRules are the rules of an optional capability, [feed.Feeder].
var feedRules = []rule{
	{"Events", "Feed returns all events of the organization, and no others, with their payloads, whoever subscribes to them.", with(feedEvents)},
	{"Pages", "A page has at most Limit events. Whoever goes on from Next until More is false reads each event once, in the same order as anybody else.", with(feedPages)},
	{"GoesOn", "Next is never empty, and what is stored later follows it, also in an organization that had no event.", with(feedGoesOn)},
	{"OldIDs", "An event that is stored late, with an id from before, comes behind the end of what was read.", with(feedOldIDs)},
	{"Types", "EventTypes selects events of these types; nil selects all, and an empty list none.", with(feedTypes)},
	{"Since", "Since selects the events in whose id the time is Since or later, in whole milliseconds.", with(feedSince)},
	{"Few", "However many events are passed over, those that match are found, page by page.", with(feedFew)},
	{"Erased", "Events whose payload was erased or purged are left out, and the others are not.", with(feedErased)},
	{"AfterDeletion", "When events were deleted, even the last of all, what is stored later still follows each cursor.", with(feedAfterDeletion)},
	{"Tests", "Tests are left out, by Feed and by Backfill.", with(feedTests)},
	{"Large", "Events with large payloads are all returned.", with(feedLarge)},
	{"UnknownCursor", "A cursor that the store has not given is an ErrCursorExpired.", with(feedUnknownCursor)},
	{"Concurrent", "Whoever reads on while many store events misses none, and gets none twice.", with(feedConcurrent)},
	{"Ended", "With a context that has ended, Feed returns an error.", with(feedEnded)},
}

// feedReader reads a feed on and on.
type feedReader struct {
	*trial
	feeder feed.Feeder
	filter feed.Filter
	read   []alotwebhook.Event
}

func (t *trial) reader(f feed.Feeder, org string) *feedReader {
	return &feedReader{trial: t, feeder: f, filter: feed.Filter{OrganizationID: org}}
}

// page reads the next page, and reports whether more may follow.
func (r *feedReader) page() bool {
	r.Helper()
	page, err := r.feeder.Feed(r.ctx(), r.filter)
	require.NoError(r, err)
	require.NotEmpty(r, page.Next, "a feed has no end")
	if r.filter.Limit > 0 {
		require.LessOrEqual(r, len(page.Events), r.filter.Limit)
	}
	r.filter.Cursor = page.Next
	r.read = append(r.read, page.Events...)
	return page.More
}

// all reads all that is there.
func (r *feedReader) all() {
	r.Helper()
	for range endless {
		if !r.page() {
			return
		}
	}
	require.FailNow(r, "a feed has More for ever")
}

// until reads until the events are there, in whatever order: a store may hold them back for a while.
func (r *feedReader) until(events ...alotwebhook.Event) {
	r.Helper()
	r.await("the events appear in the feed", func() bool {
		r.all()
		return len(r.read) >= len(events)
	})
	require.ElementsMatch(r, eventIDs(events), eventIDs(r.read))
	for _, e := range r.read {
		i := slices.IndexFunc(events, func(of alotwebhook.Event) bool { return of.ID == e.ID })
		require.Equal(r, string(events[i].Payload()), string(e.Payload()))
		require.Equal(r, events[i].Subject, e.Subject)
		require.Equal(r, events[i].TraceParent, e.TraceParent)
	}
}

func eventIDs(events []alotwebhook.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// A customer who reconciles compares with all that happened, not with what was sent.
func feedEvents(t *trial, f feed.Feeder) {
	e := t.endpoint("org_1", completed)
	about := newAbout(t, "org_1", "cand_1")
	about.TraceParent, about.Data = traceParent(1), json.RawMessage(`{ "a" :1.0, "é":"\u00e9"}`)
	unheard, single := newEvent(t, "org_1", invited), newEvent(t, "org_1", completed)
	t.enqueue(about, newEvent(t, "org_2", completed), unheard)
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, single))
	other := newEvent(t, "ORG_1", completed)
	t.enqueue(about, other) // the first is stored already
	t.finishAll(t.claim(100))
	t.reader(f, "org_1").until(about, unheard, single)
	t.reader(f, "ORG_1").until(other)
	nobody := t.reader(f, "org_3")
	nobody.all()
	require.Empty(t, nobody.read)
}

// Two readers must agree on where a cursor is.
func feedPages(t *trial, f feed.Feeder) {
	events := t.emit("org_1", completed, 5)
	t.emit("org_2", completed, 3)
	batch := newEvents(t, "org_1", invited, 120)
	t.enqueue(batch...)
	events = append(events, batch...)
	first := t.reader(f, "org_1")
	first.until(events...)
	require.Equal(t, eventIDs(events[:5]), eventIDs(first.read[:5]), "in the order of storing")
	for _, limit := range []int{1, 2, 7, 124, 125, 126, 1000} {
		r := t.reader(f, "org_1")
		r.filter.Limit = limit
		r.all()
		require.Equal(t, eventIDs(first.read), eventIDs(r.read))
	}
	r := t.reader(f, "org_1")
	require.True(t, r.page())
	require.Len(t, r.read, 100, "a page has 100 events if no Limit is given")
}

// Somebody who polls has no other place to go on from.
func feedGoesOn(t *trial, f feed.Feeder) {
	r, quiet := t.reader(f, "org_1"), t.reader(f, "org_2")
	r.all()
	quiet.all()
	var events []alotwebhook.Event
	for range 3 {
		events = append(events, t.emit("org_1", completed, 2)...)
		r.until(events...)
		quiet.all()
	}
	require.Equal(t, eventIDs(events), eventIDs(r.read))
	quiet.until(t.emit("org_2", completed, 1)...)
}

// An id is made before its event is stored, by whatever clock. A reader that goes by ids would never
// come back for it.
func feedOldIDs(t *trial, f feed.Feeder) {
	old := newEvents(t, "org_1", completed, 2)
	r := t.reader(f, "org_1")
	events := t.emit("org_1", completed, 3)
	r.until(events...)
	for _, e := range []alotwebhook.Event{old[1], old[0]} {
		t.enqueue(e)
		events = append(events, e)
		r.until(events...)
	}
	require.Equal(t, eventIDs(events), eventIDs(r.read))
}

func feedTypes(t *trial, f feed.Feeder) {
	a, b, c := t.emit("org_1", completed, 2), t.emit("org_1", invited, 2), t.emit("org_1", "other.type", 1)
	for _, test := range []struct {
		types []string
		want  []alotwebhook.Event
	}{
		{nil, slices.Concat(a, b, c)},
		{[]string{invited}, b},
		{[]string{"other.type", completed, "not.known"}, slices.Concat(a, c)},
		{[]string{}, nil},
		{[]string{"not.known"}, nil},
	} {
		all, r := t.reader(f, "org_1"), t.reader(f, "org_1")
		all.until(slices.Concat(a, b, c)...)
		r.filter.EventTypes = test.types
		r.until(test.want...)
	}
}

// timeIn returns the time in the id of an event.
func timeIn(t *trial, id string) time.Time {
	t.Helper()
	at, ok := typeid.Time("evt", id)
	require.True(t, ok)
	return at
}

func feedSince(t *trial, f feed.Feeder) {
	var events []alotwebhook.Event
	for range 3 {
		events = append(events, t.emit("org_1", completed, 1)...)
		time.Sleep(3 * time.Millisecond) // so that each has its own millisecond
	}
	t.reader(f, "org_1").until(events...)
	for i, e := range events {
		since := timeIn(t, e.ID)
		for _, since := range []time.Time{since, since.Add(time.Millisecond - 1)} {
			r := t.reader(f, "org_1")
			r.filter.Since = since
			r.until(events[i:]...)
		}
		r := t.reader(f, "org_1")
		r.filter.Since = since.Add(time.Millisecond)
		r.until(events[i+1:]...)
	}
}

// A store that looks through a part only must say that more may follow.
func feedFew(t *trial, f feed.Feeder) {
	few := t.emit("org_1", invited, 1)
	t.enqueue(newEvents(t, "org_1", completed, 2500)...)
	few = append(few, t.emit("org_1", invited, 1)...)
	r := t.reader(f, "org_1")
	r.filter.EventTypes = []string{invited}
	r.until(few...)
	all := t.reader(f, "org_1")
	all.filter.Limit = 700
	all.all()
	require.Len(t, all.read, 2502)
}

// What was erased is nobody's business, and no reason to stop.
func feedErased(t *trial, f feed.Feeder) {
	e := t.endpoint("org_1", completed)
	gone, kept := newAbout(t, "org_1", "cand_1"), newAbout(t, "org_1", "cand_2")
	t.enqueue(gone)
	t.enqueue(kept)
	behind := t.reader(f, "org_1")
	behind.filter.Limit = 1
	behind.await("the first event appears", func() bool { behind.page(); return len(behind.read) == 1 })
	for cursor := ""; ; {
		_, next, err := t.store.Erase(t.ctx(), alotwebhook.Recovery{Subject: "cand_1", Cursor: cursor}, 10)
		require.NoError(t, err)
		if cursor = next; next == "" {
			break
		}
	}
	t.reader(f, "org_1").until(kept)
	behind.until(gone, kept)

	t.finishAll(t.claim(100))
	later := newEvent(t, "org_1", completed)
	t.enqueue(later)
	require.NotEmpty(t, e.ID)
	t.await("the payload is purged", func() bool {
		r, err := t.store.Purge(t.ctx(), alotwebhook.PurgeRequest{Payloads: time.Microsecond})
		require.NoError(t, err)
		return r.Payloads > 0
	})
	t.reader(f, "org_1").until(later)
	behind.until(gone, kept, later)
}

// A number that is given again would put a new event before a cursor that has passed it.
func feedAfterDeletion(t *trial, f feed.Feeder) {
	first := t.emit("org_1", completed, 3)
	t.emit("org_2", completed, 2)
	r := t.reader(f, "org_1")
	r.until(first...)
	_, err := t.store.Remove(t.ctx(), "org_2", 100)
	require.NoError(t, err)
	next := t.emit("org_1", completed, 1)
	r.until(slices.Concat(first, next)...)
	t.await("all events are purged", func() bool {
		_, err := t.store.Purge(t.ctx(), alotwebhook.PurgeRequest{History: time.Microsecond})
		require.NoError(t, err)
		_, err = t.store.Event(t.ctx(), next[0].ID)
		return err != nil
	})
	again := t.reader(f, "org_1")
	again.all()
	require.Empty(t, again.read)
	last := t.emit("org_1", completed, 2)
	r.until(slices.Concat(first, next, last)...)
	again.until(last...)
}

// A page of a hundred payloads of megabytes would be more than somebody expects.
func feedLarge(t *trial, f feed.Feeder) {
	var events []alotwebhook.Event
	for range 5 {
		e := newEvent(t, "org_1", completed)
		e.Data = json.RawMessage(`"` + strings.Repeat("x", 3<<20) + `"`)
		t.enqueue(e)
		events = append(events, e)
	}
	t.reader(f, "org_1").until(events...)
}

func feedUnknownCursor(t *trial, f feed.Feeder) {
	t.reader(f, "org_1").until(t.emit("org_1", completed, 1)...)
	for _, cursor := range []string{"x", "-1", "evt_01jcc7000000000000000000000", "9223372036854775807", "1-9223372036854775807-00000000000000000000000000", "%zz", "\x00"} {
		_, err := f.Feed(t.ctx(), feed.Filter{OrganizationID: "org_1", Cursor: cursor})
		require.ErrorIs(t, err, feed.ErrCursorExpired, "%q", cursor)
	}
}

// Several processes emit while a customer polls.
func feedConcurrent(t *trial, f feed.Feeder) {
	const writers, each = 8, 40
	var mu sync.Mutex
	var events []alotwebhook.Event
	crew := t.crew(writers * each)
	crew.work(writers, func(worker int) (int, error) {
		some := newEvents(t, "org_1", completed, 1+worker%3)
		if err := t.store.Enqueue(t.ctx(), some); err != nil {
			return 0, err
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, some...)
		return 1, nil
	})
	r := t.reader(f, "org_1")
	r.filter.Limit = 10
	for crew.working() {
		r.page()
	}
	crew.wait(t)
	r.until(events...)
	again := t.reader(f, "org_1")
	again.until(events...)
	require.Equal(t, eventIDs(again.read), eventIDs(r.read))
}

func feedEnded(t *trial, f feed.Feeder) {
	ctx, cancel := context.WithCancel(t.ctx())
	cancel()
	_, err := f.Feed(ctx, feed.Filter{OrganizationID: "org_1"})
	require.Error(t, err)
}

// A host's transaction may be open for as long as it likes. Its event has an id, and may have a
// number, from long before the commit.
func txFeedLateCommit(t *trial, f feed.Feeder) {
	early := newEvent(t, "org_1", completed)
	tx := t.begin()
	t.enqueueIn(tx, early)
	r := t.reader(f, "org_1")
	r.all()
	require.Empty(t, r.read, "it has not committed")
	events := []alotwebhook.Event{early}
	if !t.host.OneWriter {
		events = append(events, t.emit("org_1", completed, 3)...)
		second := t.begin()
		late := newEvent(t, "org_1", completed)
		t.enqueueIn(second, late)
		require.NoError(t, second.Commit())
		events = append(events, late)
		for range 5 {
			r.all()
		}
	}
	require.NoError(t, tx.Commit())
	events = append(events, t.emit("org_1", completed, 1)...)
	r.until(events...)
	again := t.reader(f, "org_1")
	again.until(events...)
	require.Equal(t, eventIDs(again.read), eventIDs(r.read))
}

func txFeedRollsBack(t *trial, f feed.Feeder) {
	tx := t.begin()
	t.enqueueIn(tx, newEvent(t, "org_1", completed))
	r := t.reader(f, "org_1")
	r.all()
	require.NoError(t, tx.Rollback())
	r.until(t.emit("org_1", completed, 2)...)
}

// A test is no event that has happened. Whoever reconciles would hire somebody who does not exist.
func feedTests(t *trial, f feed.Feeder) {
	e := t.endpoint("org_1", completed)
	test := newEvent(t, "org_1", completed)
	test.Test = true
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, test))
	events := t.emit("org_1", completed, 1)
	r := t.reader(f, "org_1")
	r.until(events...)
	if b, ok := capabilityOf[feed.Backfiller](t.store); ok {
		later := t.endpoint("org_1", completed)
		sent, left := t.backfill(b, alotwebhook.Recovery{EndpointID: later.ID, OrganizationID: "org_1"}, []string{completed}, 100)
		require.Equal(t, []int{1, 0}, []int{sent, left})
	}
}
