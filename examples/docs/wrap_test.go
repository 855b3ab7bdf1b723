package docs_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

// wrap is for Config.WrapTransport: otelhttp makes a span of each request, but sees neither path nor
// query, where customers put tokens, and adds no traceparent, which would tell them your trace's id.
func wrap(guarded http.RoundTripper) http.RoundTripper {
	silent := otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator())
	return hideURL{otelhttp.NewTransport(showURL{guarded}, silent)}
}

type urlKey struct{}

type hideURL struct{ next http.RoundTripper }

func (h hideURL) RoundTrip(r *http.Request) (*http.Response, error) {
	seen := r.WithContext(context.WithValue(r.Context(), urlKey{}, r.URL))
	seen.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}
	return h.next.RoundTrip(seen)
}

type showURL struct{ next http.RoundTripper }

func (s showURL) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.WithContext(r.Context())
	sent.URL = r.Context().Value(urlKey{}).(*url.URL)
	return s.next.RoundTrip(sent)
}

// through delivers n events, an attempt each, to a URL through a wrapper, and returns how they ended.
func through(t *testing.T, wrapper func(http.RoundTripper) http.RoundTripper, to string, n int) (states map[alotwebhook.DeliveryState]int) {
	t.Helper()
	ended := make(chan alotwebhook.DeliveryState, n)
	cfg := *config
	cfg.WrapTransport, cfg.Retry = wrapper, alotwebhook.Schedule()
	cfg.InFlightPerEndpoint = 1 // one after the other, on the kept connection
	cfg.Observer = &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
		for _, a := range r.Attempts {
			ended <- a.State
		}
	}}
	d, err := alotwebhook.NewDispatcher(memory.New(), &cfg)
	require.NoError(t, err)
	_, err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_123", URL: to, EventTypes: []string{"candidate.completed"}})
	require.NoError(t, err)
	for range n {
		event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
		require.NoError(t, err)
		require.NoError(t, d.Emit(t.Context(), event))
	}
	go d.Run(t.Context())
	states = map[alotwebhook.DeliveryState]int{}
	for range n {
		states[<-ended]++
	}
	return states
}

// TestWrap: the wrapper of docs/sending.md tells neither the traces nor the customer too much. otelhttp by
// itself does both.
func TestWrap(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel := otelhttp.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	plain := func(next http.RoundTripper) http.RoundTripper {
		return otelhttp.NewTransport(next, otel, otelhttp.WithPropagators(propagation.TraceContext{}))
	}
	quiet := func(next http.RoundTripper) http.RoundTripper {
		return hideURL{otelhttp.NewTransport(showURL{next}, otel, otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()))}
	}
	for _, c := range []struct {
		wrapper func(http.RoundTripper) http.RoundTripper
		leaks   bool
	}{{plain, true}, {quiet, false}} {
		spans.Reset()
		server := webhooktest.NewServer(t)
		server.Always(webhooktest.Answer{Status: http.StatusNoContent})
		states := through(t, c.wrapper, server.URL+"/PATHTOKEN?token=QUERYTOKEN", 1)
		require.Equal(t, 1, states[alotwebhook.StateDelivered])
		got := server.Received()[0]
		require.Equal(t, "/PATHTOKEN?token=QUERYTOKEN", got.URI)
		require.Equal(t, c.leaks, got.Header.Get("Traceparent") != "")
		require.Len(t, spans.GetSpans(), 1)
		shown := attribute.NewSet(spans.GetSpans()[0].Attributes...)
		full, ok := shown.Value("url.full")
		require.True(t, ok)
		require.Equal(t, c.leaks, full.AsString() != server.URL)
	}
}

// TestWrappersLoseNothing: on a server that closes each connection at its second request, no attempt fails
// through a wrapper that hides the body's kind, just as without one.
func TestWrappersLoseNothing(t *testing.T) {
	t.Parallel()
	for name, wrapper := range map[string]func(http.RoundTripper) http.RoundTripper{
		"none": nil, "otelhttp": func(next http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(next) }, "wrap": wrap,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, 60, through(t, wrapper, closesKept(t), 60)[alotwebhook.StateDelivered])
		})
	}
}

// closesKept returns the URL of a server that answers one request on each connection, and closes it when
// the first byte of another one is there.
func closesKept(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	t.Cleanup(open.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
				_, _ = in.Peek(1)
			}()
		}
	})
	return "http://" + listener.Addr().String() + "/"
}
