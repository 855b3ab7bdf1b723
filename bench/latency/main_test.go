package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The stores that need no server are measured with a few emits.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"memory", "sqlite"} {
		took, err := measure(t.Context(), name, false, false, 3)
		require.NoError(t, err)
		require.Len(t, took, 3)
	}
	_, err := measure(t.Context(), "mongo", false, false, 1)
	require.ErrorContains(t, err, "unknown store")
}
