package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
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

// A server's messages may be in any language.
func TestAStandbyIsKnownInAnyLanguage(t *testing.T) {
	t.Parallel()
	require.True(t, takesNoWrites(notBegun(&pgconn.PgError{Code: "0A000", Message: "während der Wiederherstellung kann der Modus nicht gesetzt werden"})))
	require.True(t, takesNoWrites(&pgconn.PgError{Code: "25006"}))
	require.False(t, takesNoWrites(&pgconn.PgError{Code: "0A000", Message: "cached plan must not change result type"}))
	require.False(t, takesNoWrites(notBegun(errors.New("connection reset"))))
	require.False(t, takesNoWrites(nil))
}
