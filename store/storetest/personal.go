package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// These words tell of somebody. They stand in what newPersonal and telling return, each in a place of
// its own.
var personal = []string{"Jane Doe of the payload", "cand_of_jane", traceParent(4711), "a detail on Jane Doe", "what a receiver knows of Jane Doe"}

// newPersonal returns an event that tells of somebody wherever it can.
func newPersonal(t *trial, org string) alotwebhook.Event {
	t.Helper()
	event := newAbout(t, org, personal[1])
	event.Data, event.TraceParent = []byte(`{"name":"`+personal[0]+`"}`), personal[2]
	return event
}

func newPersonals(t *trial, org string, n int) []alotwebhook.Event {
	t.Helper()
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = newPersonal(t, org)
	}
	return events
}

// telling returns an outcome whose attempt tells of somebody.
func telling(o alotwebhook.Outcome) alotwebhook.Outcome {
	o.Attempt.Detail, o.Attempt.ResponseBody = personal[3], personal[4]
	return o
}

// erasePage erases up to limit of the events that r selects, as a dispatcher does.
func (t *trial) erasePage(r alotwebhook.Recovery, limit int) (n int, next string) {
	t.Helper()
	r.State = alotwebhook.RecoveryErasing
	n, next, err := t.store.Erase(t.ctx(), r, limit)
	require.NoError(t, err)
	return n, next
}

// erase erases all that r selects, and returns how many events that were.
func (t *trial) erase(r alotwebhook.Recovery) (sum int) {
	t.Helper()
	if r.EndpointID == "" {
		r.EndpointID = "rec_" + newSuffix(t)
	}
	for range endless {
		n, next := t.erasePage(r, 1000)
		sum += n
		if next == "" {
			return sum
		}
		r.Cursor = next
	}
	require.FailNow(t, "an erasure has no end", "%+v", r)
	return 0
}

// requireErased requires that nothing personal can be read of these events, and that their rows are there.
func (t *trial) requireErased(events ...alotwebhook.Event) {
	t.Helper()
	t.requireUnknown(events...)
	for _, event := range events {
		for _, d := range t.list(alotwebhook.Filter{EventID: event.ID}) {
			require.NotContains(t, []alotwebhook.DeliveryState{alotwebhook.StatePending, alotwebhook.StateParked}, d.State, "a delivery of an erased event is finished")
			require.Equal(t, []string{event.Type, event.OrganizationID}, []string{d.EventType, d.OrganizationID})
			for _, a := range t.delivery(d.ID).Attempts {
				require.Empty(t, a.Detail+a.ResponseBody, "attempt %d of %s", a.Number, d.ID)
			}
			if event.Subject != "" {
				require.Empty(t, t.list(alotwebhook.Filter{EventID: event.ID, Subject: event.Subject}))
			}
		}
	}
}

// requireKept requires that these events are stored as they were.
func (t *trial) requireKept(events ...alotwebhook.Event) {
	t.Helper()
	for _, event := range events {
		requireTrace(t, event)
		t.requireSubject(event)
	}
}

// everything returns all that can be read of the store as text, and of these events, which need not be
// in any list.
func (t *trial) everything(events ...alotwebhook.Event) string {
	t.Helper()
	var all strings.Builder
	for _, d := range t.list(alotwebhook.Filter{Limit: 1000}) {
		fmt.Fprintf(&all, "%+v\n%+v\n", d, t.delivery(d.ID))
	}
	for _, event := range events {
		if stored, err := t.store.Event(t.ctx(), event.ID); err == nil {
			fmt.Fprintf(&all, "%s %s %+v\n", event.ID, stored.Payload(), stored)
		}
	}
	page, _, err := t.store.Endpoints(t.ctx(), alotwebhook.EndpointFilter{})
	require.NoError(t, err)
	fmt.Fprintf(&all, "%+v\n%+v\n%+v\n", page, t.recoveries(alotwebhook.RecoveryFilter{}), t.operations(alotwebhook.OperationFilter{}))
	return all.String()
}

// requireForgotten requires that nothing of these events can be read that tells of somebody.
func (t *trial) requireForgotten(events ...alotwebhook.Event) {
	t.Helper()
	t.requireErased(events...)
	require.Empty(t, t.ofSubject(personal[1]))
	all := t.everything(events...)
	for _, words := range personal {
		require.NotContains(t, all, words)
	}
}

// withoutContent returns a delivery as it is once its event was erased.
func withoutContent(d alotwebhook.Delivery) alotwebhook.Delivery {
	d.Attempts = slices.Clone(d.Attempts)
	for i := range d.Attempts {
		d.Attempts[i].Detail, d.Attempts[i].ResponseBody = "", ""
	}
	return d
}
