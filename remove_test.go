package alotwebhook_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// requireNothingOf requires that nothing can be read of an organization but how it was removed.
func (w *world) requireNothingOf(t testing.TB, organization string, removal alotwebhook.Recovery, endpointIDs ...string) {
	t.Helper()
	for range w.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: organization}) {
		require.Fail(t, "an endpoint is left")
	}
	for range w.Deliveries(t.Context(), alotwebhook.Filter{OrganizationID: organization}) {
		require.Fail(t, "a delivery is left")
	}
	for _, id := range endpointIDs {
		_, err := w.Endpoint(t.Context(), id)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		_, err = w.Recovery(t.Context(), id)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
	tallies, err := w.Tallies(t.Context(), time.Time{}, endpointIDs...)
	require.NoError(t, err)
	require.Empty(t, tallies)
	pauses, err := w.Pauses(t.Context())
	require.NoError(t, err)
	for _, p := range pauses {
		require.NotEqual(t, organization, p.OrganizationID)
	}
	page, _, err := w.Operations(t.Context(), alotwebhook.OperationFilter{OrganizationID: organization})
	require.NoError(t, err)
	for _, o := range page {
		require.Equal(t, removal.EndpointID, o.EndpointID)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeople(t)
		a, b := p.at(t, "a.example.com"), p.at(t, "b.example.com")
		b.Disabled = true
		_, err := p.UpdateEndpoint(t.Context(), b)
		require.NoError(t, err)
		for _, pause := range []alotwebhook.Pause{{OrganizationID: "org_1"}, {EndpointID: a.ID}, {OrganizationID: "org_2"}} {
			_, err = p.Pause(t.Context(), pause)
			require.NoError(t, err)
		}
		_, err = p.Recover(t.Context(), a.ID, time.Time{})
		require.NoError(t, err)
		others := func(e alotwebhook.Event) bool { return e.OrganizationID == "org_2" }
		before := p.everything(t, others)

		defer p.run(t)()
		begun, err := p.Remove(alotwebhook.WithActor(t.Context(), "operator"), "org_1", "they have left")
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryRemoving, begun.State)
		done := p.ended(t, begun)
		require.Equal(t, alotwebhook.RecoveryRemoved, done.State)
		require.Equal(t, []string{"org_1", "operator", "they have left"}, []string{done.OrganizationID, done.Actor, done.Note})
		require.EqualValues(t, 1, done.Progress())
		p.requireNothingOf(t, "org_1", begun, a.ID, b.ID)
		for _, e := range p.events {
			_, err = p.Event(t.Context(), e.ID)
			require.Equal(t, others(e), err == nil)
		}
		require.Equal(t, before, p.everything(t, others))
		requests := len(p.net.requests())
		require.NoError(t, p.Emit(t.Context(), about(t, "org_1", jane), about(t, "org_2", jane)))
		require.NoError(t, p.Resume(t.Context(), alotwebhook.Pause{OrganizationID: "org_2"}))
		time.Sleep(3 * time.Hour)
		for _, r := range p.net.requests()[requests:] {
			require.Equal(t, "c.example.com", r.host)
		}
		require.Greater(t, len(p.net.requests()), requests, "the other organization is sent what is its own")
	})
}

// If a process ends half way, the next one goes on.
func TestRemovingSurvivesRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &erasures{Store: memory.New()}
		w := newWorldOn(t, store, alotwebhook.Config{}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		for range 50 {
			require.NoError(t, w.Emit(t.Context(), about(t, "org_1", jane)))
		}
		stop := w.run(t)
		time.Sleep(time.Minute)
		begun, err := w.Remove(t.Context(), "org_1", "")
		require.NoError(t, err)
		time.Sleep(25 * time.Second)
		stop()
		half, err := w.Recovery(t.Context(), begun.EndpointID)
		require.NoError(t, err)
		require.Equal(t, alotwebhook.RecoveryRemoving, half.State)
		require.Less(t, half.Progress(), 1.0)
		_, err = w.Endpoint(t.Context(), e.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
		page, _, err := w.DeliveryPage(t.Context(), alotwebhook.Filter{OrganizationID: "org_1"})
		require.NoError(t, err)
		require.Len(t, page, 30)

		w = newWorldOn(t, store, alotwebhook.Config{}, w.net)
		defer w.run(t)()
		done := w.ended(t, begun)
		require.Equal(t, alotwebhook.RecoveryRemoved, done.State)
		w.requireNothingOf(t, "org_1", begun, e.ID)
	})
}

func TestRemoveBadInput(t *testing.T) {
	t.Parallel()
	w := twoOrganizations(t, alotwebhook.Config{})
	for _, organization := range []string{"", "a\x00"} {
		_, err := w.Remove(t.Context(), organization, "")
		requireField(t, err, "organizationId")
	}
	_, err := w.Remove(t.Context(), "org_1", "a\nb")
	requireField(t, err, "note")
	_, err = w.Recovery(t.Context(), "org_1")
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	require.Equal(t, "org_1", w.at(t, "a.example.com").OrganizationID)
}
