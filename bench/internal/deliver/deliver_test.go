package deliver_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/deliver"
)

func TestMain(m *testing.M) {
	child.Main(deliver.Roles())
	m.Run()
}

var small = deliver.Load{Deliveries: 120, InFlight: 8, Payload: 300}

func rounds(progress *[]string) deliver.Rounds {
	return deliver.Rounds{Rounds: 1, Tolerate: 1, Limit: 10 * time.Minute, Progress: func(text string) { *progress = append(*progress, text) }}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	backlog := small
	backlog.Deliveries = 50
	var entries []deliver.Entry
	for name, c := range map[string]deliver.Dispatchers{
		"an endpoint for each organization": {Store: "memory", Endpoints: 5},
		"some with something to do":         {Store: "memory", Endpoints: 40, Active: 2},
		"organizations of 4":                {Store: "memory", Endpoints: 12, Organizations: 3},
		"fan-out of 4":                      {Store: "memory", Endpoints: 12, Organizations: 3, FanOut: true},
		"two processes":                     {Store: "sqlite", Endpoints: 12, Processes: 2},
		"two processes, warmed up":          {Store: "sqlite", Endpoints: 12, Processes: 2, Warm: 60},
		"warmed up":                         {Store: "memory", Endpoints: 12, Warm: 60},
		"read meanwhile":                    {Store: "sqlite", Endpoints: 3, Disturbance: deliver.Read},
	} {
		entries = append(entries, deliver.Entry{Contender: c.Contender(name), Load: small})
	}
	for _, processes := range []int{0, 1} {
		c := deliver.Dispatchers{Store: "sqlite", Endpoints: 4, Backlog: 300, Processes: processes}
		entries = append(entries, deliver.Entry{Contender: c.Contender("backlog"), Load: backlog})
	}
	var progress []string
	all, err := rounds(&progress).Measure(t.Context(), entries)
	require.NoError(t, err)
	require.Len(t, progress, len(entries))
	for _, m := range all {
		require.Len(t, m.Results, 1, m.Name)
		require.Positive(t, m.Results[0].PerSecond, m.Name)
		require.Positive(t, m.Results[0].Stored.PerSecond, m.Name)
		require.Positive(t, m.Raw[0].PerSecond, m.Name)
	}
	table := deliver.Table("", all)
	require.Len(t, table.Rows, len(entries)+1)
	require.Equal(t, "raw net/http", table.Rows[0].Name)
	require.InDelta(t, 1, table.Rows[0].Figures[1].Median, 0)
}

// A turn is repeated as often as is allowed, and then counts with a note.
func TestDisturbedTurnsAreRepeated(t *testing.T) {
	t.Parallel()
	var progress []string
	r := rounds(&progress)
	r.Rounds, r.Repeats, r.Tolerate = 2, 1, -2 // nothing is quiet enough
	c := deliver.Dispatchers{Store: "memory", Endpoints: 1}
	all, err := r.Measure(t.Context(), []deliver.Entry{{Contender: c.Contender("memory"), Load: small}})
	require.NoError(t, err)
	require.Equal(t, 2, all[0].Repeated)
	require.Equal(t, 2, all[0].Disturbed)
	require.Len(t, all[0].Results, 2)
	require.Len(t, r.Notes(all), 2)
	require.Contains(t, progress[1], "memory: again, since others had")

	r.Tolerate, r.Repeats = 1, 1
	all, err = r.Measure(t.Context(), []deliver.Entry{{Contender: c.Contender("memory"), Load: small}})
	require.NoError(t, err)
	require.Zero(t, all[0].Repeated)
	require.Empty(t, r.Notes(all))
}

func TestMeasureFails(t *testing.T) {
	t.Parallel()
	var progress []string
	c := deliver.Dispatchers{Store: "mongo", Endpoints: 1}
	_, err := rounds(&progress).Measure(t.Context(), []deliver.Entry{{Contender: c.Contender("a"), Load: small}})
	require.ErrorContains(t, err, `a: unknown store "mongo"`)

	tiny := small
	tiny.Payload = 10
	c.Store = "memory"
	_, err = rounds(&progress).Measure(t.Context(), []deliver.Entry{{Contender: c.Contender("a"), Load: tiny}})
	require.ErrorContains(t, err, "a payload has at least")

	short := rounds(&progress)
	short.Limit = time.Nanosecond
	_, err = short.Measure(t.Context(), []deliver.Entry{{Contender: c.Contender("a"), Load: small}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
