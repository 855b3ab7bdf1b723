package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// No test can start a PostgreSQL 13 or a standby in a moment, so what the
// server says is checked apart from asking it.
func TestCheckServer(t *testing.T) {
	t.Parallel()
	require.NoError(t, server{version: 140000, encoding: "UTF8"}.check())
	require.ErrorContains(t, server{version: 130014, encoding: "UTF8"}.check(), "the server is PostgreSQL 13: 14 or later is needed")
	require.ErrorContains(t, server{version: 150002, standby: true, encoding: "UTF8"}.check(), "standby")
	require.ErrorContains(t, server{version: 150002, encoding: "LATIN1"}.check(), "encoded as LATIN1")
}

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
