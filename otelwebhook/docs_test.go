package otelwebhook_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

// everything returns metrics in which each instrument has each of its attributes.
func everything(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	s := newTold(t, otelwebhook.Options{})
	s.watch(t, &fake{health: alotwebhook.Health{Running: true}})
	s.Emitted(emit(false, nil, "a"))
	s.Emitted(emit(false, errDisk, "a"))
	s.Claimed(claim(1, nil))
	s.Claimed(claim(0, errDisk))
	s.Finished(finish(2, 1, nil, success(), failure(1, alotwebhook.ReasonTLS, alotwebhook.StateFailed)))
	s.Finished(finish(1, 0, errDisk))
	s.Purged(purge(alotwebhook.PurgeResult{}, errDisk))
	s.Disabled(alotwebhook.Endpoint{DisabledReason: alotwebhook.DisabledGone})
	s.Recovery(alotwebhook.Recovery{State: alotwebhook.RecoveryRunning})
	s.Missed(1)
	return s.collect(t)
}

var metricRow = regexp.MustCompile("(?m)^\\| (`alotwebhook[^|]+ \\| [a-z]+ \\| `[^|]+` \\| [^|]*)\\| [^|]+\\|$")

// TestMetricsAreDocumented: the table in docs/metrics.md has every instrument with its kind,
// unit and attributes, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	var are []string
	for name, m := range everything(t) {
		require.NotEmpty(t, m.Description, name)
		kind := map[bool]string{true: "gauge", false: "counter"}[strings.HasPrefix(fmt.Sprintf("%T", m.Data), "metricdata.Gauge")]
		if strings.HasPrefix(fmt.Sprintf("%T", m.Data), "metricdata.Histogram") {
			kind = "histogram"
		}
		row := fmt.Sprintf("`%s` | %s | `%s` | ", name, kind, m.Unit)
		for _, key := range attributeKeys(t, m) {
			row += "`" + key + "` "
		}
		are = append(are, row)
	}
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	var documented []string
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(are)
	slices.Sort(documented)
	require.Equal(t, are, documented)
}

// attributeKeys returns the keys of all series of a metric, sorted.
func attributeKeys(t testing.TB, m metricdata.Metrics) (keys []string) {
	t.Helper()
	for _, p := range pointsOf(t, m) {
		for _, word := range strings.Fields(p.attributes) {
			key, _, _ := strings.Cut(word, "=")
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Whoever makes an alert of an attribute takes its values from the table.
func TestValuesOfAttributesAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../recovery.go")
	require.NoError(t, err)
	states := regexp.MustCompile(`RecoveryState = ("[a-z]+")`).FindAllStringSubmatch(string(source), -1)
	require.GreaterOrEqual(t, len(states), 13)
	for _, state := range states {
		require.Contains(t, row(t, "alotwebhook.recovery.changes"), strings.ReplaceAll(state[1], `"`, "`"))
	}

	var all alotwebhook.PurgeResult
	fields := reflect.ValueOf(&all).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(int64(i + 1))
	}
	s := newTold(t, otelwebhook.Options{})
	s.Purged(purge(all, nil))
	counted := s.points(t, "alotwebhook.purge.rows")
	require.Len(t, counted, fields.NumField(), "a kind for each count")
	for _, p := range counted {
		_, kind, _ := strings.Cut(p.attributes, "=")
		require.Contains(t, row(t, "alotwebhook.purge.rows"), "`"+kind+"`")
	}
}

// row returns the row of a metric in docs/metrics.md.
func row(t *testing.T, metric string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	found := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(metric) + "` .*$").FindString(string(text))
	require.NotEmpty(t, found, metric)
	return found
}
