package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// pauseRules are the rules of an optional capability, [alotwebhook.Pauser].
var pauseRules = []rule{
	{"KeepsAllFields", "PutPause stores a pause of an endpoint, of an organization or of all as it is given.", with(pauseKeepsAllFields)},
	{"Replaces", "PutPause replaces the pause of the same OrganizationID and EndpointID, with all that it says, and no other.", with(pauseReplaces)},
	{"Deletes", "DeletePause removes the pause of that OrganizationID and EndpointID, and no other.", with(pauseDeletes)},
	{"NotFound", "DeletePause returns ErrNotFound if there is no such pause, and changes nothing.", with(pauseNotFound)},
	{"Order", "Pauses returns all pauses, however many, ordered by OrganizationID and then by EndpointID, byte by byte.", with(pausesInOrder)},
	{"Operations", "PutPause and DeletePause store their operations if, and only if, they do their work.", with(pauseOperations)},
	{"CutShort", "If its context ends meanwhile, what PutPause or DeletePause does and its operation are stored together or not at all.", with(pausesCutShort)},
	{"Stays", "A pause stays until it is deleted, whatever is purged and whatever becomes of the endpoint.", with(pauseStays)},
	{"NotLate", "Stats leaves what is paused out of OldestDue and OldestDueFailing, and counts it otherwise.", with(pausedIsNotLate)},
}

// newPause returns a pause of an endpoint, of an organization or of all.
func newPause(organizationID, endpointID string) alotwebhook.Pause {
	return alotwebhook.Pause{
		OrganizationID: organizationID, EndpointID: endpointID, Actor: "jane", Note: "a note on " + organizationID + endpointID,
		At: time.Now().UTC().Truncate(time.Microsecond),
	}
}

func (t *trial) putPauses(s alotwebhook.Pauser, pauses ...alotwebhook.Pause) {
	t.Helper()
	for _, p := range pauses {
		require.NoError(t, s.PutPause(t.ctx(), p))
	}
}

// requirePauses requires that exactly these pauses are stored.
func (t *trial) requirePauses(s alotwebhook.Pauser, want ...alotwebhook.Pause) {
	t.Helper()
	got, err := s.Pauses(t.ctx())
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range got {
		require.Equal(t, time.UTC, got[i].At.Location())
		require.True(t, want[i].At.Equal(got[i].At), "%v is stored as %v", want[i].At, got[i].At)
		got[i].At = want[i].At
		require.Equal(t, want[i], got[i])
	}
}

// Who comes in the morning reads from these fields who has stopped everything, since when and why.
func pauseKeepsAllFields(t *trial, s alotwebhook.Pauser) {
	t.requirePauses(s)
	all := alotwebhook.Pause{At: time.Date(2026, 5, 25, 14, 23, 0, 678901000, time.UTC)}
	of, one := newPause("org_é", ""), newPause("org_é", newEndpoint(t, "org_é").ID)
	const said = `it's "their" \ fault; 日本 😀 %s `
	of.Actor, of.Note = ending(128), said+ending(256-len(said))
	of.At = time.Date(2026, 5, 25, 14, 23, 0, 1000, time.FixedZone("", 9*60*60))
	t.putPauses(s, one, all, of)
	t.requirePauses(s, all, of, one)
}

// The second note is the one that holds.
func pauseReplaces(t *trial, s alotwebhook.Pauser) {
	id := newEndpoint(t, "org_1").ID
	pauses := []alotwebhook.Pause{newPause("", ""), newPause("org_1", ""), newPause("org_1", id), newPause("org_2", "")}
	t.putPauses(s, pauses...)
	for i := range pauses {
		pauses[i].Actor, pauses[i].Note, pauses[i].At = "joe", "another", pauses[i].At.Add(-time.Hour)
		t.putPauses(s, pauses[i])
		t.requirePauses(s, pauses...)
		pauses[i].Actor, pauses[i].Note = "", ""
		t.putPauses(s, pauses[i])
		t.requirePauses(s, pauses...)
	}
}

// An organization goes on. One of its endpoints stays paused by itself, and so do all others.
func pauseDeletes(t *trial, s alotwebhook.Pauser) {
	a, b := newEndpoint(t, "org_1").ID, newEndpoint(t, "org_1").ID
	pauses := []alotwebhook.Pause{
		newPause("", ""), newPause("ORG_1", ""), newPause("org_1", ""), newPause("org_1", a), newPause("org_1", b), newPause("org_1 ", ""), newPause("org_2", ""),
	}
	t.putPauses(s, pauses...)
	for _, i := range []int{2, 0, 2, 2, 1, 1, 0} { // which of the rest goes
		require.NoError(t, s.DeletePause(t.ctx(), pauses[i].OrganizationID, pauses[i].EndpointID))
		pauses = append(pauses[:i], pauses[i+1:]...)
		t.requirePauses(s, pauses...)
	}
	again := newPause("org_1", a)
	t.putPauses(s, again)
	t.requirePauses(s, again)
}

// Two people end the same pause. The second must learn that there was none.
func pauseNotFound(t *trial, s alotwebhook.Pauser) {
	require.ErrorIs(t, s.DeletePause(t.ctx(), "", ""), alotwebhook.ErrNotFound)
	id := newEndpoint(t, "org_1").ID
	pauses := []alotwebhook.Pause{newPause("org_1", ""), newPause("org_2", id)}
	t.putPauses(s, pauses...)
	for _, key := range [][2]string{{"", ""}, {"org_1", id}, {"org_2", ""}, {"", id}, {"Org_1", ""}, {"org_1 ", ""}, {"org_", "1"}, {"org_2", strings.ToUpper(id)}} {
		require.ErrorIs(t, s.DeletePause(t.ctx(), key[0], key[1]), alotwebhook.ErrNotFound, "%q", key)
	}
	t.requirePauses(s, pauses...)
	require.NoError(t, s.DeletePause(t.ctx(), "org_1", ""))
	require.ErrorIs(t, s.DeletePause(t.ctx(), "org_1", ""), alotwebhook.ErrNotFound, "it is deleted already")
}

// A dispatcher reads all of them in one call. One that is missing would be sent.
func pausesInOrder(t *trial, s alotwebhook.Pauser) {
	var want []alotwebhook.Pause
	for _, organizationID := range []string{"", "ORG", "Zoo", "org", "org ", "org-1", "org_1", "orgé"} {
		want = append(want, newPause(organizationID, ""))
		for range 20 {
			want = append(want, newPause(organizationID, newEndpoint(t, organizationID).ID))
		}
	}
	for i := range want { // in another order
		t.putPauses(s, want[i*89%len(want)])
	}
	t.requirePauses(s, want...)
}

// Who has paused all customers must stand in the audit trail, and nobody who did not.
func pauseOperations(t *trial, s alotwebhook.Pauser) {
	e := newEndpoint(t, "org_1", completed)
	put, again, gone, none := newOperation(t, "paused", e), newOperation(t, "paused", e), newOperation(t, "resumed", e), newOperation(t, "resumed", e)
	require.NoError(t, s.PutPause(t.ctx(), newPause("org_1", e.ID), put))
	t.requireOperations(put)
	require.NoError(t, s.PutPause(t.ctx(), newPause("org_1", e.ID), again))
	require.NoError(t, s.DeletePause(t.ctx(), "org_1", e.ID, gone))
	require.ErrorIs(t, s.DeletePause(t.ctx(), "org_1", e.ID, none), alotwebhook.ErrNotFound)
	t.requireOperations(put, again, gone)

	ctx, cancel := context.WithCancel(t.ctx())
	cancel()
	require.Error(t, s.PutPause(ctx, newPause("org_1", ""), none))
	require.Error(t, s.DeletePause(ctx, "org_1", "", none))
	_, err := s.Pauses(ctx)
	require.Error(t, err, "its context has ended")
	t.requirePauses(s)
	t.requireOperations(put, again, gone)
	got := t.operations(alotwebhook.OperationFilter{})
	require.Equal(t, gone, got[0])
	require.Len(t, t.claimOperations(10, long), 3, "somebody is told of them")
}

// A process may be killed at any moment. What it has done and what tells of it must not part.
func pausesCutShort(t *trial, s alotwebhook.Pauser) {
	t.cutShort(func(ctx context.Context) (bool, error) {
		e := newEndpoint(t, "org_1", completed) // a database may do late what an earlier call gave up
		paused := func() (n int) {
			t.Helper()
			all, err := s.Pauses(t.ctx())
			require.NoError(t, err)
			for _, p := range all {
				if p.EndpointID == e.ID {
					n++
				}
			}
			return n
		}
		put, gone := newOperation(t, "paused", e), newOperation(t, "resumed", e)
		err := s.PutPause(ctx, newPause("org_1", e.ID), put)
		t.requireTold(put, err, paused)
		require.NoError(t, s.PutPause(t.ctx(), newPause("org_1", e.ID), put), "the call can be repeated after an error")
		require.Equal(t, 1, t.count(put))
		if err != nil {
			require.NoError(t, s.DeletePause(t.ctx(), "org_1", e.ID))
			return false, err
		}
		err = s.DeletePause(ctx, "org_1", e.ID, gone)
		t.requireTold(gone, err, func() int { return 1 - paused() })
		if later := s.DeletePause(t.ctx(), "org_1", e.ID, gone); !errors.Is(later, alotwebhook.ErrNotFound) {
			require.NoError(t, later, "the call can be repeated after an error")
		}
		require.Equal(t, 1, t.count(gone))
		return err == nil, err
	})
}

// A pause that ends by itself would send what somebody has held back for a reason.
func pauseStays(t *trial, s alotwebhook.Pauser) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	t.finish(delivered(t.claimOne()))
	pauses := []alotwebhook.Pause{newPause("", ""), newPause("org_1", ""), newPause("org_1", e.ID)}
	for i := range pauses {
		pauses[i].At = pauses[i].At.Add(-1000 * time.Hour)
	}
	t.putPauses(s, pauses...)
	t.setDisabled(&e, true)
	t.setDisabled(&e, false)
	t.awaitPurge(alotwebhook.PurgeRequest{History: soon}, alotwebhook.PurgeResult{Deliveries: 1, Events: 1})
	t.purge(alotwebhook.PurgeRequest{Parked: soon, Payloads: soon, History: soon, Tallies: soon})
	t.requirePauses(s, pauses...)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	t.requirePauses(s, pauses...)
}

// What waits on purpose is no sign that processes do not keep up.
func pausedIsNotLate(t *trial, s alotwebhook.Pauser) {
	failing := t.failEndpoint() // of org_1; its delivery is due again at once
	healthy := t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	time.Sleep(brief)
	for _, c := range []struct {
		pause         alotwebhook.Pause
		late, failing bool
	}{
		{newPause("org_1", failing.ID), true, false},
		{newPause("org_2", healthy.ID), false, true},
		{newPause("org_1", ""), true, false},
		{newPause("org_2", ""), false, true},
		{newPause("", ""), false, false},
		{newPause("org_3", ""), true, true},
		{newPause("org_2", failing.ID), true, true}, // of which there is none
	} {
		t.putPauses(s, c.pause)
		st := t.stats()
		require.Equal(t, c.late, st.OldestDue > 0, c.pause)
		require.Equal(t, c.failing, st.OldestDueFailing > 0, c.pause)
		require.EqualValues(t, 2, st.Pending)
		require.EqualValues(t, 1, st.FailingEndpoints)
		require.NoError(t, s.DeletePause(t.ctx(), c.pause.OrganizationID, c.pause.EndpointID))
	}
}
