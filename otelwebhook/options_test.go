package otelwebhook_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

func TestOptionsOutOfRange(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]otelwebhook.Options{
		"MeterProvider":  {MeterProvider: (*sdkmetric.MeterProvider)(nil)},
		"TracerProvider": {TracerProvider: (*sdktrace.TracerProvider)(nil)},
		"StatsInterval":  {StatsInterval: -time.Second},
		"StatsTimeout":   {StatsTimeout: time.Hour},
	} {
		_, err := otelwebhook.New(&o)
		var refusal *alotwebhook.FieldError
		require.True(t, errors.As(err, &refusal), field)
		require.Equal(t, field, refusal.Field)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	}
}

// TestWithoutAnSDK: nothing happens, and nothing fails.
func TestWithoutAnSDK(t *testing.T) {
	t.Parallel()
	for _, o := range []*otelwebhook.Options{nil, {}, {MeterProvider: metricnoop.NewMeterProvider(), EmitSpans: true, SameTrace: true}} {
		telemetry, err := otelwebhook.New(o)
		require.NoError(t, err)
		observer := telemetry.Observer()
		observer.Emitted(emit(true, nil, "a"))
		observer.Claimed(claim(1, nil))
		observer.Finished(finish(2, 1, nil, success()))
		observer.Disabled(alotwebhook.Endpoint{})
		observer.Recovery(alotwebhook.Recovery{})
		observer.Purged(purge(alotwebhook.PurgeResult{}, nil))
		observer.Missed(1)
		registration, err := telemetry.Watch(&fake{})
		require.NoError(t, err)
		require.NoError(t, registration.Unregister())
	}
}

// TestMeterThatRefuses: the error of an instrument is New's, that of a gauge Watch's.
func TestMeterThatRefuses(t *testing.T) {
	t.Parallel()
	refusing := &refusingProvider{refuse: true}
	_, err := otelwebhook.New(&otelwebhook.Options{MeterProvider: refusing})
	require.ErrorIs(t, err, errRefused)

	refusing.refuse = false
	telemetry, err := otelwebhook.New(&otelwebhook.Options{MeterProvider: refusing})
	require.NoError(t, err)
	refusing.refuse = true
	_, err = telemetry.Watch(&fake{})
	require.ErrorIs(t, err, errRefused)
	refusing.refuse = false
	_, err = telemetry.Watch(&fake{})
	require.NoError(t, err, "what was refused is not watched")
}

var errRefused = errors.New("refused")

// refusingProvider makes meters that make no counters and no gauges while refuse is set.
type refusingProvider struct {
	metricnoop.MeterProvider
	refuse bool
}

func (p *refusingProvider) Meter(string, ...metric.MeterOption) metric.Meter {
	return &refusingMeter{provider: p}
}

type refusingMeter struct {
	metricnoop.Meter
	provider *refusingProvider
}

func (m *refusingMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return metricnoop.Int64Counter{}, m.err()
}

func (m *refusingMeter) Int64ObservableGauge(string, ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	return metricnoop.Int64ObservableGauge{}, m.err()
}

func (m *refusingMeter) err() error {
	if m.provider.refuse {
		return errRefused
	}
	return nil
}
