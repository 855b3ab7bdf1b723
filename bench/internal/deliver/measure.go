// Package deliver measures how many deliveries contenders make in a second, and what each
// delivery costs them in processor time and write-ahead log.
package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

// Load says how much every contender delivers.
type Load struct {
	Deliveries int // how many
	InFlight   int // how many at the same time
	Payload    int // the bytes of each, at least 200
}

// Contender is one way to deliver a load to a receiver.
type Contender struct {
	Name string
	// prepare does the work that is not measured, and returns the work that is.
	prepare func(context.Context, *Receiver, Load) (*work, error)
}

// work is a prepared contender.
type work struct {
	// warmUp is nil where nothing goes before what is measured. It begins, and returns once
	// so many requests have arrived at the receiver since its start; run goes on until then.
	warmUp func(ctx context.Context, until int) error
	run    func(ctx context.Context, until int) (used, error)
	check  func(context.Context) error // nil, or called after run, unmeasured
	close  func() error
	store  *stores.Store // nil if there is none
	stored Cost          // of what run delivers
	warm   int           // deliveries before what is measured
	more   bool          // run may deliver some more than the load
}

// Cost says how much each delivery cost.
type Cost struct {
	PerSecond float64       // deliveries
	Server    time.Duration // processor time of the database server; 0 if there is none
	WAL       float64       // bytes of the database server's write-ahead log
}

// cost returns the cost of so many deliveries.
func cost(n int, took time.Duration, before, after stores.Used) Cost {
	return Cost{
		PerSecond: float64(n) / took.Seconds(),
		Server:    (after.CPU - before.CPU) / time.Duration(n),
		WAL:       float64(after.WAL-before.WAL) / float64(n),
	}
}

// Result is one contender in one round.
type Result struct {
	Cost
	// Stored says how much it cost to store the events, before the deliveries.
	Stored Cost
	// Dispatcher and Receiver are the processor time of these processes for a delivery; 0
	// if the system does not tell.
	Dispatcher, Receiver time.Duration
	// Peak is the most bytes of memory that one of the dispatchers had, if they are
	// processes of their own.
	Peak int64
	// Others is the share of all processors that processes had that are no part of the
	// measurement; negative if it is not known.
	Others float64
}

// MeasureBeside measures the raw loop and a contender, one right after the other.
func MeasureBeside(ctx context.Context, c Contender, rx *Receiver, l Load) (raw, r Result, err error) {
	w, err := c.prepare(ctx, rx, l)
	if err != nil {
		return raw, r, fmt.Errorf("%s: %w", c.Name, err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	loop, err := Raw().prepare(ctx, rx, l)
	if err != nil {
		return raw, r, err
	}
	defer func() { err = errors.Join(err, loop.close()) }()
	if raw, err = loop.measure(ctx, rx, l, w.store); err != nil {
		return raw, r, err
	}
	if r, err = w.measure(ctx, rx, l, w.store); err != nil {
		return raw, r, fmt.Errorf("%s: %w", c.Name, err)
	}
	return raw, r, nil
}

// reading says how much everybody has used so far.
type reading struct {
	at       time.Time
	own      time.Duration
	machine  time.Duration
	known    bool // whether machine is, and all that is compared with it
	receiver received
	server   stores.Used
}

func read(ctx context.Context, rx *Receiver, s *stores.Store) (r reading, err error) {
	if r.receiver, err = rx.state(ctx); err != nil {
		return r, err
	}
	r.machine, r.known = usage.Machine()
	if s != nil {
		if r.server, err = s.Used(ctx); err != nil {
			return r, err
		}
		r.known = r.known && r.server.Known
	}
	r.own = usage.CPU()
	r.at = time.Now()
	return r, nil
}

// measure measures prepared work. The server of the store, if there is one, is no stranger.
func (w *work) measure(ctx context.Context, rx *Receiver, l Load, s *stores.Store) (Result, error) {
	runtime.GC() // so that no contender pays for another's garbage
	first, err := rx.state(ctx)
	if err != nil {
		return Result{}, err
	}
	if w.warmUp != nil {
		if err := w.warmUp(ctx, first.Count+w.warm); err != nil {
			return Result{}, err
		}
	}
	before, err := read(ctx, rx, s)
	if err != nil {
		return Result{}, err
	}
	used, err := w.run(ctx, first.Count+w.warm+l.Deliveries)
	if err != nil {
		return Result{}, err
	}
	used.took, used.own = time.Since(before.at), usage.CPU()-before.own
	after, err := read(ctx, rx, s)
	if err != nil {
		return Result{}, err
	}
	all := after.receiver.Count - first.Count
	if want := w.warm + l.Deliveries; all < want || all > want && !w.more {
		return Result{}, fmt.Errorf("the receiver got %d requests, not %d", all, want)
	}
	if w.check != nil {
		err = w.check(ctx)
	}
	return w.result(before, after, used), err
}

// result tells what happened between two readings.
func (w *work) result(before, after reading, u used) Result {
	n := max(1, after.receiver.Count-before.receiver.Count) // a tiny load may be over before the clock starts
	r := Result{
		Cost:       Cost{PerSecond: float64(n) / u.took.Seconds()},
		Stored:     w.stored,
		Dispatcher: cmp.Or(u.Children, u.own) / time.Duration(n),
		Receiver:   (after.receiver.CPU - before.receiver.CPU) / time.Duration(n),
		Peak:       u.Peak,
		Others:     others(before, after, u),
	}
	if w.store != nil {
		r.Cost = cost(n, u.took, before.server, after.server)
	}
	return r
}

// others returns the share of all processors that processes had which are none of ours;
// negative if it is not known.
func others(before, after reading, u used) float64 {
	if !before.known || !after.known {
		return -1
	}
	ours := after.own - before.own + u.Children + after.receiver.CPU - before.receiver.CPU + after.server.CPU - before.server.CPU
	// Ticks are coarse: a short time may have more of them than fit into it.
	return min(1, usage.Share(max(0, after.machine-before.machine-ours), after.at.Sub(before.at)))
}
