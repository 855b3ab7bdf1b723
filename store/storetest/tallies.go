package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// tallyRules are the rules of an optional capability, [alotwebhook.Tallier].
var tallyRules = []rule{
	{"AddUp", "AddTallies adds to the stored tally of each endpoint and hour.", with(talliesAddUp)},
	{"SameHourTwice", "A batch may have several tallies of the same endpoint and hour.", with(talliesSameHourTwice)},
	{"Selects", "Tallies returns the tallies of these endpoints whose Hour is since or later, ordered by endpoint and then by hour.", with(talliesSelects)},
	{"Concurrently", "Several processes may add to the same hours at the same time, in batches of any order.", with(talliesConcurrently)},
	{"CutShort", "If its context ends meanwhile, AddTallies stores all of its batch or nothing.", with(talliesCutShort)},
	{"Purge", "Purge deletes the tallies of hours that began PurgeRequest.Tallies ago or earlier, at most Limit of them.", with(talliesPurge)},
}

// talliedHour is the first hour of the tallies in these tests.
var talliedHour = time.Date(2026, 5, 25, 14, 0, 0, 0, time.UTC)

// tallyOf returns a tally of some attempts.
func tallyOf(id string, hour time.Time) alotwebhook.Tally {
	return alotwebhook.Tally{
		EndpointID: id, Hour: hour, Succeeded: 5, Duration: 90 * time.Millisecond, Slowest: 30*time.Millisecond + 1,
		Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: 2, alotwebhook.ReasonStatus: 1},
	}
}

func (t *trial) addTallies(to alotwebhook.Tallier, list ...alotwebhook.Tally) {
	t.Helper()
	require.NoError(t, to.AddTallies(t.ctx(), list))
}

// requireTallies requires that Tallies returns these. Hours may differ in their zone.
func (t *trial) requireTallies(of alotwebhook.Tallier, ids []string, since time.Time, want ...alotwebhook.Tally) {
	t.Helper()
	got, err := of.Tallies(t.ctx(), ids, since)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range got {
		require.True(t, want[i].Hour.Equal(got[i].Hour), "the hour %v is stored as %v", want[i].Hour, got[i].Hour)
		got[i].Hour = want[i].Hour
		require.Equal(t, want[i], got[i])
	}
}

// Each process adds what it has counted since its last call. Nothing that another has
// added may be lost.
func talliesAddUp(t *trial, s alotwebhook.Tallier) {
	id := newEndpoint(t, "org_1").ID // an endpoint need not exist to have tallies
	t.addTallies(s)
	t.requireTallies(s, []string{id}, time.Time{})
	first := tallyOf(id, talliedHour)
	t.addTallies(s, first)
	t.requireTallies(s, []string{id}, talliedHour, first)

	fails := alotwebhook.Tally{
		EndpointID: id, Hour: talliedHour, Duration: 10 * time.Second, Slowest: 6 * time.Second,
		Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: 1, alotwebhook.ReasonDNS: 1 << 40},
	}
	succeeds := alotwebhook.Tally{EndpointID: id, Hour: talliedHour.Add(time.Hour), Succeeded: 1, Duration: 1, Slowest: 1}
	t.addTallies(s, fails, succeeds)
	sum := alotwebhook.Tally{
		EndpointID: id, Hour: talliedHour, Succeeded: 5, Duration: 10*time.Second + 90*time.Millisecond, Slowest: 6 * time.Second,
		Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: 3, alotwebhook.ReasonStatus: 1, alotwebhook.ReasonDNS: 1 << 40},
	}
	t.requireTallies(s, []string{id}, talliedHour, sum, succeeds)
}

// After a failure of the store, a process may have gathered several tallies of one hour.
func talliesSameHourTwice(t *trial, s alotwebhook.Tallier) {
	id := newEndpoint(t, "org_1").ID
	one := tallyOf(id, talliedHour)
	t.addTallies(s, one, one)
	t.requireTallies(s, []string{id}, talliedHour, alotwebhook.Tally{
		EndpointID: id, Hour: talliedHour, Succeeded: 10, Duration: 180 * time.Millisecond, Slowest: one.Slowest,
		Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonTimeout: 4, alotwebhook.ReasonStatus: 2},
	})
}

// The pages draw a chart for each endpoint of a list, by hours, from one call.
func talliesSelects(t *trial, s alotwebhook.Tallier) {
	var all []alotwebhook.Tally
	var ids []string
	for range 3 {
		id := newEndpoint(t, "org_1").ID
		ids = append(ids, id)
		for hours := range 3 {
			all = append(all, tallyOf(id, talliedHour.Add(time.Duration(hours)*time.Hour)))
		}
	}
	mixed := slices.Clone(all)
	slices.Reverse(mixed)
	t.addTallies(s, mixed...)
	t.requireTallies(s, ids, time.Time{}, all...)
	t.requireTallies(s, []string{ids[2], ids[0], ids[2]}, talliedHour.Add(time.Hour), all[1], all[2], all[7], all[8])
	t.requireTallies(s, ids[1:2], talliedHour.Add(time.Hour+time.Microsecond), all[5])
	t.requireTallies(s, ids, talliedHour.Add(3*time.Hour))
	t.requireTallies(s, nil, time.Time{})
	t.requireTallies(s, []string{newEndpoint(t, "org_1").ID}, time.Time{})
}

// A store that locks rows in the order of the batch can run into a deadlock: the batches
// of this test have opposite orders.
func talliesConcurrently(t *trial, s alotwebhook.Tallier) {
	const workers, rounds = 8, 5
	var batch, want []alotwebhook.Tally
	var ids []string
	for range 20 {
		id := newEndpoint(t, "org_1").ID
		ids = append(ids, id)
		batch = append(batch, alotwebhook.Tally{EndpointID: id, Hour: talliedHour, Succeeded: 1, Duration: time.Second, Slowest: time.Second})
		want = append(want, alotwebhook.Tally{
			EndpointID: id, Hour: talliedHour, Succeeded: workers * rounds, Duration: workers * rounds * time.Second, Slowest: time.Second,
		})
	}
	backwards := slices.Clone(batch)
	slices.Reverse(backwards)
	var g group
	g.run(workers, func(worker int) error {
		for round := range rounds {
			of := [...][]alotwebhook.Tally{batch, backwards}[(worker+round)%2]
			if err := s.AddTallies(t.ctx(), of); err != nil {
				return fmt.Errorf("worker %d: %w", worker, err)
			}
		}
		return nil
	})
	g.wait(t)
	t.requireTallies(s, ids, talliedHour, want...)
}

// Charts reach back a limited time, and a database must not grow without end.
func talliesPurge(t *trial, s alotwebhook.Tallier) {
	id := newEndpoint(t, "org_1").ID
	now := time.Now().UTC().Truncate(time.Hour)
	var all []alotwebhook.Tally
	for hours := range 6 {
		all = append(all, tallyOf(id, now.Add(time.Duration(hours-6)*time.Hour)))
	}
	t.addTallies(s, all...)
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(alotwebhook.PurgeRequest{Payloads: long, History: 2 * long}), "a time of 0 means for ever")
	p := alotwebhook.PurgeRequest{Tallies: 3 * time.Hour, Limit: 2}
	require.Equal(t, alotwebhook.PurgeResult{Tallies: 2}, t.purge(p))
	require.Equal(t, alotwebhook.PurgeResult{Tallies: 2}, t.purge(p))
	require.Equal(t, alotwebhook.PurgeResult{}, t.purge(p))
	t.requireTallies(s, []string{id}, time.Time{}, all[4:]...)
}
