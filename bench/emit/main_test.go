package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/commandtest"
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
	out := commandtest.Run(t, program, append([]string{"-n", "20", "-rounds", "2", "-organizations", "3", "-batch", "20"}, args...)...)
	for _, title := range titles {
		line := `(?m)^` + title + ` .*\n`
		if strings.HasSuffix(title, "one event") {
			line += `the row alone +\d+\.\d .*\nEmitTo +\d+\.\d .*\nRiver InsertTx +\d+\.\d .* 1\.00 \(1.00–1.00\) .*$`
		} else {
			line += `Emit +\d+\.\d .*\nEmitTo, beside a row +\d+\.\d .*\nRiver InsertManyFast +\d+\.\d .* 1\.00 \(1.00–1.00\) .*$`
		}
		require.Regexp(t, regexp.MustCompile(line), out)
	}
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-store=memory": `unknown store "memory"; there are postgres, sqlite`,
		"-driver=gorm":  `unknown driver "gorm"; there are pgx, pq`,
		"-n=0":          "-n is 0; give 1 or more",
		"-batch=-1":     "-batch is -1; give 0 or more",
		"sqlite":        `unexpected argument "sqlite"`,
	})
}
