// Package handover hands things that a store keeps to a function of the host, each at least once:
// also those that were stored by a process that was killed, or while the function failed.
//
// A thing is leased while it is handed over, so that of several processes one does it. What a
// process had that was killed meanwhile is claimed by another once its lease has run out.
package handover

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/pace"
)

const (
	// interval is how often a process asks for things that others stored.
	interval = 5 * time.Second
	// batch is the most things that are claimed at once. Calls begin for window after the claim,
	// and each may take callTimeout. The lease has room for that and for the store. While that is
	// not enough for a batch, few are claimed: what is given back loses its place.
	batch        = 100
	window       = 5 * time.Second
	callTimeout  = 10 * time.Second
	storeTimeout = 10 * time.Second
	lease        = 30 * time.Second
	// A thing that could not be handed over comes again after firstWait, twice that and so on,
	// and at last every lastWait.
	firstWait, lastWait = time.Second, time.Minute
	// atOnce is when a thing comes again that was claimed and not tried.
	atOnce = time.Nanosecond
)

// Thing is what a [Loop] needs to know of a thing.
type Thing struct {
	ID string
	// Claims is how often it was claimed, the last time included.
	Claims int
}

// Config says how a [Loop] works. All fields are needed.
type Config[T any] struct {
	Describe func(T) Thing
	// Claim leases up to limit things and returns them.
	Claim func(ctx context.Context, limit int, lease time.Duration) ([]T, error)
	// Finish has things not claimed any more or, if again is more than 0, in that time.
	Finish func(ctx context.Context, ids []string, again time.Duration) error
	// Call hands a thing over. Its context ends after ten seconds.
	Call func(ctx context.Context, thing T) error
	Log  *slog.Logger
}

// Loop hands things over. A nil Loop does nothing.
type Loop[T any] struct {
	cfg  Config[T]
	host *caught.Host // calls Call
	wake chan struct{}

	// The goroutine of Run alone uses these.
	limit int // of the next claim

	// What the store does not know yet.
	done  []string                   // the ids of things that were handed over
	again map[time.Duration][]string // those of things that come again, by when
}

// New returns a loop.
func New[T any](cfg Config[T]) *Loop[T] {
	return &Loop[T]{cfg: cfg, host: caught.New(cfg.Log), wake: make(chan struct{}, 1), limit: batch, again: map[time.Duration][]string{}}
}

// Wake has Run look for things now. Call it when this process has stored one.
func (l *Loop[T]) Wake() {
	if l != nil {
		pace.Wake(l.wake)
	}
}

// Run hands things over, one after the other, until ctx is done. A call that is under way then
// comes to its end.
func (l *Loop[T]) Run(ctx context.Context) {
	if l == nil {
		return
	}
	episode := pace.Episode{Log: l.cfg.Log, Operation: "operations"}
	for ctx.Err() == nil {
		wait, err := l.round(ctx)
		if err != nil {
			wait = min(wait, episode.Failed(err))
		} else {
			episode.Over()
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// round claims things, hands them over and tells the store. It returns how long to wait before
// the next round. What the store does not take it is told again in that.
func (l *Loop[T]) round(ctx context.Context) (time.Duration, error) {
	finishErr := l.finish(ctx)
	claim, cancel := bounded(ctx, storeTimeout)
	defer cancel()
	claimed := time.Now()
	limit := l.limit
	things, err := l.cfg.Claim(claim, limit, lease)
	if err != nil {
		return interval, errors.Join(finishErr, err)
	}
	wait := interval - rand.N(interval/8)
	if len(things) == limit {
		wait = 0
	}
	for _, thing := range things {
		of := l.cfg.Describe(thing)
		again := atOnce
		if ctx.Err() == nil && time.Since(claimed) < window {
			again = l.try(ctx, thing, of)
		}
		if again > 0 {
			l.again[again] = append(l.again[again], of.ID)
			wait = min(wait, again)
		}
	}
	if l.limit = min(2*limit, batch); time.Since(claimed) >= window {
		l.limit = 1
	}
	if len(things) == 0 {
		return wait, finishErr
	}
	return wait, errors.Join(finishErr, l.finish(ctx))
}

// bounded returns a context that ends after that time, and not with the run.
func bounded(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), after)
}

// try hands a thing over, unless it was already. It returns in how long to try again if it could
// not be handed over, otherwise 0.
func (l *Loop[T]) try(ctx context.Context, thing T, of Thing) (again time.Duration) {
	if slices.Contains(l.done, of.ID) {
		return 0
	}
	err := l.call(ctx, thing)
	if err == nil {
		l.done = append(l.done, of.ID)
		return 0
	}
	again = min(firstWait<<min(max(of.Claims-1, 0), 6), lastWait)
	l.cfg.Log.Warn("alotwebhook: an operation was not taken; it comes again", "operation", of.ID, "claims", of.Claims, "in", again, "error", err)
	return again
}

// call calls Call. A panic of it is logged, and is an error.
func (l *Loop[T]) call(ctx context.Context, thing T) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	return l.host.Apart("Config.OnOperation", func() error { return l.cfg.Call(ctx, thing) })
}

// finish tells the store what was handed over, and what comes again. It forgets what the store
// does not hear of that comes again: that does so once its lease has run out.
func (l *Loop[T]) finish(ctx context.Context) error {
	ctx, cancel := bounded(ctx, storeTimeout)
	defer cancel()
	var errs []error
	if len(l.done) > 0 {
		err := l.cfg.Finish(ctx, l.done, 0)
		if errs = append(errs, err); err == nil {
			l.done = nil
		}
	}
	for again, ids := range l.again {
		errs = append(errs, l.cfg.Finish(ctx, ids, again))
	}
	clear(l.again)
	return errors.Join(errs...)
}
