package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/adopt"
	"github.com/alot/alotwebhook/internal/handover"
	"github.com/alot/alotwebhook/internal/holds"
	"github.com/alot/alotwebhook/internal/life"
	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/place"
	"github.com/alot/alotwebhook/internal/quota"
	"github.com/alot/alotwebhook/internal/rate"
	"github.com/alot/alotwebhook/internal/tally"
	"github.com/alot/alotwebhook/internal/unwrap"
)

// Notifier is an optional capability of a [Store] that several processes share. It tells
// the others that something was emitted, sooner than they would find it by polling.
// Nothing depends on it, so a notification may get lost.
type Notifier interface {
	// Notify notifies all processes soon and returns at once. Calls in quick succession
	// may be joined, as long as one notification is sent after the last of them.
	Notify()
	// Listen calls heard once it listens and then for each notification of any process,
	// in the goroutine that called Listen. It returns when ctx is done, or when it cannot
	// go on; then the dispatcher calls it again.
	Listen(ctx context.Context, heard func()) error
}

// ErrDispatcherClosed is returned by [Dispatcher.Run] if it was called before, or if
// [Dispatcher.Shutdown] was.
var ErrDispatcherClosed = errors.New("alotwebhook: dispatcher closed: Run or Shutdown was called before; make another with NewDispatcher")

// Dispatcher emits events and delivers them. Make one with [NewDispatcher]. All
// methods may be called from many goroutines at once.
//
// A process that only emits never calls Run, and a process that only delivers never
// calls Emit. Any number of processes may share one store.
type Dispatcher struct {
	cfg    *Config
	store  checked
	sender *sender
	notify Notifier // nil if the store is none
	pauser Pauser   // nil if the store is none
	types  map[string]EventType
	log    *slog.Logger

	observer *observer

	wake       chan struct{} // wakes the claimer: something was emitted or made due
	recoveries *adopt.Jobs[Recovery]
	operations *handover.Loop[Operation] // nil if nobody is to be told
	endpoints  quota.Quota               // of an organization
	tallier    Tallier                   // nil if the store is none
	tallies    *tally.Sums[hour, Tally]

	tests, redeliveries, changes *rate.Limiter // by organization

	paused holds.Watch // this process claims nothing of it

	// uncommitted is set by EmitTo. No one tells the dispatcher when the host's
	// transaction commits, so the claimer polls after 1, 2, 4 … ms for a while.
	uncommitted atomic.Bool

	life    *life.Life // of Run
	running atomic.Pointer[run]
}

// NewDispatcher makes a dispatcher over a store. A nil cfg stands for all defaults.
// A [FieldError] names the argument or the field of cfg that is not valid.
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
		cfg:     cfg,
		store:   checked{store},
		sender:  sender,
		notify:  unwrap.To[Notifier](store),
		pauser:  unwrap.To[Pauser](store),
		types:   make(map[string]EventType, len(cfg.EventTypes)),
		log:     cfg.Logger,
		wake:    make(chan struct{}, 1),
		tallier: unwrap.To[Tallier](store),
		life:    life.New(),

		endpoints:    quota.Quota{Most: cfg.MaxEndpoints},
		tests:        rate.New("TestsPerMinute", cfg.TestsPerMinute),
		redeliveries: rate.New("RedeliveriesPerMinute", cfg.RedeliveriesPerMinute),
		changes:      rate.New("ChangesPerMinute", cfg.ChangesPerMinute),
	}
	d.recoveries, d.operations, d.tallies, d.observer = d.newRecoveries(), d.newOperations(), d.newTallies(), newObserver(cfg)
	d.paused = holds.Watch{Read: d.readPauses, Changed: func() { pace.Wake(d.wake) }}
	for _, t := range withOperations(cfg.EventTypes, cfg.HostOrganization != "") {
		d.types[t.Name] = t
	}
	return d, nil
}

// Logger returns [Config.Logger], or its default.
func (d *Dispatcher) Logger() *slog.Logger { return d.log }

// Store returns the store, and PayloadRetention that of the [Config], 0 for ever: for package feed.
func (d *Dispatcher) Store() Store                    { return d.store.Store }
func (d *Dispatcher) PayloadRetention() time.Duration { return max(0, d.cfg.PayloadRetention) }

// Emit stores events for delivery, all of them or none, and returns once they are
// stored. It does nothing with an ID that is stored already: after an error of the
// store, call Emit again with the same events, whether they were stored or not.
//
// A [FieldError] refuses an event that is not valid; every other error is the store's.
func (d *Dispatcher) Emit(ctx context.Context, events ...Event) error {
	if err := d.enqueue(ctx, d.store, events, false); err != nil {
		return err
	}
	d.emitted()
	return nil
}

// EmitTo is [Dispatcher.Emit] inside a transaction of the host's own: q is
// store.Tx(tx) for the host's tx. The events exist if the transaction commits, and
// never existed if it does not. They are sent within milliseconds of the commit
// by this process, within Config.PollInterval by others.
//
// A [FieldError] refuses a q that is nil, one that is a [Store], which would store outside the
// transaction, and one of another store than the dispatcher's, whose events nobody would send.
func (d *Dispatcher) EmitTo(ctx context.Context, q Enqueuer, events ...Event) error {
	if err := d.checkTransaction(q, "Emit"); err != nil {
		return err
	}
	if err := d.enqueue(ctx, q, events, true); err != nil {
		return err
	}
	d.uncommitted.Store(true)
	d.emitted()
	return nil
}

// checkTransaction refuses a q that is no transaction of the store. Outside of one there is the method instead.
func (d *Dispatcher) checkTransaction(q Enqueuer, instead string) error {
	if isNil(q) {
		return refused("q", "is nil; give store.Tx(tx) for your transaction tx")
	}
	if _, ok := q.(Store); ok {
		return refused("q", "is a store, not a transaction: a rollback would undo nothing; give store.Tx(tx), or call "+instead)
	}
	return refused("q", place.Problem(q, "the dispatcher's store", d.store.Store))
}

// emitted wakes the claimer of this process and, over a [Notifier], those of the
// others. It is called when something was emitted or made due.
func (d *Dispatcher) emitted() {
	pace.Wake(d.wake)
	if d.notify != nil {
		d.notify.Notify()
	}
}

// listen wakes the claimer of this process at each notification, until ctx is done.
func (d *Dispatcher) listen(ctx context.Context) {
	if d.notify != nil {
		pace.Keep(ctx, pace.Episode{Log: d.log, Operation: "listen"}, func(well func()) error {
			return d.notify.Listen(ctx, func() { well(); pace.Wake(d.wake) })
		})
	}
}

func (d *Dispatcher) enqueue(ctx context.Context, q Enqueuer, events []Event, inTransaction bool) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		if err := events[i].check(d.types, d.cfg); err != nil {
			if of := (*FieldError)(nil); len(events) > 1 && errors.As(err, &of) {
				of.Field = fmt.Sprintf("events[%d].%s", i, of.Field)
			}
			return err
		}
	}
	began := time.Now()
	events, parent := d.observer.traced(ctx, events)
	err := q.Enqueue(ctx, events)
	d.observer.emitted(began, events, parent, inTransaction, err)
	return explain(err, "events not stored")
}

// Run delivers until ctx is done or [Dispatcher.Shutdown] is called. Then it claims no
// more and lets the attempts in flight finish: for [Config.ShutdownTimeout] in the
// first case, until Shutdown's context is done in the second. It cuts off the others
// and releases their deliveries, which are due again at once; a cut-off attempt does
// not count.
//
// Wait for Run before the process ends. It returns nil once everything is recorded and
// nothing runs any more. If the store takes no outcomes for 10 seconds then, it gives
// up and returns an error: their deliveries are sent again when their lease has run out.
//
// While the store fails, Run tries again, for as long as it takes. A dispatcher runs
// once: further calls return [ErrDispatcherClosed].
func (d *Dispatcher) Run(ctx context.Context) error {
	if !d.life.Begin() {
		return ErrDispatcherClosed
	}
	defer d.life.End()
	defer d.sender.closeIdle()
	r := newRun(d)
	d.running.Store(r)
	defer d.running.Store(nil)
	return r.run(ctx)
}

// Shutdown ends Run and waits for its end: Run claims no more, and attempts in flight
// may finish until ctx is done; then they are cut off and released. Shutdown returns
// nil, or the error of ctx if it was done before Run ended.
// Run waits for the functions that it calls, so none of them may wait for it. With the context of
// [Config.OnOperation], Shutdown only begins the end. Others call it in a goroutine of their own;
// otherwise it returns a minute after the end of ctx.
//
// After Shutdown the dispatcher does not run again. Emit still works.
func (d *Dispatcher) Shutdown(ctx context.Context) error { return d.life.Shutdown(ctx) }
