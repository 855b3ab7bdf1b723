package shards_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// A further shard takes its share of all organizations by the same steps as a move of one.
func TestGrow(t *testing.T) {
	t.Parallel()
	stores := three()
	three, four := shards.ByHash("a", "b", "c"), shards.ByHash("a", "b", "c", "d")
	before := newStore(t, stores, shards.Config{Places: three, Patience: patient})
	const organizations = 60
	all := map[string]alotwebhook.Endpoint{}
	for i := range organizations {
		id := fmt.Sprintf("org_%d", i)
		all[id] = put(t, before, id)
		enqueue(t, before, id, 2)
	}
	stores["d"] = memory.New()
	first := newStore(t, stores, shards.Config{Places: shards.Moving(three, four), Patience: patient})
	n, err := first.Mirror(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, organizations, n)
	second := newStore(t, stores, shards.Config{Places: shards.Moving(four, three), Patience: patient})
	last := newStore(t, stores, shards.Config{Places: four, Patience: patient})
	moved := 0
	for id, e := range all {
		enqueue(t, second, id, 1)
		require.NoError(t, second.PutEndpoint(t.Context(), e), "it has the same version everywhere")
		if four(id)[0] != three(id)[0] {
			moved++
			_, err := second.Leave(t.Context(), id, three(id)[0])
			require.ErrorIs(t, err, shards.ErrUnfinished)
		}
	}
	require.Positive(t, moved)
	claims := claim(t, second, 1000)
	require.Len(t, claims, 3*organizations)
	require.NoError(t, errOf(second.Finish(t.Context(), delivered(claims...))))
	for id := range all {
		if old := three(id)[0]; four(id)[0] != old {
			n, err := second.Leave(t.Context(), id, old)
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
		list, _, err := last.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: id})
		require.NoError(t, err)
		require.Len(t, list, 1)
		_, err = last.Leave(t.Context(), id, four(id)[0])
		require.ErrorContains(t, err, "is no shard, or the home")
	}
	page, _, err := last.Endpoints(t.Context(), alotwebhook.EndpointFilter{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page, organizations)
}

// While an organization moves, whatever happens to an endpoint happens in both shards: what
// one of them still delivers must not go where nothing more is wanted. With one shard down,
// nothing changes, and the same call succeeds later.
func TestEndpointsWhileMoving(t *testing.T) {
	t.Parallel()
	a, b := newIll(), newIll()
	s := newStore(t, map[string]alotwebhook.Store{"a": a, "b": b}, shards.Config{Places: func(string) []string { return []string{"b", "a"} }, Patience: patient})
	copies := func(id string) (home, former alotwebhook.Endpoint) {
		t.Helper()
		home, err := b.Store.Endpoint(t.Context(), id)
		require.NoError(t, err)
		former, err = a.Store.Endpoint(t.Context(), id)
		require.NoError(t, err)
		return home, former
	}
	a.way.Store(fails)
	e := newEndpoint(t, "org")
	require.ErrorIs(t, s.PutEndpoint(t.Context(), e), errDown)
	require.ErrorIs(t, errOf(b.Store.Endpoint(t.Context(), e.ID)), alotwebhook.ErrNotFound, "it is nowhere")
	a.way.Store(well)
	e = put(t, s, "org")
	enqueue(t, a, "org", 2)

	a.way.Store(fails)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	require.ErrorIs(t, s.PutEndpoint(t.Context(), e), errDown)
	home, former := copies(e.ID)
	require.False(t, home.Disabled || former.Disabled)
	a.way.Store(well)
	require.NoError(t, s.PutEndpoint(t.Context(), e), "at the same version")
	home, former = copies(e.ID)
	require.True(t, home.Disabled && former.Disabled)
	require.Empty(t, claim(t, s, 10))

	stale := e
	stale.Disabled, stale.URL = false, "https://example.com/stale"
	require.ErrorIs(t, s.PutEndpoint(t.Context(), stale), alotwebhook.ErrConflict)
	home, former = copies(e.ID)
	require.True(t, home.Disabled && former.Disabled)
	require.Equal(t, e.URL, former.URL)

	n, err := s.Discard(t.Context(), e.ID, time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, s.DeleteEndpoint(t.Context(), e.ID))
	require.ErrorIs(t, errOf(a.Store.Endpoint(t.Context(), e.ID)), alotwebhook.ErrNotFound)
	require.ErrorIs(t, s.DeleteEndpoint(t.Context(), e.ID), alotwebhook.ErrNotFound)
}

// A recovery that was running when the move began goes on where it is, and the next one
// takes its place there.
func TestRecoveryWhileMoving(t *testing.T) {
	t.Parallel()
	a, b := memory.New(), memory.New()
	s := newStore(t, map[string]alotwebhook.Store{"a": a, "b": b}, shards.Config{Places: func(string) []string { return []string{"b", "a"} }, Patience: patient})
	for _, begun := range []*memory.Store{a, b} {
		e := put(t, s, "org")
		r := alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org", State: alotwebhook.RecoveryRunning}
		if begun == a {
			require.NoError(t, a.PutRecovery(t.Context(), r))
			r.Version = 1
		}
		for range 3 {
			require.NoError(t, s.PutRecovery(t.Context(), r))
			r.Version++
			got, _, err := s.Recoveries(t.Context(), alotwebhook.RecoveryFilter{EndpointID: e.ID})
			require.NoError(t, err)
			require.Equal(t, []alotwebhook.Recovery{r}, got)
			got, _, err = begun.Recoveries(t.Context(), alotwebhook.RecoveryFilter{EndpointID: e.ID})
			require.NoError(t, err)
			require.Len(t, got, 1)
		}
		require.ErrorIs(t, s.PutRecovery(t.Context(), alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org"}), alotwebhook.ErrConflict)
	}
}
