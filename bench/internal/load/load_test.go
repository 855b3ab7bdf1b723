package load_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/load"
)

func TestMain(m *testing.M) {
	child.Main(load.Roles())
	m.Run()
}

// Without disturbances all receivers are healthy. The soak's test has the others.
func TestSteadyLoad(t *testing.T) {
	t.Parallel()
	var progress []string
	r, err := load.Run(t.Context(), load.Config{
		Store: "sqlite", Length: 2 * time.Second, Rate: 40, Endpoints: 12, Progress: func(text string) { progress = append(progress, text) },
	})
	require.NoError(t, err)
	require.Positive(t, r.Expected)
	require.Zero(t, r.Missing)
	require.Zero(t, r.LeftOver)
	require.Empty(t, r.Disturbances)
	require.Len(t, progress, len(r.Samples))
	require.NotEmpty(t, r.Samples)
	table := r.Table()
	require.Len(t, table.Rows, len(r.Samples))
	var names []string
	for i, c := range table.Columns {
		names = append(names, c.Name)
		for _, row := range table.Rows {
			require.Len(t, row.Figures, len(table.Columns), c.Name, i)
		}
	}
	require.Contains(t, names, "pending")
	require.Contains(t, names, "file KiB")
	require.NotContains(t, names, "bytes/attempt", "SQLite has no server")
	require.Len(t, r.Plots("a"), 2)
	require.Equal(t, "a-sending", r.Plots("a")[0].Name)
	require.Contains(t, r.Notes()[0], "0 did not arrive")
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	_, err := load.Run(t.Context(), load.Config{Store: "memory", Length: time.Minute})
	require.ErrorContains(t, err, `no steady load on a store "memory"`)
	_, err = load.Run(t.Context(), load.Config{Store: "sqlite", Length: time.Millisecond})
	require.ErrorContains(t, err, "less than a second")
}
