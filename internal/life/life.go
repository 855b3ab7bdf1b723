// Package life keeps the one run of something that runs once: whether it may begin, who ends it, and
// who waits for its end.
package life

import (
	"context"
	"sync"
	"time"
)

// Life is the life of one run. Its methods may be called from many goroutines at once.
type Life struct {
	mu      sync.Mutex    // for the two that follow
	started bool          // by Begin
	closed  bool          // by Shutdown
	closing chan struct{} // closed by Shutdown
	cutNow  chan struct{} // closed when the context of Shutdown is done
	done    chan struct{} // closed by End
	cutOne  sync.Once
}

// New returns the life of a run that has not begun.
func New() *Life {
	return &Life{closing: make(chan struct{}), cutNow: make(chan struct{}), done: make(chan struct{})}
}

// Begin reports whether the run may begin: once, and not after Shutdown. If it may, End must follow,
// and Shutdown waits for that.
func (l *Life) Begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	may := !l.started && !l.closed
	l.started = l.started || may
	return may
}

// End notes that the run has ended.
func (l *Life) End() { close(l.done) }

// mostAfter bounds how long Shutdown waits for a run that is to be cut off. A run takes less, unless
// it waits for a function that does not return, such as the one that has called Shutdown.
const mostAfter = time.Minute

// within is the key of the Life that calls the function that a context was given to.
type within struct{}

// Within returns a context for a function that the run calls, and waits for: Shutdown does not wait
// there.
func (l *Life) Within(ctx context.Context) context.Context {
	return context.WithValue(ctx, within{}, l)
}

// Shutdown has the run end, and waits for it. When ctx is done, the run is to be cut off, and Shutdown
// returns the error of ctx once that is over, or after a minute. It returns nil at once if the run has
// not begun or has ended, and if ctx is of Within.
func (l *Life) Shutdown(ctx context.Context) error {
	if !l.close() || ctx.Value(within{}) == l {
		return nil
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
	}
	if l.hasEnded() {
		return nil
	}
	l.cutOne.Do(func() { close(l.cutNow) })
	t := time.NewTimer(mostAfter)
	defer t.Stop()
	select {
	case <-l.done:
	case <-t.C:
	}
	return ctx.Err()
}

func (l *Life) hasEnded() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// close begins the end of the run, and reports whether there is one to wait for.
func (l *Life) close() (started bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	return l.started
}

// Context returns a context that is done once ctx is, or Shutdown was called. Stop must be called.
func (l *Life) Context(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	ctx, stop = context.WithCancel(ctx)
	go func() {
		select {
		case <-l.closing:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// Drain waits until the work is done, or the time is up that whoever ended the run gives it: patience,
// or the context of Shutdown.
func (l *Life) Drain(work <-chan struct{}, patience time.Duration) {
	var timeUp <-chan time.Time
	select {
	case <-l.closing: // Shutdown closes cutNow when its context is done
	default:
		t := time.NewTimer(patience)
		defer t.Stop()
		timeUp = t.C
	}
	select {
	case <-work:
	case <-timeUp:
	case <-l.cutNow:
	}
}
