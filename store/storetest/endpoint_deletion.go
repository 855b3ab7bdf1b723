package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Somebody who edits a deleted endpoint must not bring it back.
func putGone(t *trial) {
	e := t.endpoint("org_1", completed)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.ErrorIs(t, t.store.PutEndpoint(t.ctx(), e), alotwebhook.ErrNotFound)
	_, err := t.store.Endpoint(t.ctx(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
}

// The history must say why events to a deleted endpoint never arrived. The endpoint's attempts
// cannot be blamed for it.
func deleteFails(t *trial) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	events := t.emit("org_1", completed, 4)
	ids := idsOf(events, e)
	busy := alotwebhook.ClaimRequest{Limit: 3, Busy: map[string]int{other.ID: 1000}}
	c := t.claimAs(busy).Deliveries
	require.Equal(t, ids[:3], claimedIDs(c))
	t.finish(delivered(c[0]), retry(c[1], long)) // ids[2] stays under lease, and ids[3] is due
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))

	t.requireState(ids[0], alotwebhook.StateDelivered)
	for i, id := range ids[1:] {
		d := t.delivery(id)
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonEndpointDeleted, d.LastReason)
		require.False(t, d.FinishedAt.IsZero())
		require.True(t, d.NextAttemptAt.IsZero())
		require.Equal(t, []int{1, 0, 0}[i], d.AttemptCount, "the deletion is not an attempt")
		require.Len(t, d.Attempts, d.AttemptCount)
		require.Equal(t, []int{503, 0, 0}[i], d.LastStatusCode, "that of the newest attempt")
	}
	require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID}), 4, "its history stays readable")
	require.Equal(t, idsOf(events, other), claimedIDs(t.claim(100)), "the other endpoint loses nothing")
	_, err := t.store.Endpoint(t.ctx(), e.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	listed, _ := t.listEndpoints(alotwebhook.EndpointFilter{})
	require.Equal(t, []string{other.ID}, listed)
}

// A delivery that is under way ends when its endpoint is deleted. A late outcome must not change
// what the history says.
func deleteLeased(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 1)
	c := t.claimOne()
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	require.Equal(t, []string{c.DeliveryID}, t.lost(delivered(c)))
	t.requireState(c.DeliveryID, alotwebhook.StateFailed)
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// A customer who deletes an endpoint expects that no more of its data goes there.
func deleteStopsFanOut(t *trial) {
	e := t.endpoint("org_1", completed)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	event := t.emit("org_1", completed, 1)[0]
	require.Empty(t, t.list(alotwebhook.Filter{}))
	require.ErrorIs(t, t.store.EnqueueTo(t.ctx(), e.ID, event), alotwebhook.ErrNotFound)
}
