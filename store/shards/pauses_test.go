package shards_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

func newPause(organizationID, endpointID string) alotwebhook.Pause {
	return alotwebhook.Pause{OrganizationID: organizationID, EndpointID: endpointID, Actor: "jane", Note: "a note", At: time.Now().UTC()}
}

func putPauses(t *testing.T, s alotwebhook.Pauser, pauses ...alotwebhook.Pause) {
	t.Helper()
	for _, p := range pauses {
		require.NoError(t, s.PutPause(t.Context(), p))
	}
}

func requirePauses(t *testing.T, s alotwebhook.Pauser, want ...alotwebhook.Pause) {
	t.Helper()
	got, err := s.Pauses(t.Context())
	require.NoError(t, err)
	if len(want) == 0 {
		require.Empty(t, got)
		return
	}
	require.Equal(t, want, got)
}

// A pause stands where the deliveries are that it holds back.
func TestPausesAreAtHome(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	all, a, b := newPause("", ""), newPause("org_a", ""), newPause("org_b", "wh_1")
	putPauses(t, p, b, all, a)
	requirePauses(t, p, all, a, b)
	requirePauses(t, p.a.Store, all, a)
	requirePauses(t, p.b.Store, all, b)
}

// One who is told to pause everything while a shard is down gets an error, and the others pause.
// Nor does a shard that is down keep everything paused.
func TestPauseOfAllWhileAShardIsDown(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	all, e := newPause("", ""), newEndpoint(t, "")
	p.a.way.Store(fails)
	require.ErrorIs(t, p.PutPause(t.Context(), all, newOperation(t, "paused", e)), errDown)
	requirePauses(t, p, all)
	require.Equal(t, []string{"paused"}, listOperations(t, p.b.Store, alotwebhook.OperationFilter{}))
	p.a.way.Store(well)
	requirePauses(t, p, all)
	putPauses(t, p, all)

	p.b.way.Store(fails)
	require.ErrorIs(t, p.DeletePause(t.Context(), "", "", newOperation(t, "resumed", e)), errDown)
	requirePauses(t, p)
	p.b.way.Store(well)
	requirePauses(t, p, all)
	require.NoError(t, p.DeletePause(t.Context(), "", "", newOperation(t, "resumed", e)))
	requirePauses(t, p)
	require.Equal(t, []string{"paused", "resumed"}, listOperations(t, p, alotwebhook.OperationFilter{}))
	require.ErrorIs(t, p.DeletePause(t.Context(), "", ""), alotwebhook.ErrNotFound)
}

// What a shard holds back it holds back while it does not answer.
func TestPausesOfAShardThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		defer time.Sleep(time.Minute) // for the calls that nobody waits for
		a, b := newPause("org_a", ""), newPause("org_b", "")
		putPauses(t, p, a, b)
		p.b.way.Store(hangs)
		began := time.Now()
		requirePauses(t, p, a)
		require.Equal(t, 3*time.Second, time.Since(began), "nothing is known of it")
		requirePauses(t, p, a)
		require.EqualValues(t, 1, p.b.count("Pauses"), "nobody asks it twice")
		time.Sleep(time.Minute)
		p.b.way.Store(well)
		requirePauses(t, p, a, b)
		for _, way := range []int32{hangs, fails} {
			p.b.way.Store(way)
			began = time.Now()
			requirePauses(t, p, a, b)
			require.LessOrEqual(t, time.Since(began), 50*time.Millisecond)
			time.Sleep(time.Minute)
		}
		p.a.way.Store(fails)
		_, err := p.Pauses(t.Context())
		require.ErrorIs(t, err, errDown)
		require.ErrorContains(t, err, `shard "a"`)
		p.a.way.Store(hangs)
		p.b.way.Store(hangs)
		fresh := newStore(t, map[string]alotwebhook.Store{"a": p.a, "b": p.b}, shards.Config{Places: byPrefix})
		_, err = fresh.Pauses(t.Context())
		require.ErrorContains(t, err, "no shard has told its pauses in time")
	})
}

// Many read at once, and each reads what was stored before.
func TestPausesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		p.a.took = 10 * time.Millisecond
		p.a.way.Store(slow)
		a := newPause("org_a", "")
		var wg sync.WaitGroup
		lists, errs := make([][]alotwebhook.Pause, 20), make([]error, 20)
		for i := range lists {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if i == 5 {
					errs[i] = p.PutPause(t.Context(), a)
				}
				if errs[i] == nil {
					lists[i], errs[i] = p.Pauses(t.Context())
				}
			})
		}
		wg.Wait()
		for i, list := range lists {
			require.NoError(t, errs[i])
			if i == 5 || i > 15 {
				require.Equal(t, []alotwebhook.Pause{a}, list)
			}
		}
	})
}

// A pause moves with its organization, and nothing of it stays.
func TestPausesWhileMoving(t *testing.T) {
	t.Parallel()
	a, b := memory.New(), memory.New()
	step := func(places ...string) *shards.Store {
		return newStore(t, map[string]alotwebhook.Store{"a": a, "b": b}, shards.Config{Patience: patient, Places: func(string) []string { return places }})
	}
	all, one, of := newPause("", ""), newPause("org", ""), newPause("org", "wh_1")
	require.NoError(t, a.PutPause(t.Context(), all)) // before b was there
	putPauses(t, step("a"), one, of)
	first := step("a", "b")
	requirePauses(t, first, all, one, of)
	for _, organizationID := range []string{"org", "org", ""} {
		_, err := first.Mirror(t.Context(), organizationID)
		require.NoError(t, err)
	}
	requirePauses(t, b, all, one, of)
	second := step("b", "a")
	of.Note, of.At = "another", of.At.Add(time.Second)
	putPauses(t, second, of)
	require.NoError(t, second.DeletePause(t.Context(), "org", ""))
	for _, s := range []alotwebhook.Pauser{first, second, a, b} {
		requirePauses(t, s, all, of)
	}
	_, err := second.Leave(t.Context(), "org", "a")
	require.NoError(t, err)
	requirePauses(t, a, all)
	requirePauses(t, step("b"), all, of)
	require.NoError(t, a.PutPause(t.Context(), one))
	requirePauses(t, step("b"), all, of)
}

// plain is a store without optional capabilities.
type plain struct{ alotwebhook.Store }

func TestPausesNeedAPauser(t *testing.T) {
	t.Parallel()
	s := newStore(t, map[string]alotwebhook.Store{"a": memory.New(), "b": plain{memory.New()}}, shards.Config{Places: byPrefix})
	a := newPause("org_a", "")
	putPauses(t, s, a)
	requirePauses(t, s, a)
	for _, organizationID := range []string{"org_b", ""} {
		err := s.PutPause(t.Context(), newPause(organizationID, ""))
		require.EqualError(t, err, `alotwebhook: shard "b": it keeps no pauses: unsupported operation`)
	}
	_, err := s.Mirror(t.Context(), "")
	require.NoError(t, err)
	none := newStore(t, map[string]alotwebhook.Store{"a": plain{memory.New()}}, shards.Config{})
	_, err = none.Pauses(t.Context())
	require.EqualError(t, err, "alotwebhook: shards: no shard keeps pauses: unsupported operation")
	_, err = none.Mirror(t.Context(), "")
	require.NoError(t, err)
}
