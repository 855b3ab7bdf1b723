package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"
)

// maxClaims is how often a delivery is claimed without any outcome before it
// is taken for poison: something about it ends the process each time.
const maxClaims = 5

// attempt makes one attempt and decides how the delivery goes on.
func (r *run) attempt(c *Claimed) (Outcome, effect) {
	outcome := Outcome{DeliveryID: c.DeliveryID, Lease: c.Lease}
	if c.Claims > maxClaims {
		outcome.State = StateFailed
		outcome.Attempt = Attempt{Number: c.Attempt, StartedAt: time.Now(), Reason: ReasonPoison,
			Detail: fmt.Sprintf("claimed %d times without an outcome; no request was made", maxClaims)}
		r.report(c, &outcome)
		return outcome, effect{}
	}
	result, ok := r.d.sender.attempt(r.attempts, c)
	if !ok {
		outcome.State = StatePending // cut off: released
		return outcome, effect{}
	}
	outcome.Attempt = result.attempt
	outcome.State, outcome.NextAttemptIn = r.next(c, &result)
	r.report(c, &outcome)
	r.disableIfDue(c, &result.attempt)
	overloaded := isOverload(&result.attempt)
	return outcome, effect{
		succeeded:  outcome.State == StateDelivered,
		overloaded: overloaded,
		leaveAlone: result.retryAfter,
	}
}

// next says what becomes of a delivery after an attempt.
func (r *run) next(c *Claimed, result *result) (DeliveryState, time.Duration) {
	if result.attempt.Reason == "" {
		return StateDelivered, 0
	}
	wait, more := r.cfg.Retry.wait(c.Try)
	if !more || result.final {
		return StateFailed, 0
	}
	return StatePending, max(wait, result.retryAfter)
}

// isOverload: the receiver, or what stands before it, has too much to do.
func isOverload(a *Attempt) bool {
	switch a.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return a.Reason == ReasonTimeout
}

// report tells the host's log and callback of an attempt.
func (r *run) report(c *Claimed, o *Outcome) {
	if r.cfg.OnAttempt != nil {
		r.cfg.OnAttempt(AttemptInfo{
			DeliveryID: c.DeliveryID, EventID: c.EventID, EventType: c.EventType, EndpointID: c.Endpoint.ID,
			OrganizationID: c.Endpoint.OrganizationID, Attempt: o.Attempt, State: o.State,
		})
	}
	level := slog.LevelDebug
	switch {
	case o.State == StateFailed:
		level = slog.LevelWarn
	case o.Attempt.Reason != "":
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !r.d.log.Enabled(ctx, level) {
		return
	}
	r.d.log.LogAttrs(ctx, level, "alotwebhook: attempt",
		slog.String("delivery", c.DeliveryID),
		slog.String("event", c.EventID),
		slog.String("endpoint", c.Endpoint.ID),
		slog.String("host", r.d.sender.target(c.Endpoint).host()),
		slog.Int("attempt", o.Attempt.Number),
		slog.Int("status", o.Attempt.StatusCode),
		slog.String("reason", string(o.Attempt.Reason)),
		slog.Int64("ms", o.Attempt.Duration.Milliseconds()),
		slog.String("state", string(o.State)),
	)
}

// disableIfDue disables an endpoint that is gone or has failed for too long.
func (r *run) disableIfDue(c *Claimed, a *Attempt) {
	var reason DisabledReason
	failing := c.Endpoint.FailingSince
	switch {
	case a.StatusCode == http.StatusGone:
		reason = DisabledGone
	case a.Reason != "" && !failing.IsZero() && r.cfg.DisableAfter > 0 && a.StartedAt.Sub(failing) >= r.cfg.DisableAfter:
		reason = DisabledFailing
	default:
		return
	}
	ctx, cancel := context.WithTimeout(r.attempts, finishTimeout)
	defer cancel()
	done := false
	e, err := r.d.changeEndpoint(ctx, c.Endpoint.ID, func(e *Endpoint) error {
		// Somebody who changed the endpoint since may have mended it.
		if e.Disabled || e.Version != c.Endpoint.Version {
			return errAlreadyChanged
		}
		e.setDisabled(true, reason)
		done = true
		return nil
	})
	switch {
	case err == nil && done:
		r.d.log.Warn("alotwebhook: endpoint disabled; its deliveries are parked", "endpoint", e.ID, "reason", reason)
		if r.cfg.OnDisabled != nil {
			r.cfg.OnDisabled(e)
		}
	case err != nil && !errors.Is(err, errAlreadyChanged) && !errors.Is(err, ErrNotFound):
		r.d.log.Error("alotwebhook: endpoint not disabled", "endpoint", c.Endpoint.ID, "reason", reason, "error", err)
	}
}

var errAlreadyChanged = errors.New("alotwebhook: endpoint was changed meanwhile")

// purgeInterval is how often each process looks for what has passed its time.
const purgeInterval = time.Hour

// purge erases and deletes until ctx is done.
func (d *Dispatcher) purge(ctx context.Context) {
	if d.cfg.PayloadRetention < 0 && d.cfg.HistoryRetention < 0 && d.tallies.store == nil {
		return
	}
	for pause(ctx, purgeInterval/2+rand.N(purgeInterval)) {
		if result, err := d.Purge(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("alotwebhook: history not purged; trying again within the hour", "error", err)
		} else if result != (PurgeResult{}) {
			d.log.Info("alotwebhook: history purged", "payloads", result.Payloads, "deliveries", result.Deliveries, "events", result.Events, "tallies", result.Tallies)
		}
	}
}

// Purge erases payloads and deletes history past Config.PayloadRetention and
// HistoryRetention, and tallies after eight days, and says how much that was.
// Run does it every hour or so.
func (d *Dispatcher) Purge(ctx context.Context) (PurgeResult, error) {
	const rows = 1000
	request := PurgeRequest{
		Payloads: max(0, d.cfg.PayloadRetention), History: max(0, d.cfg.HistoryRetention), Tallies: tallyRetention, Limit: rows,
	}
	var sum PurgeResult
	for {
		part, err := d.store.Purge(ctx, request)
		sum.Payloads += part.Payloads
		sum.Deliveries += part.Deliveries
		sum.Events += part.Events
		sum.Tallies += part.Tallies
		if err != nil {
			return sum, explain(err, "history not purged")
		}
		if max(part.Payloads, part.Deliveries, part.Events, part.Tallies) < rows {
			return sum, nil
		}
	}
}
