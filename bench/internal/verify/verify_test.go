package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMeasure is not parallel, because it measures on one processor and counts the allocations of
// the whole process.
func TestMeasure(t *testing.T) {
	tables, err := Measure([]Size{{"300 B", 300}, {"1 KiB", 1024}}, 1, time.Microsecond)
	require.NoError(t, err)
	require.Len(t, tables, 2)
	for _, table := range tables {
		var out strings.Builder
		require.NoError(t, table.Print(&out))
		for _, name := range []string{"bare", "alotwebhook", "go-github", "stripe-go", "svix", "standard-webhooks", "1 KiB"} {
			require.Contains(t, out.String(), name)
		}
	}
}

func TestPayload(t *testing.T) {
	t.Parallel()
	for _, n := range []int{300, 301, 4 << 10, 256 << 10} {
		body, err := payload(n)
		require.NoError(t, err)
		require.Len(t, body, n)
	}
	_, err := payload(10)
	require.Error(t, err)
}

func TestCheckFindsWrongSubjects(t *testing.T) {
	t.Parallel()
	deaf := subject{body: []byte("body"), call: func([]byte) error { return nil }}
	require.ErrorContains(t, deaf.check(), "accepted a changed body")
	closed := subject{body: []byte("body"), call: func([]byte) error { return errRefused }}
	require.ErrorIs(t, closed.check(), errRefused)
}
