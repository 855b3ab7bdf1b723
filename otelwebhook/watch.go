package otelwebhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/alot/alotwebhook"
)

// Dispatcher is what the gauges are made of. An [alotwebhook.Dispatcher] is one.
type Dispatcher interface {
	Health() alotwebhook.Health
	Stats(context.Context) (alotwebhook.Stats, error)
	Recoveries(context.Context, alotwebhook.RecoveryFilter) (page []alotwebhook.Recovery, next string, err error)
	Pauses(context.Context) ([]alotwebhook.Pause, error)
}

// Watch registers the gauges: how the process does, which asks no store, and how long the
// queue is, which asks it once in [Options.StatsInterval]. Unregister ends them. The error
// is that of the MeterProvider, or says that a dispatcher is being watched already: a
// Telemetry watches one.
func (t *Telemetry) Watch(d Dispatcher) (metric.Registration, error) {
	if isNil(d) {
		return nil, &alotwebhook.FieldError{Field: "d", Problem: "is nil; give the dispatcher whose Observer this is"}
	}
	if !t.watching.CompareAndSwap(false, true) {
		return nil, errors.New("alotwebhook: a dispatcher is being watched already; unregister that, or make another Telemetry with a MeterProvider of its own")
	}
	interval, timeout := t.options.StatsInterval, t.options.StatsTimeout
	w := &watch{
		telemetry: t, dispatcher: d, began: time.Now(), timeout: timeout,
		stats:      asked[alotwebhook.Stats]{question: d.Stats, interval: interval, timeout: timeout},
		recoveries: asked[standing]{question: func(ctx context.Context) (standing, error) { return recoveries(ctx, d) }, interval: interval, timeout: timeout},
		pauses:     asked[standing]{question: func(ctx context.Context) (standing, error) { return pauses(ctx, d) }, interval: interval, timeout: timeout},
	}
	registered, err := w.register(t.meter)
	if err != nil {
		t.watching.Store(false)
		return nil, fmt.Errorf("alotwebhook: gauges not registered: %w", err)
	}
	return &registration{Registration: registered, telemetry: t}, nil
}

// registration lets another dispatcher be watched once it is unregistered.
type registration struct {
	metric.Registration
	telemetry *Telemetry
	once      sync.Once
}

func (r *registration) Unregister() error {
	err := r.Registration.Unregister()
	r.once.Do(func() { r.telemetry.watching.Store(false) })
	return err
}

// watch observes a dispatcher whenever metrics are collected.
type watch struct {
	telemetry  *Telemetry
	dispatcher Dispatcher
	began      time.Time
	timeout    time.Duration
	stats      asked[alotwebhook.Stats]
	recoveries asked[standing]
	pauses     asked[standing]
	gauges
}

// gauges are observed when metrics are collected. docs/metrics.md is their list for users.
type gauges struct {
	running, attemptsActive, attemptsLimit, attemptsUnrecorded, storeFailing metric.Int64ObservableGauge
	claimAge, claimerStuck, proxyFailing                                     metric.Float64ObservableGauge

	queueDeliveries, endpoints, recoveryActive, pauseActive metric.Int64ObservableGauge
	oldestDue, recoveryIdle, pauseAge                       metric.Float64ObservableGauge
}

// The attributes of the gauges.
var (
	inFlight       = observed("alotwebhook.attempt.state", "in_flight")
	waiting        = observed("alotwebhook.attempt.state", "waiting")
	byClaim        = observed("alotwebhook.store.operation", "claim")
	byFinish       = observed("alotwebhook.store.operation", "finish")
	byStats        = observed("alotwebhook.store.operation", "stats")
	pending        = observed(deliveryStateKey, string(alotwebhook.StatePending))
	parked         = observed(deliveryStateKey, string(alotwebhook.StateParked))
	ofHealthy      = observed(endpointStateKey, "healthy")
	ofFailing      = observed(endpointStateKey, "failing")
	ofDisabledOnes = observed(endpointStateKey, "disabled")
)

// register makes the gauges and has them observed.
func (w *watch) register(meter metric.Meter) (metric.Registration, error) {
	m := maker{meter: meter}
	w.running = m.gauge("alotwebhook.dispatcher.running", "{dispatcher}", "1 while Run has been called and has not returned.")
	w.attemptsActive = m.gauge("alotwebhook.attempts.active", "{attempt}", "Attempts under way: in_flight with a slot, waiting for slow receivers.")
	w.attemptsLimit = m.gauge("alotwebhook.attempts.limit", "{attempt}", "How many attempts there may be in each state: Config.InFlight and Config.Waiting; absent while the dispatcher does not run.")
	w.attemptsUnrecorded = m.gauge("alotwebhook.attempts.unrecorded", "{attempt}", "Attempts that were made and whose outcome is not stored yet.")
	w.storeFailing = m.gauge("alotwebhook.store.failing", "{store}", "1 while the store fails at the operation.")
	w.claimAge = m.secondsGauge("alotwebhook.claim.age", "How long ago a claim last succeeded, or Watch was called if none has yet; absent while the dispatcher does not run.")
	w.claimerStuck = m.secondsGauge("alotwebhook.claimer.stuck", "How long the claimer has been in one step that should be over by now.")
	w.proxyFailing = m.secondsGauge("alotwebhook.proxy.failing", "How long the host's own proxy has been failing; 0 while nothing is known to be wrong with it, and without one.")

	w.queueDeliveries = m.gauge("alotwebhook.queue.deliveries", "{delivery}", "Unfinished deliveries in the store, of all processes, by state.")
	w.oldestDue = m.secondsGauge("alotwebhook.queue.oldest_due", "How long the delivery that is due longest has been due, to healthy and to failing endpoints.")
	w.endpoints = m.gauge("alotwebhook.endpoint.count", "{endpoint}", "Endpoints that are failing (enabled ones, whose last attempt failed) or disabled.")
	w.recoveryActive = m.gauge("alotwebhook.recovery.active", "{recovery}", "Recoveries under way in the store, of all processes.")
	w.recoveryIdle = m.secondsGauge("alotwebhook.recovery.idle", "How long ago the recovery under way that is slowest went on; 0 if none is under way.")
	w.pauseActive = m.gauge("alotwebhook.pause.active", "{pause}", "Pauses in the store: of an endpoint, of an organization or of everything.")
	w.pauseAge = m.secondsGauge("alotwebhook.pause.age", "How long the oldest pause has lasted; 0 if nothing is paused.")
	if m.err != nil {
		return nil, m.err
	}
	return meter.RegisterCallback(w.observe, w.running, w.attemptsActive, w.attemptsLimit, w.attemptsUnrecorded, w.storeFailing,
		w.claimAge, w.claimerStuck, w.proxyFailing, w.queueDeliveries, w.oldestDue, w.endpoints, w.recoveryActive, w.recoveryIdle, w.pauseActive, w.pauseAge)
}

// observe returns no error: some readers would then drop all other metrics, too.
func (w *watch) observe(ctx context.Context, o metric.Observer) error {
	w.observeHealth(o, w.dispatcher.Health())
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	stats, err := w.stats.answer(ctx)
	o.ObserveInt64(w.storeFailing, oneIf(err != nil), byStats)
	if err == nil {
		w.observeStats(o, stats)
	}
	if recoveries, err := w.recoveries.answer(ctx); err == nil {
		o.ObserveInt64(w.recoveryActive, int64(recoveries.count))
		o.ObserveFloat64(w.recoveryIdle, recoveries.age().Seconds())
	}
	if pauses, err := w.pauses.answer(ctx); err == nil {
		o.ObserveInt64(w.pauseActive, int64(pauses.count))
		o.ObserveFloat64(w.pauseAge, pauses.age().Seconds())
	}
	return nil
}

func (w *watch) observeHealth(o metric.Observer, h alotwebhook.Health) {
	o.ObserveInt64(w.running, oneIf(h.Running))
	o.ObserveInt64(w.attemptsActive, int64(h.InFlight), inFlight)
	o.ObserveInt64(w.attemptsActive, int64(h.Waiting), waiting)
	o.ObserveInt64(w.attemptsUnrecorded, int64(h.Unrecorded))
	o.ObserveInt64(w.storeFailing, oneIf(h.ClaimError != nil), byClaim)
	o.ObserveInt64(w.storeFailing, oneIf(h.StoreAway), byFinish)
	o.ObserveFloat64(w.claimerStuck, h.Stuck.Seconds())
	o.ObserveFloat64(w.proxyFailing, proxyFailing(h).Seconds())
	if h.Running {
		o.ObserveInt64(w.attemptsLimit, int64(h.Slots), inFlight)
		o.ObserveInt64(w.attemptsLimit, int64(h.WaitingSlots), waiting)
		o.ObserveFloat64(w.claimAge, time.Since(w.claimedAt(h)).Seconds())
	}
}

// proxyFailing returns for how long the proxy has been failing.
func proxyFailing(h alotwebhook.Health) time.Duration {
	if h.ProxyReason == "" {
		return 0
	}
	return time.Since(h.ProxySince)
}

// claimedAt returns when a claim last succeeded, as far as it is known: the newest claim by
// the dispatcher, those before it by what the observer was told.
func (w *watch) claimedAt(h alotwebhook.Health) time.Time {
	at := w.began
	if told := w.telemetry.lastClaim.Load(); told != nil && told.After(at) {
		at = *told
	}
	if h.ClaimError == nil && h.ClaimedAt.After(at) {
		at = h.ClaimedAt
	}
	return at
}

func (w *watch) observeStats(o metric.Observer, s alotwebhook.Stats) {
	o.ObserveInt64(w.queueDeliveries, s.Pending, pending)
	o.ObserveInt64(w.queueDeliveries, s.Parked, parked)
	o.ObserveFloat64(w.oldestDue, s.OldestDue.Seconds(), ofHealthy)
	o.ObserveFloat64(w.oldestDue, s.OldestDueFailing.Seconds(), ofFailing)
	o.ObserveInt64(w.endpoints, s.FailingEndpoints, ofFailing)
	o.ObserveInt64(w.endpoints, s.DisabledEndpoints, ofDisabledOnes)
}

// standing counts what goes on for a while.
type standing struct {
	count  int
	oldest time.Time // zero: none
}

func (s *standing) add(since time.Time) {
	s.count++
	if s.oldest.IsZero() || since.Before(s.oldest) {
		s.oldest = since
	}
}

func (s standing) age() time.Duration {
	if s.oldest.IsZero() {
		return 0
	}
	return max(time.Since(s.oldest), 0) // by clocks of two processes
}

// recoveries returns those under way, each since it last went on.
func recoveries(ctx context.Context, d Dispatcher) (found standing, err error) {
	for _, state := range []alotwebhook.RecoveryState{
		alotwebhook.RecoveryRunning, alotwebhook.RecoveryDiscarding, alotwebhook.RecoveryCanceling,
		alotwebhook.RecoverySending, alotwebhook.RecoveryErasing, alotwebhook.RecoveryRemoving,
	} {
		for f := (alotwebhook.RecoveryFilter{State: state}); ; {
			page, next, err := d.Recoveries(ctx, f)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return found, err
			}
			for _, r := range page {
				found.add(r.UpdatedAt)
			}
			if next == "" {
				break
			}
			f.Cursor = next
		}
	}
	return found, nil
}

// pauses returns all pauses, each since it was put.
func pauses(ctx context.Context, d Dispatcher) (found standing, err error) {
	list, err := d.Pauses(ctx)
	for _, p := range list {
		found.add(p.At)
	}
	return found, err
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
