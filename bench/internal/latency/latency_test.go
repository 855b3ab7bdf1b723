package latency_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/latency"
)

func TestMain(m *testing.M) {
	child.Main(latency.Roles())
	m.Run()
}

// The stores that need no server are measured with a few emits.
func TestMeasure(t *testing.T) {
	t.Parallel()
	var cases []latency.Case
	for _, c := range latency.Cases() {
		if c.Store != "postgres" {
			cases = append(cases, c)
		}
	}
	table, err := latency.Measure(t.Context(), cases, 3, func(string) {})
	require.NoError(t, err)
	require.Len(t, table.Rows, 3)
	for _, row := range table.Rows {
		require.Positive(t, row.Figures[0].Median, row.Name)
		require.GreaterOrEqual(t, row.Figures[2].Median, row.Figures[0].Median, row.Name)
	}
	_, err = latency.Measure(t.Context(), []latency.Case{{Name: "a", Store: "mongo"}}, 1, func(string) {})
	require.ErrorContains(t, err, "unknown store")
}
