package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/report"
)

// README's table has the figures of the measurement that docs/performance.md shows.
func TestReadmeHasTheMeasuredFigures(t *testing.T) {
	t.Parallel()
	r, err := report.Load("../docs/performance/results.json")
	require.NoError(t, err)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	at := slices.IndexFunc(r.Sections, func(s report.Section) bool { return s.Name == "deliver" })
	require.GreaterOrEqual(t, at, 0)
	table := r.Sections[at].Tables[0]
	column := slices.IndexFunc(table.Columns, func(c report.Column) bool { return c.Name == "of raw" })
	ofRaw := func(contender string) string {
		row := slices.Index(rowNames(table), contender)
		require.GreaterOrEqual(t, row, 0, contender)
		return fmt.Sprintf("%.2f", table.Rows[row].Figures[column].Median)
	}
	for store, title := range map[string]string{"memory": "memory", "SQLite": "SQLite, every commit synced", "PostgreSQL": "PostgreSQL"} {
		require.Contains(t, string(readme), "| "+title+" | "+ofRaw(store+", 10 endpoints")+" | "+ofRaw(store+", 1000 endpoints")+" |\n")
	}
	require.Regexp(t, `(?m)^\| River .* \| `+ofRaw("River, tuned")+` \| \|$`, string(readme))
}
