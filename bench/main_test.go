package main

import (
	"bytes"
	"encoding/json"
	"os"
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

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("slow under the race detector; .ci/run runs it without")
	}
}

// Every section is measured at its smallest, on the stores that need no server. The tables,
// plots and the page are made of the results.
func TestEverySection(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	results := filepath.Join(dir, "results.json")
	require.NoError(t, os.WriteFile(page, []byte("<!-- bench backlog -->\n<!-- end -->\n"), 0o644))
	out := commandtest.Run(t, program, "-quick", "-n", "100", "-inflight", "8", "-store", "memory,sqlite", "-most", "3000", "-json", results, "-plots", dir, "-page", page)
	r, err := report.Load(results)
	require.NoError(t, err)
	require.Len(t, r.Sections, len(sections))
	for i, s := range r.Sections {
		require.Equal(t, sections[i].name, s.Name)
		require.NotEmpty(t, s.Tables, s.Name)
		require.Contains(t, out, s.Title)
		for _, table := range s.Tables {
			require.NotEmpty(t, table.Rows, s.Name)
		}
		for _, p := range s.Plots {
			require.FileExists(t, filepath.Join(dir, p.Name+".svg"))
		}
	}
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "![Over a backlog](./backlog.svg)")
	require.Contains(t, string(text), "| SQLite, 3k |")
	require.Contains(t, out, "SQLite, 300 ")
	require.NotContains(t, out, "SQLite, 30k", "-most leaves it out")

	require.NoError(t, os.WriteFile(page, []byte("<!-- bench verify -->\n<!-- end -->\n"), 0o644))
	require.Empty(t, commandtest.Run(t, program, "-only", "none", "-json", results, "-plots", dir, "-page", page))
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "stripe-go", "the page is made again of what was measured before")
}

// On PostgreSQL the server's costs are known, and River takes part.
func TestOnPostgres(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	commandtest.NeedPostgres(t)
	out := commandtest.Run(t, program, "-quick", "-n", "200", "-inflight", "8", "-store", "postgres", "-only", "deliver,processes,snapshot", "-json", "-")
	var r report.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Sections, 3)
	require.NotEmpty(t, r.Sections[0].Run.PostgreSQL)
	require.Equal(t, []string{"raw net/http", "PostgreSQL, 10 endpoints", "PostgreSQL, 100 endpoints", "River, tuned"}, rowNames(r.Sections[0].Tables[0]))
	require.Equal(t, []string{"raw net/http", "PostgreSQL, 1", "PostgreSQL, 2"}, rowNames(r.Sections[1].Tables[0]))
	require.Equal(t, []string{"raw net/http", "PostgreSQL", "PostgreSQL, pinned", "PostgreSQL, read"}, rowNames(r.Sections[2].Tables[0]))
	for _, s := range r.Sections {
		for _, row := range s.Tables[0].Rows[1:] {
			const wal = 5
			require.NotNil(t, row.Figures[wal], row.Name)
			require.Positive(t, row.Figures[wal].Median, row.Name)
		}
	}
}

func rowNames(t report.Table) []string {
	var names []string
	for _, r := range t.Rows {
		names = append(names, r.Name)
	}
	return names
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	commandtest.RequireRefused(t, program, map[string]string{
		"-store=mongo":     `unknown store "mongo"; there are memory, postgres, sqlite`,
		"-only=everything": `unknown section "everything"; there are deliver, backlog`,
		"-n=1":             "-n is 1; give 100 or more",
		"-inflight=0":      "-inflight is 0; give 1 or more",
		"-repeats=-1":      "-repeats is -1; give 0 or more",
		"-tolerate=NaN":    "-tolerate is NaN; give from 0 to 1",
		"-limit=-1s":       "-limit is -1s",
		"-steady=1s":       "-steady is 1s; give 10s or more",
		"sqlite":           `unexpected argument "sqlite"`,
	})
}

// A section that cannot be measured does not stop the others.
func TestFailedSection(t *testing.T) {
	t.Parallel()
	skipUnderRace(t)
	var stdout, stderr bytes.Buffer
	code := program.Run(t.Context(), []string{"-quick", "-limit", "1ns", "-store", "memory", "-only", "deliver,verify", "-json", "-"}, &stdout, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "deliver: memory, 10 endpoints: ")
	var r report.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	require.Len(t, r.Sections, 1)
	require.Equal(t, "verify", r.Sections[0].Name)
}
