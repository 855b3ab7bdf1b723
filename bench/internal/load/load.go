// Package load puts a database under the steady load of a host, with or without disturbances,
// and observes what changes over time.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/stores"
	"github.com/alot/alotwebhook/bench/internal/usage"
)

// Config says what the load is.
type Config struct {
	// Store is sqlite or postgres.
	Store string
	// Length is how long it lasts, from a second.
	Length time.Duration
	// Rate is how many events the host emits a second. Each has 1.5 deliveries on average.
	// 0 stands for 400 on PostgreSQL and 150 on SQLite.
	Rate int
	// Endpoints is how many there are, on as many loopback addresses; 0 stands for 300.
	Endpoints int
	// Disturb makes some of the endpoints hang and fail for two thirds of the time, and
	// disturbs the database: [Result.Disturbances] says how.
	Disturb bool
	// Progress is called with what happens.
	Progress func(string)
}

// patience is how long the backlog may take to be delivered at the end.
const patience = 5 * time.Minute

// Roles are the roles of the processes that this package starts.
func Roles() child.Roles {
	return child.Roles{receiverRole: receive, nodeRole: serveNode}
}

// bed holds all parts of a run.
type bed struct {
	config     Config
	store      *stores.Store // of this process, which sends nothing
	dispatcher *alotwebhook.Dispatcher
	receivers  *child.Process
	nodes      []*child.Process
	watch      watcher
	result     *Result
	began      time.Time
}

// Run puts a database under load and returns what was observed.
func Run(ctx context.Context, c Config) (result *Result, err error) {
	if c.Length < time.Second {
		return nil, fmt.Errorf("the load lasts %v, which is less than a second", c.Length)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Length+2*patience)
	defer cancel()
	if c.Endpoints == 0 {
		c.Endpoints = 300
	}
	if c.Rate == 0 {
		c.Rate = map[string]int{"postgres": 400, "sqlite": 150}[c.Store]
	}
	c.Progress = oneByOne(c.Progress)
	b := &bed{config: c, result: &Result{Config: c}}
	var closers stores.Closers
	defer func() { err = errors.Join(err, closers.Close()) }()
	if err := b.prepare(ctx, &closers); err != nil {
		return nil, err
	}
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	return b.result, b.finish(ctx)
}

// oneByOne returns a function that several goroutines may call.
func oneByOne(progress func(string)) func(string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		progress(text)
	}
}

func (b *bed) prepare(ctx context.Context, closers *stores.Closers) (err error) {
	if b.store, err = newStore(ctx, b.config.Store); err != nil {
		return err
	}
	closers.Add(b.store.Close)
	if b.result.PostgreSQL, err = b.store.Version(ctx); err != nil {
		return err
	}
	if b.watch, err = newWatcher(ctx, b.store); err != nil {
		return err
	}
	closers.Add(b.watch.close)
	crowd := b.crowd()
	if b.receivers, err = child.Start(ctx, receiverRole, crowd.behaviours()); err != nil {
		return err
	}
	closers.Add(func() error { b.receivers.Stop(); return nil })
	if b.dispatcher, err = alotwebhook.NewDispatcher(b.store.Store, newConfig(nil)); err != nil {
		return err
	}
	if err := b.createEndpoints(ctx, crowd); err != nil {
		return err
	}
	for _, task := range b.tasks(crowd) {
		n, err := child.Start(ctx, nodeRole, task)
		if err != nil {
			return err
		}
		b.nodes = append(b.nodes, n)
		closers.Add(func() error { n.Stop(); return nil })
	}
	return nil
}

// newStore returns an empty store. A server of PostgreSQL has its defaults, with 256 MB of
// buffers.
func newStore(ctx context.Context, name string) (*stores.Store, error) {
	switch name {
	case "postgres":
		return stores.NewPostgres(ctx, "shared_buffers=256MB", "max_wal_size=1GB")
	case "sqlite":
		return stores.New(ctx, name)
	}
	return nil, fmt.Errorf("there is no steady load on a store %q: take sqlite or postgres", name)
}

// crowd returns who there is: one endpoint in a hundred hangs and one fails, if the load is
// disturbed.
func (b *bed) crowd() crowd {
	bad := 0
	if b.config.Disturb {
		bad = max(1, b.config.Endpoints/100)
	}
	return newCrowd(b.config.Endpoints, bad, bad)
}

func (b *bed) createEndpoints(ctx context.Context, c crowd) error {
	var urls []string
	if err := b.receivers.Call(ctx, "urls", nil, &urls); err != nil {
		return err
	}
	for i := range c.organizations() {
		name, _, endpoints := c.organization(i)
		for _, n := range endpoints {
			_, err := b.dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
				OrganizationID: name, URL: urls[n], EventTypes: []string{eventType},
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// tasks returns the processes of the host. On PostgreSQL one emits in transactions of its own
// and another one without; on SQLite there is one.
func (b *bed) tasks(c crowd) []nodeTask {
	rate := float64(b.config.Rate)
	first := nodeTask{Place: b.store.Place, Crowd: c, PerSec: rate, InTx: true, Writes: 20, Pages: 10}
	if b.config.Store == "sqlite" {
		return []nodeTask{first}
	}
	first.PerSec = rate * 3 / 4
	return []nodeTask{first, {Place: b.store.Place, Crowd: c, PerSec: rate / 4}}
}

// run samples until the length has passed, and disturbs meanwhile. Neither goes on when the
// other one has failed.
func (b *bed) run(ctx context.Context) error {
	b.began = time.Now()
	b.result.Began = b.began
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	disturbed := make(chan struct{})
	go func() {
		defer close(disturbed)
		if err := b.disturb(ctx); err != nil {
			cancel(err)
		}
	}()
	if err := b.sampleAll(ctx); err != nil {
		cancel(err)
	}
	<-disturbed
	return context.Cause(ctx)
}

func (b *bed) sampleAll(ctx context.Context) error {
	previous, err := b.read(ctx)
	if err != nil {
		return err
	}
	part := min(time.Minute, b.config.Length/5)
	for time.Since(b.began) < b.config.Length {
		if err := sleep(ctx, min(time.Second, part)); err != nil {
			return err
		}
		b.watch.second(ctx)
		if time.Since(previous.at) < part {
			continue
		}
		now, err := b.read(ctx)
		if err != nil {
			return err
		}
		sample := now.since(previous, b.began)
		b.result.Samples = append(b.result.Samples, sample)
		b.config.Progress(sample.String())
		previous = now
	}
	return nil
}

// finish ends the emits, has the rest delivered, and looks for what is missing.
func (b *bed) finish(ctx context.Context) error {
	var expected []uint64
	for _, n := range b.nodes {
		if err := n.Call(ctx, "rest", nil, nil); err != nil {
			return err
		}
		var emitted []uint64
		if err := n.Call(ctx, "emitted", nil, &emitted); err != nil {
			return err
		}
		expected = append(expected, emitted...)
	}
	if err := b.receivers.Call(ctx, "heal", nil, nil); err != nil {
		return err
	}
	began := time.Now()
	err := b.drain(ctx)
	b.result.Drained = time.Since(began)
	for _, n := range b.nodes {
		var last activity
		err = errors.Join(err, n.Call(ctx, "stop", nil, nil), n.Call(ctx, "sample", nil, &last))
		b.result.Failed += last.Failed
	}
	if err != nil {
		return err
	}
	last, err := b.arrivals(ctx)
	if err != nil {
		return err
	}
	b.result.Expected, b.result.Twice = len(expected), last.Twice
	return b.receivers.Call(ctx, "missing", expected, &b.result.Missing)
}

// drain waits until nothing is pending. A question that fails is asked again: this process,
// too, may have lost its connections.
func (b *bed) drain(ctx context.Context) error {
	for end := time.Now().Add(patience); ; {
		stats, err := b.dispatcher.Stats(ctx)
		if err == nil && stats.Pending == 0 {
			return nil
		}
		if time.Now().After(end) {
			b.result.LeftOver = stats.Pending
			return err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// reading holds the answers of all processes at one moment.
type reading struct {
	at       time.Time
	nodes    []activity
	arrivals arrivals
	database figures
	server   stores.Used
	machine  time.Duration
	own      time.Duration
	known    bool // whether the last two and the server's processor time are
}

func (b *bed) arrivals(ctx context.Context) (a arrivals, err error) {
	return a, b.receivers.Call(ctx, "sample", nil, &a)
}

func (b *bed) read(ctx context.Context) (r reading, err error) {
	r.nodes = make([]activity, len(b.nodes))
	for i, n := range b.nodes {
		if err := n.Call(ctx, "sample", nil, &r.nodes[i]); err != nil {
			return r, err
		}
	}
	if r.arrivals, err = b.arrivals(ctx); err != nil {
		return r, err
	}
	r.database = b.watch.figures(ctx)
	if r.server, err = b.store.Used(ctx); err != nil {
		return r, err
	}
	r.machine, r.known = usage.Machine()
	r.known = r.known && r.server.Known
	r.own, r.at = usage.CPU(), time.Now()
	return r, nil
}
