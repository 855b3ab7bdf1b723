package deliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/child"
	"github.com/alot/alotwebhook/bench/internal/stores"
)

// Dispatchers deliver from a store, with all their features.
type Dispatchers struct {
	// Store is a name that [stores.New] knows.
	Store string
	// Endpoints is how many there are, and Organizations how many have them, in equal parts.
	// 0 organizations stand for one for each endpoint.
	Endpoints, Organizations int
	// Active is how many of the endpoints get something; 0 stands for all.
	Active int
	// FanOut makes each event go to all endpoints of its organization. Otherwise each goes
	// to one of them.
	FanOut bool
	// Backlog is how many deliveries are stored; 0 stands for as many as are made.
	Backlog int
	// Warm is how many further deliveries are made before the clock starts, so that the
	// processes have shared out the work among them.
	Warm int
	// Processes is how many processes deliver, which share the requests in flight. With 0,
	// this process does.
	Processes int
	// Disturbance goes on meanwhile.
	Disturbance Disturbance
	// Observer is what a dispatcher in this process tells of its work; nil for nobody.
	Observer *alotwebhook.Observer
}

// Contender returns the contender of that name.
func (c Dispatchers) Contender(name string) Contender {
	return Contender{Name: name, prepare: c.prepare}
}

func (c Dispatchers) organizations() int {
	return max(1, min(cmp.Or(c.Organizations, c.Endpoints), c.Endpoints))
}

// types returns how many event types there are: as many as an organization has endpoints, or
// one if all of them get all events.
func (c Dispatchers) types() int {
	if c.FanOut {
		return 1
	}
	return (c.Endpoints + c.organizations() - 1) / c.organizations()
}

// stored returns how many deliveries are stored.
func (c Dispatchers) stored(l Load) int { return cmp.Or(c.Backlog, l.Deliveries+c.Warm) }

// perEvent returns how many deliveries an event has.
func (c Dispatchers) perEvent() int {
	if c.FanOut {
		return c.Endpoints / c.organizations()
	}
	return 1
}

func eventType(i int) string { return fmt.Sprintf("bench.type_%d", i) }

func organization(i int) string { return fmt.Sprintf("org_%d", i) }

func (c Dispatchers) prepare(ctx context.Context, rx *Receiver, l Load) (*work, error) {
	s, err := stores.New(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	closers := &stores.Closers{s.Close}
	w := &work{store: s, close: closers.Close, warm: c.Warm, more: c.stored(l) > l.Deliveries+c.Warm}
	if err := c.prepareOn(ctx, rx, l, w, closers); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// prepareOn fills the store of the work, and makes the dispatchers.
func (c Dispatchers) prepareOn(ctx context.Context, rx *Receiver, l Load, w *work, closers *stores.Closers) error {
	emitter, err := newLocal(w.store.Store, settings{InFlight: l.InFlight, Types: c.types(), observer: c.Observer})
	if err != nil {
		return err
	}
	if err := c.createEndpoints(ctx, emitter.dispatcher, rx.URL); err != nil {
		return err
	}
	if w.stored, err = c.fill(ctx, w.store, emitter.dispatcher, l); err != nil {
		return err
	}
	nodes, err := c.nodes(ctx, w.store.Place, emitter, l, closers)
	if err != nil {
		return err
	}
	if c.Disturbance.begin != nil {
		end, err := c.Disturbance.begin(ctx, w.store, emitter.dispatcher)
		if err != nil {
			return err
		}
		closers.Add(end)
	}
	t := &team{nodes: nodes, receiver: rx}
	w.run = t.run
	if c.Warm > 0 {
		w.warmUp = t.warmUp
	}
	w.check = func(ctx context.Context) error { return c.allDelivered(ctx, emitter.dispatcher, l) }
	return nil
}

// nodes returns the dispatchers that deliver.
func (c Dispatchers) nodes(ctx context.Context, at stores.Place, here *local, l Load, closers *stores.Closers) ([]node, error) {
	if c.Processes == 0 {
		return []node{here}, nil
	}
	var nodes []node
	for i := range c.Processes {
		share := (l.InFlight + c.Processes - 1 - i) / c.Processes
		p, err := child.Start(ctx, dispatcherRole, task{at, settings{InFlight: max(1, share), Types: c.types()}})
		if err != nil {
			return nil, err
		}
		closers.Add(func() error { p.Stop(); return nil })
		nodes = append(nodes, remote{p})
	}
	return nodes, nil
}

// team is the dispatchers of one contender.
type team struct {
	nodes    []node
	receiver *Receiver
	started  bool
}

func (t *team) warmUp(ctx context.Context, until int) error {
	t.started = true
	for _, n := range t.nodes {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	return t.receiver.wait(ctx, until)
}

// run returns once so many requests have arrived, and all outcomes are stored.
func (t *team) run(ctx context.Context, until int) (used, error) {
	for _, n := range t.nodes {
		if err := n.mark(ctx); err != nil {
			return used{}, err
		}
	}
	if !t.started {
		if err := t.warmUp(ctx, 0); err != nil {
			return used{}, err
		}
	}
	return t.stop(ctx, t.receiver.wait(ctx, until))
}

// stop returns what all of them used, and err with what failed.
func (t *team) stop(ctx context.Context, err error) (used, error) {
	results := make([]used, len(t.nodes))
	errs := make([]error, len(t.nodes))
	var wg sync.WaitGroup
	for i, n := range t.nodes {
		wg.Go(func() { results[i], errs[i] = n.stop(ctx) })
	}
	wg.Wait()
	var all used
	for _, u := range results {
		all.Children += u.Children
		all.Peak = max(all.Peak, u.Peak)
		all.Failures += u.Failures
	}
	if all.Failures > 0 {
		err = errors.Join(err, fmt.Errorf("%d attempts failed", all.Failures))
	}
	return all, errors.Join(err, errors.Join(errs...))
}

// createEndpoints makes all endpoints: number i is of organization i modulo their number.
func (c Dispatchers) createEndpoints(ctx context.Context, d *alotwebhook.Dispatcher, url string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < c.Endpoints; i = int(next.Add(1) - 1) {
				_, err := d.CreateEndpoint(ctx, alotwebhook.Endpoint{
					OrganizationID: organization(i % c.organizations()),
					URL:            fmt.Sprintf("%s/%d", url, i),
					EventTypes:     []string{c.typeOf(i)},
					Secret:         benchSecret,
				})
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (c Dispatchers) typeOf(endpoint int) string {
	if c.FanOut {
		return eventType(0)
	}
	return eventType(endpoint / c.organizations())
}

// fill stores the backlog in batches, and returns what that cost.
func (c Dispatchers) fill(ctx context.Context, s *stores.Store, d *alotwebhook.Dispatcher, l Load) (Cost, error) {
	deliveries := c.stored(l)
	began, before, err := time.Now(), stores.Used{}, error(nil)
	if before, err = s.Used(ctx); err != nil {
		return Cost{}, err
	}
	if err := c.emit(ctx, d, deliveries/c.perEvent(), l.Payload); err != nil {
		return Cost{}, err
	}
	took := time.Since(began)
	after, err := s.Used(ctx)
	if err != nil {
		return Cost{}, err
	}
	return cost(deliveries, took, before, after), s.Settle(ctx)
}

// emit emits events, to the endpoints in turns.
func (c Dispatchers) emit(ctx context.Context, d *alotwebhook.Dispatcher, n, payload int) error {
	batch := max(1, min(1000/c.perEvent(), (4<<20)/payload)) // of at most 4 MiB
	events := make([]alotwebhook.Event, 0, batch)
	targets := cmp.Or(c.Active, c.Endpoints)
	if c.FanOut {
		targets = c.organizations()
	}
	for i := range n {
		e, err := newEvent(c.typeOf(i%targets), organization(i%targets%c.organizations()), payload)
		if err != nil {
			return err
		}
		events = append(events, e)
		if len(events) == batch || i == n-1 {
			if err := d.Emit(ctx, events...); err != nil {
				return err
			}
			events = events[:0]
		}
	}
	return nil
}

// allDelivered checks that nothing is pending of a load that was to be delivered whole.
func (c Dispatchers) allDelivered(ctx context.Context, d *alotwebhook.Dispatcher, l Load) error {
	stats, err := d.Stats(ctx)
	if err != nil {
		return err
	}
	if most := c.stored(l) - l.Deliveries - c.Warm; stats.Pending > int64(most) {
		return fmt.Errorf("%d deliveries are still pending, more than %d", stats.Pending, most)
	}
	return nil
}
