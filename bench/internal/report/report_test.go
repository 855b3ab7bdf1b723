package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/plot"
	"github.com/alot/alotwebhook/bench/internal/report"
)

func section(name string, value float64) report.Section {
	return report.Section{
		Name: name, Title: "The " + name, About: "A load.",
		Tables: []report.Table{
			{Title: "who", Columns: []report.Column{{Name: "a second"}, {Name: "of raw", Decimals: 2, Range: true}}, Rows: []report.Row{
				{Name: "raw", Figures: []*report.Figure{report.Of(value), report.Of(1, 1, 1)}},
				{Name: "PostgreSQL", Figures: []*report.Figure{nil, report.Of(0.7, 0.5, 0.6)}},
			}},
			{Title: "by minute", Detail: true, Columns: []report.Column{{Name: "rows"}}, Rows: []report.Row{{Name: "1.0", Figures: []*report.Figure{report.Of(7)}}}},
		},
		Plots: []plot.Figure{{Name: name + "-plot", Title: "A plot"}},
		Run:   report.Run{Date: "2026-11-29", Command: "go run ./bench", Go: "go1.26", System: "linux/amd64", Processors: 2, PostgreSQL: "15.1"},
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	require.Nil(t, report.Of(0, 0), "0 stands for unknown")
	require.InDelta(t, 2, report.Of(3, 1, 2).Median, 0)
	require.InDelta(t, 2, report.Of(4, 3, 1, 2).Median, 0, "the lower one of two")
}

func TestPrint(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, section("one", 12000).Print(&b))
	require.Equal(t, `
The one
A load.

who         a second            of raw
raw            12000  1.00 (1.00–1.00)
PostgreSQL         –  0.60 (0.50–0.70)

by minute  rows
1.0           7
`, b.String())
}

// A run adds its sections to those that the file has of other runs.
func TestOutputAddsToFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := report.Output{JSON: filepath.Join(dir, "new", "results.json"), Plots: filepath.Join(dir, "page", "plots"), Page: filepath.Join(dir, "page.md")}
	page := "before\n<!-- bench one -->\nold\n<!-- end -->\nbetween\n<!-- bench two -->\n<!-- end -->\nafter\n"
	require.NoError(t, os.WriteFile(o.Page, []byte(page), 0o644))
	for _, s := range []report.Section{section("one", 1), section("two", 2), section("one", 3), section("without marks", 4)} {
		r, err := o.Load()
		require.NoError(t, err)
		r.Put(s)
		require.NoError(t, o.Write(r, nil))
	}
	r, err := o.Load()
	require.NoError(t, err)
	require.Equal(t, []report.Section{section("one", 3), section("two", 2), section("without marks", 4)}, r.Sections)
	require.FileExists(t, filepath.Join(o.Plots, "one-plot.svg"))
	text, err := os.ReadFile(o.Page)
	require.NoError(t, err)
	part := func(name, value string) string {
		return `<!-- bench ` + name + ` -->
## The ` + name + `

A load.

![A plot](page/plots/` + name + `-plot.svg)

| who | a second | of raw |
|---|---:|---:|
| raw | ` + value + ` | 1.00 (1.00–1.00) |
| PostgreSQL | – | 0.60 (0.50–0.70) |

Measured on 2026-11-29 by ` + "`go run ./bench`" + `, with go1.26 on linux/amd64, 2 processors, PostgreSQL 15.1.
<!-- end -->
`
	}
	require.Equal(t, "before\n"+part("one", "3")+"between\n"+part("two", "2")+"after\n", string(text))
}

func TestOutputRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(file, []byte("<!-- bench one -->\nno end"), 0o644))
	_, err := (&report.Output{JSON: file}).Load()
	require.ErrorContains(t, err, "is no report")
	_, err = (&report.Output{Plots: dir, Page: filepath.Join(dir, "none.md")}).Load()
	require.ErrorContains(t, err, "-page: open ", "it is found before anything is measured")
	r := report.Report{Sections: []report.Section{section("one", 1)}}
	require.ErrorContains(t, (&report.Output{Page: file}).Write(r, nil), "-page: it needs -plots")
	require.ErrorContains(t, (&report.Output{Page: file, Plots: dir}).Write(r, nil), `has no "<!-- end -->" after it`)
}

func TestRunNamesTheCommand(t *testing.T) {
	t.Parallel()
	run := report.NewRun("go run ./bench", []string{"-json", "a.json", "-only", "verify", "--plots=b", "-quick", "-page", "c.md"})
	require.Equal(t, "go run ./bench -only verify -quick", run.Command)
	require.Regexp(t, `^\d{4}-\d\d-\d\d$`, run.Date)
}
