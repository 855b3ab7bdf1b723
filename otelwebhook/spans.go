package otelwebhook

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/alot/alotwebhook"
)

// parentCarrier carries a traceparent alone: a tracestate has no bound that a store knows.
type parentCarrier string

func (c *parentCarrier) Get(key string) string {
	if key == "traceparent" {
		return string(*c)
	}
	return ""
}

func (c *parentCarrier) Set(key, value string) {
	if key == "traceparent" {
		*c = parentCarrier(value)
	}
}

func (c *parentCarrier) Keys() []string { return []string{"traceparent"} }

// traceParent returns the W3C traceparent of the span in ctx, or "".
func traceParent(ctx context.Context) string {
	var c parentCarrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return string(c)
}

// contextOf returns a context with the span of a traceparent, as a remote one. It has none
// if the traceparent is "" or is not valid.
func contextOf(parent string) context.Context {
	c := parentCarrier(parent)
	return propagation.TraceContext{}.Extract(context.Background(), &c)
}

// attemptSpan makes the span of an attempt, which is over already, and returns a context
// with it.
func (t *Telemetry) attemptSpan(a *alotwebhook.AttemptInfo, own attribute.Set) context.Context {
	if t.tracer == nil || a.Attempt.Number == 0 {
		return context.Background()
	}
	ctx := contextOf(a.TraceParent)
	options := []trace.SpanStartOption{
		trace.WithTimestamp(a.Attempt.StartedAt),
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attemptAttributes(a, own)...),
	}
	if emitted := trace.SpanContextFromContext(ctx); emitted.IsValid() && !t.options.SameTrace {
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: emitted}))
	}
	ctx, span := t.tracer.Start(ctx, http.MethodPost, options...)
	if a.Attempt.Reason != "" {
		span.SetStatus(codes.Error, a.Attempt.Detail)
	}
	span.End(trace.WithTimestamp(a.Attempt.StartedAt.Add(a.Attempt.Duration)))
	return ctx
}

// attemptAttributes describes an attempt by the conventions for HTTP clients. Of these,
// url.full is left out: customers put tokens into paths and queries.
func attemptAttributes(a *alotwebhook.AttemptInfo, own attribute.Set) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, own.Len()+14)
	for i := own.Iter(); i.Next(); {
		all = append(all, i.Attribute())
	}
	all = append(all,
		semconv.HTTPRequestMethodPost,
		semconv.HTTPRequestBodySize(a.PayloadBytes),
		attribute.String("alotwebhook.delivery.id", a.DeliveryID),
		deliveryStateKey.String(string(a.State)),
		attribute.String("alotwebhook.event.id", a.EventID),
		eventTypeKey.String(a.EventType),
		attribute.String("alotwebhook.endpoint.id", a.EndpointID),
		attribute.Int("alotwebhook.attempt.number", a.Attempt.Number),
	)
	if a.Attempt.Number > 1 {
		all = append(all, semconv.HTTPRequestResendCount(a.Attempt.Number-1))
	}
	if a.Attempt.StatusCode != 0 {
		all = append(all, semconv.HTTPResponseStatusCode(a.Attempt.StatusCode))
	}
	if a.Attempt.Reason != "" {
		all = append(all, semconv.ErrorTypeKey.String(string(a.Attempt.Reason)))
	}
	if a.Test {
		all = append(all, attribute.Bool("alotwebhook.event.test", true))
	}
	return appendServer(all, a.Host)
}

// appendServer appends host and port of the receiver. A port that the URL leaves out is 443:
// http is for development.
func appendServer(all []attribute.KeyValue, hostPort string) []attribute.KeyValue {
	if hostPort == "" {
		return all
	}
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		host, port = hostPort, "443"
		if n := len(host); host[0] == '[' && host[n-1] == ']' {
			host = host[1 : n-1]
		}
	}
	all = append(all, semconv.ServerAddress(host))
	if n, err := strconv.Atoi(port); err == nil {
		all = append(all, semconv.ServerPort(n))
	}
	return all
}

// emitSpan makes the span of a call of Emit or EmitTo, which is over already, and returns a
// context with it.
func (t *Telemetry) emitSpan(r *alotwebhook.EmitReport, call string) context.Context {
	if t.tracer == nil {
		return context.Background()
	}
	ctx, span := t.tracer.Start(contextOf(r.TraceParent), emitName(r, call),
		trace.WithTimestamp(r.Began),
		// By the conventions it is PRODUCER only if attempts were linked to this span.
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(emitAttributes(r, call)...),
	)
	if r.Err != nil {
		span.SetStatus(codes.Error, "") // the text of a store's error may hold anything
	}
	span.End(trace.WithTimestamp(r.Began.Add(r.Took)))
	return ctx
}

// emitName returns the operation and, if it is the same for all events, their type: to
// messaging systems that is the destination.
func emitName(r *alotwebhook.EmitReport, call string) string {
	if eventType := onlyType(r); eventType != "" {
		return call + " " + eventType
	}
	return call
}

// onlyType returns the type of the events if all have the same, and "" otherwise.
func onlyType(r *alotwebhook.EmitReport) (eventType string) {
	for i := range r.Events {
		if eventType = r.Events[i].Type; eventType != r.Events[0].Type {
			return ""
		}
	}
	return eventType
}

// emitAttributes describes an emit by the conventions for messaging.
func emitAttributes(r *alotwebhook.EmitReport, call string) []attribute.KeyValue {
	all := []attribute.KeyValue{
		semconv.MessagingSystemKey.String("alotwebhook"),
		semconv.MessagingOperationName(call),
		semconv.MessagingOperationTypeSend,
	}
	if eventType := onlyType(r); eventType != "" {
		all = append(all, semconv.MessagingDestinationName(eventType))
	}
	if len(r.Events) == 1 {
		all = append(all, semconv.MessagingMessageID(r.Events[0].ID))
	} else {
		all = append(all, semconv.MessagingBatchMessageCount(len(r.Events)))
	}
	if r.Err != nil {
		all = append(all, semconv.ErrorTypeKey.String(errorType(r.Err)))
	}
	return all
}
