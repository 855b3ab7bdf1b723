package shards_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// surveyed is a shard that knows of processes.
type surveyed struct {
	*memory.Store
	ids []string
}

func (s surveyed) Processes(context.Context) (list []alotwebhook.Process, err error) {
	for _, id := range s.ids {
		list = append(list, alotwebhook.Process{ID: id, Seen: time.Second, Left: time.Minute, Share: 1 / float64(len(s.ids))})
	}
	return list, nil
}

// An organization that moves has one backlog, and an hour one total.
func TestSurveyOfAllShards(t *testing.T) {
	t.Parallel()
	a, b := surveyed{memory.New(), []string{"1", "2"}}, surveyed{memory.New(), []string{"1"}}
	s := newStore(t, map[string]alotwebhook.Store{"a": a, "b": b}, shards.Config{Patience: patient, Places: func(organizationID string) []string {
		if organizationID == "org_m" {
			return []string{"b", "a"}
		}
		return byPrefix(organizationID)
	}})
	for _, organizationID := range []string{"org_a", "org_b", "org_m"} {
		put(t, s, organizationID)
	}
	enqueue(t, s, "org_a", 3)
	enqueue(t, s, "org_b", 2)
	enqueue(t, a, "org_m", 2)
	enqueue(t, s, "org_m", 2)
	backlogs := func(limit int) (list []string) {
		t.Helper()
		all, err := s.Backlogs(t.Context(), limit)
		require.NoError(t, err)
		for _, b := range all {
			require.Equal(t, b.Pending, b.Due)
			require.Positive(t, b.OldestDue)
			list = append(list, b.OrganizationID+" "+strconv.FormatInt(b.Pending, 10))
		}
		return list
	}
	require.Equal(t, []string{"org_m 4", "org_a 3", "org_b 2"}, backlogs(10))
	require.Equal(t, []string{"org_m 4", "org_a 3"}, backlogs(2))

	n, err := s.Count(t.Context(), alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling, EndpointID: "rec_1"})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Count{Deliveries: 9, Endpoints: 4, Organizations: 4}, n, "that of org_m counts in both shards")
	n, err = s.Count(t.Context(), alotwebhook.Recovery{State: alotwebhook.RecoveryCanceling, OrganizationID: "org_a"})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.Count{Deliveries: 3, Endpoints: 1, Organizations: 1}, n)

	hour := time.Now().UTC().Truncate(time.Hour)
	for i, shard := range []surveyed{a, b} {
		require.NoError(t, shard.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: "wh_" + strconv.Itoa(i), Hour: hour, Succeeded: int64(1 + i)}}))
	}
	totals, err := s.Totals(t.Context(), hour)
	require.NoError(t, err)
	require.Equal(t, []alotwebhook.Tally{{Hour: hour, Succeeded: 3}}, totals)

	processes, err := s.Processes(t.Context())
	require.NoError(t, err)
	require.Equal(t, []alotwebhook.Process{
		{ID: "a/1", Seen: time.Second, Left: time.Minute, Share: 0.25},
		{ID: "a/2", Seen: time.Second, Left: time.Minute, Share: 0.25},
		{ID: "b/1", Seen: time.Second, Left: time.Minute, Share: 0.5},
	}, processes)
}

// A survey without a shard would look as if nothing were late there.
func TestSurveyNeedsAllShards(t *testing.T) {
	t.Parallel()
	p := filledPair(t, 1, 1)
	p.b.way.Store(fails)
	_, err := p.Backlogs(t.Context(), 10)
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, `shard "b"`)
	s := newStore(t, map[string]alotwebhook.Store{"a": plain{memory.New()}}, shards.Config{})
	_, err = s.Backlogs(t.Context(), 10)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.EqualError(t, err, "alotwebhook: shards: no shard shows a survey: unsupported operation")
}

// A recovery over many endpoints is in one shard, and stays there when there are more of them.
func TestRecoveriesOverMany(t *testing.T) {
	t.Parallel()
	stores := three()
	s := newStore(t, stores, shards.Config{Places: byPrefix})
	at := map[string]int{}
	var all []alotwebhook.Recovery
	for range 30 {
		r := alotwebhook.Recovery{EndpointID: "rec_" + strings.TrimPrefix(newEvent(t, "").ID, "evt_"), State: alotwebhook.RecoveryRunning}
		require.NoError(t, s.PutRecovery(t.Context(), r))
		r.Version = 1
		all = append(all, r)
	}
	for name, shard := range stores {
		list, _, err := shard.Recoveries(t.Context(), alotwebhook.RecoveryFilter{Many: true})
		require.NoError(t, err)
		at[name] = len(list)
	}
	require.Equal(t, len(all), at["a"]+at["b"]+at["c"])
	for name, n := range at {
		require.Positive(t, n, "shard %s has some", name)
	}
	stores["d"] = memory.New()
	grown := newStore(t, stores, shards.Config{Places: byPrefix})
	for i := range all {
		r := &all[i]
		r.Note = "goes on"
		require.NoError(t, grown.PutRecovery(t.Context(), *r))
		require.ErrorIs(t, grown.PutRecovery(t.Context(), *r), alotwebhook.ErrConflict)
		r.Version++
		got, _, err := grown.Recoveries(t.Context(), alotwebhook.RecoveryFilter{EndpointID: r.EndpointID})
		require.NoError(t, err)
		require.Equal(t, []alotwebhook.Recovery{*r}, got)
	}
	list, next, err := grown.Recoveries(t.Context(), alotwebhook.RecoveryFilter{Many: true, State: alotwebhook.RecoveryRunning})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, all, list)
}

// Whether an endpoint fails is what its home says, not what the shard says that it moves away from.
func TestEndpointFiltersWhileMoving(t *testing.T) {
	t.Parallel()
	a, b := memory.New(), memory.New()
	s := newStore(t, map[string]alotwebhook.Store{"a": a, "b": b}, shards.Config{Patience: patient, Places: func(string) []string { return []string{"b", "a"} }})
	e, old := put(t, s, "org"), put(t, a, "org")
	enqueue(t, a, "org", 1)
	for _, c := range claim(t, a, 10) {
		failed := delivered(c)
		failed[0].State, failed[0].Attempt.Reason = alotwebhook.StateFailed, alotwebhook.ReasonTimeout
		require.NoError(t, errOf(a.Finish(t.Context(), failed)))
	}
	ids := func(f alotwebhook.EndpointFilter) (ids []string) {
		t.Helper()
		list, next, err := s.Endpoints(t.Context(), f)
		require.NoError(t, err)
		require.Empty(t, next)
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		return ids
	}
	require.Equal(t, []string{old.ID}, ids(alotwebhook.EndpointFilter{Failing: true}), "b does not have it yet")
	require.Equal(t, []string{e.ID, old.ID}, ids(alotwebhook.EndpointFilter{URLPart: "EXAMPLE"}))
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	require.NoError(t, s.PutEndpoint(t.Context(), e))
	require.Equal(t, []string{e.ID}, ids(alotwebhook.EndpointFilter{Disabled: true}))
}
