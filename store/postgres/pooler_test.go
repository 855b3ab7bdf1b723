package postgres_test

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// A PgBouncer that does not know prepared statements is refused at once, and not when two
// connections are busy for the first time. One that knows them is taken.
func TestNewRefusesPreparedStatementsBehindAnOldPgBouncer(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.PgBouncer(t, postgrestest.DSN(t))
	opts := &postgres.Options{Schema: postgrestest.NewSchemas(t).Take(t)}
	open := func(configure ...func(*pgxpool.Config)) error {
		_, err := postgres.New(t.Context(), postgrestest.PoolAt(t, dsn, configure...), opts)
		return err
	}
	if err := open(); knowsStatements(t) {
		require.NoError(t, err)
	} else {
		require.ErrorContains(t, err, "as PgBouncer before 1.21")
		require.ErrorContains(t, err, "pgx.QueryExecModeExec")
	}
	for _, m := range []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		require.NoError(t, open(mode(m)), m)
	}
}

// knowsStatements reports whether PgBouncer is 1.21 or later. From 1.24 on it keeps prepared
// statements by default.
func knowsStatements(t *testing.T) bool {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	said, err := exec.CommandContext(t.Context(), path, "--version").Output()
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(said), "PgBouncer 1.")
	minor, err := strconv.Atoi(rest[:strings.IndexAny(rest, ".\n")])
	require.NoError(t, err)
	return minor >= 24
}
