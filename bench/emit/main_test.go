package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	requireTables(t, []string{"-store", "sqlite"}, []string{"SQLite, one event", "SQLite, 20 events"})
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	if os.Getenv(postgrestest.EnvDSN) == "" {
		postgrestest.New(t) // skips the test if there is no PostgreSQL
	}
	requireTables(t, []string{"-store", "postgres", "-driver", "pgx,pq"},
		[]string{"PostgreSQL, pgx, one event", "PostgreSQL, pq, one event", "PostgreSQL, pgx, 20 events"})
}

// requireTables runs the program with a few transactions and requires a line for each contender.
func requireTables(t *testing.T, args, titles []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"-n", "20", "-rounds", "2", "-organizations", "3", "-batch", "20"}, args...)
	require.Equal(t, 0, run(t.Context(), args, &stdout, &stderr), stderr.String())
	for _, title := range titles {
		line := `(?m)^` + title + ` .*\n`
		if strings.HasSuffix(title, "one event") {
			line += `the row alone +\d+\.\d .*\nEmitTo +\d+\.\d .*\nRiver InsertTx +\d+\.\d .* 1\.00 \(1.00–1.00\) .*$`
		} else {
			line += `Emit +\d+\.\d .*\nEmitTo, beside a row +\d+\.\d .*\nRiver InsertManyFast +\d+\.\d .* 1\.00 \(1.00–1.00\) .*$`
		}
		require.Regexp(t, regexp.MustCompile(line), stdout.String())
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ args, want string }{
		{"-store=memory", `unknown store "memory"; there are postgres, sqlite`},
		{"-driver=gorm", `unknown driver "gorm"; there are pgx, pq`},
		{"-n=0", "must be at least 1"},
		{"-batch=-1", "must be at least 1, -batch at least 0"},
		{"sqlite", `unexpected argument "sqlite"`},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), []string{tc.args}, &stdout, &stderr), tc.args)
		require.Contains(t, stderr.String(), tc.want)
		require.Empty(t, stdout.String())
	}
}
