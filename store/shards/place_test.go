package shards_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// Where an organization is must never change with a version of this package: its endpoints
// and its history would be elsewhere.
func TestByHashIsStable(t *testing.T) {
	t.Parallel()
	place := shards.ByHash("eu", "us", "asia")
	got := ""
	for i := range 40 {
		names := place(fmt.Sprintf("org_%d", i))
		require.Len(t, names, 1)
		got += names[0][:1]
	}
	require.Equal(t, "auueuauaueeeaaeaueaeueeeeauueeueeeaeueaa", got)
	require.Equal(t, []string{"us"}, place("org_é"))
}

// Each shard gets about the same number, in whatever order the names stand; and a further
// shard takes its share without moving others.
func TestByHashSpreads(t *testing.T) {
	t.Parallel()
	const organizations = 40_000
	four, five := shards.ByHash("a", "b", "c", "d"), shards.ByHash("e", "d", "c", "b", "a")
	n, moved := map[string]int{}, 0
	for i := range organizations {
		id := fmt.Sprintf("%08d", i)
		was, is := four(id)[0], five(id)[0]
		n[is]++
		if was != is {
			moved++
			require.Equal(t, "e", is, "only the new shard gets some")
		}
	}
	for name, of := range n {
		require.InDelta(t, organizations/5, of, organizations/50, "on %s", name)
	}
	require.Equal(t, n["e"], moved)
}

func TestMoving(t *testing.T) {
	t.Parallel()
	to := func(names ...string) func(string) []string { return func(string) []string { return names } }
	require.Equal(t, []string{"b", "a"}, shards.Moving(to("b"), to("a"))("org"))
	require.Equal(t, []string{"a"}, shards.Moving(to("a"), to("a"))("org"))
	require.Equal(t, []string{"c", "b", "a"}, shards.Moving(to("c", "b"), to("b", "a"))("org"))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stores map[string]alotwebhook.Store
		cfg    *shards.Config
	}{
		"no shards":     {},
		"no name":       {stores: map[string]alotwebhook.Store{"": memory.New()}},
		"no store":      {stores: map[string]alotwebhook.Store{"a": nil}},
		"a nil pointer": {stores: map[string]alotwebhook.Store{"a": (*memory.Store)(nil)}},
		"no patience":   {three(), &shards.Config{Patience: 1}},
	} {
		_, err := shards.New(c.stores, c.cfg)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid, name)
	}
	_, err := shards.New(three(), nil)
	require.NoError(t, err)
}

// A wrong placement is an error that says what is wrong, and nothing is stored.
func TestPlacementRefused(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"z"}, {"a", "a"}, {"a", "z"}} {
		s := newStore(t, three(), shards.Config{Places: func(string) []string { return names }})
		event := newEvent(t, "org_1")
		for _, err := range []error{
			s.Enqueue(t.Context(), []alotwebhook.Event{event}),
			s.PutEndpoint(t.Context(), newEndpoint(t, "org_1")),
			errOf(s.Places("org_1")),
		} {
			require.ErrorContains(t, err, `Config.Places returns`)
			require.ErrorContains(t, err, `for the organization "org_1"`)
		}
		_, err := s.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
}

func errOf[T any](_ T, err error) error { return err }
