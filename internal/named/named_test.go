package named_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/named"
)

func TestThings(t *testing.T) {
	t.Parallel()
	var things named.Things[int]
	require.Zero(t, things.Get("a"))
	require.Empty(t, things.Names())
	require.True(t, things.Add("b", 2))
	require.True(t, things.Add("a", 1))
	require.False(t, things.Add("a", 3), "the name is taken")
	require.Equal(t, 1, things.Get("a"))
	require.Equal(t, []string{"a", "b"}, things.Names())
}
