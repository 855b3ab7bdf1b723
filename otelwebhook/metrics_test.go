package otelwebhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

var errDisk = errors.New("disk full at /var/lib/secret-customer")

func TestAttempts(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	retry := failure(1, alotwebhook.ReasonTimeout, alotwebhook.StatePending)
	last := failure(3, alotwebhook.ReasonStatus, alotwebhook.StateFailed)
	s.Finished(finish(5, 1, nil, success(), success(), retry, last))

	require.Equal(t, []point{
		{"", 2, .06}, {"error.type=status", 1, .03}, {"error.type=timeout", 1, .03},
	}, s.points(t, "alotwebhook.attempt.duration"))
	require.Equal(t, []point{
		{"alotwebhook.delivery.state=delivered", 0, 2},
		{"alotwebhook.delivery.state=failed error.type=status", 0, 1},
	}, s.points(t, "alotwebhook.deliveries.finished"), "a delivery that is tried again is not finished")
	require.Equal(t, []point{{"", 3, .06}}, s.points(t, "alotwebhook.delivery.wait"), "of first attempts alone")
	require.Equal(t, []point{{"", 2, .1}}, s.points(t, "alotwebhook.delivery.duration"), "of those that are delivered")
	require.Equal(t, []point{{"", 1, .004}}, s.points(t, "alotwebhook.finish.duration"))
	require.Equal(t, []point{{"", 1, 5}}, s.points(t, "alotwebhook.finish.size"))
	require.Equal(t, []point{
		{"alotwebhook.outcome.result=lost", 0, 1},
		{"alotwebhook.outcome.result=not_stored", 0, 0},
		{"alotwebhook.outcome.result=stored", 0, 4},
	}, s.points(t, "alotwebhook.outcomes"))
}

// TestDelays: what would say nothing about how late deliveries are is left out.
func TestDelays(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	redelivered, unknown, skewed := success(), success(), success()
	redelivered.Attempt.Number, redelivered.Try = 4, 1
	unknown.EmittedAt = time.Time{}
	skewed.EmittedAt = noon.Add(time.Hour) // by a clock that is ahead
	s.Finished(finish(3, 0, nil, redelivered, unknown, skewed))
	require.Equal(t, []point{{"", 1, 0}}, s.points(t, "alotwebhook.delivery.wait"))
	require.Equal(t, []point{{"", 1, 0}}, s.points(t, "alotwebhook.delivery.duration"))
}

// TestRefusals: what the guard refused is an attempt with that reason.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.Finished(finish(1, 0, nil, failure(1, alotwebhook.ReasonBlockedAddress, alotwebhook.StatePending)))
	require.Equal(t, []point{{"error.type=blocked_address", 1, .03}}, s.points(t, "alotwebhook.attempt.duration"))
}

func TestOutcomesThatAreNotStored(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.Finished(finish(7, 0, errDisk))
	require.Equal(t, []point{{"error.type=_OTHER", 1, .004}}, s.points(t, "alotwebhook.finish.duration"))
	require.Empty(t, s.points(t, "alotwebhook.finish.size"))
	require.Equal(t, []point{
		{"alotwebhook.outcome.result=lost", 0, 0},
		{"alotwebhook.outcome.result=not_stored", 0, 7},
		{"alotwebhook.outcome.result=stored", 0, 0},
	}, s.points(t, "alotwebhook.outcomes"))
}

func TestEmits(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.Emitted(emit(false, nil, "a", "a", "b", "a"))
	s.Emitted(emit(true, nil, "b"))
	s.Emitted(emit(true, fmt.Errorf("stored: %w", context.DeadlineExceeded), "a"))
	s.Emitted(emit(false, errDisk, "a"))
	require.Equal(t, []point{
		{"alotwebhook.emit.call=Emit", 1, .002},
		{"alotwebhook.emit.call=Emit error.type=_OTHER", 1, .002},
		{"alotwebhook.emit.call=EmitTo", 1, .002},
		{"alotwebhook.emit.call=EmitTo error.type=timeout", 1, .002},
	}, s.points(t, "alotwebhook.emit.duration"))
	require.Equal(t, []point{
		{"alotwebhook.event.type=a", 0, 3}, {"alotwebhook.event.type=b", 0, 2},
	}, s.points(t, "alotwebhook.events.emitted"), "of emits that succeeded")
}

func TestClaims(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.Claimed(claim(0, nil))
	s.Claimed(claim(40, nil))
	s.Claimed(claim(0, context.Canceled))
	require.Equal(t, []point{{"", 2, .006}, {"error.type=canceled", 1, .003}}, s.points(t, "alotwebhook.claim.duration"))
	require.Equal(t, []point{{"", 2, 40}}, s.points(t, "alotwebhook.claim.size"), "of claims that succeeded")
	sizes := s.collect(t)["alotwebhook.claim.size"].Data.(metricdata.Histogram[int64]).DataPoints[0]
	require.Zero(t, sizes.Bounds[0], "claims that got nothing have a bucket of their own")
	require.EqualValues(t, 1, sizes.BucketCounts[0])
}

func TestRareThings(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	s.Purged(purge(alotwebhook.PurgeResult{Expired: 1, Payloads: 2, Deliveries: 3, Events: 4, Tallies: 5, Operations: 6}, nil))
	s.Purged(purge(alotwebhook.PurgeResult{Expired: 1}, errDisk))
	s.Disabled(alotwebhook.Endpoint{DisabledReason: alotwebhook.DisabledGone})
	s.Recovery(alotwebhook.Recovery{State: alotwebhook.RecoveryRunning})
	s.Recovery(alotwebhook.Recovery{State: alotwebhook.RecoveryDone})
	s.Missed(12)
	require.Equal(t, []point{{"", 1, .005}, {"error.type=_OTHER", 1, .005}}, s.points(t, "alotwebhook.purge.duration"))
	require.Equal(t, []point{
		{"alotwebhook.purge.kind=delivery", 0, 3}, {"alotwebhook.purge.kind=event", 0, 4}, {"alotwebhook.purge.kind=expired", 0, 2},
		{"alotwebhook.purge.kind=operation", 0, 6}, {"alotwebhook.purge.kind=payload", 0, 2}, {"alotwebhook.purge.kind=tally", 0, 5},
	}, s.points(t, "alotwebhook.purge.rows"))
	require.Equal(t, []point{
		{"alotwebhook.endpoint.disabled_reason=failing", 0, 0}, {"alotwebhook.endpoint.disabled_reason=gone", 0, 1},
	}, s.points(t, "alotwebhook.endpoints.disabled"))
	require.Equal(t, []point{
		{"alotwebhook.recovery.state=done", 0, 1}, {"alotwebhook.recovery.state=running", 0, 1},
	}, s.points(t, "alotwebhook.recovery.changes"))
	require.Equal(t, []point{{"", 0, 12}}, s.points(t, "alotwebhook.observer.missed"))
}

// TestBeginWithZero: Prometheus sees the first increase of what alerts are made of.
func TestBeginWithZero(t *testing.T) {
	t.Parallel()
	all := newTold(t, otelwebhook.Options{}).collect(t)
	require.Len(t, all, 3)
	require.Equal(t, []point{{"", 0, 0}}, pointsOf(t, all["alotwebhook.observer.missed"]))
	require.Len(t, pointsOf(t, all["alotwebhook.outcomes"]), 3)
	require.Len(t, pointsOf(t, all["alotwebhook.endpoints.disabled"]), 2)
}

// series counts what a Prometheus would keep, but for the buckets.
func (s told) series(t testing.TB) (n int) {
	t.Helper()
	for _, m := range s.collect(t) {
		n += len(pointsOf(t, m))
	}
	return n
}

// TestCardinality: no number of customers, receivers, errors of the store or odd statuses
// makes more series.
func TestCardinality(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	everything := func(n int) {
		ok, bad := success(), failure(3, alotwebhook.ReasonStatus, alotwebhook.StateFailed)
		for _, a := range []*alotwebhook.AttemptInfo{&ok, &bad} {
			a.OrganizationID, a.EndpointID = fmt.Sprint("org_", n), fmt.Sprint("wh_", n)
			a.DeliveryID, a.EventID = fmt.Sprint("dlv_", n), fmt.Sprint("evt_", n)
			a.Host, a.Attempt.StatusCode, a.Attempt.Detail = fmt.Sprintf("h%d.test", n), 100+n%900, fmt.Sprint("detail ", n)
		}
		s.Finished(finish(2, 0, nil, ok, bad))
		s.Emitted(emit(false, nil, "candidate.completed"))
		s.Disabled(alotwebhook.Endpoint{ID: fmt.Sprint("wh_", n), URL: fmt.Sprintf("https://h%d.test/", n), DisabledReason: alotwebhook.DisabledGone})
		s.Recovery(alotwebhook.Recovery{EndpointID: fmt.Sprint("wh_", n), State: alotwebhook.RecoveryRunning})
		err := fmt.Errorf("pq: customer %d", n)
		s.Emitted(emit(true, err, "candidate.completed"))
		s.Claimed(claim(n, err))
		s.Finished(finish(n, 0, err))
		s.Purged(purge(alotwebhook.PurgeResult{Events: n}, err))
	}
	everything(0)
	few := s.series(t)
	require.Greater(t, few, 15)
	for n := range 1000 {
		everything(n)
	}
	require.Equal(t, few, s.series(t))
}

// TestWordsAreBounded: not even words that the library never had make more than 500.
func TestWordsAreBounded(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	for n := range 1500 {
		s.Emitted(emit(false, nil, fmt.Sprint("type.", n)))
	}
	found := s.points(t, "alotwebhook.events.emitted")
	require.Len(t, found, 501)
	require.Equal(t, point{"alotwebhook.event.type=_OTHER", 0, 1000}, found[0])
}

// TestOwnAttributes: what the host adds stands beside ours, and in the place of none of them.
func TestOwnAttributes(t *testing.T) {
	t.Parallel()
	blanks := []attribute.KeyValue{{}, attribute.Bool("mine", true), attribute.String("", "no key")}
	s := newTold(t, otelwebhook.Options{Attributes: func(a alotwebhook.AttemptInfo) []attribute.KeyValue {
		switch a.OrganizationID {
		case "org_none":
			return nil
		case "org_odd":
			panic("odd")
		case "org_blank":
			return blanks
		}
		return append(otelwebhook.ByOrganization(a), attribute.String("error.type", "mine"))
	}})
	mine, none, odd, blank := failure(1, alotwebhook.ReasonTLS, alotwebhook.StateFailed), success(), success(), success()
	none.OrganizationID, odd.OrganizationID, blank.OrganizationID = "org_none", "org_odd", "org_blank"
	s.Finished(finish(4, 0, nil, odd, mine, none, blank))
	require.Equal(t, []point{
		{"alotwebhook.delivery.state=delivered", 0, 2},
		{"alotwebhook.delivery.state=delivered mine=true", 0, 1},
		{"alotwebhook.delivery.state=failed alotwebhook.organization.id=org_1 error.type=tls", 0, 1},
	}, s.points(t, "alotwebhook.deliveries.finished"), "a panic costs the host's attributes alone")
	require.Equal(t, []point{
		{"", 2, .06}, {"alotwebhook.organization.id=org_1 error.type=tls", 1, .03}, {"mine=true", 1, .03},
	}, s.points(t, "alotwebhook.attempt.duration"))
	require.Equal(t, []attribute.KeyValue{{}, attribute.Bool("mine", true), attribute.String("", "no key")}, blanks, "the host's slice")
}

// The value of a panic may be a secret that the host's function had. The test changes where errors
// of the whole process go, and so it is not parallel.
func TestPanicsAreToldOfWithoutTheirValues(t *testing.T) {
	var told []error
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { told = append(told, err) }))
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	s := newTold(t, otelwebhook.Options{Attributes: func(alotwebhook.AttemptInfo) []attribute.KeyValue { panic("s3cret") }})
	s.Finished(finish(1, 0, nil, success()))
	require.Len(t, told, 1)
	require.ErrorContains(t, told[0], "Options.Attributes panicked: a string")
	require.ErrorContains(t, told[0], "metrics_test.go", "the stack")
	require.NotContains(t, told[0].Error(), "s3cret")
}

// BenchmarkAttempt holds the promise that metrics cost well under a microsecond an attempt.
func BenchmarkAttempt(b *testing.B) {
	for name, o := range map[string]otelwebhook.Options{"Metrics": {}, "ByOrganization": {Attributes: otelwebhook.ByOrganization}} {
		b.Run(name, func(b *testing.B) { benchmarkAttempts(b, newTold(b, o)) })
	}
	b.Run("MetricsAndSpans", func(b *testing.B) { // without what an exporter costs
		benchmarkAttempts(b, newTold(b, otelwebhook.Options{TracerProvider: sdktrace.NewTracerProvider()}))
	})
}

// benchmarkAttempts measures what one attempt costs the goroutine of the observer: a batch
// of 64, as a busy dispatcher stores them.
func benchmarkAttempts(b *testing.B, s told) {
	r := finish(64, 0, nil)
	for n := range 64 {
		a := success()
		if n%16 == 0 {
			a = failure(1, alotwebhook.ReasonTimeout, alotwebhook.StatePending)
		}
		r.Attempts = append(r.Attempts, a)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Finished(r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/attempt")
}
