package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/commandtest"
	"github.com/alot/alotwebhook/bench/internal/report"
)

func TestMain(m *testing.M) {
	child.Main(program.Roles)
	m.Run()
}

// soak runs the command at its shortest and returns its only section.
func soak(t *testing.T, store string) report.Section {
	t.Helper()
	dir := t.TempDir()
	results := filepath.Join(dir, "results.json")
	commandtest.Run(t, program, "-store", store, "-minutes", "0.1", "-rate", "40", "-json", results, "-plots", dir)
	r, err := report.Load(results)
	require.NoError(t, err)
	require.Len(t, r.Sections, 1)
	s := r.Sections[0]
	require.Len(t, s.Plots, 2)
	for _, p := range s.Plots {
		require.FileExists(t, filepath.Join(dir, p.Name+".svg"))
	}
	require.Contains(t, s.Notes[0], " 0 did not arrive")
	require.NotEmpty(t, s.Tables[1].Rows)
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	s := soak(t, "sqlite")
	require.Equal(t, "soak-sqlite", s.Name)
	require.Len(t, s.Tables[0].Rows, 7)
	require.Equal(t, "F: the bad receivers healed", s.Tables[0].Rows[5].Name)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	commandtest.NeedPostgres(t)
	s := soak(t, "postgres")
	require.Len(t, s.Tables[0].Rows, 8)
	require.Equal(t, "F: all connections terminated", s.Tables[0].Rows[5].Name)
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-store=memory": `unknown store "memory"; there are sqlite, postgres`,
		"-minutes=0":    "-minutes is 0; give from 0.1 to 1440",
		"-rate=-1":      "-rate is -1; give 0 or more",
		"sqlite":        `unexpected argument "sqlite"`,
	})
}
