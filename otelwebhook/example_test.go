package otelwebhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// An event is emitted within a span, and the span of its attempt is linked to that. Metrics
// and spans stay in memory here; a host has exporters instead.
func Example() {
	ctx := context.Background()
	delivered := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(delivered) }))
	defer receiver.Close()
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))

	store := memory.New()
	dispatcher, watch, err := newDispatcher(store, meters, tracers)
	check(err)
	defer watch.Unregister()
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(ctx) }()
	_, err = dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: receiver.URL + "/hooks/a-token", EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	check(err)

	spanCtx, span := tracers.Tracer("host").Start(ctx, "complete a candidate")
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]any{"sessionId": "sess_123"})
	check(err)
	check(dispatcher.Emit(spanCtx, event))
	span.End()

	<-delivered
	check(dispatcher.Shutdown(ctx)) // all is told once it returns
	check(<-ended)

	var metrics metricdata.ResourceMetrics
	check(reader.Collect(ctx, &metrics))
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		if m.Name == "alotwebhook.deliveries.finished" {
			p := m.Data.(metricdata.Sum[int64]).DataPoints[0]
			state, _ := p.Attributes.Value("alotwebhook.delivery.state")
			fmt.Println(p.Value, state.AsString())
		}
	}
	for _, s := range spans.GetSpans() {
		fmt.Println(s.SpanKind, s.Name, "linked to the emit:", len(s.Links) == 1 && s.Links[0].SpanContext.SpanID() == span.SpanContext().SpanID())
	}
	// Output:
	// 1 delivered
	// internal complete a candidate linked to the emit: false
	// client POST linked to the emit: true
}

// newDispatcher makes a dispatcher that is watched.
func newDispatcher(store *memory.Store, meters *sdkmetric.MeterProvider, tracers *sdktrace.TracerProvider) (*alotwebhook.Dispatcher, interface{ Unregister() error }, error) {
	telemetry, err := otelwebhook.New(&otelwebhook.Options{
		MeterProvider:  meters, // both default to the global ones
		TracerProvider: tracers,
	})
	if err != nil {
		return nil, nil, err
	}
	dispatcher, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Observer:  telemetry.Observer(),
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // for the receiver of this example
	})
	if err != nil {
		return nil, nil, err
	}
	watch, err := telemetry.Watch(dispatcher) // the gauges; watch.Unregister() ends them
	return dispatcher, watch, err
}

// Large customers get series of their own; all others share one.
func ExampleByOrganization() {
	isLargeCustomer := func(organizationID string) bool { return organizationID == "org_large" }
	options := otelwebhook.Options{Attributes: func(a alotwebhook.AttemptInfo) []attribute.KeyValue {
		if !isLargeCustomer(a.OrganizationID) {
			return nil // in the series that all others share
		}
		return otelwebhook.ByOrganization(a) // alotwebhook.organization.id
	}}
	for _, organization := range []string{"org_large", "org_small"} {
		fmt.Println(organization, len(options.Attributes(alotwebhook.AttemptInfo{OrganizationID: organization})))
	}
	// Output:
	// org_large 1
	// org_small 0
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
