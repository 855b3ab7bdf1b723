// Package teller calls functions that others wrote, for those who must not wait for them.
package teller

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
)

// most is the weight of all calls that may wait. Further ones are missed.
const most = 16_384

// Teller makes calls one after the other, in the order of Tell, in a goroutine that there is
// only while there are any. A panic of a call is logged.
type Teller struct {
	host   *caught.Host // makes the calls
	missed func(calls int)

	mu     sync.Mutex
	calls  []func()
	weight int // of calls
	lost   int
	idle   chan struct{} // closed when no call waits or is under way; nil then
}

// New returns a teller that logs to log. While calls take so long that further ones are missed,
// it calls missed, if that is not nil, with how many these were, in between.
func New(log *slog.Logger, missed func(calls int)) *Teller {
	return &Teller{host: caught.New(log), missed: missed}
}

// Tell has call made soon, and returns at once. The weight, from 1, says how much memory the call
// holds while it waits.
func (t *Teller) Tell(weight int, call func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.weight >= most {
		t.lost++
		return
	}
	t.calls, t.weight = append(t.calls, call), t.weight+weight
	if t.idle == nil {
		t.idle = make(chan struct{})
		go t.work()
	}
}

// Wait waits until all that was told is over, or ctx is done.
func (t *Teller) Wait(ctx context.Context) {
	t.mu.Lock()
	idle := t.idle
	t.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// WaitFor is [Teller.Wait] for so long at most.
func (t *Teller) WaitFor(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	t.Wait(ctx)
}

// work makes calls until none is left.
func (t *Teller) work() {
	for {
		calls, lost := t.take()
		if len(calls) == 0 && lost == 0 {
			return
		}
		for _, call := range calls {
			t.call(call)
		}
		if lost > 0 && t.missed != nil {
			t.call(func() { t.missed(lost) })
		}
	}
}

// take takes what waits. It ends the work if that is nothing.
func (t *Teller) take() (calls []func(), lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, lost = t.calls, t.lost
	t.calls, t.weight, t.lost = nil, 0, 0
	if len(calls) == 0 && lost == 0 {
		close(t.idle)
		t.idle = nil
	}
	return calls, lost
}

// call makes a call. A panic of it is logged, and nothing else.
func (t *Teller) call(call func()) {
	_ = t.host.Apart("the observer", func() error { call(); return nil })
}
