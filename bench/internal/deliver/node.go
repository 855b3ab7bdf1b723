package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

const dispatcherRole = "dispatcher"

// used says how much a contender used beside the time.
type used struct {
	Children time.Duration // processor time in other processes than this one
	Peak     int64         // the most bytes of memory of one of those
	Failures int64         // attempts that failed

	took, own time.Duration // all the time, and the processor time of this process
}

// node is a dispatcher, in this process or another one.
type node interface {
	// start makes it send, and mark begins to count what it uses.
	start(ctx context.Context) error
	mark(ctx context.Context) error
	// stop returns once all outcomes are stored.
	stop(ctx context.Context) (used, error)
}

// settings are the same for all dispatchers of one store.
type settings struct {
	InFlight int // of each
	Types    int // how many event types there are

	observer *alotwebhook.Observer
}

// local is a dispatcher in this process.
type local struct {
	dispatcher *alotwebhook.Dispatcher
	failures   atomic.Int64
	cancel     context.CancelFunc
	ended      chan error
	cpu        time.Duration
}

func newLocal(s alotwebhook.Store, c settings) (*local, error) {
	l := &local{ended: make(chan error, 1)}
	types := make([]alotwebhook.EventType, c.Types)
	for i := range types {
		types[i] = alotwebhook.EventType{Name: eventType(i), Description: "For benchmarks."}
	}
	var err error
	l.dispatcher, err = alotwebhook.NewDispatcher(s, &alotwebhook.Config{
		EventTypes:          types,
		InFlight:            c.InFlight,
		InFlightPerEndpoint: min(c.InFlight, 32),
		MaxEndpoints:        -1,
		AllowHTTP:           true,
		AllowNets:           []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Observer:            c.observer,
		Logger:              slog.New(&failures{Handler: slog.DiscardHandler, n: &l.failures}),
	})
	return l, err
}

func (l *local) start(ctx context.Context) error {
	ctx, l.cancel = context.WithCancel(ctx)
	go func() { l.ended <- l.dispatcher.Run(ctx) }()
	return nil
}

func (l *local) mark(context.Context) error {
	l.cpu = usage.CPU()
	return nil
}

func (l *local) stop(context.Context) (used, error) {
	if l.cancel == nil {
		return used{}, errors.New("the dispatcher has not been started")
	}
	l.cancel()
	return used{Failures: l.failures.Load()}, <-l.ended
}

// failures counts the log lines of attempts that failed. A successful one has none at this level,
// and so costs nothing.
type failures struct {
	slog.Handler
	n *atomic.Int64
}

func (f *failures) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (f *failures) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "alotwebhook: attempt" {
		f.n.Add(1)
	}
	return nil
}

// remote is a dispatcher in a process of its own.
type remote struct{ process *child.Process }

// task tells the process its work.
type task struct {
	Place    stores.Place
	Settings settings
}

func (r remote) start(ctx context.Context) error { return r.process.Call(ctx, "start", nil, nil) }

func (r remote) mark(ctx context.Context) error { return r.process.Call(ctx, "mark", nil, nil) }

func (r remote) stop(ctx context.Context) (used, error) {
	var u used
	err := r.process.Call(ctx, "stop", nil, &u)
	return u, err
}

// dispatch is the role of a remote dispatcher.
func dispatch(ctx context.Context, text json.RawMessage) (child.Handler, error) {
	var t task
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	store, err := stores.Open(ctx, t.Place, func() error { return nil })
	if err != nil {
		return nil, err
	}
	l, err := newLocal(store.Store, t.Settings)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return func(_ context.Context, method string, _ json.RawMessage) (any, error) {
		switch method {
		case "start":
			return nil, l.start(ctx)
		case "mark":
			return nil, l.mark(ctx)
		case "stop":
			u, err := l.stop(ctx)
			u.Children = usage.CPU() - l.cpu
			_, u.Peak = usage.Resident()
			return u, errors.Join(err, store.Close())
		}
		return nil, fmt.Errorf("a dispatcher has no method %q", method)
	}, nil
}
