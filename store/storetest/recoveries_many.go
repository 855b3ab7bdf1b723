package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// newRecoveryOfMany returns a recovery over the endpoints of an organization, or of all.
func newRecoveryOfMany(t *trial, org string, state alotwebhook.RecoveryState) alotwebhook.Recovery {
	t.Helper()
	r := newRecovery(alotwebhook.Endpoint{ID: "rec_" + newSuffix(t), OrganizationID: org})
	r.State = state
	return r
}

// Several incidents can be mended at once. None of that takes the place of what an endpoint's own
// recovery has done.
func recoveryOverMany(t *trial) {
	own := newRecovery(t.endpoint("org_1", completed))
	t.putRecovery(&own)
	var many []alotwebhook.Recovery
	for _, state := range []alotwebhook.RecoveryState{
		alotwebhook.RecoveryRunning, alotwebhook.RecoveryCanceling, alotwebhook.RecoveryErasing, alotwebhook.RecoveryRunning, alotwebhook.RecoveryRemoving,
	} {
		r := newRecoveryOfMany(t, []string{"", "org_1"}[len(many)%2], state)
		r.EventType, r.Note, r.Subject = completed, "why", "cand_1"
		t.putRecovery(&r)
		many = append(many, r)
	}
	require.ErrorIs(t, t.store.PutRecovery(t.ctx(), newRecoveryAgain(many[0], 0)), alotwebhook.ErrConflict)
	many[0].Cursor, many[0].Skipped = alotwebhook.DeliveryID(newEvent(t, "org_1", completed).ID, own.EndpointID), 5
	t.putRecovery(&many[0])
	require.ErrorIs(t, t.store.PutRecovery(t.ctx(), newRecoveryAgain(many[0], 1)), alotwebhook.ErrConflict)

	t.requireRecoveries(alotwebhook.RecoveryFilter{}, append(many[:5:5], own)...)
	t.requireRecoveries(alotwebhook.RecoveryFilter{Many: true}, many...)
	t.requireRecoveries(alotwebhook.RecoveryFilter{Many: true, State: alotwebhook.RecoveryRunning}, many[0], many[3])
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryRunning}, many[0], many[3], own)
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryCanceling}, many[1])
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryErasing}, many[2])
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryRemoving}, many[4])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: many[2].EndpointID}, many[2])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: many[2].EndpointID, Many: true}, many[2])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: own.EndpointID, Many: true})
	t.requireRecoveries(alotwebhook.RecoveryFilter{Many: true, Cursor: many[2].EndpointID}, many[3:]...)
	page, next, err := t.store.Recoveries(t.ctx(), alotwebhook.RecoveryFilter{Many: true, Limit: 5})
	require.NoError(t, err)
	require.Len(t, page, 5)
	require.Empty(t, next, "that of the endpoint does not follow")
	page, next, err = t.store.Recoveries(t.ctx(), alotwebhook.RecoveryFilter{Many: true, Limit: 4})
	require.NoError(t, err)
	require.Len(t, page, 4)
	require.Equal(t, many[3].EndpointID, next)
}

// newRecoveryAgain returns r as somebody has it who read it at that version.
func newRecoveryAgain(r alotwebhook.Recovery, version int64) alotwebhook.Recovery {
	r.Version = version
	return r
}

// An incident may take days to mend. What has ended is of no use for longer than its history.
func recoveryPurgeOverMany(t *trial) {
	put := func(state alotwebhook.RecoveryState, age time.Duration) alotwebhook.Recovery {
		t.Helper()
		r := newRecoveryOfMany(t, "org_1", state)
		r.UpdatedAt = r.UpdatedAt.Add(-age)
		t.putRecovery(&r)
		return r
	}
	var kept []alotwebhook.Recovery
	for _, state := range []alotwebhook.RecoveryState{
		alotwebhook.RecoveryRunning, alotwebhook.RecoveryCanceling, alotwebhook.RecoveryErasing, alotwebhook.RecoveryRemoving,
	} {
		kept = append(kept, put(state, 3*time.Hour))
	}
	for _, state := range []alotwebhook.RecoveryState{
		alotwebhook.RecoveryDone, alotwebhook.RecoveryStopped, alotwebhook.RecoveryCanceled, alotwebhook.RecoveryErased, alotwebhook.RecoveryRemoved,
	} {
		kept = append(kept, put(state, time.Hour))
		put(state, 3*time.Hour)
	}
	discarding := newRecovery(newEndpoint(t, "org_1")) // of an endpoint that is gone
	discarding.State, discarding.UpdatedAt = alotwebhook.RecoveryDiscarding, discarding.UpdatedAt.Add(-3*time.Hour)
	t.putRecovery(&discarding)
	require.Len(t, t.recoveries(alotwebhook.RecoveryFilter{}), 15)
	t.purge(alotwebhook.PurgeRequest{Payloads: soon})
	require.Len(t, t.recoveries(alotwebhook.RecoveryFilter{}), 15, "without a time for the history, it is kept for ever")
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{History: 2 * time.Hour}), "a recovery is not counted")
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, append(kept, discarding)...)
}

// A store that never deletes recoveries would grow with every endpoint that ever existed. The
// recovery of an existing endpoint is still shown.
func recoveryPurge(t *trial) {
	put := func(state alotwebhook.RecoveryState, age time.Duration, gone bool) alotwebhook.Recovery {
		t.Helper()
		e := t.endpoint("org_1", completed)
		r := newRecovery(e)
		r.State, r.UpdatedAt = state, r.UpdatedAt.Add(-age)
		t.putRecovery(&r)
		if gone {
			require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
		}
		return r
	}
	running := put(alotwebhook.RecoveryRunning, 3*time.Hour, true)
	kept := put(alotwebhook.RecoveryDone, 3*time.Hour, false)
	young := put(alotwebhook.RecoveryStopped, time.Hour, true)
	old := put(alotwebhook.RecoveryStopped, 3*time.Hour, true)
	t.purge(alotwebhook.PurgeRequest{Payloads: soon})
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, running, kept, young, old)
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{History: 2 * time.Hour}), "a recovery is not counted")
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, running, kept, young)
}
