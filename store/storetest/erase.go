package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var eraseRules = []rule{
	{"Content", "Payload, Subject and TraceParent of an event go, and so do Detail and ResponseBody of all attempts. All else of its deliveries and their attempts stays.", eraseContent},
	{"Attempts", "Detail and ResponseBody of all attempts go, however many there are, and whatever became of the delivery.", eraseAttempts},
	{"Selects", "Erase takes the events of EventID, of Subject and of OrganizationID, each as far as it is not \"\", whose ids are within Since and Until. All others stay as they are.", eraseSelects},
	{"SinceUntil", "Since (inclusive) and Until (exclusive) bound the time in the event's id, in whole milliseconds.", eraseSinceUntil},
	{"Pages", "Erase goes in descending order of the events' ids, below the one that is r.Cursor, up to limit. It returns how many it passed, and the cursor of the next call; \"\" after the last.", erasePages},
	{"Many", "Erase takes any number of events in its pages.", eraseMany},
	{"Unheard", "An event without deliveries is erased as any other.", eraseUnheard},
	{"PayloadGone", "An event whose payload was purged is erased as any other: what its attempts have kept goes.", erasePayloadGone},
	{"Again", "What is erased already does not change when it is erased again.", eraseAgain},
	{"SameID", "An erased event is stored still: storing it again changes nothing.", eraseSameID},
	{"Redeliver", "Redeliver leaves a delivery of an erased event alone.", eraseRedeliver},
	{"Unfinished", "Deliveries that are due or wait fail with ReasonErased, which is not an attempt. FailingSince stays.", eraseUnfinished},
	{"Parked", "Parked deliveries fail with ReasonErased.", eraseParked},
	{"Leased", "A delivery that is leased fails with ReasonErased. The outcome of its attempt is lost, whatever it is, and nothing of it is kept.", eraseLeased},
	{"LeaseOver", "An erased delivery is not due again when its lease has run out, nor has a late outcome an effect.", eraseLeaseOver},
	{"Ordered", "An erased delivery of an ordered endpoint holds up nobody.", eraseOrdered},
	{"OrderedLeased", "The delivery behind one that was erased during its attempt comes once the outcome of that is lost, at the latest.", eraseOrderedLeased},
	{"Purge", "What is left of an erased event is purged as that of others. It has no payload to purge.", erasePurge},
}

// Whoever asks to be forgotten must be. What is left are the counts that the statistics of the
// operator and of the customer are made of.
func eraseContent(t *trial) {
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	event, other := newPersonal(t, "org_1"), newEvent(t, "org_1", completed)
	t.enqueue(event)
	c := t.claim(10)
	require.Len(t, c, 2)
	t.finish(telling(delivered(c[0])), telling(failed(c[1])))
	var before []alotwebhook.Delivery
	for _, id := range claimedIDs(c) {
		before = append(before, t.delivery(id))
	}
	t.enqueue(other)
	t.finish(telling(delivered(t.claim(1)[0])))

	require.Equal(t, 1, t.erase(alotwebhook.Recovery{Subject: event.Subject}))
	for i, id := range claimedIDs(c) {
		require.Equal(t, withoutContent(before[i]), t.delivery(id))
	}
	t.requireErased(event)
	require.Empty(t, t.ofSubject(event.Subject))
	t.requireKept(other)
	require.Equal(t, 1, strings.Count(t.everything(event, other), personal[3]), "of another event the attempts keep what they have")
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{EventID: other.ID}))
	t.requireForgotten(event, other)
	t.finishAll(t.claim(10))
	require.Equal(t, alotwebhook.Stats{FailingEndpoints: t.stats().FailingEndpoints}, t.stats())
}

// A store may keep the newest attempt beside the older ones, or some of them together.
func eraseAttempts(t *trial) {
	t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 6)
	counts := []int{1, 2, 3, alotwebhook.KeptAttempts + 10, 2*alotwebhook.KeptAttempts + 5, 3}
	for i, event := range events {
		t.enqueue(event)
		for range counts[i] - 1 {
			t.finish(telling(retry(t.claimOne(), 0)))
		}
		switch last := t.claimOne(); i % 3 {
		case 0:
			t.finish(telling(retry(last, long)))
		case 1:
			t.finish(telling(failed(last)))
			require.Equal(t, 1, t.redeliver(last.DeliveryID))
			t.finish(telling(delivered(t.claimOne())))
			counts[i]++
		default:
			t.finish(telling(delivered(last)))
		}
	}
	var before []alotwebhook.Delivery
	for _, d := range t.list(alotwebhook.Filter{}) {
		before = append(before, t.delivery(d.ID))
	}
	require.Equal(t, len(events), t.erase(alotwebhook.Recovery{OrganizationID: "org_1"}))
	t.requireForgotten(events...)
	for _, d := range before {
		after := t.delivery(d.ID)
		require.Equal(t, withoutContent(d).Attempts, after.Attempts)
		require.Equal(t, []int{d.AttemptCount, d.LastStatusCode}, []int{after.AttemptCount, after.LastStatusCode})
	}
}

// erasable stores events of two organizations, three subjects and two times, of which none was stored
// before by this function.
func (t *trial) erasable(run int, begin time.Time) (events []alotwebhook.Event) {
	t.Helper()
	for i := range 12 {
		org, subject := fmt.Sprintf("org_%d_%d", i%2, run), fmt.Sprintf("cand_%d_%d", i%3, run)
		if i%3 == 2 {
			subject = ""
		}
		event := eventAt(t, org, completed, begin.Add(time.Duration(i/6)*time.Minute))
		event.Subject, event.TraceParent = subject, traceParent(i)
		events = append(events, event)
	}
	t.endpoint(events[0].OrganizationID, completed)
	t.enqueue(events...)
	return events
}

// One candidate, all of one customer, one event, or what a fault let out on one morning: and nothing of
// anybody else, for that cannot be brought back.
func eraseSelects(t *trial) {
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for run := range 1 << 6 {
		mask, events := run>>1, t.erasable(run, begin)
		one := events[run&1*6] // of the first or of the second time
		var r alotwebhook.Recovery
		if mask&1 != 0 {
			r.EventID = one.ID
		}
		if mask&2 != 0 {
			r.Subject = one.Subject
		}
		if mask&4 != 0 {
			r.OrganizationID = one.OrganizationID
		}
		if mask&8 != 0 {
			r.Since = begin.Add(time.Minute)
		}
		if mask&16 != 0 {
			r.Until = begin.Add(time.Minute)
		}
		want := 0
		n := t.erase(r)
		for i, event := range events {
			at := begin.Add(time.Duration(i/6) * time.Minute)
			if isOf(r, event) && !at.Before(r.Since) && (r.Until.IsZero() || at.Before(r.Until)) {
				want++
				t.requireErased(event)
			} else {
				t.requireKept(event)
			}
		}
		if mask&7 != 0 { // otherwise, those of earlier runs count
			require.Equal(t, want, n, "%+v", r)
		}
	}
	require.Zero(t, t.erase(alotwebhook.Recovery{EventID: newEvent(t, "org_1", completed).ID}))
	require.Zero(t, t.erase(alotwebhook.Recovery{Subject: "cand_unknown"}))
	require.Zero(t, t.erase(alotwebhook.Recovery{OrganizationID: "org_unknown"}))
}

// isOf reports whether r selects the event, whatever its time.
func isOf(r alotwebhook.Recovery, event alotwebhook.Event) bool {
	return (r.EventID == "" || r.EventID == event.ID) && (r.Subject == "" || r.Subject == event.Subject) &&
		(r.OrganizationID == "" || r.OrganizationID == event.OrganizationID)
}

// An event of the last millisecond before Until must not be left, and none of Until may go.
func eraseSinceUntil(t *trial) {
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	var events []alotwebhook.Event
	for ms := range 6 {
		event := eventAt(t, "org_1", completed, begin.Add(time.Duration(ms)*time.Millisecond))
		events = append(events, event)
	}
	t.enqueue(events...)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	require.Equal(t, 2, t.erase(alotwebhook.Recovery{OrganizationID: "org_1", Since: at(2), Until: at(4)}))
	t.requireErased(events[2:4]...)
	t.requireKept(append(events[:2:2], events[4:]...)...)
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{OrganizationID: "org_1", Since: at(5)}))
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{OrganizationID: "org_1", Until: at(1)}))
	t.requireKept(events[1], events[4])
	require.Zero(t, t.erase(alotwebhook.Recovery{EventID: events[1].ID, Since: at(2)}))
	require.Zero(t, t.erase(alotwebhook.Recovery{EventID: events[4].ID, Until: at(4)}))
	t.requireKept(events[1], events[4])
}

// A process works in pages, and whichever goes on after a crash knows only the cursor. New events come
// on top, and are not reached.
func erasePages(t *trial) {
	t.endpoint("org_1", completed)
	for run, limit := range []int{1, 2, 7, 8, 1, 2, 7, 8} {
		r := alotwebhook.Recovery{OrganizationID: fmt.Sprintf("org_of_%d", run), EndpointID: "rec_" + newSuffix(t)}
		if run >= 4 {
			r.OrganizationID, r.Subject = "org_1", fmt.Sprintf("cand_%d", run)
		}
		var events, newer []alotwebhook.Event
		for range 7 {
			events = append(events, newAbout(t, r.OrganizationID, r.Subject))
			t.enqueue(newAbout(t, "org_1", "cand_other"), newAbout(t, "org_other", r.Subject))
		}
		slices.Reverse(events)
		for _, i := range []int{3, 0, 6, 1, 5, 2, 4} {
			t.enqueue(events[i])
		}
		for done := 0; ; {
			n, next := t.erasePage(r, limit)
			require.Equal(t, min(limit, len(events)-done), n)
			done += n
			t.requireErased(events[:done]...)
			t.requireKept(events[done:]...)
			if r.Cursor = next; done == len(events) {
				require.Empty(t, next, "after the last")
				break
			}
			require.LessOrEqual(t, next, events[done-1].ID)
			require.Greater(t, next, events[done].ID)
			newer = append(newer, newAbout(t, r.OrganizationID, r.Subject))
			t.enqueue(newer[len(newer)-1])
		}
		t.requireKept(newer...)
	}
}

// A database takes so many arguments in one statement, and no more.
func eraseMany(t *trial) {
	e, off := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.setDisabled(&off, true)
	events := newPersonals(t, "org_1", 1100)
	t.enqueue(events...)
	claims := t.claim(600)
	for i, c := range claims {
		if i%10 == 0 {
			t.finish(telling(delivered(c)))
		}
	}
	kept := t.emit("org_2", completed, 1)
	r := alotwebhook.Recovery{Subject: personal[1], Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}
	require.Equal(t, len(events), t.erase(r))
	require.Empty(t, t.ofSubject(personal[1]))
	require.Equal(t, alotwebhook.Stats{DisabledEndpoints: 1}, t.stats())
	require.Empty(t, t.claim(100))
	seen := map[alotwebhook.FailureReason]int{}
	for _, f := range []alotwebhook.Filter{{EndpointID: e.ID, Limit: 1000}, {EndpointID: off.ID, Limit: 1000}} {
		for _, d := range t.list(f) {
			seen[d.LastReason]++
		}
	}
	require.Equal(t, map[alotwebhook.FailureReason]int{"": 60, alotwebhook.ReasonErased: 2200 - 60}, seen)
	t.requireErased(events[0], events[500], events[1099])
	t.requireKept(kept...)
}

// Nobody was told of the event, but it tells of somebody all the same.
func eraseUnheard(t *trial) {
	events := newPersonals(t, "org_1", 3)
	for i, event := range events {
		t.enqueue(event)
		r := []alotwebhook.Recovery{{EventID: event.ID}, {Subject: event.Subject}, {OrganizationID: "org_1", Subject: event.Subject}}[i]
		require.Equal(t, 1, t.erase(r))
	}
	t.requireForgotten(events...)
	all := newPersonal(t, "org_1")
	t.enqueue(all)
	t.erase(alotwebhook.Recovery{OrganizationID: "org_1"})
	t.requireForgotten(all)
}

// Retention erases payloads after a month, and the history after three. A receiver's answer may quote
// what it was sent.
func erasePayloadGone(t *trial) {
	t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 3)
	t.enqueue(events...)
	for _, c := range t.claim(10) {
		t.finish(telling(failed(c)))
	}
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 3})
	require.Equal(t, 3, strings.Count(t.everything(), personal[3])) // of the deliveries with their attempts
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{EventID: events[0].ID}))
	require.Equal(t, 2, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	t.requireForgotten(events...)
}

// A process may be killed after a page, and before it has stored that. Or somebody asks twice.
func eraseAgain(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newPersonals(t, "org_1", 4)
	t.enqueue(events...)
	c := t.claim(2)
	t.finish(telling(delivered(c[0])), telling(retry(c[1], long)))
	selections := []alotwebhook.Recovery{{OrganizationID: "org_1"}, {EventID: events[0].ID}, {Subject: personal[1]}, {OrganizationID: "org_1", Subject: personal[1]}}
	require.Equal(t, 4, t.erase(selections[0]))
	var before []alotwebhook.Delivery
	for _, id := range idsOf(events, e) {
		before = append(before, t.delivery(id))
	}
	time.Sleep(2 * time.Millisecond) // a second end would have another time
	for _, r := range selections {
		t.erase(r)
	}
	for i, id := range idsOf(events, e) {
		require.Equal(t, before[i], t.delivery(id))
	}
	t.requireForgotten(events...)
	require.Equal(t, alotwebhook.Stats{FailingEndpoints: 1}, t.stats())
}

// An outbox may be replayed. What was erased must not come back with it.
func eraseSameID(t *trial) {
	e := t.endpoint("org_1", completed)
	unheard, event := newPersonal(t, "org_2"), newPersonal(t, "org_1")
	t.enqueue(unheard, event)
	require.Equal(t, 2, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	later := t.endpoint("org_2", completed)
	t.enqueue(event, unheard)
	require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
	require.NoError(t, t.store.EnqueueTo(t.ctx(), later.ID, unheard))
	require.Empty(t, t.claim(10))
	require.Len(t, t.list(alotwebhook.Filter{}), 1)
	t.requireForgotten(event, unheard)
}

// Purge must neither stumble over what is erased nor leave it. Its row is history as any other.
func erasePurge(t *trial) {
	t.endpoint("org_1", completed)
	heard, unheard := newPersonals(t, "org_1", 3), newPersonals(t, "org_2", 2)
	t.enqueue(heard...)
	t.enqueue(unheard...)
	c := t.claim(2)
	t.finish(telling(delivered(c[0])))
	require.Equal(t, 5, t.erase(alotwebhook.Recovery{Subject: personal[1]}))
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{History: long}))
	time.Sleep(20 * soon) // the time passes for all
	require.Zero(t, t.purge(alotwebhook.PurgeRequest{Payloads: soon}), "there is no payload to purge")
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 3, Events: 5})
	require.Equal(t, []string{c[1].DeliveryID}, t.lost(telling(delivered(c[1]))))
	require.Empty(t, t.list(alotwebhook.Filter{}))
	t.enqueue(heard[0]) // its id is forgotten, and may be stored as that of any event
	require.Equal(t, heard[0].ID, t.claimOne().EventID)
}
