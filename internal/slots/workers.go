package slots

import (
	"sync"
	"sync/atomic"
)

// Workers are the goroutines that make attempts.
type Workers struct {
	Slots *Slots
	// Work makes attempts until no job can come any more, or until the worker IsSurplus.
	Work func()

	n       atomic.Int64 // those that run; whoever calls Staff alone starts them
	working sync.WaitGroup
}

// most is how many workers there may be: as many as attempts may be in flight, and one for each
// attempt that waits for a slow receiver.
func (w *Workers) most() int {
	working, _ := w.Slots.Working()
	return w.Slots.inFlight + w.Slots.Used() - working
}

// Staff starts workers while there are fewer than slots in use and than there may be. One goroutine
// calls it.
func (w *Workers) Staff() {
	for most := min(w.Slots.Used(), w.most()); int(w.n.Load()) < most; {
		w.n.Add(1)
		w.working.Go(w.Work)
	}
}

// IsSurplus takes one off the number of workers if it is too large. The worker that called it must end
// then.
func (w *Workers) IsSurplus() bool {
	n := w.n.Load()
	return int(n) > w.Slots.inFlight && int(n) > w.most() && w.n.CompareAndSwap(n, n-1)
}

// Done returns a channel that is closed once all workers have ended. Staff must not be called any more.
func (w *Workers) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); w.working.Wait() }()
	return done
}
