package otelwebhook

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments take what is measured when it happens. docs/metrics.md is their list for
// users, and a test holds both together.
type instruments struct {
	attemptDuration                metric.Float64Histogram
	deliveryWait, deliveryDuration metric.Float64Histogram
	deliveriesFinished             metric.Int64Counter

	emitDuration  metric.Float64Histogram
	eventsEmitted metric.Int64Counter

	claimDuration, finishDuration, purgeDuration metric.Float64Histogram
	claimSize, finishSize                        metric.Int64Histogram
	outcomes, purgeRows                          metric.Int64Counter

	endpointsDisabled, recoveryChanges, reportsMissed metric.Int64Counter
}

// The bounds of the buckets, in seconds or in pieces.
var (
	// A receiver should respond within 100 ms; an attempt is cut off after 15 s unless the
	// host says otherwise, and after 5 min at most.
	attemptBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30, 60}
	// From a dispatcher that is idle to the last attempts of a schedule of three days.
	deliveryBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
	storeBounds    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	sizeBounds     = []float64{0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000}
)

// makeInstruments makes all of them.
func (i *instruments) makeInstruments(meter metric.Meter) error {
	m := maker{meter: meter}
	i.attemptDuration = m.seconds("alotwebhook.attempt.duration", "How long attempts took, from their start to the last byte read or to the failure.", attemptBounds)
	i.deliveryWait = m.seconds("alotwebhook.delivery.wait", "How long after its event was emitted a delivery's first attempt began.", deliveryBounds)
	i.deliveryDuration = m.seconds("alotwebhook.delivery.duration", "How long after its event was emitted a delivery was delivered, if it was never redelivered.", deliveryBounds)
	i.deliveriesFinished = m.count("alotwebhook.deliveries.finished", "{delivery}", "Deliveries that an attempt ended, by the state that they have now.")

	i.emitDuration = m.seconds("alotwebhook.emit.duration", "How long calls of Emit and EmitTo took.", storeBounds)
	i.eventsEmitted = m.count("alotwebhook.events.emitted", "{event}", "Events emitted; those of EmitTo also if the host's transaction does not commit.")

	i.claimDuration = m.seconds("alotwebhook.claim.duration", "How long claims took.", storeBounds)
	i.claimSize = m.sizes("alotwebhook.claim.size", "{delivery}", "How many deliveries a claim returned.")
	i.finishDuration = m.seconds("alotwebhook.finish.duration", "How long it took to store a batch of outcomes.", storeBounds)
	i.finishSize = m.sizes("alotwebhook.finish.size", "{outcome}", "How many outcomes were stored at once.")
	i.outcomes = m.count("alotwebhook.outcomes", "{outcome}", "Outcomes of attempts, by what became of them: stored, lost (another process has the delivery), not_stored (tried again).")
	i.purgeDuration = m.seconds("alotwebhook.purge.duration", "How long purges took.", storeBounds)
	i.purgeRows = m.count("alotwebhook.purge.rows", "{row}", "What purges erased or deleted, by kind.")

	i.endpointsDisabled = m.count("alotwebhook.endpoints.disabled", "{endpoint}", "Endpoints that the dispatcher disabled, by reason.")
	i.recoveryChanges = m.count("alotwebhook.recovery.changes", "{recovery}", "Recoveries that began or ended, by state.")
	i.reportsMissed = m.count("alotwebhook.observer.missed", "{report}", "Reports that were dropped because the observer did not keep up: what else is counted is too low by what was in them.")
	return m.err
}

// maker makes instruments and gathers the errors.
type maker struct {
	meter metric.Meter
	err   error
}

func (m *maker) seconds(name, description string, bounds []float64) metric.Float64Histogram {
	h, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
	m.err = errors.Join(m.err, err)
	return h
}

func (m *maker) sizes(name, unit, description string) metric.Int64Histogram {
	h, err := m.meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(sizeBounds...))
	m.err = errors.Join(m.err, err)
	return h
}

func (m *maker) count(name, unit, description string) metric.Int64Counter {
	c, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.err = errors.Join(m.err, err)
	return c
}

func (m *maker) secondsGauge(name, description string) metric.Float64ObservableGauge {
	g, err := m.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
	m.err = errors.Join(m.err, err)
	return g
}

func (m *maker) gauge(name, unit, description string) metric.Int64ObservableGauge {
	g, err := m.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.err = errors.Join(m.err, err)
	return g
}
