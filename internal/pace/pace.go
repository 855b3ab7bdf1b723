// Package pace determines how long a dispatcher waits: between two polls of the store,
// and after an error of the store until the next try.
package pace

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Pause waits for d, or until ctx is done. It returns true if d has passed.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// After is [time.After], and never for a time of zero or less.
func After(d time.Duration) <-chan time.Time {
	if d <= 0 {
		return nil
	}
	return time.After(d)
}

// Sooner returns the shorter of two times, of which 0 stands for never.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// Wake sends to a channel of capacity 1, and never blocks: if a wake-up is in the
// channel already, another would add nothing.
func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Poller determines how long to wait after a poll of the store that found nothing.
type Poller struct {
	interval time.Duration
	soon     time.Time // when Soon was called last; zero once the waits are an interval again
}

// NewPoller returns a Poller whose waits last an interval.
func NewPoller(interval time.Duration) *Poller { return &Poller{interval: interval} }

// Soon makes the next waits 1 ms, 2 ms, 4 ms and so on, up to the interval: each as long as
// all that has passed since, however often something else cuts a wait short or is found. Call it
// when a transaction of this process is about to commit, since nothing tells when it has, or
// whether what was found is its own.
func (p *Poller) Soon() { p.soon = time.Now() }

// Wait returns how long to wait until the next poll. It takes up to an eighth off at
// random, so that processes do not poll in step. The argument nextIn is the time until
// the next delivery falls due, or zero if none will; if it is shorter, Wait returns it.
func (p *Poller) Wait(nextIn time.Duration) time.Duration {
	wait := p.longest()
	wait -= rand.N(wait/8 + 1)
	if nextIn > 0 {
		wait = min(wait, nextIn)
	}
	return wait
}

// longest returns how long the next wait lasts at most.
func (p *Poller) longest() time.Duration {
	if p.soon.IsZero() {
		return p.interval
	}
	longest := time.Since(p.soon) + time.Millisecond
	if longest < p.interval {
		return longest
	}
	p.soon = time.Time{}
	return p.interval
}

// Episode is a series of failures of one operation of the store. It logs its first
// failure and its end, and makes the waits in between longer and longer.
type Episode struct {
	Log *slog.Logger
	// Operation names the operation in the log, such as "claim".
	Operation string

	began time.Time     // the first failure; zero outside of an episode
	wait  time.Duration // the longest that the next Failed returns
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Failed notes a failure and returns how long to wait before the next try: between 25
// and 50 ms after the first failure, twice that after each further one, and at most
// 5 s.
func (e *Episode) Failed(err error) time.Duration {
	if e.began.IsZero() {
		e.began, e.wait = time.Now(), firstRetry
		e.Log.Error("alotwebhook: the store fails; retrying until it recovers", "operation", e.Operation, "error", err)
	}
	wait := e.wait
	e.wait = min(2*e.wait, lastRetry)
	return wait/2 + rand.N(wait/2+1)
}

// Over notes a success. It ends the episode, if there is one.
func (e *Episode) Over() {
	if !e.began.IsZero() {
		e.Log.Info("alotwebhook: the store has recovered", "operation", e.Operation, "after", time.Since(e.began).Round(time.Millisecond))
		e.began = time.Time{}
	}
}

// Keep calls do again and again until ctx is done, with a pause after each return. do calls well
// when it goes well again.
func Keep(ctx context.Context, e Episode, do func(well func()) error) {
	for ctx.Err() == nil {
		err := do(e.Over)
		if ctx.Err() != nil {
			return
		}
		Pause(ctx, e.Failed(err))
	}
}

// A call of the store for many deliveries costs it little more than one for a single
// delivery. So while attempts are under way, claimer and recorder wait until more has
// gathered: for as long as their last call took, within these bounds.
const (
	LeastGather = time.Millisecond
	MostGather  = 10 * time.Millisecond
)

// Gather returns how long to gather after a call of the store that took so long.
func Gather(took time.Duration) time.Duration {
	return min(max(took, LeastGather), MostGather)
}
