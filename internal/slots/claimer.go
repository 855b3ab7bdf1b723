package slots

import (
	"context"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// patienceForRoom is how long a claimer waits for room before other processes may have what is due.
const patienceForRoom = time.Second

// Claimer waits for what the next claim needs, and queues what was claimed. One goroutine calls its
// methods.
type Claimer[J any] struct {
	// Jobs leads to the workers. It is bounded: memory never grows with the backlog.
	Jobs chan J
	// Freed wakes the claimer after a worker has given a slot back.
	Freed chan struct{}
	// Prefetch is how many jobs to claim beyond those that may be in flight. They wait in Jobs for
	// the next worker that is free.
	Prefetch int

	workers *Workers
	wake    <-chan struct{}
	leave   func()
}

// NewClaimer returns a claimer for these workers. wake is sent to when something may be due. leave
// lets other processes have what is due.
func NewClaimer[J any](workers *Workers, wake <-chan struct{}, leave func()) *Claimer[J] {
	return &Claimer[J]{
		Jobs: make(chan J, 2*workers.Slots.inFlight), Freed: make(chan struct{}, 1),
		workers: workers, wake: wake, leave: leave,
	}
}

// AwaitRoom returns true when it is time to claim: no attempt holds a slot, at least half of what may
// be in flight or prefetched is free, or less is free and gather has passed. While anything holds a
// slot it first waits for a millisecond. It returns false when ctx ends.
func (c *Claimer[J]) AwaitRoom(ctx context.Context, gather time.Duration) bool {
	if working, _ := c.workers.Slots.Working(); working > 0 && !pace.Pause(ctx, pace.LeastGather) {
		return false
	}
	gathered, waited := time.NewTimer(gather), time.NewTimer(patienceForRoom)
	defer gathered.Stop()
	defer waited.Stop()
	most := c.workers.Slots.inFlight + c.Prefetch
	for {
		c.workers.Staff()
		working, next := c.workers.Slots.Working()
		if working <= most/2 {
			return ctx.Err() == nil
		}
		timeUp := gathered.C
		if working >= most {
			timeUp = nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-c.Freed:
		case <-pace.After(next):
		case <-waited.C: // others may have room
			c.leave()
		case <-timeUp:
			return true
		}
	}
}

// AwaitWork waits after a claim that got nothing, until the next one may get something: something may
// be due, an endpoint that was refused a slot may have one, or wait has passed. It also returns when
// ctx is done, and in time for jobs whose workers wait for slow receivers.
func (c *Claimer[J]) AwaitWork(ctx context.Context, wait time.Duration) {
	if len(c.Jobs) > 0 {
		wait = min(wait, Patience)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-t.C:
		case <-c.Freed:
			// Only an endpoint that had no free slot can have more to send now.
			if !c.workers.Slots.Reopened() {
				continue
			}
		}
		return
	}
}

// Queue queues a job for the workers. It returns false if ctx was done before there was a place.
func (c *Claimer[J]) Queue(ctx context.Context, job J) bool {
	select {
	case c.Jobs <- job:
		return true
	default: // only if slow receivers or the recorder hold the workers
		c.workers.Staff()
	}
	select {
	case c.Jobs <- job:
		return true
	case <-ctx.Done():
		return false
	}
}
