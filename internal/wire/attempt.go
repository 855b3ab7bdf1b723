package wire

import (
	"context"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/chain"
)

// Attempts are the attempts under way of one run of a dispatcher. The zero value has none. Its
// methods may be called from many goroutines at once.
type Attempts struct {
	mu       sync.Mutex
	underWay chain.List[*Attempt]
	cutOff   bool
	ctx      context.Context // nil until asked for
	cancel   context.CancelFunc
}

// Begin begins an attempt that ends after a time, and at once if attempts were cut off before.
// Its End must be called.
func (s *Attempts) Begin(timeout time.Duration) *Attempt {
	a := &Attempt{all: s, deadline: time.Now().Add(timeout)}
	a.node.Value = a
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cutOff {
		a.err = context.Canceled
		return a
	}
	s.underWay.PushBack(&a.node)
	return a
}

// CutOff ends the attempts under way and those to come.
func (s *Attempts) CutOff() {
	s.mu.Lock()
	s.cutOff = true
	if s.cancel != nil {
		s.cancel()
	}
	var all []*Attempt
	for n := s.underWay.Front(); n != nil; n = s.underWay.Front() {
		all = append(all, n.Value)
		s.underWay.Remove(n)
	}
	s.mu.Unlock()
	for _, a := range all {
		a.end(context.Canceled)
	}
}

// Context returns a context that ends when attempts are cut off.
func (s *Attempts) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
	if s.cutOff {
		s.cancel()
	}
	return s.ctx
}

// AreCutOff reports whether CutOff was called.
func (s *Attempts) AreCutOff() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutOff
}

func (s *Attempts) remove(a *Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay.Remove(&a.node)
}

// Attempt is the context of one attempt. Most attempts go over a connection that was kept, whose
// own deadline is timer enough. So the attempt makes its channel, and the timer that closes it,
// when somebody asks for the channel: a dial does, or a transport of the host's.
type Attempt struct {
	all      *Attempts
	node     chain.Node[*Attempt]
	deadline time.Time
	as       *Identity
	notes    notes

	mu        sync.Mutex
	err       error
	done      chan struct{} // nil until asked for
	timer     *time.Timer   // nil without done
	interrupt func()        // what the end of the attempt calls; nil for nothing
}

var _ context.Context = (*Attempt)(nil)

// Repeats returns how often the attempt's request was repeated. No request may be under way.
func (a *Attempt) Repeats() int { return a.notes.repeats }

// Demanded reports whether the server demanded a client certificate, and none was sent. No request
// may be under way.
func (a *Attempt) Demanded() bool { return a.notes.demanded }

// End ends the attempt.
func (a *Attempt) End() {
	a.all.remove(a)
	a.end(context.Canceled)
}

// Deadline implements [context.Context].
func (a *Attempt) Deadline() (time.Time, bool) { return a.deadline, true }

// Value implements [context.Context].
func (a *Attempt) Value(key any) any {
	switch key {
	case notesKey{}:
		return &a.notes
	case identityKey{}:
		return a.as
	}
	return nil
}

// Done implements [context.Context].
func (a *Attempt) Done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done != nil {
		return a.done
	}
	a.expire()
	a.done = make(chan struct{})
	if a.err != nil {
		close(a.done)
	} else {
		a.timer = time.AfterFunc(time.Until(a.deadline), func() { a.end(context.DeadlineExceeded) })
	}
	return a.done
}

// Err implements [context.Context].
func (a *Attempt) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil { // otherwise the timer says so
		a.expire()
	}
	return a.err
}

// expire ends an attempt whose time is up. The caller holds mu.
func (a *Attempt) expire() {
	if a.err == nil && !time.Now().Before(a.deadline) {
		a.err = context.DeadlineExceeded
	}
}

// end ends the attempt with an error, unless it has ended.
func (a *Attempt) end(err error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	a.err = err
	if a.done != nil {
		close(a.done)
		a.timer.Stop()
	}
	interrupt := a.interrupt
	a.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
}

// afterEnd is [context.AfterFunc] for the one function that may wait, which a deadline does
// not call: a connection knows it.
func (a *Attempt) afterEnd(f func()) (stop func() bool) {
	a.mu.Lock()
	ended := a.err != nil
	a.interrupt = f
	a.mu.Unlock()
	if ended {
		f()
	}
	return a.release
}

// release forgets what the end would call. It returns false if the attempt has ended.
func (a *Attempt) release() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.interrupt = nil
	return a.err == nil
}

// afterEnd calls f when ctx ends, unless stop is called before, which then returns true.
func afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if a, ok := ctx.(*Attempt); ok {
		return a.afterEnd(f)
	}
	return context.AfterFunc(ctx, f)
}

// notes are what a request's transport tells the attempt.
type notes struct {
	repeats  int
	demanded bool // the server demanded a client certificate, and none was sent
}

// notesKey is the key of the notes of a request's context, a *notes.
type notesKey struct{}

func countRepeat(ctx context.Context) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.repeats++
	}
}

func noteDemand(ctx context.Context) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.demanded = true
	}
}
