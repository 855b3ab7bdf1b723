// Package pace says how long a dispatcher waits: for the next look at the store,
// and for the next try after the store failed.
package pace

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Pause waits for d, or until ctx is done. It reports whether d has passed.
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

// Wake sends to a channel of capacity 1, unless a wake-up waits there already.
func Wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Poller spaces the looks at a store that found nothing.
type Poller struct {
	interval time.Duration
	next     time.Duration
}

// NewPoller returns a poller that looks once in each interval.
func NewPoller(interval time.Duration) *Poller { return &Poller{interval: interval, next: interval} }

// Soon makes the next waits 1 ms, 2 ms, 4 ms and so on, up to the interval: a
// transaction of this process is about to commit, and nothing tells when.
func (p *Poller) Soon() { p.next = time.Millisecond }

// Reset ends what Soon began.
func (p *Poller) Reset() { p.next = p.interval }

// Wait returns how long to wait for the next look: up to an eighth less than is
// due, at random, so that processes do not poll in step. If something falls due
// before, in nextIn, it returns that; 0 means that nothing does.
func (p *Poller) Wait(nextIn time.Duration) time.Duration {
	wait := p.next - rand.N(p.next/8+1)
	p.next = min(2*p.next, p.interval)
	if nextIn > 0 {
		wait = min(wait, nextIn)
	}
	return wait
}

// Episode is a series of failures of one operation of the store. It is logged at
// its start and at its end, and retried more and more slowly in between.
type Episode struct {
	Log *slog.Logger
	// Operation names what fails, such as "claim".
	Operation string

	began time.Time
	wait  time.Duration
}

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Failed notes a failure and returns how long to wait before the next try: from
// half of 50 ms at first to 5 s.
func (e *Episode) Failed(err error) time.Duration {
	if e.began.IsZero() {
		e.began, e.wait = time.Now(), firstRetry
		e.Log.Error("alotwebhook: the store fails; retrying until it recovers", "operation", e.Operation, "error", err)
	}
	wait := e.wait
	e.wait = min(2*e.wait, lastRetry)
	return wait/2 + rand.N(wait/2+1)
}

// Over notes a success: it ends the episode, if one has begun.
func (e *Episode) Over() {
	if !e.began.IsZero() {
		e.Log.Info("alotwebhook: the store has recovered", "operation", e.Operation, "after", time.Since(e.began).Round(time.Millisecond))
		e.began = time.Time{}
	}
}
