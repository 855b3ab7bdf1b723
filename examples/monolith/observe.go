package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/health"
	"github.com/alot/alotwebhook/otelwebhook"
)

// observed is what those who run the product see: its metrics, and whether it is alive and ready.
type observed struct {
	telemetry *otelwebhook.Telemetry
	registry  *prometheus.Registry
}

// observe has the dispatcher of a configuration observed.
func observe(c *alotwebhook.Config) (*observed, error) {
	o := &observed{registry: prometheus.NewRegistry()}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(o.registry))
	if err != nil {
		return nil, err
	}
	o.telemetry, err = otelwebhook.New(&otelwebhook.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)),
		Attributes:    otelwebhook.ByOrganization, // this product has few
	})
	if err != nil {
		return nil, err
	}
	c.Observer = o.telemetry.Observer()
	return o, nil
}

// routes adds what an orchestrator asks for and, unless o is nil, Prometheus.
func (o *observed) routes(mux *http.ServeMux, d *alotwebhook.Dispatcher) error {
	mux.Handle("GET /livez", health.Live(d))
	mux.Handle("GET /readyz", health.Ready(d, nil))
	if o == nil {
		return nil
	}
	if _, err := o.telemetry.Watch(d); err != nil {
		return err
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	return nil
}

// traffic is an organization that events happen to all the time.
type traffic struct {
	organization, receiver string
	perSecond              int
}

// observedTraffic are an organization as most are, one whose receiver fails, and one that floods.
var observedTraffic = []traffic{
	{"org_quiet", "ats", 2},
	{"org_failing", "crm", 2},
	{"org_flood", "ats", 40},
}

// happen registers the endpoint of an organization, and emits events to it until ctx is done.
func (t traffic) happen(ctx context.Context, d *alotwebhook.Dispatcher, address string, log *slog.Logger) {
	ticker := time.NewTicker(time.Second / time.Duration(t.perSecond))
	defer ticker.Stop()
	_, _, err := d.CreateEndpointOnce(ctx, "observed", alotwebhook.Endpoint{
		OrganizationID: t.organization, URL: address + "/dev/receiver/" + t.receiver, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	for i := 0; err == nil; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			err = t.emit(ctx, d, i)
		}
	}
	if !errors.Is(err, context.Canceled) {
		log.Error("no more events of this organization", "organization", t.organization, "error", err)
	}
}

func (t traffic) emit(ctx context.Context, d *alotwebhook.Dispatcher, i int) error {
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, t.organization, map[string]any{
		"sessionId": fmt.Sprintf("%s-%d", t.organization, i), "score": 60 + i%40,
	})
	if err != nil {
		return err
	}
	return d.Emit(ctx, event)
}
