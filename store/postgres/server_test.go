package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A test cannot start a PostgreSQL 13, and a standby takes seconds. So the check is
// apart from the question to the server, and gets made-up servers here.
func TestCheckServer(t *testing.T) {
	t.Parallel()
	require.NoError(t, server{version: 140000, encoding: "UTF8"}.check())
	require.ErrorContains(t, server{version: 130014, encoding: "UTF8"}.check(), "the server is PostgreSQL 13: 14 or later is needed")
	require.ErrorContains(t, server{version: 150002, standby: true, encoding: "UTF8"}.check(), "standby")
	require.ErrorContains(t, server{version: 150002, encoding: "LATIN1"}.check(), "encoded as LATIN1")
}
