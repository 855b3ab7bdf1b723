package alotwebhook

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/record"
	"github.com/alot/alotwebhook/internal/teller"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/typeid"
	"github.com/alot/alotwebhook/internal/wire"
)

// Observer is told what a dispatcher does, for metrics and traces. Every field may be nil.
// Package otelwebhook has one for OpenTelemetry.
//
// One goroutine calls all functions but TraceParent, one after the other, after the fact. A slow
// one holds up no delivery, and a panic is logged and ends nothing. Reports that the functions do
// not keep up with are dropped, and Missed is told how many. The end of Run waits for them for a
// second.
type Observer struct {
	// TraceParent returns the W3C traceparent of the span in ctx, or "". Emit and EmitTo call it,
	// and store the result with each event that has no [Event.TraceParent] yet. One that is not
	// valid, and a panic, count as "".
	TraceParent func(ctx context.Context) string
	// Emitted is told of each call of Emit and EmitTo with valid events.
	Emitted func(EmitReport)
	// Claimed is told of each claim.
	Claimed func(ClaimReport)
	// Finished is told of each call that stored outcomes, with the attempts. A call for many
	// may fail because of one of them; the others are then stored by further calls.
	Finished func(FinishReport)
	// Disabled is told of each endpoint that the dispatcher has disabled, with its DisabledReason.
	Disabled func(Endpoint)
	// Recovery is told of each recovery that this process has begun or ended, as its State tells.
	Recovery func(Recovery)
	// Purged is told of each purge.
	Purged func(PurgeReport)
	// Missed is told how many reports were dropped.
	Missed func(reports int)
}

// CallReport describes a call of the store.
type CallReport struct {
	Began time.Time
	Took  time.Duration
	Err   error // nil if it succeeded
}

// EmitReport describes a call of [Dispatcher.Emit], or of [Dispatcher.EmitTo].
type EmitReport struct {
	CallReport
	// Events are without their Data.
	Events []Event
	// TraceParent is the result of Observer.TraceParent, if it is valid.
	TraceParent string
	// InTransaction is set by EmitTo: the events exist if the host's transaction commits.
	InTransaction bool
}

// ClaimReport describes a claim of up to Limit deliveries.
type ClaimReport struct {
	CallReport
	Limit, Deliveries int
}

// FinishReport describes a call that stores outcomes.
type FinishReport struct {
	CallReport
	// Outcomes is how many there were, those of released deliveries included, which have no
	// attempt. Lost is how many changed nothing, because their deliveries had been claimed again.
	Outcomes, Lost int
	// Attempts are those that are stored now.
	Attempts []AttemptInfo
}

// PurgeReport describes a call of [Dispatcher.Purge].
type PurgeReport struct {
	CallReport
	PurgeResult
}

// AttemptInfo describes an attempt to an [Observer].
type AttemptInfo struct {
	DeliveryID, EventID, EventType, EndpointID, OrganizationID string
	// Test is the event's: the attempt is none of those that tell how an endpoint fares.
	Test bool
	// Host is that of the endpoint's URL, with the port if the URL has one.
	Host    string
	Attempt Attempt
	// Try is the attempt's number since the last redelivery, from 1.
	Try int
	// State is the delivery's state after the attempt: pending if it is tried again.
	State DeliveryState
	// EmittedAt is the time in the event's id, to the millisecond, and TraceParent the event's.
	EmittedAt   time.Time
	TraceParent string
	// PayloadBytes is the size of the payload.
	PayloadBytes int
}

// observer tells an [Observer].
type observer struct {
	Observer
	*teller.Teller
	host *caught.Host
}

func newObserver(cfg *Config) *observer {
	o := &observer{host: cfg.host}
	if cfg.Observer != nil {
		o.Observer = *cfg.Observer
	}
	o.Teller = teller.New(cfg.Logger, o.Missed)
	return o
}

// tell tells f, a function of the observer's, unless it is nil.
func tell[T any](o *observer, f func(T), report T) {
	if f != nil {
		o.Tell(1, func() { f(report) })
	}
}

// since returns the report of a call that began then and is over now.
func since(began time.Time, err error) CallReport {
	return CallReport{began, time.Since(began), err}
}

// traced returns the events with the trace parent of ctx, and that.
func (o *observer) traced(ctx context.Context, events []Event) (_ []Event, parent string) {
	if o.TraceParent == nil {
		return events, ""
	}
	_ = o.host.Call("Observer.TraceParent", func() error { parent = o.TraceParent(ctx); return nil }) // logged
	if !text.IsTraceParent(parent) {
		return events, ""
	}
	events = slices.Clone(events) // they are the caller's
	for i := range events {
		events[i].TraceParent = cmp.Or(events[i].TraceParent, parent)
	}
	return events, parent
}

// emitted tells of events that were emitted, or not.
func (o *observer) emitted(began time.Time, events []Event, parent string, inTransaction bool, err error) {
	if o.Emitted == nil {
		return
	}
	r := EmitReport{since(began, err), make([]Event, len(events)), parent, inTransaction}
	for i, e := range events {
		e.Data = nil
		r.Events[i] = e
	}
	o.Tell(len(events), func() { o.Emitted(r) })
}

// finished tells of outcomes that were stored, or not.
func (o *observer) finished(began time.Time, batch []record.Outcome[outcome], lost []string, err error) {
	if o.Finished == nil {
		return
	}
	r := FinishReport{CallReport: since(began, err), Outcomes: len(batch), Lost: len(lost)}
	if err == nil {
		r.Attempts = make([]AttemptInfo, 0, len(batch))
		for i := range batch {
			if v := &batch[i].Value; v.info != nil && !slices.Contains(lost, v.DeliveryID) {
				v.info.Try, v.info.State = v.claimed.Try, v.State // as it was decided last
				r.Attempts = append(r.Attempts, *v.info)
			}
		}
	}
	o.Tell(len(batch), func() { o.Finished(r) })
}

// describe returns the attempt of an outcome for the observer; nil if there is none to tell of.
func (d *Dispatcher) describe(c *Claimed, o *Outcome) *AttemptInfo {
	if d.observer.Finished == nil || o.Attempt.Number == 0 {
		return nil
	}
	at, _ := typeid.Time(eventPrefix, c.EventID)
	return &AttemptInfo{
		DeliveryID: c.DeliveryID, EventID: c.EventID, EventType: c.EventType, Test: c.Test,
		EndpointID: c.Endpoint.ID, OrganizationID: c.Endpoint.OrganizationID, Host: wire.HostOf(c.Endpoint.URL),
		Attempt: o.Attempt, Try: c.Try, State: o.State, EmittedAt: at, TraceParent: c.TraceParent, PayloadBytes: len(c.Payload),
	}
}

// Health is how Run does at this moment. It is what this process knows: no store is asked.
type Health struct {
	// Running is set from the call of Run until it returns.
	Running bool
	// InFlight and Waiting are the attempts under way: those that hold a slot, and those to slow
	// receivers. Slots and WaitingSlots are how many there may be: [Config.InFlight], [Config.Waiting].
	InFlight, Waiting, Slots, WaitingSlots int
	// Unrecorded is how many attempts were made whose outcomes are not stored yet.
	Unrecorded int
	// ClaimedAt is when the newest claim began, zero before the first, and ClaimError its error: also that
	// of reading what is paused. A claim that asks nobody, since all is paused or busy, has none.
	ClaimedAt  time.Time
	ClaimError error
	// StoreAway is set while the store takes no outcomes. Hardly anything is sent then.
	StoreAway bool
	// ProxyReason says what is wrong with [Config.Proxy], as [ReasonProxyUnreachable] does, and ProxySince
	// since when; zero while nothing is known to be. Deliveries then wait for the proxy.
	ProxyReason FailureReason
	ProxySince  time.Time
	// Stuck is how long the claimer has been in one step that should have been over after half a
	// minute, although the store takes outcomes; 0 if it is not stuck. A new process may help.
	Stuck time.Duration
}

// mostStep is how long a step of the claimer takes at most, unless it is stuck: a claim is cut
// off before that, and a place among the workers becomes free.
const mostStep = 3 * claimTimeout

// Health returns how Run does. Package health has a handler for it.
func (d *Dispatcher) Health() Health {
	r := d.running.Load()
	if r == nil {
		return Health{}
	}
	inFlight, _ := r.slots.Working()
	used := r.slots.Used()
	h := Health{Running: true, InFlight: inFlight, Waiting: max(used-inFlight, 0), Slots: r.cfg.InFlight, WaitingSlots: r.cfg.Waiting, Unrecorded: max(r.recorder.Held()-used, 0), StoreAway: r.recorder.Away()}
	if c := r.newest.Load(); c != nil {
		h.ClaimedAt, h.ClaimError = c.At, c.Err
	}
	kind, since := r.d.sender.proxy.Failing()
	h.ProxyReason, h.ProxySince = FailureReason(kind), since
	if stuck := r.pulse.For(); stuck > mostStep && !h.StoreAway {
		h.Stuck = stuck
	}
	return h
}
