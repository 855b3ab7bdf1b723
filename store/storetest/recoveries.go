package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var recoveryRules = []rule{
	{"KeepsAllFields", "PutRecovery stores all fields as given; the stored version is r.Version + 1.", recoveryKeepsAllFields},
	{"Replaces", "PutRecovery replaces the endpoint's stored recovery if that is still at r.Version: an endpoint has one.", recoveryReplaces},
	{"Conflict", "PutRecovery of another version than the stored one is ErrConflict and changes nothing.", recoveryConflict},
	{"ConcurrentWriters", "Of several writers that read the same version, exactly one wins.", recoveryConcurrently},
	{"Filters", "Recoveries returns those that match every field of the filter; zero fields select all.", recoveryFilters},
	{"Pages", "Recoveries returns pages in the order of the endpoints' ids, and the cursor of the next page; \"\" after the last.", recoveryPages},
	{"OutlivesEndpoint", "Deleting the endpoint changes nothing in its recovery.", recoveryOutlivesEndpoint},
	{"Purge", "Recoveries that do not run any more go when their endpoint is gone and History has passed since their UpdatedAt.", recoveryPurge},
}

func newRecovery(e alotwebhook.Endpoint) alotwebhook.Recovery {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return alotwebhook.Recovery{
		EndpointID: e.ID, OrganizationID: e.OrganizationID, State: alotwebhook.RecoveryRunning,
		Until: now, Oldest: now.Add(-time.Hour), CreatedAt: now, UpdatedAt: now,
	}
}

// putRecovery stores r and counts its version up, as the store does.
func (t *trial) putRecovery(r *alotwebhook.Recovery) {
	t.Helper()
	require.NoError(t, t.store.PutRecovery(t.ctx(), *r))
	r.Version++
}

func (t *trial) recoveries(f alotwebhook.RecoveryFilter) []alotwebhook.Recovery {
	t.Helper()
	page, next, err := t.store.Recoveries(t.ctx(), f)
	require.NoError(t, err)
	require.Empty(t, next)
	return page
}

func (t *trial) requireRecoveries(f alotwebhook.RecoveryFilter, want ...alotwebhook.Recovery) {
	t.Helper()
	got := t.recoveries(f)
	require.Len(t, got, len(want), "filter %+v", f)
	for i := range got {
		for _, at := range [][2]*time.Time{
			{&want[i].Since, &got[i].Since}, {&want[i].Until, &got[i].Until}, {&want[i].Oldest, &got[i].Oldest},
			{&want[i].CreatedAt, &got[i].CreatedAt}, {&want[i].UpdatedAt, &got[i].UpdatedAt}, {&want[i].FinishedAt, &got[i].FinishedAt},
		} {
			require.Equal(t, at[0].IsZero(), at[1].IsZero(), "zero when it was given so")
			require.True(t, at[0].Equal(*at[1]), "%v is stored as %v", at[0], at[1])
			*at[1] = *at[0]
		}
	}
	if len(want) > 0 {
		require.Equal(t, want, got)
	}
}

func recoveryKeepsAllFields(t *trial) {
	e := t.endpoint("org_é", completed)
	r := newRecovery(e)
	t.putRecovery(&r)
	require.EqualValues(t, 1, r.Version)
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, r)

	at := time.Date(2026, 5, 25, 14, 23, 0, 678901000, time.UTC)
	r.State, r.Recovered, r.Skipped = alotwebhook.RecoveryStopped, 1<<40, 7
	r.Cursor = alotwebhook.DeliveryID(newEvent(t, "org_é", completed).ID, e.ID)
	r.Since, r.Until, r.Oldest = at, at.Add(time.Hour+time.Microsecond), at.Add(time.Minute)
	r.CreatedAt, r.UpdatedAt, r.FinishedAt = at.Add(1*time.Second), at.Add(2*time.Second), at.Add(3*time.Second)
	t.putRecovery(&r)
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, r)
}

func recoveryReplaces(t *trial) {
	first, second := newRecovery(t.endpoint("org_1", completed)), newRecovery(t.endpoint("org_1", completed))
	t.putRecovery(&first)
	t.putRecovery(&second)
	for i := range 3 {
		first.Recovered = int64(i)
		t.putRecovery(&first)
	}
	require.EqualValues(t, 4, first.Version)
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, first, second)
}

func recoveryConflict(t *trial) {
	r := newRecovery(t.endpoint("org_1", completed))
	early := r
	early.Version = 1
	require.ErrorIs(t, t.store.PutRecovery(t.ctx(), early), alotwebhook.ErrConflict, "version 1 while none is stored")
	require.Empty(t, t.recoveries(alotwebhook.RecoveryFilter{}))
	t.putRecovery(&r)
	t.putRecovery(&r)
	for _, version := range []int64{0, 1, 3} {
		stale := r
		stale.Version, stale.State = version, alotwebhook.RecoveryDone
		require.ErrorIs(t, t.store.PutRecovery(t.ctx(), stale), alotwebhook.ErrConflict, "version %d while 2 is stored", version)
	}
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, r)
}

func recoveryConcurrently(t *trial) {
	r := newRecovery(t.endpoint("org_1", completed))
	for range 5 {
		var won atomic.Int64
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			mine := r
			mine.Recovered = int64(i)
			wg.Go(func() {
				if errs[i] = t.store.PutRecovery(t.ctx(), mine); errs[i] == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		for i, err := range errs {
			if err == nil {
				r.Recovered = int64(i)
			} else {
				require.ErrorIs(t, err, alotwebhook.ErrConflict)
			}
		}
		r.Version++
		t.requireRecoveries(alotwebhook.RecoveryFilter{}, r)
	}
}

func recoveryFilters(t *trial) {
	states := []alotwebhook.RecoveryState{alotwebhook.RecoveryRunning, alotwebhook.RecoveryDone, alotwebhook.RecoveryStopped, alotwebhook.RecoveryRunning}
	var all []alotwebhook.Recovery
	for _, state := range states {
		r := newRecovery(t.endpoint("org_1", completed))
		r.State = state
		t.putRecovery(&r)
		all = append(all, r)
	}
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, all...)
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryRunning}, all[0], all[3])
	t.requireRecoveries(alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryDone}, all[1])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: all[2].EndpointID}, all[2])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: all[2].EndpointID, State: alotwebhook.RecoveryStopped}, all[2])
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: all[2].EndpointID, State: alotwebhook.RecoveryRunning})
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: newEndpoint(t, "org_1").ID})
}

func recoveryPages(t *trial) {
	var want []string
	for range 105 {
		r := newRecovery(newEndpoint(t, "org_1"))
		t.putRecovery(&r)
		want = append(want, r.EndpointID)
	}
	for _, f := range []alotwebhook.RecoveryFilter{{}, {State: alotwebhook.RecoveryRunning}, {Limit: 7}, {Limit: 105}} {
		var got []string
		for {
			page, next, err := t.store.Recoveries(t.ctx(), f)
			require.NoError(t, err)
			for _, r := range page {
				got = append(got, r.EndpointID)
			}
			if f.Cursor = next; next == "" || len(got) > len(want) {
				break
			}
			require.Len(t, page, max(f.Limit, 7+93*(1-min(f.Limit, 1))), "100 when Limit is 0")
		}
		require.Equal(t, want, got, "filter %+v", f)
	}
}

func recoveryOutlivesEndpoint(t *trial) {
	e := t.endpoint("org_1", completed)
	r := newRecovery(e)
	t.putRecovery(&r)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, r)
	r.State = alotwebhook.RecoveryStopped
	t.putRecovery(&r)
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, r)
}

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
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{History: 2 * time.Hour}), "uncounted")
	t.requireRecoveries(alotwebhook.RecoveryFilter{}, running, kept, young)
}
