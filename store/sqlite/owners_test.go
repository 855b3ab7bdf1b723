package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// ids returns the ids of claimed deliveries, in order.
func ids(claimed []alotwebhook.Claimed) []string {
	list := make([]string, len(claimed))
	for i, c := range claimed {
		list[i] = c.DeliveryID
	}
	slices.Sort(list)
	return list
}

// claimFor claims with a lease of that length.
func claimFor(t *testing.T, s alotwebhook.Store, limit int, lease time.Duration) []alotwebhook.Claimed {
	t.Helper()
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: limit, PerEndpoint: limit, Lease: lease})
	require.NoError(t, err)
	return r.Deliveries
}

// awaitClaim claims until it gets n deliveries.
func awaitClaim(t *testing.T, s alotwebhook.Store, n int, lease time.Duration) (claimed []alotwebhook.Claimed) {
	t.Helper()
	require.Eventually(t, func() bool {
		claimed = append(claimed, claimFor(t, s, n, lease)...)
		return len(claimed) == n
	}, patience, time.Millisecond)
	return claimed
}

// stopClaiming tells a store that its run claims no more.
func stopClaiming(t *testing.T, s alotwebhook.Store) {
	t.Helper()
	r, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: time.Hour})
	require.NoError(t, err)
	require.Empty(t, r.Deliveries)
}

func finishOne(t *testing.T, s alotwebhook.Store, c alotwebhook.Claimed, state alotwebhook.DeliveryState) (lost []string) {
	t.Helper()
	lost, err := s.Finish(t.Context(), []alotwebhook.Outcome{{DeliveryID: c.DeliveryID, Token: c.Token, State: state,
		Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), StatusCode: 204}}})
	require.NoError(t, err)
	return lost
}

// changes returns how often the connection's file was changed by others.
func changes(t *testing.T, conn *sql.Conn) (version int) {
	t.Helper()
	require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&version))
	return version
}

// A claim writes nothing, and waits for nobody who writes.
func TestClaimOnlyReads(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 40, 400)
	claimFor(t, s, 10, time.Hour) // the store becomes an owner
	conn, err := hostHandle(t, path).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	before := changes(t, conn)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	seen := map[string]bool{}
	for range 30 {
		for _, c := range claimFor(t, s, 10, time.Hour) {
			require.False(t, seen[c.DeliveryID], "claimed twice")
			seen[c.DeliveryID] = true
		}
	}
	_, err = conn.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.Len(t, seen, 300)
	require.Equal(t, before, changes(t, conn))
}

// What is claimed by a process that is killed goes out again without waiting for the end of
// its lease, and each such end counts.
func TestTakeOverFromKilledProcess(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 3, 9)
	first := childClaims(t, path, 9, time.Hour)
	require.Len(t, first, 9)
	for range 3 { // from now on each claim is written, and holds until its lease has run out
		require.Equal(t, first, childClaims(t, path, 9, 50*time.Millisecond))
	}
	again := awaitClaim(t, s, 9, time.Hour)
	require.Equal(t, first, ids(again))
	for _, c := range again {
		require.Equal(t, 5, c.Claims, "claimed by four processes before")
	}
	finish(t, s, again)
	left, err := filepath.Glob(path + "-owner-*")
	require.NoError(t, err)
	require.Len(t, left, 1, "its own")
}

// childClaims starts a process that claims n deliveries, kills it, and returns what it had got.
func childClaims(t *testing.T, path string, n int, lease time.Duration) (got []string) {
	t.Helper()
	cmd := child(t, "claim", path)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", claimVariable, n, lease))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "all"; {
		got = append(got, lines.Text())
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	slices.Sort(got)
	return got
}

// claimVariable says how many deliveries the role "claim" claims, and for how long.
const claimVariable = "ALOTWEBHOOK_TEST_CLAIM"

// childClaim claims deliveries, prints their ids, and waits to be killed.
func childClaim(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	var n int
	var lease time.Duration
	if _, err := fmt.Sscan(os.Getenv(claimVariable), &n, (*int64)(&lease)); err != nil {
		return err
	}
	for n > 0 {
		r, err := s.Claim(context.Background(), alotwebhook.ClaimRequest{Limit: n, PerEndpoint: 9, Lease: lease})
		if err != nil {
			return err
		}
		n -= len(r.Deliveries)
		for _, c := range r.Deliveries {
			fmt.Println(c.DeliveryID)
		}
		time.Sleep(time.Millisecond) // nothing tells when another process's leases run out, so this polls
	}
	fmt.Println("all")
	select {}
}

// A delivery that nobody has sent is not taken for poison, however many processes were killed
// beside it.
func TestTakeOversAloneAreNoPoison(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 9)
	for range 6 {
		require.Len(t, childClaims(t, path, 1, time.Hour), 1)
	}
	for _, c := range awaitClaim(t, s, 4, time.Hour) { // five are leased still
		require.Equal(t, 2, c.Claims, "one for all take-overs")
	}
}

// When a run ends, another process goes on with what it has not claimed, at once. What it has
// claimed is its own still.
func TestHandOver(t *testing.T) {
	t.Parallel()
	a, path := backlog(t, 3, 30)
	b := open(t, path)
	held := claimFor(t, a, 10, time.Hour)
	require.Len(t, held, 10)
	require.Empty(t, claimFor(t, b, 30, time.Hour), "all slots are a's")
	stopClaiming(t, a)
	rest := claimFor(t, b, 30, time.Hour)
	require.Len(t, rest, 20)
	require.Empty(t, claimFor(t, b, 30, time.Hour))
	require.Empty(t, finishOne(t, a, held[0], alotwebhook.StateDelivered))
	require.Equal(t, []string{held[0].DeliveryID}, finishOne(t, a, held[0], alotwebhook.StateDelivered), "it has ended")
	finish(t, b, rest)
	finish(t, a, held[1:])
	stopClaiming(t, a)
	stopClaiming(t, b)
	left, err := filepath.Glob(path + "-owner-*")
	require.NoError(t, err)
	require.Empty(t, left)

	enqueue(t, a, 1, 0, 1)
	require.Len(t, claimFor(t, a, 1, time.Hour), 1, "a claim with a Limit begins anew")
}

// A lease that was handed over and runs out is a claim that was lost.
func TestHandedOverLeaseRunsOut(t *testing.T) {
	t.Parallel()
	a, path := backlog(t, 1, 1)
	b := open(t, path)
	stale := claimFor(t, a, 1, 50*time.Millisecond)[0]
	stopClaiming(t, a)
	fresh := awaitClaim(t, b, 1, time.Hour)[0]
	require.Equal(t, stale.DeliveryID, fresh.DeliveryID)
	require.Equal(t, 2, fresh.Claims)
	require.Equal(t, []string{stale.DeliveryID}, finishOne(t, a, stale, alotwebhook.StateDelivered))
	require.Empty(t, finishOne(t, b, fresh, alotwebhook.StateDelivered))
}

// Two stores share the endpoints, and each serves its own alone.
func TestProcessesShare(t *testing.T) {
	t.Parallel()
	const endpoints = 10
	a, path := backlog(t, endpoints, endpoints)
	b := open(t, path)
	finish(t, a, claimFor(t, a, endpoints, time.Hour))
	var shares [2]map[string]bool
	require.Eventually(t, func() bool {
		enqueue(t, a, endpoints, 0, endpoints)
		n := 0
		for i, s := range []*sqlite.Store{a, b} {
			shares[i] = map[string]bool{}
			claimed := claimFor(t, s, 1000, time.Hour)
			for _, c := range claimed {
				shares[i][c.Endpoint.ID] = true
			}
			n += len(claimed)
			finish(t, s, claimed)
		}
		return len(shares[0]) == endpoints/2 && len(shares[1]) == endpoints/2
	}, patience, time.Millisecond)
	for id := range shares[0] {
		require.False(t, shares[1][id], "each endpoint is served by one")
	}
}

// A store whose time is up, because its process was held up, neither claims nor finishes what
// others have taken over.
func TestStaleOwner(t *testing.T) {
	t.Parallel()
	a, path := backlog(t, 2, 4)
	b := open(t, path)
	stale := claimFor(t, a, 4, 20*time.Millisecond)
	require.Len(t, stale, 4)
	fresh := awaitClaim(t, b, 4, time.Hour) // once a's time is up
	require.Equal(t, ids(stale), ids(fresh))
	for _, c := range fresh {
		require.Equal(t, 2, c.Claims)
	}
	for _, state := range []alotwebhook.DeliveryState{alotwebhook.StateDelivered, alotwebhook.StatePending} {
		require.Equal(t, []string{stale[0].DeliveryID}, finishOne(t, a, stale[0], state))
	}
	require.Empty(t, claimFor(t, a, 10, time.Hour), "a knows that it is not the owner")
	finish(t, b, fresh)
}

// While somebody claims all the time, outcomes come in. None of the deliveries that have ended
// is claimed once more, and each that is to be tried again comes again.
func TestFinishDuringClaims(t *testing.T) {
	t.Parallel()
	const events = 1500
	s, _ := backlog(t, 4, events)
	attempts, ended := map[string]int{}, 0
	outcomes := make(chan []alotwebhook.Outcome, 1)
	finished := make(chan error, 1)
	go func() {
		for list := range outcomes {
			if lost, err := s.Finish(context.Background(), list); err != nil || len(lost) > 0 {
				finished <- fmt.Errorf("lost %v: %w", lost, err)
				return
			}
		}
		finished <- nil
	}()
	for deadline := time.Now().Add(patience); ended < events && time.Now().Before(deadline); {
		var list []alotwebhook.Outcome
		for _, c := range claim(t, s, 30, nil) {
			attempts[c.DeliveryID]++
			require.Equal(t, attempts[c.DeliveryID], c.Attempt, "one claim for each attempt")
			o := alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending,
				Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), StatusCode: 500, Reason: alotwebhook.ReasonStatus}}
			if c.Attempt == 3 {
				o.State = alotwebhook.StateDelivered
				ended++
			}
			list = append(list, o)
		}
		outcomes <- list
	}
	close(outcomes)
	require.NoError(t, <-finished)
	require.Len(t, attempts, events)
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Stats{}, stats)
}

// Deliveries whose leases run out in the process that has claimed them come again, behind what
// was due before, and only the newest claim counts.
func TestRanOutInTheSameProcess(t *testing.T) {
	t.Parallel()
	s, _ := backlog(t, 1, 3)
	stale := claimFor(t, s, 2, time.Millisecond)
	time.Sleep(2 * time.Millisecond) // longer than the leases, which this machine's clock ends
	got := claimFor(t, s, 3, time.Hour)
	require.Len(t, got, 3)
	require.NotContains(t, ids(stale), got[0].DeliveryID, "the one that was due all the time comes first")
	require.Equal(t, []int{1, 2, 2}, []int{got[0].Claims, got[1].Claims, got[2].Claims})
	require.Equal(t, []string{stale[0].DeliveryID}, finishOne(t, s, stale[0], alotwebhook.StateDelivered))
	finish(t, s, got)
}

// A process of a release that knows no owners may emit to a file of this one, and must not
// claim from it.
func TestOldReleaseCannotClaim(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 1, 1)
	host := hostHandle(t, path)
	const claims = "UPDATE alotwebhook_queue SET next_at = next_at + 1000000, lease = ?, claims = claims + 1"
	_, err := host.Exec(claims, 12345)
	require.ErrorContains(t, err, "a newer release sends from this file")
	require.Len(t, claimFor(t, s, 1, time.Hour), 1)
}

// A file that a killed process left is of no use to anybody, and is gone once another process
// has taken over; without the lock it is the lease alone that counts.
func TestWithoutLockedFileTheLeaseCounts(t *testing.T) {
	t.Parallel()
	s, path := backlog(t, 3, 9)
	childClaims(t, path, 9, time.Hour)
	files, err := filepath.Glob(path + "-owner-*")
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Remove(files[0]))
	require.Empty(t, claimFor(t, s, 10, time.Hour))
	_, err = hostHandle(t, path).Exec("UPDATE alotwebhook_owners SET until = 1 WHERE file = ?", filepath.Base(files[0])[len("webhooks.db"):])
	require.NoError(t, err)
	require.Len(t, awaitClaim(t, s, 9, time.Hour), 9)
}

// A delivery that is released while its process gives everything away is due at once, and has not
// been claimed in vain.
func TestReleaseBesideLeave(t *testing.T) {
	t.Parallel()
	s, _ := backlog(t, 1, 1)
	for range 60 {
		c := awaitClaim(t, s, 1, time.Hour)[0]
		require.Equal(t, 1, c.Claims)
		done := make(chan error, 2)
		go func() { done <- s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "other")}) }() // the others wait for it together
		go func() {
			_, err := s.Claim(t.Context(), alotwebhook.ClaimRequest{PerEndpoint: 1, Lease: time.Hour})
			done <- err
		}()
		lost, err := s.Finish(t.Context(), []alotwebhook.Outcome{{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending}})
		require.NoError(t, err)
		require.Empty(t, lost)
		require.NoError(t, errors.Join(<-done, <-done))
		d, err := s.Delivery(t.Context(), c.DeliveryID)
		require.NoError(t, err)
		require.False(t, d.NextAttemptAt.After(time.Now()), "it is leased until %v", d.NextAttemptAt)
	}
}

// A store that left has its leases in the rows. It may claim a delivery again as soon as the release of the
// one before is stored, and does not forget that claim when the release returns.
func TestReleaseForgetsNoNewerClaim(t *testing.T) {
	t.Parallel()
	s := open(t, newPath(t))
	putEndpoint(t, s, 1, "org")
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org")}))
	release := func(c alotwebhook.Claimed) error {
		_, err := s.Finish(t.Context(), []alotwebhook.Outcome{{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending}})
		return err
	}
	claimSoon := func() alotwebhook.Claimed {
		for {
			if got := claimFor(t, s, 1, time.Hour); len(got) > 0 {
				return got[0]
			}
		}
	}
	for range 300 {
		c := claimSoon()
		stopClaiming(t, s)
		released := make(chan error, 1)
		go func() { released <- release(c) }()
		again := claimSoon()
		require.Empty(t, ids(claimFor(t, s, 1, time.Hour)))
		require.NoError(t, <-released)
		require.Empty(t, ids(claimFor(t, s, 1, time.Hour)), "it is under way")
		require.NoError(t, release(again))
	}
}
