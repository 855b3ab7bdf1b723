package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"evt_00000000000000000000000000", "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz", "evt_01m87935g3e3v8j3kg6w7wc3br",
	} {
		u, ok := decodeID(eventPrefix, id)
		require.True(t, ok, id)
		require.Equal(t, id, encodeID(eventPrefix, u))
	}
	for _, id := range []string{
		"", "evt_", "evt_8zzzzzzzzzzzzzzzzzzzzzzzzz", "evt_01M87935G3E3V8J3KG6W7WC3BR", "evt_01m87935g3e3v8j3kg6w7wc3b",
		"evt_01m87935g3e3v8j3kg6w7wc3brr", "dlv_01m87935g3e3v8j3kg6w7wc3br", "evt_01m87935g3e3v8j3kg6w7wc3b\n", "evt_01m87935g3e3v8j3kg6w7wc3bu",
	} {
		_, ok := decodeID(eventPrefix, id)
		require.False(t, ok, id)
	}
}
