// Package otelwebhook tells OpenTelemetry what a dispatcher does, in metrics and traces.
//
//	telemetry, err := otelwebhook.New(nil) // to the global MeterProvider and TracerProvider
//	cfg.Observer = telemetry.Observer()
//	dispatcher, err := alotwebhook.NewDispatcher(store, cfg)
//	watch, err := telemetry.Watch(dispatcher) // the gauges; watch.Unregister() ends them
//
// It needs the API of OpenTelemetry alone: which SDK and which exporters there are is the
// host's choice. Without an SDK it does nothing.
//
// # Metrics
//
// docs/metrics.md in the repository lists them with their units and attributes. Beside this
// file stand a dashboard for Grafana (grafana.json) and rules for Prometheus (alerts.yaml),
// each alert with its page in docs/operating.md.
//
// No metric has an attribute that customers or their receivers can multiply: no URL, host,
// organization, endpoint or status code. [Options.Attributes] adds what you choose.
//
// # Traces
//
// The span in the context of Emit or EmitTo is stored with the events, as a W3C traceparent.
// Each attempt, in whichever process and however much later, is a span of the kind CLIENT
// with a link to it: see [Options.SameTrace]. It has the host and port that was sent to, the
// status, and the ids of delivery, event and endpoint; never a URL's path or query, a
// payload, a header, or what the receiver responded. Nothing of a trace is sent to customers.
//
// Names of attributes are those of OpenTelemetry's semantic conventions for HTTP and
// messaging, and begin with "alotwebhook." where these have none.
package otelwebhook

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/alot/alotwebhook"
)

// scope is the name of the instrumentation scope of all metrics and spans.
const scope = "github.com/alot/alotwebhook/otelwebhook"

// Options says what is told, and to whom. Nil, and every zero field, stands for the defaults.
type Options struct {
	// MeterProvider takes the metrics. One of package metric/noop has none made.
	// Defaults to that of [otel.GetMeterProvider].
	MeterProvider metric.MeterProvider

	// TracerProvider takes the spans. One of package trace/noop has none made.
	// Defaults to that of [otel.GetTracerProvider].
	TracerProvider trace.TracerProvider

	// Attributes returns further attributes of an attempt, for its span and for all metrics
	// of attempts and deliveries. Each combination of values becomes some 60 series of its
	// own in each process, and an SDK puts all beyond a limit (2,000 by default) into one. An
	// attribute that this package sets itself is not changed. [ByOrganization] is one.
	// Defaults to nil: none.
	Attributes func(alotwebhook.AttemptInfo) []attribute.KeyValue

	// SameTrace makes the span of an attempt a child of the span that emitted, in its trace: a
	// parent-based sampler then takes it if that trace was taken. Traces of emits become
	// as long as their deliveries take, which may be days.
	// Defaults to false: each attempt begins a trace of its own, linked to that span. The
	// sampler decides about it anew.
	SameTrace bool

	// EmitSpans makes a span of each Emit and EmitTo, of the kind CLIENT, as a child of the span
	// in its context. Attempts are linked to that one, not to this.
	// Defaults to false: there is the host's own span, and usually one of its database.
	EmitSpans bool

	// StatsInterval is how long an answer of [alotwebhook.Dispatcher.Stats] serves the gauges
	// that are made of it. Each process asks anew after that, if it is scraped: the store then
	// counts its queue. From 1 ms to 1 h.
	// Defaults to 15 s.
	StatsInterval time.Duration

	// StatsTimeout is how long a question to the store may take. Gauges that would need a late
	// answer are absent: no alert takes them for 0. Keep it below the scraper's own timeout.
	// From 1 ms to 1 min.
	// Defaults to 5 s.
	StatsTimeout time.Duration
}

// ByOrganization can be [Options.Attributes]: it has all that is measured of attempts and
// deliveries labelled with "alotwebhook.organization.id". It is for a few hundred
// organizations; with more, return the names of the largest and one word for all others. The
// alert of an organization that floods needs this attribute.
func ByOrganization(a alotwebhook.AttemptInfo) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("alotwebhook.organization.id", a.OrganizationID)}
}

// Telemetry tells OpenTelemetry what a dispatcher does. Make one with [New], for one
// dispatcher.
type Telemetry struct {
	options Options
	meter   metric.Meter
	tracer  trace.Tracer // nil: no spans are made
	instruments
	attributeSets

	watching  atomic.Bool               // set from Watch to Unregister
	lastClaim atomic.Pointer[time.Time] // the newest that succeeded
}

// New makes a Telemetry. The error is an [alotwebhook.FieldError] that names an option which
// is not valid, or what the MeterProvider says of an instrument.
func New(o *Options) (*Telemetry, error) {
	t := &Telemetry{attributeSets: newAttributeSets()}
	if o != nil {
		t.options = *o
	}
	if err := t.options.fill(); err != nil {
		return nil, err
	}
	t.meter = t.options.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	if _, none := t.options.TracerProvider.(noop.TracerProvider); !none {
		t.tracer = t.options.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	}
	if err := t.makeInstruments(t.meter); err != nil {
		return nil, fmt.Errorf("alotwebhook: instruments not made: %w", err)
	}
	t.beginWithZero()
	return t, nil
}

// Observer returns the observer for [alotwebhook.Config]. Several dispatchers may share it:
// what they do is then added up.
func (t *Telemetry) Observer() *alotwebhook.Observer {
	return &alotwebhook.Observer{
		TraceParent: traceParent,
		Emitted:     t.emitted,
		Claimed:     t.claimed,
		Finished:    t.finished,
		Disabled:    t.disabled,
		Recovery:    t.recovery,
		Purged:      t.purged,
		Missed:      t.missed,
	}
}

// fill puts the defaults in and refuses what is not valid, with an [alotwebhook.FieldError].
func (o *Options) fill() error {
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	for field, provider := range map[string]any{"MeterProvider": o.MeterProvider, "TracerProvider": o.TracerProvider} {
		if isNil(provider) {
			return &alotwebhook.FieldError{Field: field, Problem: "holds a nil pointer; make a provider, or leave the field nil for the global one"}
		}
	}
	if err := within("StatsInterval", &o.StatsInterval, 15*time.Second, time.Hour); err != nil {
		return err
	}
	return within("StatsTimeout", &o.StatsTimeout, 5*time.Second, time.Minute)
}

// within puts the default in the place of 0, and refuses what is not from 1 ms to most.
func within(field string, d *time.Duration, usual, most time.Duration) error {
	if *d == 0 {
		*d = usual
	}
	if *d < time.Millisecond || *d > most {
		return &alotwebhook.FieldError{Field: field, Problem: fmt.Sprintf("is %v, which is not from 1ms to %v", *d, most)}
	}
	return nil
}

// isNil reports whether v is nil or holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
