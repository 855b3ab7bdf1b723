package alotwebhook

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/alot/alotwebhook/internal/schedule"
	"github.com/alot/alotwebhook/internal/wire"
)

// RetryPolicy makes the schedule of one delivery. The first attempt is made at once. After
// the n-th failed attempt the dispatcher makes a new BackOff and calls its NextBackOff n
// times. The last result is how long to wait before the next attempt; [backoff.Stop] ends
// the delivery as failed.
//
// Any [backoff.BackOff] will do, with one danger: a MaxElapsedTime, 15 minutes unless it
// is set to 0, does not bound the sum of the waits, because the BackOff is new each time.
// It ends the delivery where a single wait would be longer. Set it to 0, and bound the
// number of attempts with [backoff.WithMaxRetries].
type RetryPolicy func() backoff.BackOff

// DefaultSchedule returns the published schedule: three attempts, the second 30 seconds
// after the first, the third and last 10 minutes later, each wait ± 20 % at random.
func DefaultSchedule() RetryPolicy {
	return Schedule(30*time.Second, 10*time.Minute)
}

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
// [NewDispatcher] refuses a schedule with a wait of zero or less.
func Schedule(waits ...time.Duration) RetryPolicy {
	return schedule.Of(waits...)
}

// next returns the state of a delivery after an attempt and, if that is pending, the wait
// before the next one: that of the schedule, or Retry-After if it is longer.
func (r *run) next(c *Claimed, result *wire.Result) (DeliveryState, time.Duration) {
	if result.Failure == "" {
		return StateDelivered, 0
	}
	wait, more := schedule.Wait(r.cfg.Retry, c.Try)
	if !more || result.Final {
		return StateFailed, 0
	}
	return StatePending, max(wait, result.RetryAfter)
}
