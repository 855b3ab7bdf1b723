package otelwebhook

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"github.com/alot/alotwebhook"
)

// What becomes of an outcome: values of alotwebhook.outcome.result.
const (
	outcomeStored    = "stored"
	outcomeLost      = "lost"
	outcomeNotStored = "not_stored"
)

// beginWithZero begins counters whose attributes are known beforehand: otherwise Prometheus
// would not see their first increase.
func (t *Telemetry) beginWithZero() {
	ctx := context.Background()
	t.reportsMissed.Add(ctx, 0)
	for _, result := range []string{outcomeStored, outcomeLost, outcomeNotStored} {
		t.outcomes.Add(ctx, 0, t.results.word(result).add...)
	}
	for _, reason := range []alotwebhook.DisabledReason{alotwebhook.DisabledGone, alotwebhook.DisabledFailing} {
		t.endpointsDisabled.Add(ctx, 0, t.disabledReasons.word(string(reason)).add...)
	}
}

// errorType returns the word for an error: one of few, whatever the store's errors are. It
// returns "" for none.
func errorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return other
}

func (t *Telemetry) emitted(r alotwebhook.EmitReport) {
	ctx := context.Background()
	call := "Emit"
	if r.InTransaction {
		call = "EmitTo"
	}
	if t.options.EmitSpans {
		ctx = t.emitSpan(&r, call)
	}
	t.emitDuration.Record(ctx, r.Took.Seconds(), t.emits.alone(words{call, errorType(r.Err)}).record...)
	if r.Err != nil {
		return
	}
	for rest := r.Events; len(rest) > 0; {
		n := 1 // how many of one type come behind one another
		for n < len(rest) && rest[n].Type == rest[0].Type {
			n++
		}
		t.eventsEmitted.Add(ctx, int64(n), t.types.word(rest[0].Type).add...)
		rest = rest[n:]
	}
}

func (t *Telemetry) claimed(r alotwebhook.ClaimReport) {
	ctx := context.Background()
	t.claimDuration.Record(ctx, r.Took.Seconds(), t.errors.word(errorType(r.Err)).record...)
	if r.Err == nil {
		ended := r.Began.Add(r.Took)
		t.lastClaim.Store(&ended)
		t.claimSize.Record(ctx, int64(r.Deliveries))
	}
}

func (t *Telemetry) finished(r alotwebhook.FinishReport) {
	ctx := context.Background()
	t.finishDuration.Record(ctx, r.Took.Seconds(), t.errors.word(errorType(r.Err)).record...)
	if r.Err != nil {
		t.outcomes.Add(ctx, int64(r.Outcomes), t.results.word(outcomeNotStored).add...)
		return
	}
	t.finishSize.Record(ctx, int64(r.Outcomes))
	t.outcomes.Add(ctx, int64(r.Outcomes-r.Lost), t.results.word(outcomeStored).add...)
	if r.Lost > 0 {
		t.outcomes.Add(ctx, int64(r.Lost), t.results.word(outcomeLost).add...)
	}
	for i := range r.Attempts {
		t.attempt(&r.Attempts[i])
	}
}

// attempt measures an attempt and what it says of its delivery. The context has the
// attempt's span, from which an SDK may take an exemplar.
func (t *Telemetry) attempt(a *alotwebhook.AttemptInfo) {
	own := t.own(a)
	ctx := t.attemptSpan(a, own)
	if a.Test { // figures tell of what is real
		return
	}
	reason := string(a.Attempt.Reason)
	if a.Attempt.Number > 0 {
		t.attemptDuration.Record(ctx, a.Attempt.Duration.Seconds(), t.reasons.of(own, reason, "").record...)
	}
	if a.State != alotwebhook.StatePending {
		t.deliveriesFinished.Add(ctx, 1, t.ends.of(own, string(a.State), reason).add...)
	}
	if a.EmittedAt.IsZero() {
		return
	}
	if a.Attempt.Number == 1 {
		t.deliveryWait.Record(ctx, since(a.EmittedAt, a.Attempt.StartedAt), t.none.of(own, "", "").record...)
	}
	if a.State == alotwebhook.StateDelivered && a.Try == a.Attempt.Number {
		t.deliveryDuration.Record(ctx, since(a.EmittedAt, a.Attempt.StartedAt.Add(a.Attempt.Duration)), t.none.of(own, "", "").record...)
	}
}

// since returns the seconds between two times. They are by clocks of two processes, and so
// it may be that nothing has passed.
func since(from, to time.Time) float64 { return max(to.Sub(from).Seconds(), 0) }

// own returns the host's attributes of an attempt. A panic of the host's function costs
// these alone.
func (t *Telemetry) own(a *alotwebhook.AttemptInfo) (own attribute.Set) {
	if t.options.Attributes == nil {
		return own
	}
	defer func() {
		if p := recover(); p != nil {
			otel.Handle(fmt.Errorf("alotwebhook: Options.Attributes panicked: %s\n%s", shown(p), debug.Stack()))
		}
	}()
	// The host's slice stays as it is. Because of an attribute without a key, an exporter may
	// serve nothing at all.
	own, _ = attribute.NewSetWithFiltered(slices.Clone(t.options.Attributes(*a)), attribute.KeyValue.Valid)
	return own
}

// shown returns what may be told of the value of a panic: the host's own may quote a secret.
func shown(panicked any) string {
	if err, ok := panicked.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", panicked)
}

func (t *Telemetry) disabled(e alotwebhook.Endpoint) {
	t.endpointsDisabled.Add(context.Background(), 1, t.disabledReasons.word(string(e.DisabledReason)).add...)
}

func (t *Telemetry) recovery(r alotwebhook.Recovery) {
	t.recoveryChanges.Add(context.Background(), 1, t.recoveryStates.word(string(r.State)).add...)
}

func (t *Telemetry) purged(r alotwebhook.PurgeReport) {
	ctx := context.Background()
	t.purgeDuration.Record(ctx, r.Took.Seconds(), t.errors.word(errorType(r.Err)).record...)
	for kind, rows := range map[string]int{
		"expired": r.Expired, "payload": r.Payloads, "delivery": r.Deliveries, "event": r.Events, "tally": r.Tallies, "operation": r.Operations,
	} {
		t.purgeRows.Add(ctx, int64(rows), t.purgeKinds.word(kind).add...)
	}
}

func (t *Telemetry) missed(reports int) {
	t.reportsMissed.Add(context.Background(), int64(reports))
}
