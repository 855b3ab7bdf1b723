package otelwebhook_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

// told is a Telemetry with what it has told the SDK.
type told struct {
	*otelwebhook.Telemetry
	*alotwebhook.Observer
	reader *sdkmetric.ManualReader
	spans  *tracetest.InMemoryExporter
}

// newTold makes a Telemetry whose metrics and spans stay in memory. It makes no spans
// unless the options have a TracerProvider.
func newTold(t testing.TB, o otelwebhook.Options) told {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	telemetry, err := otelwebhook.New(&o)
	require.NoError(t, err)
	return told{Telemetry: telemetry, Observer: telemetry.Observer(), reader: reader}
}

// newTraced also keeps the spans in memory.
func newTraced(t testing.TB, o otelwebhook.Options, options ...sdktrace.TracerProviderOption) told {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	o.TracerProvider = sdktrace.NewTracerProvider(append(options, sdktrace.WithSyncer(spans))...)
	made := newTold(t, o)
	made.spans = spans
	return made
}

// point is a series at one moment.
type point struct {
	attributes string  // such as "a=1 b=2", in the order of the keys
	count      int64   // of a histogram
	value      float64 // of a counter or a gauge; the sum of a histogram
}

// collect returns all metrics by name.
func (s told) collect(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	found, err := s.collectWithin(context.Background())
	require.NoError(t, err)
	return found
}

func (s told) collectWithin(ctx context.Context) (map[string]metricdata.Metrics, error) {
	var all metricdata.ResourceMetrics
	err := s.reader.Collect(ctx, &all)
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		if scope.Scope.Name != "github.com/alot/alotwebhook/otelwebhook" {
			continue
		}
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found, err
}

// points returns the series of one metric, in the order of their attributes.
func (s told) points(t testing.TB, name string) []point {
	t.Helper()
	return pointsOf(t, s.collect(t)[name])
}

func pointsOf(t testing.TB, m metricdata.Metrics) (found []point) {
	t.Helper()
	switch data := m.Data.(type) {
	case nil:
	case metricdata.Sum[int64]:
		require.True(t, data.IsMonotonic, m.Name)
		for _, p := range data.DataPoints {
			found = append(found, point{attributes: text(p.Attributes), value: float64(p.Value)})
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			found = append(found, point{attributes: text(p.Attributes), value: float64(p.Value)})
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			found = append(found, point{attributes: text(p.Attributes), value: p.Value})
		}
	case metricdata.Histogram[int64]:
		for _, p := range data.DataPoints {
			found = append(found, point{text(p.Attributes), int64(p.Count), float64(p.Sum)})
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			found = append(found, point{text(p.Attributes), int64(p.Count), p.Sum})
		}
	default:
		t.Fatalf("%s is a %T", m.Name, data)
	}
	slices.SortFunc(found, func(a, b point) int { return strings.Compare(a.attributes, b.attributes) })
	return found
}

func text(set attribute.Set) string { return textOf(set.ToSlice()) }

// textOf spells attributes in the order of their keys.
func textOf(attributes []attribute.KeyValue) string {
	words := make([]string, len(attributes))
	for i, a := range attributes {
		words[i] = fmt.Sprintf("%s=%v", a.Key, a.Value.AsInterface())
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// noon is when everything happens in these tests.
var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// emit is a report of an emit that began at noon and took 2 ms.
func emit(inTransaction bool, err error, types ...string) alotwebhook.EmitReport {
	r := alotwebhook.EmitReport{InTransaction: inTransaction}
	r.Began, r.Took, r.Err = noon, 2*time.Millisecond, err
	for i, eventType := range types {
		r.Events = append(r.Events, alotwebhook.Event{ID: fmt.Sprintf("evt_%d", i), Type: eventType, OrganizationID: "org_1"})
	}
	return r
}

// claim is a report of a claim that took 3 ms.
func claim(deliveries int, err error) alotwebhook.ClaimReport {
	r := alotwebhook.ClaimReport{Limit: 256, Deliveries: deliveries}
	r.Began, r.Took, r.Err = noon, 3*time.Millisecond, err
	return r
}

// finish is a report of outcomes that were stored in 4 ms.
func finish(outcomes, lost int, err error, attempts ...alotwebhook.AttemptInfo) alotwebhook.FinishReport {
	r := alotwebhook.FinishReport{Outcomes: outcomes, Lost: lost, Attempts: attempts}
	r.Began, r.Took, r.Err = noon, 4*time.Millisecond, err
	return r
}

// purge is a report of a purge that took 5 ms.
func purge(result alotwebhook.PurgeResult, err error) alotwebhook.PurgeReport {
	r := alotwebhook.PurgeReport{PurgeResult: result}
	r.Began, r.Took, r.Err = noon, 5*time.Millisecond, err
	return r
}

// success is a first attempt that began 20 ms after the emit and took 30 ms.
func success() alotwebhook.AttemptInfo {
	return alotwebhook.AttemptInfo{
		DeliveryID: "dlv_1", EventID: "evt_1", EventType: "candidate.completed", EndpointID: "wh_1", OrganizationID: "org_1",
		Host: "receiver.test:8443", State: alotwebhook.StateDelivered, Try: 1, EmittedAt: noon, PayloadBytes: 321,
		Attempt: alotwebhook.Attempt{Number: 1, StartedAt: noon.Add(20 * time.Millisecond), Duration: 30 * time.Millisecond, StatusCode: 204, ResponseBody: "SECRET"},
	}
}

// failure is an attempt like that which failed.
func failure(number int, reason alotwebhook.FailureReason, state alotwebhook.DeliveryState) alotwebhook.AttemptInfo {
	a := success()
	a.State, a.Try = state, number
	a.Attempt.Number, a.Attempt.Reason, a.Attempt.StatusCode, a.Attempt.Detail = number, reason, 0, "a detail"
	return a
}

// exemplars returns the ids of the traces that a histogram of seconds leads to.
func (s told) exemplars(t testing.TB, name string) (traces []string) {
	t.Helper()
	for _, p := range s.collect(t)[name].Data.(metricdata.Histogram[float64]).DataPoints {
		for _, e := range p.Exemplars {
			traces = append(traces, fmt.Sprintf("%x", e.TraceID))
		}
	}
	return traces
}
