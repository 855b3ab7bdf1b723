package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// newAbout returns an event about somebody; "" stands for nobody.
func newAbout(t *trial, org, subject string) alotwebhook.Event {
	t.Helper()
	event := newEvent(t, org, completed)
	event.Subject = subject
	return event
}

// requireSubject requires that Event returns the event with its subject, and that no payload has that.
func (t *trial) requireSubject(event alotwebhook.Event) {
	t.Helper()
	stored, err := t.store.Event(t.ctx(), event.ID)
	require.NoError(t, err)
	require.Equal(t, event.Subject, stored.Subject)
	require.Equal(t, string(event.Payload()), string(stored.Payload()))
}

// ofSubject returns the ids of the deliveries of events of a subject.
func (t *trial) ofSubject(subject string) []string {
	t.Helper()
	return deliveryIDs(t.list(alotwebhook.Filter{Subject: subject}))
}

// Whoever asks to be forgotten is found by the subject, in whichever way the event was stored.
func keepsSubject(t *trial) {
	e := t.endpoint("org_1", completed)
	t.ordered("org_2")
	want := map[string][]string{}
	for i, subject := range []string{"cand_1", "", "cand_2", "cand_1"} {
		event := newAbout(t, "org_1", subject)
		if i == 0 { // it has both, or one, or none
			event.TraceParent = traceParent(1)
		}
		t.enqueue(event)
		t.requireSubject(event)
		c := t.claimOne()
		require.Equal(t, string(event.Payload()), string(c.Payload), "the subject is not sent")
		require.Equal(t, event.TraceParent, c.TraceParent)
		t.finish(delivered(c))
		want[subject] = append(want[subject], c.DeliveryID)

		event = newAbout(t, "org_1", subject)
		require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, event))
		t.requireSubject(event)
		want[subject] = append(want[subject], t.claimOne().DeliveryID)

		event = newAbout(t, "org_2", subject)
		t.enqueue(event)
		t.requireSubject(event)
		c = t.claimOne()
		t.finish(holding(delivered(c), long))
		want[subject] = append(want[subject], c.DeliveryID)

		unheard := newAbout(t, "org_3", subject)
		t.enqueue(unheard)
		t.requireSubject(unheard)
	}
	require.Equal(t, newestFirst(want["cand_1"]), t.ofSubject("cand_1"))
	require.Equal(t, newestFirst(want["cand_2"]), t.ofSubject("cand_2"))
}

// A store that stores many events at once may have another way for it than for one.
func subjectsOfMany(t *trial) {
	e := t.endpoint("org_1", completed)
	run := 0
	for _, size := range []int{3, 700} {
		for name, is := range map[string]func(i int) bool{
			"all":         func(int) bool { return true },
			"none":        func(int) bool { return false },
			"every third": func(i int) bool { return i%3 == 1 },
			"the last":    func(i int) bool { return i == size-1 },
		} {
			run++
			events := newEvents(t, "org_1", completed, size)
			var about []alotwebhook.Event
			for i := range events {
				if is(i) {
					events[i].Subject = fmt.Sprintf("cand_%d_%d", run, i%2)
				}
				if i%2 == 0 && is(i) {
					about = append(about, events[i])
				}
			}
			t.enqueue(events...)
			t.Logf("of %d events, with a subject: %s", size, name)
			for _, i := range []int{0, size / 2, size - 1} {
				t.requireSubject(events[i])
			}
			require.ElementsMatch(t, idsOf(about, e), t.ofSubject(fmt.Sprintf("cand_%d_0", run)))
			t.finishAll(t.claim(size))
		}
	}
}

// Whoever emits an event again gives the same subject, or has changed what it means by one.
func subjectOfTheFirst(t *trial) {
	e := t.endpoint("org_1", completed)
	for _, subject := range []string{"", "cand_1"} {
		event := newAbout(t, "org_1", subject)
		again := event
		again.Subject = "cand_again"
		t.enqueue(event, again)
		t.enqueue(again)
		t.enqueue(newAbout(t, "org_2", "cand_other"), again)
		require.NoError(t, t.store.EnqueueTo(t.ctx(), e.ID, again))
		t.requireSubject(event)
	}
	require.Empty(t, t.ofSubject("cand_again"))
	require.Len(t, t.ofSubject("cand_1"), 1)
}

// What is kept of attempts may tell of somebody for longer than the payload is kept.
func subjectStays(t *trial) {
	t.endpoint("org_1", completed)
	event := newAbout(t, "org_1", "cand_1")
	t.enqueue(event)
	t.finish(release(t.claimOne()))
	t.finish(retry(t.claimOne(), 0))
	c := t.claimOne()
	t.finish(failed(c))
	t.redeliver(c.DeliveryID)
	t.requireSubject(event)
	t.finish(delivered(t.claimOne()))
	t.requireSubject(event)
	t.awaitPurge(alotwebhook.PurgeRequest{Payloads: soon}, alotwebhook.PurgeResult{Payloads: 1})
	require.Equal(t, []string{c.DeliveryID}, t.ofSubject("cand_1"), "its payload is gone, and its history is there still")
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
	require.Empty(t, t.ofSubject("cand_1"))
}

// Support searches by the subject, and by anything else at the same time.
func historySubject(t *trial) {
	t.endpoint("org_1", completed, invited)
	other, off := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.setDisabled(&off, true)
	subjects := map[string]string{}
	for i := range 12 {
		event := newAbout(t, []string{"org_1", "org_2"}[i%2], []string{"cand_1", "cand_2", ""}[i%3])
		if i%4 == 0 {
			event.Type = invited
		}
		subjects[event.ID] = event.Subject
		t.enqueue(event)
	}
	c := t.claim(4)
	t.finish(delivered(c[0]), failed(c[1]), retry(c[2], long))
	all := t.list(alotwebhook.Filter{})
	for _, subject := range []string{"cand_1", "cand_2"} {
		var of []alotwebhook.Delivery
		for _, d := range all {
			if subjects[d.EventID] == subject {
				of = append(of, d)
			}
		}
		for _, f := range []alotwebhook.Filter{
			{}, {OrganizationID: "org_1"}, {OrganizationID: "org_2"}, {OrganizationID: "org_3"}, {EndpointID: other.ID}, {EndpointID: off.ID},
			{EventType: invited}, {OrganizationID: "org_1", EventType: completed}, {EventID: all[0].EventID}, {EventID: all[3].EventID},
			{State: alotwebhook.StateDelivered}, {State: alotwebhook.StateFailed}, {State: alotwebhook.StatePending},
			{State: alotwebhook.StateParked}, {State: alotwebhook.StateUnfinished}, {OrganizationID: "org_1", State: alotwebhook.StateUnfinished},
		} {
			f.Subject = subject
			want := deliveryIDs(selected(of, f))
			require.Equal(t, want, deliveryIDs(t.list(f)), "filter %+v", f)
			f.Limit = 2
			require.Equal(t, want, deliveryIDs(t.list(f)), "filter %+v", f)
		}
	}
	require.Empty(t, t.ofSubject("cand_3"))
}

// One candidate has a few events among millions. Whoever searches does not want to page through all
// of them.
func subjectAmongMany(t *trial) {
	const many = 3000
	e := t.endpoint("org_1", completed)
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	events := make([]alotwebhook.Event, many)
	var about []alotwebhook.Event
	for i := range events {
		events[i] = eventAt(t, "org_1", completed, begin.Add(time.Duration(i)*time.Millisecond))
		switch {
		case i == 1, i == many/2, i == many-2:
			events[i].Subject = "cand_1"
			about = append(about, events[i])
		case i%3 == 0:
			events[i].Subject = fmt.Sprintf("cand_%d", i)
		}
	}
	t.enqueue(events...)
	want := newestFirst(idsOf(about, e))
	for _, f := range []alotwebhook.Filter{
		{Subject: "cand_1"}, {Subject: "cand_1", OrganizationID: "org_1"}, {Subject: "cand_1", State: alotwebhook.StateUnfinished},
		{Subject: "cand_1", EventType: completed, Since: begin.Add(-time.Hour), Until: begin.Add(time.Hour)},
	} {
		page, next, err := t.store.Deliveries(t.ctx(), f)
		require.NoError(t, err)
		require.Equal(t, want, deliveryIDs(page), "the first page has all, filter %+v", f)
		require.Empty(t, next)
		f.Cursor = want[0]
		page, _, err = t.store.Deliveries(t.ctx(), f)
		require.NoError(t, err)
		require.Equal(t, want[1:], deliveryIDs(page))
		f.Cursor, f.Since, f.Until = "", begin.Add(2*time.Millisecond), begin.Add(many/2*time.Millisecond+1)
		require.Empty(t, t.list(f), "Until is exclusive")
		f.Until = begin.Add((many/2 + 1) * time.Millisecond)
		require.Equal(t, want[1:2], deliveryIDs(t.list(f)))
	}
}

// A candidate who is taken for another sees that one's history, or has it erased.
func subjectsDiffer(t *trial) {
	const own = "candesse"
	e := t.endpoint("org_1", completed)
	others := map[string]alotwebhook.Event{}
	for _, subject := range lookalikes(own) {
		if subject != own {
			others[subject] = newAbout(t, "org_1", subject)
			t.enqueue(others[subject])
		}
	}
	require.Empty(t, t.ofSubject(own))
	require.Zero(t, t.erase(alotwebhook.Recovery{Subject: own}))
	mine := newAbout(t, "org_1", own)
	t.enqueue(mine)
	for subject, event := range others {
		require.Equal(t, idsOf([]alotwebhook.Event{event}, e), t.ofSubject(subject), "%q", subject)
	}
	require.Equal(t, idsOf([]alotwebhook.Event{mine}, e), t.ofSubject(own))
	for subject, event := range others {
		require.Equal(t, 1, t.erase(alotwebhook.Recovery{Subject: subject}), "%q", subject)
		t.requireErased(event)
	}
	t.requireKept(mine)

	longest := newAbout(t, "org_1", ending(128))
	near := newAbout(t, "org_1", longest.Subject[:128-4]+"😁") // another last character
	t.enqueue(longest, near)
	t.requireSubject(longest)
	require.Equal(t, 1, t.erase(alotwebhook.Recovery{Subject: near.Subject}))
	t.requireKept(longest)
}

// Most events are emitted in a transaction of the host's.
func txKeepsSubject(t *trial) {
	e := t.endpoint("org_1", completed)
	for run, size := range []int{1, 1, 3, 150} {
		for first := range 2 { // by turns, events have a subject and have none
			subject := fmt.Sprintf("cand_%d_%d", run, first)
			events := newEvents(t, "org_1", completed, size)
			var about []alotwebhook.Event
			for i := range events {
				if i%2 == first {
					events[i].Subject = subject
					about = append(about, events[i])
				}
			}
			tx := t.begin()
			t.enqueueIn(tx, events...)
			require.NoError(t, tx.Commit())
			t.requireSubject(events[0])
			t.requireSubject(events[size-1])
			require.ElementsMatch(t, idsOf(about, e), deliveryIDs(t.list(alotwebhook.Filter{Subject: subject, Limit: 1000})))
			t.finishAll(t.claim(size))
		}
	}
}
