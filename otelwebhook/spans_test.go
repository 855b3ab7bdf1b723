package otelwebhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
)

// parent is a traceparent of an emitting span that was sampled.
const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// theOnlySpan returns the only span that there is.
func (s told) theOnlySpan(t testing.TB) tracetest.SpanStub {
	t.Helper()
	spans := s.spans.GetSpans()
	require.Len(t, spans, 1)
	return spans[0]
}

func TestSpanOfAnAttempt(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{})
	a := success()
	a.TraceParent = parent
	s.Finished(finish(1, 0, nil, a))

	span := s.theOnlySpan(t)
	require.Equal(t, "POST", span.Name)
	require.Equal(t, trace.SpanKindClient, span.SpanKind)
	require.Equal(t, noon.Add(20*time.Millisecond), span.StartTime.UTC())
	require.Equal(t, noon.Add(50*time.Millisecond), span.EndTime.UTC())
	require.Equal(t, codes.Unset, span.Status.Code)
	require.Equal(t, strings.Join([]string{
		"alotwebhook.attempt.number=1", "alotwebhook.delivery.id=dlv_1", "alotwebhook.delivery.state=delivered",
		"alotwebhook.endpoint.id=wh_1", "alotwebhook.event.id=evt_1", "alotwebhook.event.type=candidate.completed",
		"http.request.body.size=321", "http.request.method=POST", "http.response.status_code=204",
		"server.address=receiver.test", "server.port=8443",
	}, " "), textOf(span.Attributes))
	require.False(t, span.Parent.IsValid(), "it begins a trace of its own")
	require.Len(t, span.Links, 1)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", span.Links[0].SpanContext.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", span.Links[0].SpanContext.SpanID().String())
	require.True(t, span.Links[0].SpanContext.IsRemote())
	require.NotContains(t, fmt.Sprintf("%+v", span), "SECRET")
	require.NotContains(t, fmt.Sprintf("%+v", span), "org_1", "customers are named only if the host says so")
}

func TestSpanOfAFailure(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{Attributes: otelwebhook.ByOrganization})
	a := failure(3, alotwebhook.ReasonTLS, alotwebhook.StateFailed)
	a.Host = "receiver.test"
	s.Finished(finish(1, 0, nil, a))

	span := s.theOnlySpan(t)
	require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "a detail"}, span.Status)
	require.Equal(t, strings.Join([]string{
		"alotwebhook.attempt.number=3", "alotwebhook.delivery.id=dlv_1", "alotwebhook.delivery.state=failed",
		"alotwebhook.endpoint.id=wh_1", "alotwebhook.event.id=evt_1", "alotwebhook.event.type=candidate.completed",
		"alotwebhook.organization.id=org_1", "error.type=tls",
		"http.request.body.size=321", "http.request.method=POST", "http.request.resend_count=2",
		"server.address=receiver.test", "server.port=443",
	}, " "), textOf(span.Attributes))
	require.Empty(t, span.Links)
}

// TestNoSpanWithoutAnAttempt: an outcome that no request led to is none.
func TestNoSpanWithoutAnAttempt(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{})
	s.Finished(finish(1, 0, nil, failure(0, alotwebhook.ReasonUnsendable, alotwebhook.StateFailed)))
	require.Empty(t, s.spans.GetSpans())
	require.Empty(t, s.points(t, "alotwebhook.attempt.duration"))
	require.Len(t, s.points(t, "alotwebhook.deliveries.finished"), 1)
}

func TestServerOfAnAttempt(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"":                   "",
		"receiver.test":      "server.address=receiver.test server.port=443",
		"receiver.test:8443": "server.address=receiver.test server.port=8443",
		"[2001:db8::1]":      "server.address=2001:db8::1 server.port=443",
		"[2001:db8::1]:8443": "server.address=2001:db8::1 server.port=8443",
		"[":                  "server.address=[ server.port=443",
		"receiver.test:x":    "server.address=receiver.test",
	} {
		s := newTraced(t, otelwebhook.Options{})
		a := success()
		a.Host = host
		s.Finished(finish(1, 0, nil, a))
		all := textOf(s.theOnlySpan(t).Attributes)
		_, server, _ := strings.Cut(all, "http.response.status_code=204")
		require.Equal(t, want, strings.TrimSpace(server), "of %q", host)
	}
}

// TestSameTrace: an attempt stands in the trace of its emit, and is sampled as that was.
func TestSameTrace(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{SameTrace: true}, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	sampled, dropped, alone := success(), success(), success()
	sampled.TraceParent, dropped.TraceParent = parent, strings.TrimSuffix(parent, "1")+"0"
	s.Finished(finish(3, 0, nil, sampled, dropped, alone))
	span := s.theOnlySpan(t)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", span.SpanContext.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", span.Parent.SpanID().String())
	require.Empty(t, span.Links)
}

// TestOwnTraceIsSampledAnew: a parent that was taken does not have its attempts taken.
func TestOwnTraceIsSampledAnew(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{}, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))
	a := success()
	a.TraceParent = parent
	s.Finished(finish(1, 0, nil, a))
	require.Empty(t, s.spans.GetSpans())
}

// TestOddTraceParents: what is no traceparent makes no link, and no trouble.
func TestOddTraceParents(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{
		"", "x", "\x00", strings.Repeat("0", 1<<20), parent + "-extra", strings.ToUpper(parent),
		"00-00000000000000000000000000000000-0000000000000000-01", "ff" + parent[2:], parent[:54],
	} {
		s := newTraced(t, otelwebhook.Options{EmitSpans: true})
		a := success()
		a.TraceParent = odd
		s.Finished(finish(1, 0, nil, a))
		require.Empty(t, s.theOnlySpan(t).Links, "%.80q", odd)
		r := emit(false, nil, "a")
		r.TraceParent = odd
		s.Emitted(r)
		require.False(t, s.spans.GetSpans()[1].Parent.IsValid(), "%.80q", odd)
	}
}

// contextWithParent returns a context with the span of parent, and a state.
func contextWithParent(t testing.TB) context.Context {
	t.Helper()
	return propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent, "tracestate": "vendor=secret"})
}

// TestTraceParent: what is stored is that of the span in the context, without its state.
func TestTraceParent(t *testing.T) {
	t.Parallel()
	s := newTold(t, otelwebhook.Options{})
	require.Empty(t, s.TraceParent(context.Background()))
	require.Equal(t, parent, s.TraceParent(contextWithParent(t)))
	ctx, span := sdktrace.NewTracerProvider().Tracer("").Start(context.Background(), "host")
	require.Equal(t, fmt.Sprintf("00-%s-%s-01", span.SpanContext().TraceID(), span.SpanContext().SpanID()), s.TraceParent(ctx)[:52]+"-01")
}

func TestEmitSpans(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{EmitSpans: true})
	one, many, failed := emit(false, nil, "a"), emit(true, nil, "a", "b"), emit(false, errDisk, "a")
	one.TraceParent = parent
	for _, r := range []alotwebhook.EmitReport{one, many, failed} {
		s.Emitted(r)
	}
	spans := s.spans.GetSpans()
	require.Len(t, spans, 3)
	first := spans[0]
	require.Equal(t, "Emit a", first.Name)
	require.Equal(t, trace.SpanKindClient, first.SpanKind)
	require.Equal(t, "00f067aa0ba902b7", first.Parent.SpanID().String())
	require.Equal(t, noon, first.StartTime.UTC())
	require.Equal(t, noon.Add(2*time.Millisecond), first.EndTime.UTC())
	require.Equal(t, "messaging.destination.name=a messaging.message.id=evt_0 messaging.operation.name=Emit messaging.operation.type=send messaging.system=alotwebhook", textOf(first.Attributes))
	require.Equal(t, "EmitTo", spans[1].Name)
	require.Equal(t, "messaging.batch.message_count=2 messaging.operation.name=EmitTo messaging.operation.type=send messaging.system=alotwebhook", textOf(spans[1].Attributes))
	require.Equal(t, sdktrace.Status{Code: codes.Error}, spans[2].Status, "the store's error may hold anything")
	require.Contains(t, textOf(spans[2].Attributes), "error.type=_OTHER")
	require.NotContains(t, fmt.Sprintf("%+v", spans), "secret-customer")
}

// TestNoEmitSpansByDefault: the host has a span of its own.
func TestNoEmitSpansByDefault(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{})
	s.Emitted(emit(false, nil, "a"))
	require.Empty(t, s.spans.GetSpans())
}

// TestExemplars: the histogram leads from a slow attempt to its span.
func TestExemplars(t *testing.T) {
	t.Parallel()
	s := newTraced(t, otelwebhook.Options{})
	s.Finished(finish(1, 0, nil, success()))
	require.Equal(t, []string{s.theOnlySpan(t).SpanContext.TraceID().String()}, s.exemplars(t, "alotwebhook.attempt.duration"))
}
