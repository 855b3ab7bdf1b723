package otelwebhook_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/otelwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// TestAttemptsAreLinkedToTheEmit: one process emits within a span, another delivers. The
// span of each attempt leads to that one, and the receiver hears of no trace.
func TestAttemptsAreLinkedToTheEmit(t *testing.T) {
	t.Parallel()
	requests := make(chan http.Header, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Header
		w.WriteHeader(http.StatusTeapot)
	}))
	defer receiver.Close()
	emitting, delivering := newTraced(t, otelwebhook.Options{EmitSpans: true}), newTraced(t, otelwebhook.Options{})
	store := memory.New()
	emitter, deliverer := dispatch(t, store, emitting), dispatch(t, store, delivering)
	_, err := emitter.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: smallShop, URL: receiver.URL + "/path-of-the-customer?query=token", EventTypes: []string{alotwebhook.EventCandidateCompleted},
		Headers: []alotwebhook.Header{{Name: "X-Tenant", Value: "token-of-the-customer"}},
	})
	require.NoError(t, err)

	host := trace.SpanContextFromContext(contextWithParent(t))
	require.NoError(t, emitter.Emit(contextWithParent(t), completed(t, smallShop)))
	ended := make(chan error, 1)
	go func() { ended <- deliverer.Run(context.Background()) }()
	for range 2 {
		header := <-requests
		require.Equal(t, "token-of-the-customer", header.Get("X-Tenant"))
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
			require.NotContains(t, header, name)
		}
	}
	require.NoError(t, deliverer.Shutdown(context.Background()))
	require.NoError(t, <-ended)

	attempts := delivering.spans.GetSpans()
	require.Len(t, attempts, 2)
	for i, span := range attempts {
		require.Contains(t, textOf(span.Attributes), "error.type=status")
		require.Contains(t, textOf(span.Attributes), "http.response.status_code=418")
		require.Contains(t, textOf(span.Attributes), "server.address=127.0.0.1")
		require.NotContains(t, textOf(span.Attributes), "customer")
		require.NotContains(t, textOf(span.Attributes), "token")
		require.Len(t, span.Links, 1, "of attempt %d", i+1)
		require.Equal(t, host.SpanID(), span.Links[0].SpanContext.SpanID())
		require.Equal(t, host.TraceID(), span.Links[0].SpanContext.TraceID())
	}
	for name, m := range delivering.collect(t) {
		for _, p := range pointsOf(t, m) {
			require.NotContains(t, p.attributes, "token", name)
		}
	}
	await(t, func() bool { return len(emitting.spans.GetSpans()) == 1 })
	require.Equal(t, host.SpanID(), emitting.spans.GetSpans()[0].Parent.SpanID())
}

// dispatch makes a dispatcher that is observed.
func dispatch(t testing.TB, store alotwebhook.Store, by told) *alotwebhook.Dispatcher {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(store, &alotwebhook.Config{
		Observer: by.Observer, Retry: soon, Logger: silent,
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	return d
}
