package sqlite_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

func processes(t *testing.T, s *sqlite.Store) []alotwebhook.Process {
	t.Helper()
	list, err := s.Processes(t.Context())
	require.NoError(t, err)
	return list
}

// Two processes claim, and one of them ends. A third only looks.
func TestProcesses(t *testing.T) {
	t.Parallel()
	const lease = time.Hour
	a, path := backlog(t, 4, 4)
	b, viewer := open(t, path), open(t, path)
	require.Empty(t, processes(t, viewer), "nobody has claimed yet")
	finish(t, a, claimFor(t, a, 4, lease))
	alone := processes(t, viewer)
	require.Len(t, alone, 1)
	require.InDelta(t, 1, alone[0].Share, 0)
	require.Eventually(t, func() bool {
		claimFor(t, b, 1, lease)
		claimFor(t, a, 1, lease)
		list := processes(t, viewer)
		return len(list) == 2 && list[0].Share == 0.5 && list[1].Share == 0.5
	}, patience, time.Millisecond)
	for _, p := range processes(t, viewer) {
		require.Positive(t, p.Left-lease/2)
		require.LessOrEqual(t, p.Left, lease+lease/4)
		require.GreaterOrEqual(t, p.Seen, time.Duration(0))
		require.Less(t, p.Seen, lease/2)
	}
	stopClaiming(t, b)
	left := processes(t, viewer)
	require.Len(t, left, 1)
	require.Equal(t, alone[0].ID, left[0].ID)
	require.NoError(t, a.Close())
	require.Empty(t, processes(t, viewer))
}

// A process whose attempts all hang is full, so that it gives its endpoints to others. Who looks for
// the reason has to see it, as the one that it was.
func TestFullProcessIsShown(t *testing.T) {
	t.Parallel()
	a, path := backlog(t, 3, 30)
	b := open(t, path)
	held := claimFor(t, a, 10, time.Hour)
	was := processes(t, b)[0]
	stopClaiming(t, a)
	full := processes(t, b)
	require.Len(t, full, 1)
	require.Equal(t, was.ID, full[0].ID)
	require.Zero(t, full[0].Share)
	require.Positive(t, full[0].Left)

	require.Len(t, claimFor(t, b, 20, time.Hour), 20)
	finish(t, a, held)
	enqueue(t, a, 30, 0, 3)
	require.Eventually(t, func() bool {
		claimFor(t, a, 1, time.Hour)
		claimFor(t, b, 1, time.Hour)
		list := processes(t, b)
		return len(list) == 2 && list[0].ID == was.ID && list[0].Share > 0 && list[1].Share > 0
	}, patience, time.Millisecond)
	require.NoError(t, a.Close())
	require.Len(t, processes(t, b), 1, "what is closed does not claim again")
	left, err := filepath.Glob(path + "-owner-*")
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// What has neither endpoints nor time left is no process any more.
func TestFullProcessIsForgotten(t *testing.T) {
	t.Parallel()
	a, path := backlog(t, 1, 3)
	b := open(t, path)
	require.Len(t, claimFor(t, a, 1, 20*time.Millisecond), 1)
	stopClaiming(t, a)
	require.Eventually(t, func() bool { return len(processes(t, b)) == 0 }, patience, time.Millisecond)
	claimFor(t, b, 1, time.Hour)
	list := processes(t, b)
	require.Len(t, list, 1)
	require.InDelta(t, 1, list[0].Share, 0)
	require.Eventually(t, func() bool { // it begins anew
		claimFor(t, a, 1, time.Hour)
		claimFor(t, b, 1, time.Hour)
		list := processes(t, b)
		return len(list) == 2 && list[0].Share+list[1].Share == 1 && list[0].Share > 0 && list[1].Share > 0
	}, patience, time.Millisecond)
}

// Until somebody takes over from a killed process, it is shown as one whose lease has run out, since
// nobody waits for that. One of an earlier release does not say when it last renewed its lease.
func TestKilledProcessIsShown(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 3, 9)
	childClaims(t, path, 1, time.Hour)
	list := processes(t, s)
	require.Len(t, list, 1)
	require.Negative(t, list[0].Left)
	require.InDelta(t, 1, list[0].Share, 0)
	_, err := hostHandle(t, path).Exec("UPDATE alotwebhook_owners SET seen = NULL, asked = asked - 1000000")
	require.NoError(t, err)
	require.GreaterOrEqual(t, processes(t, s)[0].Seen, time.Second)
	awaitClaim(t, s, 9, time.Hour)
	now := processes(t, s)
	require.Len(t, now, 1)
	require.NotEqual(t, list[0].ID, now[0].ID)
	require.Positive(t, now[0].Left)
}

// What this process has claimed is not due, though its rows do not say so.
func TestBacklogsLeaveOutWhatIsHeld(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 2, 6)
	other := open(t, path)
	backlogOf := func(of *sqlite.Store, organization string) alotwebhook.Backlog {
		t.Helper()
		list, err := of.Backlogs(t.Context(), 10)
		require.NoError(t, err)
		i := slices.IndexFunc(list, func(b alotwebhook.Backlog) bool { return b.OrganizationID == organization })
		require.GreaterOrEqual(t, i, 0)
		return list[i]
	}
	all := backlogOf(s, "org_0")
	require.EqualValues(t, 3, all.Due)
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 2, Lease: time.Hour})
	require.NoError(t, err)
	require.Len(t, r.Deliveries, 4)
	some := backlogOf(s, "org_0")
	require.EqualValues(t, 3, some.Pending)
	require.EqualValues(t, 1, some.Due)
	require.NotZero(t, some.OldestDue)
	claim(t, s, 10, nil)
	for _, organization := range []string{"org_0", "org_1"} {
		none := backlogOf(s, organization)
		require.Equal(t, alotwebhook.Backlog{OrganizationID: organization, Pending: 3}, none)
	}
	require.EqualValues(t, 3, backlogOf(other, "org_0").Due, "another process knows nothing of it")

	n, err := other.Cancel(t.Context(), []string{r.Deliveries[0].DeliveryID})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	organizationID := r.Deliveries[0].Endpoint.OrganizationID
	enqueue(t, s, 2, 0, 2)
	less := backlogOf(s, organizationID)
	require.EqualValues(t, 3, less.Pending)
	require.EqualValues(t, 1, less.Due, "what is held and canceled takes nothing from it")
}

// The sums of an hour are kept until the last tally of it is purged, and then no longer.
func TestTotalsArePurged(t *testing.T) {
	t.Parallel()
	s := open(t, newPath(t))
	hour := time.Now().Add(-10 * time.Hour).UTC().Truncate(time.Hour)
	var tallies []alotwebhook.Tally
	for i := range 6 {
		tallies = append(tallies, alotwebhook.Tally{EndpointID: endpointID(i / 2), Hour: hour.Add(time.Duration(i%2) * 9 * time.Hour), Succeeded: 1, Duration: time.Second, Slowest: time.Second})
	}
	require.NoError(t, s.AddTallies(t.Context(), tallies))
	for _, want := range []struct{ purged, totals int }{{2, 2}, {1, 1}, {0, 1}} {
		r, err := s.Purge(t.Context(), alotwebhook.PurgeRequest{Tallies: 5 * time.Hour, Limit: 2})
		require.NoError(t, err)
		require.Equal(t, want.purged, r.Tallies)
		totals, err := s.Totals(t.Context(), time.Time{})
		require.NoError(t, err)
		require.Len(t, totals, want.totals)
	}
}

// The chart over everything does not begin with the release that draws it.
func TestMigrationAddsUpTallies(t *testing.T) {
	t.Parallel()
	path := migratedTo(t, 9)
	_, err := hostHandle(t, path).Exec(`INSERT INTO alotwebhook_tallies VALUES ('wh_1', 3600000000, '', 5, 50, 9), ('wh_1', 3600000000, 'dns', 1, 0, 0),
		('wh_2', 3600000000, '', 2, 20, 10), ('wh_2', 7200000000, '', 0, 7, 7), ('wh_2', 7200000000, 'dns', 3, 0, 0)`)
	require.NoError(t, err)
	totals, err := open(t, path).Totals(t.Context(), time.Time{})
	require.NoError(t, err)
	require.Equal(t, []alotwebhook.Tally{
		{Hour: time.Unix(3600, 0).UTC(), Succeeded: 7, Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonDNS: 1}, Duration: 70, Slowest: 10},
		{Hour: time.Unix(7200, 0).UTC(), Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonDNS: 3}, Duration: 7, Slowest: 7},
	}, totals)
}

// A process of an earlier release, which may still use the file, knows recoveries of whole endpoints
// alone. It would send all that has failed there, and end one over many endpoints.
func TestOldReleaseLeavesNarrowRecoveriesAlone(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 1)
	host := hostHandle(t, path)
	put := func(r alotwebhook.Recovery) {
		t.Helper()
		require.NoError(t, s.PutRecovery(context.Background(), r))
	}
	old := func(id string) error {
		_, err := host.Exec(`INSERT OR REPLACE INTO alotwebhook_recoveries
			(endpoint, organization, state, since, until, oldest, recovered, skipped, cursor, created_at, updated_at, finished_at, version)
			VALUES (?, 'org_1', 'stopped', 0, 0, 0, 0, 0, '', 0, 0, 0, 2)`, id)
		return err
	}
	at := time.Now()
	for id, r := range map[string]alotwebhook.Recovery{
		"rec_1": {}, "wh_1": {EventID: "evt_1"}, "wh_2": {EventType: completed}, "wh_3": {Reason: alotwebhook.ReasonDNS}, "wh_4": {FailedSince: at}, "wh_5": {FailedUntil: at},
	} {
		r.EndpointID, r.State = id, alotwebhook.RecoveryRunning
		put(r)
		require.ErrorContains(t, old(id), "update this process", id)
		r.Version, r.State = 1, alotwebhook.RecoveryDone
		put(r)
		require.NoError(t, old(id), "%s has ended", id)
	}
	put(alotwebhook.Recovery{EndpointID: "wh_6", State: alotwebhook.RecoveryRunning, Note: "why"})
	require.NoError(t, old("wh_6"))
	require.NoError(t, old("wh_7"))
}
