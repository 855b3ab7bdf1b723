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
	{"Replaces", "PutRecovery replaces the endpoint's stored recovery if its version is still r.Version. An endpoint has at most one.", recoveryReplaces},
	{"Conflict", "If the stored version is not r.Version, PutRecovery returns ErrConflict and changes nothing.", recoveryConflict},
	{"ConcurrentWriters", "If several writers have read the same version, exactly one of them succeeds.", recoveryConcurrently},
	{"Filters", "Recoveries returns the recoveries that match every field of the filter; a zero field matches all.", recoveryFilters},
	{"Pages", "Recoveries returns pages in the order of the endpoints' ids, and the cursor of the next page; \"\" after the last.", recoveryPages},
	{"OutlivesEndpoint", "The deletion of an endpoint does not change its recovery.", recoveryOutlivesEndpoint},
	{"OverMany", "Any number of recoveries over many endpoints are stored, by ids of their own that begin with rec_, beside those of endpoints. Many selects them.", recoveryOverMany},
	{"PurgeOverMany", "Purge deletes a recovery over many endpoints that has ended, once History has passed since its UpdatedAt, and no recovery that is under way, whatever it does.", recoveryPurgeOverMany},
	{"Purge", "Purge deletes a recovery that has ended and whose endpoint was deleted, once History has passed since its UpdatedAt. It does not count it.", recoveryPurge},
}

// newRecovery returns a running recovery of an endpoint.
func newRecovery(e alotwebhook.Endpoint) alotwebhook.Recovery {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return alotwebhook.Recovery{
		EndpointID: e.ID, OrganizationID: e.OrganizationID, State: alotwebhook.RecoveryRunning,
		Until: now, Oldest: now.Add(-time.Hour), CreatedAt: now, UpdatedAt: now,
	}
}

// putRecovery stores r and adds one to its version, as the store does.
func (t *trial) putRecovery(r *alotwebhook.Recovery) {
	t.Helper()
	require.NoError(t, t.store.PutRecovery(t.ctx(), *r))
	r.Version++
}

// recoveries returns the matching recoveries, which must fit on one page.
func (t *trial) recoveries(f alotwebhook.RecoveryFilter) []alotwebhook.Recovery {
	t.Helper()
	page, next, err := t.store.Recoveries(t.ctx(), f)
	require.NoError(t, err)
	require.Empty(t, next)
	return page
}

// requireRecoveries requires that these recoveries match. Times may differ in their zone.
func (t *trial) requireRecoveries(f alotwebhook.RecoveryFilter, want ...alotwebhook.Recovery) {
	t.Helper()
	got := t.recoveries(f)
	require.Len(t, got, len(want), "filter %+v", f)
	for i := range got {
		for _, at := range [][2]*time.Time{
			{&want[i].FailedSince, &got[i].FailedSince}, {&want[i].FailedUntil, &got[i].FailedUntil}, {&want[i].Since, &got[i].Since}, {&want[i].Until, &got[i].Until}, {&want[i].Oldest, &got[i].Oldest},
			{&want[i].CreatedAt, &got[i].CreatedAt}, {&want[i].UpdatedAt, &got[i].UpdatedAt}, {&want[i].FinishedAt, &got[i].FinishedAt},
		} {
			require.Equal(t, at[0].IsZero(), at[1].IsZero(), "a zero time stays zero, and no other becomes zero")
			require.True(t, at[0].Equal(*at[1]), "%v is stored as %v", at[0], at[1])
			*at[1] = *at[0]
		}
	}
	if len(want) > 0 {
		require.Equal(t, want, got)
	}
}

// A process that continues a recovery after a crash knows nothing but these fields.
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
	r.EventID, r.EventType, r.Reason = newEvent(t, "org_é", completed).ID, ending(128), alotwebhook.ReasonResponseTooLarge
	r.Subject = ending(128)
	r.FailedSince, r.FailedUntil = at.Add(4*time.Second+time.Microsecond), at.Add(5*time.Second)
	const said = `'wrong' "data" \ %s; 日本 😀 `
	r.Actor, r.Note = ending(128), said+ending(256-len(said))
	t.putRecovery(&r)
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, r)

	again := newRecovery(e)
	again.Version = r.Version
	t.putRecovery(&again)
	t.requireRecoveries(alotwebhook.RecoveryFilter{EndpointID: e.ID}, again)
}

// The pages show the last recovery of an endpoint, and two at the same time would send
// the same deliveries.
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

// Only one process may work on a recovery. A process that lost it to another must notice
// that at its next write.
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

// Several processes may find a recovery without an owner at the same time. Exactly one
// may adopt it.
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

// Every process looks for running recoveries every few seconds, and a page asks for the
// one of its endpoint.
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

// An outage may leave many endpoints to recover. None may be missed.
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

// A page may still show a recovery whose endpoint is gone, and the process that runs it
// must be able to end it.
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
