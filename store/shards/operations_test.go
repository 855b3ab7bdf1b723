package shards_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// newOperation returns an operation that tells of an endpoint.
func newOperation(tb testing.TB, kind alotwebhook.OperationType, e alotwebhook.Endpoint) alotwebhook.Operation {
	tb.Helper()
	event := newEvent(tb, e.OrganizationID)
	return alotwebhook.Operation{
		ID: "op_" + strings.TrimPrefix(event.ID, "evt_"), Type: kind, At: event.Timestamp, OrganizationID: e.OrganizationID, EndpointID: e.ID,
	}
}

// putTold stores a new endpoint of each organization, with an operation, and returns the
// operations' ids.
func putTold(tb testing.TB, s alotwebhook.Store, organizations ...string) (ids []string) {
	tb.Helper()
	for _, organization := range organizations {
		e := newEndpoint(tb, organization)
		o := newOperation(tb, alotwebhook.OpEndpointCreated, e)
		require.NoError(tb, s.PutEndpoint(tb.Context(), e, o))
		ids = append(ids, o.ID)
	}
	return ids
}

func claimOperations(tb testing.TB, s alotwebhook.Store, limit int, lease time.Duration) (ids []string) {
	tb.Helper()
	claimed, err := s.ClaimOperations(tb.Context(), limit, lease)
	require.NoError(tb, err)
	for _, o := range claimed {
		ids = append(ids, o.ID)
	}
	return ids
}

func listOperations(tb testing.TB, s alotwebhook.Store, f alotwebhook.OperationFilter) (types []string) {
	tb.Helper()
	page, next, err := s.Operations(tb.Context(), f)
	require.NoError(tb, err)
	require.Empty(tb, next)
	for _, o := range slices.Backward(page) {
		types = append(types, string(o.Type))
	}
	return types
}

// An operation is where its organization is.
func TestOperationsAreAtHome(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	ids := putTold(t, p, "org_a", "org_b", "org_a")
	for shard, want := range map[*ill][]string{p.a: {ids[0], ids[2]}, p.b: {ids[1]}} {
		require.Equal(t, want, claimOperations(t, shard, 10, time.Millisecond))
	}
	require.Len(t, listOperations(t, p, alotwebhook.OperationFilter{}), 3)
	require.Len(t, listOperations(t, p, alotwebhook.OperationFilter{OrganizationID: "org_a"}), 2)
}

// A shard that is down, or hangs, holds up its own operations, and no others.
func TestIllShardHoldsUpItsOwnOperations(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]int32{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 50*time.Millisecond)
				defer time.Sleep(time.Minute) // for the calls that nobody waits for
				ids := putTold(t, p, "org_a", "org_b", "org_a", "org_b")
				got := claimOperations(t, p, 10, time.Minute)
				require.Equal(t, ids, got)
				p.b.way.Store(way)
				require.NoError(t, p.FinishOperations(t.Context(), ids[:1], 0), "it needs no other shard")
				began := time.Now()
				require.Error(t, p.FinishOperations(t.Context(), ids[1:], 0))
				require.LessOrEqual(t, time.Since(began), time.Second)
				more := putTold(t, p, "org_a")
				require.Equal(t, more, claimOperations(t, p, 10, time.Minute))
				require.NoError(t, p.FinishOperations(t.Context(), more, 0))
				time.Sleep(2 * time.Minute)
				require.Empty(t, claimOperations(t, p, 10, time.Minute), "all of a are finished")
				p.b.way.Store(well)
				time.Sleep(time.Minute)
				require.Subset(t, ids[1:], claimOperations(t, p, 10, time.Minute))
			})
		})
	}
}

// A shard that takes longer than Patience gives its operations to the next claim, while their
// lease is fresh.
func TestSlowShardGivesItsOperationsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		defer time.Sleep(time.Minute) // for the calls that nobody waits for
		ids := putTold(t, p, "org_a", "org_b", "org_b")
		p.b.way.Store(slow)
		require.Equal(t, ids[:1], claimOperations(t, p, 10, time.Minute))
		require.Empty(t, claimOperations(t, p, 10, time.Minute), "nobody asks it twice")
		require.EqualValues(t, 1, p.b.count("ClaimOperations"))
		time.Sleep(time.Second)
		require.Equal(t, ids[1:2], claimOperations(t, p, 1, time.Minute))
		require.Equal(t, ids[2:], claimOperations(t, p, 1, time.Minute))
		time.Sleep(2 * time.Minute)
		require.Equal(t, ids[:1], claimOperations(t, p, 10, time.Minute), "the lease has run out")
		time.Sleep(30 * time.Second) // what came late is stale
		require.Empty(t, claimOperations(t, p, 10, time.Minute))
	})
}

func TestOperationsOfAllShardsFail(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	p.a.way.Store(fails)
	p.b.way.Store(fails)
	_, err := p.ClaimOperations(t.Context(), 10, time.Minute)
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, `shard "a"`)
	_, _, err = p.Operations(t.Context(), alotwebhook.OperationFilter{})
	require.ErrorIs(t, err, errDown)
}

// A small limit comes to every shard in its turn, and a large one is kept.
func TestOperationsWithinTheLimit(t *testing.T) {
	t.Parallel()
	s := newStore(t, three(), shards.Config{Patience: patient, Places: byPrefix})
	want := map[string]bool{}
	for _, id := range putTold(t, s, "org_a", "org_b", "org_c", "org_c", "org_c", "org_c", "org_c") {
		want[id] = true
	}
	require.Len(t, claimOperations(t, s, 6, time.Millisecond), 6)
	time.Sleep(2 * time.Millisecond)
	got := map[string]bool{}
	for range 7 {
		ids := claimOperations(t, s, 1, time.Hour)
		require.Len(t, ids, 1)
		got[ids[0]] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	require.Empty(t, claimOperations(t, s, 100, time.Hour))
}

// While an organization moves, what happens to its endpoints is told once.
func TestOperationsWhileMoving(t *testing.T) {
	t.Parallel()
	p := &pair{a: newIll(), b: newIll()}
	p.Store = newStore(t, map[string]alotwebhook.Store{"a": p.a, "b": p.b}, shards.Config{
		Patience: patient, Places: func(string) []string { return []string{"b", "a"} },
	})
	e := newEndpoint(t, "org_m")
	require.NoError(t, p.PutEndpoint(t.Context(), e, newOperation(t, alotwebhook.OpEndpointCreated, e)))
	e.Version, e.Warned = 1, 1
	require.NoError(t, p.PutEndpoint(t.Context(), e, newOperation(t, alotwebhook.OpEndpointFailing, e)))
	c, err := p.a.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, 1, c.Warned, "the copy has it, too")
	require.NoError(t, p.DeleteEndpoint(t.Context(), e.ID, newOperation(t, alotwebhook.OpEndpointDeleted, e)))
	require.Equal(t, []string{"endpoint.created", "endpoint.failing", "endpoint.deleted"}, listOperations(t, p, alotwebhook.OperationFilter{OrganizationID: "org_m"}))
	require.Empty(t, listOperations(t, p.a.Store, alotwebhook.OperationFilter{}))

	p.a.way.Store(fails)
	other := newEndpoint(t, "org_m")
	require.ErrorIs(t, p.PutEndpoint(t.Context(), other, newOperation(t, alotwebhook.OpEndpointCreated, other)), errDown)
	p.a.way.Store(well)
	require.Equal(t, []string{"endpoint.created", "endpoint.deleted"}, listOperations(t, p, alotwebhook.OperationFilter{EndpointID: other.ID}), "what is taken back is told as deleted")
}

// The purge of operations keeps to the limit of all shards.
func TestPurgeOfOperations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, map[string]alotwebhook.Store{"a": memory.New(), "b": memory.New()}, shards.Config{Patience: patient, Places: byPrefix})
		putTold(t, s, "org_a", "org_a", "org_b", "org_b")
		time.Sleep(time.Hour)
		for _, want := range []int{3, 1, 0} {
			r, err := s.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Minute, Limit: 3})
			require.NoError(t, err)
			require.Equal(t, alotwebhook.PurgeResult{Operations: want}, r)
		}
	})
}
