package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// surveyRules are the rules of an optional capability, [alotwebhook.Surveyor].
var surveyRules = []rule{
	{"Backlogs", "Backlogs counts the unfinished deliveries of each organization that has any: pending ones, those of them that are due, and parked ones.", with(backlogsCount)},
	{"BacklogsOrder", "Backlogs returns the limit organizations with the most unfinished deliveries, pending and parked together, most first, and by their ids where they have as many.", with(backlogsInOrder)},
	{"BacklogsOldestDue", "OldestDue of a Backlog is how long the delivery to an enabled endpoint, failing or not, has been due that is due longest.", with(backlogsOldestDue)},
	{"Totals", "Totals adds up the tallies of all endpoints, by the hour, from since on, with \"\" as EndpointID.", with(totalsAddUp)},
	{"Processes", "Processes returns each process once, ordered by their ids. Together they own no more than all endpoints.", with(processesAsOne)},
	{"Ended", "With a context that has ended, a survey returns an error.", with(surveyEnded)},
	{"CountFields", "Count counts the deliveries that match every field of a recovery, of failed ones or, with RecoveryCanceling, of unfinished ones; and their endpoints and organizations.", with(countFields)},
	{"CountFailedBounds", "FailedSince (inclusive) and FailedUntil (exclusive) bound FinishedAt.", with(countFailedBounds)},
	{"CountSinceUntil", "Since (inclusive) and Until (exclusive) bound the time in the ids of the events, in whole milliseconds.", with(countSinceUntil)},
	{"CountStates", "With RecoveryCanceling, Count counts due, waiting, leased and parked deliveries; otherwise those that have failed, for whatever reason.", with(countStates)},
	{"CountMany", "Count counts all deliveries, however many, and nothing else of the recovery matters, its Cursor included.", with(countMany)},
}

func (t *trial) backlogs(s alotwebhook.Surveyor, limit int) []alotwebhook.Backlog {
	t.Helper()
	list, err := s.Backlogs(t.ctx(), limit)
	require.NoError(t, err)
	return list
}

// requireBacklogs requires these backlogs, whatever their OldestDue is.
func (t *trial) requireBacklogs(s alotwebhook.Surveyor, want ...alotwebhook.Backlog) {
	t.Helper()
	got := t.backlogs(s, 100)
	require.Len(t, got, len(want))
	for i := range got {
		require.Equal(t, got[i].Due > 0, got[i].OldestDue > 0, "something is due: %+v", got[i])
		got[i].OldestDue = 0
		require.Equal(t, want[i], got[i])
	}
}

// When the queue grows, the first question is whose it is. A customer who has disabled an endpoint is
// another case than one who is not served.
func backlogsCount(t *trial, s alotwebhook.Surveyor) {
	require.Empty(t, t.backlogs(s, 100))
	e, off := t.endpoint("org_1", completed), t.endpoint("org_1", completed)
	t.endpoint("org_2", completed)
	t.endpoint("ORG_2", completed)
	idle := t.endpoint("org_3", completed)
	t.emit("org_3", completed, 1)
	t.finish(delivered(t.claimOne()))
	t.emit("org_4", completed, 1) // nobody subscribes
	t.setDisabled(&off, true)
	t.emit("org_1", completed, 5)
	c := t.claim(3)
	require.Equal(t, map[string]int{e.ID: 3}, perEndpoint(c))
	t.finish(retry(c[0], long), failed(c[1]), delivered(c[2]))
	t.emit("org_2", completed, 2)
	t.emit("ORG_2", completed, 1)
	t.requireBacklogs(s,
		alotwebhook.Backlog{OrganizationID: "org_1", Pending: 3, Parked: 5, Due: 2},
		alotwebhook.Backlog{OrganizationID: "org_2", Pending: 2, Due: 2}, alotwebhook.Backlog{OrganizationID: "ORG_2", Pending: 1, Due: 1})

	t.setDisabled(&off, false)
	require.Equal(t, 1, t.cancel(c[0].DeliveryID))
	require.Equal(t, 1, t.redeliver(c[1].DeliveryID))
	t.requireBacklogs(s,
		alotwebhook.Backlog{OrganizationID: "org_1", Pending: 8, Due: 8},
		alotwebhook.Backlog{OrganizationID: "org_2", Pending: 2, Due: 2}, alotwebhook.Backlog{OrganizationID: "ORG_2", Pending: 1, Due: 1})
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), off.ID))
	require.NoError(t, t.store.DeleteEndpoint(t.ctx(), idle.ID))
	leased := t.claim(100)
	require.Len(t, leased, 6)
	for _, b := range t.backlogs(s, 100) {
		require.EqualValues(t, map[string]int{"org_1": 3, "org_2": 2, "ORG_2": 1}[b.OrganizationID], b.Pending, "leased deliveries are pending")
	}
	outcomes := make([]alotwebhook.Outcome, len(leased))
	for i := range leased {
		outcomes[i] = retry(leased[i], brief)
	}
	t.finish(outcomes...)
	t.await("what waits for its next attempt falls due", func() bool {
		due := int64(0)
		for _, b := range t.backlogs(s, 100) {
			due += b.Due
		}
		return due == 6
	})
	t.finishAll(t.claim(100))
	require.Empty(t, t.backlogs(s, 100))
}

// A list of ten is read by people. It must be the same ten at each look.
func backlogsInOrder(t *trial, s alotwebhook.Surveyor) {
	for i, org := range []string{"org_e", "Org_d", "org_c", "org_b", "org_a"} {
		e, off := t.endpoint(org, completed), t.endpoint(org, invited)
		t.setDisabled(&off, true)
		t.emit(org, completed, []int{2, 1, 1, 4, 3}[i])
		t.emit(org, invited, []int{5, 2, 2, 0, 0}[i])
		require.NotEqual(t, e.ID, off.ID)
	}
	names := func(limit int) (of []string) {
		t.Helper()
		for _, b := range t.backlogs(s, limit) {
			of = append(of, fmt.Sprint(b.OrganizationID, " ", b.Pending+b.Parked))
		}
		return of
	}
	want := []string{"org_e 7", "org_b 4", "Org_d 3", "org_a 3", "org_c 3"}
	for _, limit := range []int{1, 2, 3, 4, 5, 100} {
		require.Equal(t, want[:min(limit, 5)], names(limit))
	}
}

// One old delivery among many new ones says that something is stuck.
func backlogsOldestDue(t *trial, s alotwebhook.Surveyor) {
	began := time.Now()
	failing := t.failEndpoint() // of org_1: its delivery is due again at once
	fine, off := t.endpoint("org_1", completed), t.endpoint("org_2", completed)
	t.emit("org_2", completed, 1)
	t.setDisabled(&off, true)
	t.endpoint("org_2", completed)
	time.Sleep(brief)
	t.emit("org_1", completed, 1)
	t.emit("org_2", completed, 1)
	before := time.Now()
	time.Sleep(20 * time.Millisecond)
	ages := func() map[string]time.Duration {
		t.Helper()
		ages := map[string]time.Duration{}
		for _, b := range t.backlogs(s, 100) {
			ages[b.OrganizationID] = b.OldestDue
		}
		return ages
	}
	got := ages()
	require.GreaterOrEqual(t, got["org_2"], 15*time.Millisecond)
	require.GreaterOrEqual(t, got["org_1"], got["org_2"]+brief/2, "what is due to the failing endpoint is older")
	require.LessOrEqual(t, got["org_1"], time.Since(began)+time.Second)
	all := t.claim(100)
	var outcomes []alotwebhook.Outcome
	for _, c := range all {
		if c.Endpoint.ID != fine.ID {
			outcomes = append(outcomes, retry(c, long))
		} else {
			outcomes = append(outcomes, retry(c, 0))
		}
	}
	t.finish(outcomes...)
	got = ages()
	require.Zero(t, got["org_2"], "what waits or is parked is not due")
	require.LessOrEqual(t, got["org_1"], time.Since(before)+time.Second)
	require.NotZero(t, got["org_1"])
	require.NotEqual(t, failing.ID, fine.ID)
}

// One chart over everything shows whether it is one customer or all.
func totalsAddUp(t *trial, s alotwebhook.Surveyor) {
	totals := func(since time.Time) []alotwebhook.Tally {
		t.Helper()
		list, err := s.Totals(t.ctx(), since)
		require.NoError(t, err)
		for i := range list {
			require.Equal(t, time.UTC, list[i].Hour.Location())
		}
		return list
	}
	tallier, ok := capabilityOf[alotwebhook.Tallier](t.store)
	require.Empty(t, totals(time.Time{}))
	if !ok {
		return // it keeps no tallies to add up
	}
	var list []alotwebhook.Tally
	want := make([]alotwebhook.Tally, 3)
	for hour := range want {
		want[hour].Hour = talliedHour.Add(time.Duration(hour) * time.Hour)
		for i := range 3 {
			one := tallyOf(newEndpoint(t, "org_1").ID, want[hour].Hour)
			one.Succeeded += int64(10*hour + i)
			one.Slowest += time.Duration(5*(i%2)) * time.Millisecond // not that of the last
			if i == 1 {
				one.Reasons = map[alotwebhook.FailureReason]int64{alotwebhook.ReasonDNS: 1 << 40}
			}
			want[hour].Add(one)
			list = append(list, one)
		}
	}
	quiet := alotwebhook.Tally{Hour: talliedHour.Add(4 * time.Hour), Succeeded: 1, Duration: 1, Slowest: 1}
	want = append(want, quiet)
	quiet.EndpointID = newEndpoint(t, "org_2").ID
	list = append(list, quiet)
	for i := range list { // in another order
		t.addTallies(tallier, list[i*7%len(list)])
	}
	require.Equal(t, want, totals(time.Time{}))
	require.Equal(t, want[1:], totals(talliedHour.Add(time.Hour)), "since is inclusive")
	require.Equal(t, want[2:], totals(talliedHour.Add(time.Hour+1)))
	require.Equal(t, want[3:], totals(talliedHour.Add(4*time.Hour)))
	require.Empty(t, totals(talliedHour.Add(5*time.Hour)))
}

// Somebody who looks for the process that hangs must not be shown one twice.
func processesAsOne(t *trial, s alotwebhook.Surveyor) {
	for i := range 5 {
		org := fmt.Sprint("org_", i)
		t.endpoint(org, completed)
		t.emit(org, completed, 2)
	}
	t.finishAll(t.claim(5))
	list, err := s.Processes(t.ctx())
	require.NoError(t, err)
	share := 0.0
	for i, p := range list {
		require.NotEmpty(t, p.ID)
		require.GreaterOrEqual(t, p.Seen, time.Duration(0))
		require.True(t, i == 0 || list[i-1].ID < p.ID, "each once, in order")
		require.GreaterOrEqual(t, p.Share, 0.0)
		share += p.Share
	}
	require.LessOrEqual(t, share, 1+1e-9)
}

// Nobody waits any more for the survey of a page that was closed.
func surveyEnded(t *trial, s alotwebhook.Surveyor) {
	ctx, cancel := context.WithCancel(t.ctx())
	cancel()
	_, err := s.Backlogs(ctx, 10)
	require.Error(t, err)
	_, err = s.Totals(ctx, time.Time{})
	require.Error(t, err)
	_, err = s.Processes(ctx)
	require.Error(t, err)
	_, err = s.Count(ctx, alotwebhook.Recovery{})
	require.Error(t, err)
}
