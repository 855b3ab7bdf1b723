package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/alot/alotwebhook/internal/pace"
)

// ErrDispatcherClosed is returned by [Dispatcher.Run] when it runs or ran
// already, or after [Dispatcher.Shutdown].
var ErrDispatcherClosed = errors.New("alotwebhook: dispatcher closed")

// Dispatcher emits events and delivers them. Make one with [NewDispatcher]; all
// methods may be called from many goroutines at once.
//
// A process that only emits never calls Run; a process that only delivers never
// calls Emit. Any number of processes may share one store.
type Dispatcher struct {
	cfg    *Config
	store  Store
	sender *sender
	notify Notifier // nil without
	types  map[string]EventType
	log    *slog.Logger

	wake      chan struct{} // something was emitted here
	recovered chan struct{} // a recovery was begun here
	tallies   tallies
	// uncommitted: what was emitted becomes due when a transaction of the
	// host's commits, which nobody tells.
	uncommitted atomic.Bool

	started  atomic.Bool
	closing  chan struct{} // closed by Shutdown
	cutNow   chan struct{} // closed when Shutdown's time is up
	done     chan struct{} // closed when Run returned
	closeOne sync.Once
	cutOne   sync.Once
}

// NewDispatcher makes a dispatcher over a store. A nil cfg stands for all
// defaults. The error, a [FieldError], names the field of cfg that is wrong.
func NewDispatcher(store Store, cfg *Config) (*Dispatcher, error) {
	if isNil(store) {
		return nil, &FieldError{Field: "store", Problem: "is nil; open one: sqlite.Open, postgres.New, or memory.New for tests"}
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	sender, err := newSender(cfg)
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{
		cfg:       cfg,
		store:     store,
		sender:    sender,
		notify:    notifier(store),
		types:     make(map[string]EventType, len(cfg.EventTypes)),
		log:       cfg.Logger,
		wake:      make(chan struct{}, 1),
		recovered: make(chan struct{}, 1),
		tallies:   tallies{store: tallier(store), pending: map[tallyKey]*Tally{}},
		closing:   make(chan struct{}),
		cutNow:    make(chan struct{}),
		done:      make(chan struct{}),
	}
	for _, t := range cfg.EventTypes {
		d.types[t.Name] = t
	}
	return d, nil
}

// Emit stores events for delivery and returns once they are stored: all of them
// or, with an error, none. Emitting an event again, with the same ID, changes
// nothing, so that Emit may simply be repeated after an error.
//
// Input that is not valid is refused with a [FieldError]; other errors are the store's.
func (d *Dispatcher) Emit(ctx context.Context, events ...Event) error {
	if err := d.enqueue(ctx, d.store, events); err != nil {
		return err
	}
	d.emitted()
	return nil
}

// EmitTo is Emit inside a transaction of the host's own: q is what the store's
// Tx method gives for it. The events are stored if the transaction commits, and
// never existed if it does not. They are sent within milliseconds of the commit
// by this process, within Config.PollInterval by others.
//
// A [FieldError] refuses a q that is nil, and one that is a [Store]: it would store
// outside the transaction, so that a rollback would change nothing.
func (d *Dispatcher) EmitTo(ctx context.Context, q Enqueuer, events ...Event) error {
	if isNil(q) {
		return &FieldError{Field: "q", Problem: "is nil; give store.Tx(tx) for your transaction tx"}
	}
	if _, ok := q.(Store); ok {
		return &FieldError{Field: "q", Problem: "is a store, not a transaction: a rollback would not undo the event; give store.Tx(tx), or call Emit"}
	}
	if err := d.enqueue(ctx, q, events); err != nil {
		return err
	}
	d.uncommitted.Store(true)
	d.emitted()
	return nil
}

// emitted tells this process's run and the other processes'.
func (d *Dispatcher) emitted() {
	pace.Wake(d.wake)
	if d.notify != nil {
		d.notify.Notify()
	}
}

func (d *Dispatcher) enqueue(ctx context.Context, q Enqueuer, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		if err := events[i].check(d.types, d.cfg.MaxPayload); err != nil {
			if len(events) > 1 {
				err.Field = fmt.Sprintf("events[%d].%s", i, err.Field)
			}
			return err
		}
	}
	if err := q.Enqueue(ctx, events); err != nil {
		return explain(err, "events not stored")
	}
	return nil
}

// Run delivers until ctx is done or [Dispatcher.Shutdown] is called, then stops
// claiming and lets the attempts in flight finish: for ShutdownTimeout in the
// first case, for as long as Shutdown's context allows in the second. Attempts
// cut off then are released and count as none. It returns nil once all is
// recorded and nothing runs any more; an error if something could not be
// recorded, which is then sent again when its lease has run out.
//
// Failures of the store are retried for as long as it takes. A dispatcher runs
// once; further calls return [ErrDispatcherClosed].
func (d *Dispatcher) Run(ctx context.Context) error {
	select {
	case <-d.closing:
		return ErrDispatcherClosed
	default:
	}
	if d.started.Swap(true) {
		return ErrDispatcherClosed
	}
	defer close(d.done)
	defer d.sender.closeIdle()
	return newRun(d).run(ctx)
}

// Shutdown stops Run gracefully: no further claims, attempts in flight are
// waited for until ctx is done, the rest is cut off and released. It returns
// nil, or the context's error if attempts were cut off. Once Shutdown has been
// called the dispatcher does not run again; emitting still works.
func (d *Dispatcher) Shutdown(ctx context.Context) error {
	d.closeOne.Do(func() { close(d.closing) })
	if !d.started.Load() {
		return nil
	}
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		d.cutOne.Do(func() { close(d.cutNow) })
		<-d.done // bounded by finishTimeout
		return ctx.Err()
	}
}
