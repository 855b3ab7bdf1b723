package chain_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/chain"
)

// A list does what a slice does, whichever nodes come and go.
func TestListAsSlice(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var list chain.List[int]
	var nodes [8]chain.Node[int]
	var want []int
	for range 5000 {
		i := random.IntN(len(nodes))
		n := &nodes[i]
		n.Value = i
		if at := slices.Index(want, i); at >= 0 {
			require.True(t, n.In())
			list.Remove(n)
			want = slices.Delete(want, at, at+1)
		} else {
			require.False(t, n.In())
			list.Remove(n) // not in it: nothing happens
			list.PushBack(n)
			want = append(want, i)
		}
		require.Equal(t, len(want), list.Len())
		if len(want) == 0 {
			require.Nil(t, list.Front())
		} else {
			require.Equal(t, want[0], list.Front().Value)
		}
	}
	for _, i := range want { // the order, to the end
		require.Equal(t, i, list.Front().Value)
		list.Remove(list.Front())
	}
	require.Zero(t, list.Len())
}

func TestNodeIsInOneListAtATime(t *testing.T) {
	t.Parallel()
	var a, b chain.List[string]
	n := &chain.Node[string]{Value: "x"}
	a.PushBack(n)
	require.Panics(t, func() { b.PushBack(n) })
	b.Remove(n)
	require.True(t, n.In())
	a.Remove(n)
	b.PushBack(n)
	require.Same(t, n, b.Front())
}
