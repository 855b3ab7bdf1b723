package alotwebhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/schedule"
)

// RetryPolicy makes the schedule of one delivery. The first attempt is made at once. After
// the n-th failed attempt the dispatcher makes a new BackOff and calls its NextBackOff n
// times. The last result is how long to wait before the next attempt; [backoff.Stop] ends
// the delivery as failed.
//
// Any [backoff.BackOff] will do, with one danger: a MaxElapsedTime, 15 minutes unless it
// is set to 0, does not bound the sum of the waits, because the BackOff is new each time.
// It ends the delivery where a single wait would be longer. Set it to 0, and bound the
// number of attempts with [backoff.WithMaxRetries]. After a panic the wait is that of [DefaultSchedule].
// [NewDispatcher] refuses a policy whose first wait is zero or less; a later one of these is 1 s.
type RetryPolicy func() backoff.BackOff

// DefaultSchedule returns the published schedule: three attempts, the second 30 seconds
// after the first, the third and last 10 minutes later, each wait ± 20 % at random.
func DefaultSchedule() RetryPolicy { return Schedule(30*time.Second, 10*time.Minute) }

// StandardSchedule returns the schedule that the Standard Webhooks specification
// (https://www.standardwebhooks.com) gives as its example: ten attempts over 75 hours,
// each wait ± 20 % at random.
func StandardSchedule() RetryPolicy {
	return Schedule(
		5*time.Second, 5*time.Minute, 30*time.Minute, 2*time.Hour, 5*time.Hour,
		10*time.Hour, 14*time.Hour, 20*time.Hour, 24*time.Hour,
	)
}

// Schedule waits these times, each ± 20 % at random, before the second attempt,
// the third and so on. Without any there is one attempt. The first attempt has no
// wait, so the attempts "at 0, 30 s and 10 min" are
//
//	Schedule(30*time.Second, 10*time.Minute)
//
// [NewDispatcher] refuses a schedule with a wait of zero or less, or of more than 365 days.
func Schedule(waits ...time.Duration) RetryPolicy { return schedule.Of(waits...) }

// decide decides how a delivery goes on after an attempt: if it has failed, after the wait of the
// schedule, or Retry-After if that is longer.
func (r *run) decide(o *outcome) {
	o.State, o.NextAttemptIn = StateDelivered, 0
	if o.result.Failure != "" {
		wait, more := schedule.Wait(r.cfg.host, r.cfg.Retry, DefaultSchedule(), o.claimed.Try)
		if o.State = StateFailed; more && !o.result.Final {
			o.State, o.NextAttemptIn = StatePending, max(wait, o.result.RetryAfter)
		}
	}
	o.Operation = r.d.exhausted(o.claimed, &o.Outcome)
}

// changeIfDue disables the endpoint of a failed attempt, has the host warned of it, or notes that
// it has recovered, if the attempt gives a reason to. Call it once the attempt is stored: then it
// judges by the endpoint as stored, and so counts every success that was recorded before. The
// endpoint as claimed only spares the reading.
func (r *run) changeIfDue(claimed *Endpoint, a *Attempt) {
	ctx, cancel := context.WithTimeout(r.badCtx, finishTimeout)
	defer cancel()
	e, err := r.d.changeEndpoint(ctx, claimed.ID, false, func(e *Endpoint) error {
		disable, warned := r.verdict(e, a)
		if e.Disabled || e.Version != claimed.Version || !e.CreatedAt.Equal(claimed.CreatedAt) ||
			a.Reason != "" && audit.SucceededSince(e.FailingSince, claimed.FailingSince) || disable == "" && warned == e.Warned {
			return errNotDue
		}
		if e.Warned = warned; disable != "" {
			e.setDisabled(true, disable)
		}
		return nil
	})
	switch {
	case err == nil && e.Disabled:
		r.d.log.Warn("alotwebhook: endpoint disabled; its deliveries are parked", "endpoint", e.ID, "reason", e.DisabledReason)
		tell(r.d.observer, r.d.observer.Disabled, e)
	case err != nil && !errors.Is(err, errNotDue) && !errors.Is(err, ErrNotFound):
		r.d.log.Error("alotwebhook: endpoint neither disabled nor told of", "endpoint", claimed.ID, "error", err)
	}
}

// verdict returns why an attempt disables the endpoint: DisabledGone after a 410, DisabledFailing
// after a failure if none has succeeded for DisableAfter, otherwise "", and what becomes of Warned.
func (r *run) verdict(e *Endpoint, a *Attempt) (disable DisabledReason, warned int) {
	switch {
	case a.Reason == "":
		return "", 0
	case a.StatusCode == http.StatusGone:
		return DisabledGone, e.Warned
	case e.FailingSince.IsZero() || a.Reason.blameless():
		return "", e.Warned
	}
	due, warned := audit.Due(a.StartedAt.Sub(e.FailingSince), r.cfg.WarnFailing, r.cfg.DisableAfter, e.Warned)
	if due {
		return DisabledFailing, warned
	}
	return "", warned
}

// errNotDue ends a change that is not wanted any more: somebody has changed the endpoint
// meanwhile, or an attempt of it has succeeded.
var errNotDue = errors.New("alotwebhook: the endpoint is not to be changed")
