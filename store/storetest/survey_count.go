package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// requireCount requires that the recovery selects exactly these deliveries.
func (t *trial) requireCount(s alotwebhook.Surveyor, r alotwebhook.Recovery, of []alotwebhook.Delivery, msg ...any) {
	t.Helper()
	endpoints, organizations := map[string]bool{}, map[string]bool{}
	for _, d := range of {
		endpoints[d.EndpointID], organizations[d.OrganizationID] = true, true
	}
	got, err := s.Count(t.ctx(), r)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Count{Deliveries: int64(len(of)), Endpoints: int64(len(endpoints)), Organizations: int64(len(organizations))}, got, msg...)
}

// Somebody reads the count before confirming. If it ignored a field that the recovery goes by, or
// went by one that the recovery ignores, that would confirm something else.
func countFields(t *trial, s alotwebhook.Surveyor) {
	t.variety()
	t.failDifferently()
	all := t.list(alotwebhook.Filter{})
	reasons := map[alotwebhook.FailureReason]bool{}
	for _, d := range all {
		r := alotwebhook.Recovery{State: alotwebhook.RecoveryRunning}
		if reasons[d.LastReason] = true; unfinished(d) {
			r.State = alotwebhook.RecoveryCanceling
		}
		for mask := range 1 << 5 {
			r.OrganizationID, r.EndpointID, r.EventID, r.EventType, r.Reason = "", "rec_"+newSuffix(t), "", "", ""
			f := alotwebhook.Filter{State: alotwebhook.StateFailed}
			if r.State == alotwebhook.RecoveryCanceling {
				f.State = alotwebhook.StateUnfinished
			}
			if mask&1 != 0 {
				r.OrganizationID, f.OrganizationID = d.OrganizationID, d.OrganizationID
			}
			if mask&2 != 0 {
				r.EndpointID, f.EndpointID = d.EndpointID, d.EndpointID
			}
			if mask&4 != 0 {
				r.EventID, f.EventID = d.EventID, d.EventID
			}
			if mask&8 != 0 {
				r.EventType, f.EventType = d.EventType, d.EventType
			}
			if mask&16 != 0 {
				r.Reason = d.LastReason
			}
			var want []alotwebhook.Delivery
			for _, d := range selected(all, f) {
				if r.Reason == "" || r.Reason == d.LastReason {
					want = append(want, d)
				}
			}
			t.requireCount(s, r, want, "recovery %+v", r)
		}
	}
	require.Len(t, reasons, 3, "all reasons occur")
	for _, r := range []alotwebhook.Recovery{
		{OrganizationID: "org_"}, {OrganizationID: "ORG_1"}, {EndpointID: newEndpoint(t, "org_1").ID}, {EventID: newEvent(t, "org_1", completed).ID},
		{EventType: "candidate"}, {Reason: "time"}, {Reason: alotwebhook.ReasonDNS}, {OrganizationID: "org_2", EndpointID: all[len(all)-1].EndpointID, EventType: "none"},
	} {
		t.requireCount(s, r, nil, "recovery %+v", r)
	}
}

// failDifferently sends again all but one of the deliveries that have failed. Half of them fail for
// good for another reason, and half wait then.
func (t *trial) failDifferently() {
	t.Helper()
	again := deliveryIDs(t.list(alotwebhook.Filter{State: alotwebhook.StateFailed}))[1:]
	require.Equal(t, len(again), t.redeliver(again...))
	for i, c := range t.claim(100) {
		o := outcome(c, alotwebhook.StateFailed, 0, alotwebhook.ReasonTimeout)
		if i%2 == 0 {
			o.State, o.NextAttemptIn = alotwebhook.StatePending, long
		}
		t.finish(o)
	}
}

// An incident has a beginning and an end. What failed before or after has other causes.
func countFailedBounds(t *trial, s alotwebhook.Surveyor) {
	e, other := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	var all []alotwebhook.Delivery
	for i := range 5 {
		org, of := "org_1", e
		if i == 3 {
			org, of = "org_2", other
		}
		id := idsOf(t.emit(org, completed, 1), of)[0]
		t.finish(failed(t.claimOne()))
		all = append(all, t.delivery(id))
		time.Sleep(2 * time.Millisecond)
	}
	count := func(since, until time.Time, of []alotwebhook.Delivery) {
		t.Helper()
		t.requireCount(s, alotwebhook.Recovery{EndpointID: "rec_" + newSuffix(t), State: alotwebhook.RecoveryRunning, FailedSince: since, FailedUntil: until}, of, "from %v until %v", since, until)
	}
	for i, from := range all {
		at := from.FinishedAt
		count(at, time.Time{}, all[i:])
		count(at.Add(time.Microsecond), time.Time{}, all[i+1:])
		count(time.Time{}, at, all[:i])
		count(time.Time{}, at.Add(time.Microsecond), all[:i+1])
		for j, to := range all[i:] {
			count(at, to.FinishedAt, all[i:i+j])
			count(at.In(time.FixedZone("", 3600)), to.FinishedAt.Add(time.Microsecond), all[i:i+j+1])
		}
	}
	count(time.Time{}, time.Time{}, all)
}

// The time of a recovery is that of its pages.
func countSinceUntil(t *trial, s alotwebhook.Surveyor) {
	e := t.endpoint("org_1", completed)
	base := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	for i := range 6 {
		t.enqueue(eventAt(t, "org_1", completed, base.Add(time.Duration(i)*time.Millisecond)))
	}
	all := t.list(alotwebhook.Filter{})
	for _, state := range []alotwebhook.RecoveryState{alotwebhook.RecoveryCanceling, alotwebhook.RecoveryRunning} {
		for _, endpointID := range []string{e.ID, "rec_" + newSuffix(t)} {
			for i := range all {
				at, ok := typeid.Time("dlv", all[i].ID)
				require.True(t, ok)
				r := alotwebhook.Recovery{EndpointID: endpointID, State: state}
				for _, rest := range []time.Duration{0, time.Millisecond - 1} {
					r.Since, r.Until = at.Add(rest), time.Time{}
					t.requireCount(s, r, all[:i+1], "since")
					r.Since, r.Until = time.Time{}, at.Add(rest)
					t.requireCount(s, r, all[i+1:], "until")
					r.Since, r.Until = at.Add(-2*time.Millisecond), at.Add(rest)
					t.requireCount(s, r, all[i+1:min(i+3, len(all))], "both")
				}
			}
		}
		c := t.claim(100)
		outcomes := make([]alotwebhook.Outcome, len(c))
		for i := range c {
			outcomes[i] = failed(c[i])
		}
		t.finish(outcomes...)
	}
}

// Nothing that is under way may come as a surprise.
func countStates(t *trial, s alotwebhook.Surveyor) {
	e, off := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	gone := t.endpoint("org_3", completed)
	t.emit("org_3", completed, 1)
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), gone.ID))
	t.emit("org_2", completed, 3)
	c := t.claim(1)
	t.finish(retry(c[0], long))
	t.setDisabled(&off, true)
	n, err := t.store.Discard(t.ctx(), off.ID, time.Now().Add(long), 1)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	ids := idsOf(t.emit("org_1", completed, 6), e)
	c = t.claim(4)
	t.finish(retry(c[0], long), failed(c[1]), delivered(c[2])) // c[3] stays leased, and two are due
	require.Equal(t, 1, t.cancel(ids[5]))
	var ended, meant, rest []alotwebhook.Delivery
	for _, d := range t.list(alotwebhook.Filter{}) {
		if d.State == alotwebhook.StateFailed {
			ended = append(ended, d)
			if d.LastReason != alotwebhook.ReasonDiscarded && d.LastReason != alotwebhook.ReasonCanceled {
				meant = append(meant, d)
			}
		} else if d.State != alotwebhook.StateDelivered {
			rest = append(rest, d)
		}
	}
	require.Len(t, ended, 4)
	require.Len(t, meant, 2)
	require.Len(t, rest, 5)
	t.requireCount(s, alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling}, rest)
	for _, state := range []alotwebhook.RecoveryState{"", alotwebhook.RecoveryRunning, alotwebhook.RecoveryDone, alotwebhook.RecoveryStopped, alotwebhook.RecoveryCanceled} {
		t.requireCount(s, alotwebhook.Recovery{State: state}, meant, "state %q: without what nobody wants to be sent", state)
	}
	for _, d := range ended {
		t.requireCount(s, alotwebhook.Recovery{Reason: d.LastReason}, []alotwebhook.Delivery{d}, "reason %q", d.LastReason)
	}
}

// A recovery of a day is larger than any page, and people look at one that is half done.
func countMany(t *trial, s alotwebhook.Surveyor) {
	for i := range 3 {
		t.endpoint([]string{"org_1", "org_1", "org_2"}[i], completed)
	}
	t.enqueue(append(newEvents(t, "org_1", completed, 1500), newEvents(t, "org_2", completed, 500)...)...)
	count := func(r alotwebhook.Recovery, want alotwebhook.Count) {
		t.Helper()
		now := time.Now().UTC()
		r.Cursor = t.list(alotwebhook.Filter{Limit: 5000})[3000].ID
		r.Oldest, r.CreatedAt, r.UpdatedAt, r.FinishedAt = now, now, now, now
		r.Version, r.Recovered, r.Skipped, r.Actor, r.Note = 7, 8, 9, "jane", "why"
		got, err := s.Count(t.ctx(), r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	canceling := alotwebhook.Recovery{EndpointID: "rec_" + newSuffix(t), State: alotwebhook.RecoveryCanceling}
	count(canceling, alotwebhook.Count{Deliveries: 3500, Endpoints: 3, Organizations: 2})
	t.finish(failed(t.claim(1)[0]))
	count(canceling, alotwebhook.Count{Deliveries: 3499, Endpoints: 3, Organizations: 2})
	canceling.OrganizationID = "org_1"
	one, err := s.Count(t.ctx(), canceling)
	require.NoError(t, err)
	require.EqualValues(t, 1, one.Organizations)
	require.EqualValues(t, 2, one.Endpoints)
}
