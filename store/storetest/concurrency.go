package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var concurrencyRules = []rule{
	{"ClaimersShare", "If many goroutines claim at the same time, each delivery is claimed once.", claimersShare},
	{"Everything", "If many goroutines store, claim, finish and read at the same time, each delivery is delivered once, and in the end none is pending.", everythingAtOnce},
	{"Expiring", "If leases run out during the attempts, each delivery ends exactly once: all outcomes but one are lost.", expiringLeases},
	{"EnqueueWhileDisabling", "If events are stored while their endpoint is being disabled and enabled, the final state of the endpoint decides whether their deliveries are parked or pending.", enqueueWhileDisabling},
	{"EnqueueWhileDeleting", "If events are stored while their endpoint is being deleted, no delivery of it stays unfinished.", enqueueWhileDeleting},
	{"RedeliverBesideClaims", "If deliveries are redelivered while they are claimed and finished, none is claimed under lease.", redeliverBesideClaims},
	{"PurgeBesideWork", "If a purge goes on and endpoints are deleted while deliveries are stored, claimed and finished, no call fails, no outcome of another endpoint is lost, and each claim has its payload.", purgeBesideWork},
	{"EnqueueCutShort", "If its context ends meanwhile, Enqueue stores all of its batch or nothing, and can be repeated.", enqueueCutShort},
	{"FinishCutShort", "If its context ends meanwhile, Finish stores all of its batch or nothing, and can be repeated.", finishCutShort},
	{"RedeliverCutShort", "If its context ends meanwhile, Redeliver makes all of its batch due or nothing, and can be repeated.", redeliverCutShort},
	{"Cancelled", "With a context that has ended, a method returns an error and changes nothing.", cancelled},
}

// group runs goroutines, and keeps the first error that one returns.
type group struct {
	wg     sync.WaitGroup
	once   sync.Once
	err    error
	failed atomic.Bool
}

func (g *group) run(n int, fn func(worker int) error) {
	for i := range n {
		g.wg.Go(func() {
			if err := fn(i); err != nil {
				g.once.Do(func() { g.err = err })
				g.failed.Store(true)
			}
		})
	}
}

func (g *group) wait(t *trial) {
	t.Helper()
	g.wg.Wait()
	require.NoError(t, g.err)
}

// tally counts something for each delivery id.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[id]++
}

// Processes compete for the same deliveries all the time. A store that reads first and
// locks later gives one delivery to two of them.
func claimersShare(t *trial) {
	const total = 600
	t.endpoint("org_1", completed)
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, total/2)...)
	var claims tally
	var g group
	g.run(8, func(int) error {
		for range total { // bounds the loop for a store that returns deliveries for ever
			r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 20, PerEndpoint: 1000, Lease: long})
			if err != nil || len(r.Deliveries) == 0 {
				return err
			}
			for _, c := range r.Deliveries {
				claims.add(c.DeliveryID)
			}
		}
		return nil
	})
	g.wait(t)
	for _, c := range t.claim(total) { // a store may skip rows that another claim has locked
		claims.add(c.DeliveryID)
	}
	require.Len(t, claims.n, total, "every delivery is claimed")
	for id, n := range claims.n {
		require.Equal(t, 1, n, "%s was claimed again under lease", id)
	}
}

// Each method may be right by itself and still lose or repeat a delivery beside others.
// This is the ordinary work of several processes.
func everythingAtOnce(t *trial) {
	const endpoints, emitters, batches, batch = 8, 4, 10, 50
	for i := range endpoints {
		t.endpoint(fmt.Sprintf("org_%d", i%emitters), completed)
	}
	const total = batches * batch * endpoints
	var events [emitters][][]alotwebhook.Event // made here, since newEvents may fail the test and a goroutine must not
	for i := range events {
		for range batches {
			events[i] = append(events[i], newEvents(t, fmt.Sprintf("org_%d", i), completed, batch))
		}
	}
	var claims tally
	var ended atomic.Int64
	var g group
	g.run(emitters, func(i int) error {
		for _, b := range events[i] {
			if err := t.store.Enqueue(t.ctx(), b); err != nil {
				return err
			}
		}
		return nil
	})
	patience := t.patience()
	deadline := time.Now().Add(patience)
	g.run(8, func(int) error {
		for ended.Load() < total {
			if time.Now().After(deadline) {
				return fmt.Errorf("after %v %d of %d deliveries are delivered", patience, ended.Load(), total)
			}
			n, err := claimAndFinish(t, &claims)
			if err != nil {
				return err
			}
			ended.Add(int64(n))
		}
		return nil
	})
	g.run(1, func(int) error { // reads the history and the statistics meanwhile
		for ended.Load() < total && time.Now().Before(deadline) {
			if _, _, err := t.store.Deliveries(t.ctx(), alotwebhook.Filter{Limit: 20}); err != nil {
				return err
			}
			if _, err := t.store.Stats(t.ctx()); err != nil {
				return err
			}
			time.Sleep(time.Millisecond) // leaves the store to the others most of the time
		}
		return nil
	})
	g.wait(t)
	require.Len(t, claims.n, total)
	for id, n := range claims.n {
		require.Equal(t, 1, n, "%s was claimed %d times under leases of an hour", id, n)
	}
	require.Equal(t, alotwebhook.Stats{}, t.stats(), "at the end nothing is pending")
	list := t.list(alotwebhook.Filter{State: alotwebhook.StateDelivered, Limit: 1000})
	require.Len(t, list, total)
	for _, d := range list {
		require.Equal(t, 1, d.AttemptCount, "%s", d.ID)
	}
}

// claimAndFinish claims one batch, finishes it as delivered, and returns its size.
func claimAndFinish(t *trial, claims *tally) (int, error) {
	r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 64, PerEndpoint: 32, Lease: long})
	if err != nil {
		return 0, err
	}
	outcomes := make([]alotwebhook.Outcome, len(r.Deliveries))
	for i, c := range r.Deliveries {
		claims.add(c.DeliveryID)
		outcomes[i] = delivered(c)
	}
	lost, err := t.store.Finish(t.ctx(), outcomes)
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("outcomes of the newest claims were lost: %v", lost)
	}
	return len(outcomes), err
}

// On a slow database, leases run out while attempts are under way. However the calls
// interleave, one outcome counts.
func expiringLeases(t *trial) {
	const total = 60
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, total)...)
	var ends tally
	var ended atomic.Int64
	var g group
	patience := t.patience()
	deadline := time.Now().Add(patience)
	g.run(6, func(worker int) error {
		for ended.Load() < total {
			if time.Now().After(deadline) {
				return fmt.Errorf("after %v %d of %d deliveries have ended", patience, ended.Load(), total)
			}
			lease := 40 * time.Millisecond
			if worker == 0 {
				lease = long // this worker is always in time, so that the test ends
			}
			r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 5, PerEndpoint: 1000, Lease: lease})
			if err != nil {
				return err
			}
			if worker%2 == 1 {
				time.Sleep(60 * time.Millisecond) // longer than the lease
			}
			n, err := endAll(t, r.Deliveries, &ends)
			if err != nil {
				return err
			}
			ended.Add(n)
		}
		return nil
	})
	g.wait(t)
	require.Len(t, ends.n, total)
	for id, n := range ends.n {
		require.Equal(t, 1, n, "%s ended %d times", id, n)
		require.Len(t, t.delivery(id).Attempts, 1)
	}
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// endAll finishes claims as delivered, and returns how many outcomes were not lost.
func endAll(t *trial, claims []alotwebhook.Claimed, ends *tally) (int64, error) {
	outcomes := make([]alotwebhook.Outcome, len(claims))
	for i, c := range claims {
		outcomes[i] = delivered(c)
	}
	lost, err := t.store.Finish(t.ctx(), outcomes)
	if err != nil {
		return 0, err
	}
	isLost := map[string]bool{}
	for _, id := range lost {
		isLost[id] = true
	}
	for _, c := range claims {
		if !isLost[c.DeliveryID] {
			ends.add(c.DeliveryID)
		}
	}
	return int64(len(claims) - len(lost)), nil
}

// A delivery that is stored while the endpoint is being disabled must not stay pending,
// where it would be sent, or parked after enabling, where it would be forgotten.
func enqueueWhileDisabling(t *trial) {
	const total = 200
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, total)
	var g group
	g.run(4, func(i int) error {
		for _, event := range events[i*total/4 : (i+1)*total/4] {
			if err := t.store.Enqueue(t.ctx(), []alotwebhook.Event{event}); err != nil {
				return err
			}
		}
		return nil
	})
	g.run(1, func(int) error {
		for i := range 21 {
			e.Disabled = i%2 == 0 // the last change disables it
			if err := t.store.PutEndpoint(t.ctx(), e); err != nil {
				return err
			}
			e.Version++
		}
		return nil
	})
	g.wait(t)
	require.Equal(t, alotwebhook.Stats{Parked: total}, t.stats())
	require.Empty(t, t.claim(10))
	t.setDisabled(&e, false)
	require.ElementsMatch(t, idsOf(events, e), claimedIDs(t.claim(1000)), "all can be claimed once the endpoint is enabled")
}

// A store that reads the subscriptions first and writes later writes for an endpoint that is
// gone by then. Its deliveries would be pending for ever, and never 0 in Stats.
func enqueueWhileDeleting(t *trial) {
	const rounds, emitters, batches, batch = 10, 4, 5, 10
	for range rounds {
		e := t.endpoint("org_1", completed)
		events := newEvents(t, "org_1", completed, emitters*batches*batch)
		halfway := make(chan struct{})
		reached := sync.OnceFunc(func() { close(halfway) })
		var stored atomic.Int64
		var g group
		g.run(emitters, func(i int) error {
			defer reached() // also after an error
			for b := range batches {
				from := (i*batches + b) * batch
				if err := t.store.Enqueue(t.ctx(), events[from:from+batch]); err != nil {
					return err
				}
				if stored.Add(1) == emitters*batches/2 {
					reached()
				}
			}
			return nil
		})
		<-halfway
		require.NoError(t, t.store.DeleteEndpoint(t.ctx(), e.ID))
		g.wait(t)
		t.requireGone(e, events[0], events[len(events)-1])
	}
}

// A person clicks while the delivery is being sent. A store that reads the state first and
// writes later makes a delivery due that was claimed in between: it is sent twice.
func redeliverBesideClaims(t *trial) {
	const total = 240
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, total)
	t.enqueue(events...)
	ids := idsOf(events, e)
	first := t.claim(total)
	require.Len(t, first, total)
	outcomes := make([]alotwebhook.Outcome, total)
	for i, c := range first {
		if outcomes[i] = retry(c, long); i%2 == 0 {
			outcomes[i] = failed(c)
		}
	}
	t.finish(outcomes...)

	var claims tally
	var made, left atomic.Int64
	left.Store(4)
	var g group
	g.run(4, func(i int) error {
		defer left.Add(-1)
		for part := range slices.Chunk(ids, 20) {
			if i%2 == 0 {
				part = part[:10] // so that all have different batches
			}
			n, err := t.store.Redeliver(t.ctx(), part)
			if err != nil {
				return err
			}
			made.Add(int64(n))
		}
		return nil
	})
	g.run(4, func(int) error {
		for more := true; more; {
			more = left.Load() > 0
			r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 7, PerEndpoint: total, Lease: long})
			if err != nil {
				return err
			}
			for _, c := range r.Deliveries {
				claims.add(c.DeliveryID)
			}
		}
		return nil
	})
	g.wait(t)
	for _, c := range t.claim(total) {
		claims.add(c.DeliveryID)
	}
	require.Len(t, claims.n, total, "every delivery is claimed")
	for id, n := range claims.n {
		require.Equal(t, 1, n, "%s was claimed again under lease", id)
	}
	require.EqualValues(t, total, made.Load(), "Redeliver counts each delivery that it made due, once")
}

// Retention runs all day beside the deliveries, and customers come and go.
func purgeBesideWork(t *trial) {
	const keep, batches, batch = 4, 20, 20
	kept := map[string]bool{}
	var leaving []alotwebhook.Endpoint
	for range keep {
		kept[t.endpoint("org_1", completed).ID] = true
		leaving = append(leaving, t.endpoint("org_1", completed))
	}
	var emits [batches][]alotwebhook.Event
	for i := range emits {
		emits[i] = newEvents(t, "org_1", completed, batch)
	}
	var claims tally
	var ended atomic.Int64
	const total = keep * batches * batch // those of the endpoints that stay
	deadline := time.Now().Add(t.patience())
	var g group
	working := func() bool { return ended.Load() < total && !g.failed.Load() && time.Now().Before(deadline) }
	g.run(1, func(int) error {
		for i, events := range emits {
			if err := t.store.Enqueue(t.ctx(), events); err != nil {
				return err
			}
			if i%5 == 2 {
				if err := t.store.DeleteEndpoint(t.ctx(), leaving[i/5].ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	g.run(1, func(int) error {
		for working() {
			p := alotwebhook.PurgeRequest{Parked: soon, Payloads: soon, History: 20 * soon, Limit: 100}
			if _, err := t.store.Purge(t.ctx(), p); err != nil {
				return fmt.Errorf("Purge: %w", err)
			}
		}
		return nil
	})
	g.run(4, func(int) error {
		for working() {
			n, err := t.workBesidePurge(kept, &claims)
			if err != nil {
				return err
			}
			ended.Add(int64(n))
		}
		return nil
	})
	g.wait(t)
	require.EqualValues(t, total, ended.Load(), "each delivery of the endpoints that stay is delivered")
	for id, n := range claims.n {
		require.Equal(t, 1, n, "%s was claimed %d times under leases of an hour", id, n)
	}
	require.Empty(t, t.claim(1000))
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// workBesidePurge claims one batch, finishes it as delivered, and returns how many of the
// deliveries were to endpoints that are kept. Only outcomes of the others may be lost.
func (t *trial) workBesidePurge(kept map[string]bool, claims *tally) (n int, err error) {
	r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 30, PerEndpoint: 10, Lease: long})
	if err != nil {
		return 0, fmt.Errorf("Claim: %w", err)
	}
	outcomes := make([]alotwebhook.Outcome, len(r.Deliveries))
	to := map[string]string{}
	for i, c := range r.Deliveries {
		claims.add(c.DeliveryID)
		if len(c.Payload) == 0 {
			return 0, fmt.Errorf("%s is claimed without its payload, which was purged before it was finished", c.DeliveryID)
		}
		outcomes[i], to[c.DeliveryID] = delivered(c), c.Endpoint.ID
		if kept[c.Endpoint.ID] {
			n++
		}
	}
	lost, err := t.store.Finish(t.ctx(), outcomes)
	if err != nil {
		return 0, fmt.Errorf("Finish: %w", err)
	}
	for _, id := range lost {
		if kept[to[id]] {
			return 0, fmt.Errorf("the outcome of %s was lost, whose endpoint is there still", id)
		}
	}
	return n, nil
}

// A request of the host may end at any time. The call that it made must either be stored
// or return an error.
func cancelled(t *trial) {
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 2)
	c := t.claim(1)[0]
	ctx, cancel := context.WithCancel(t.ctx())
	cancel()
	event := newEvent(t, "org_1", completed)
	for name, call := range map[string]func() error{
		"Enqueue":        func() error { return t.store.Enqueue(ctx, []alotwebhook.Event{event}) },
		"EnqueueTo":      func() error { return t.store.EnqueueTo(ctx, e.ID, event) },
		"PutEndpoint":    func() error { return t.store.PutEndpoint(ctx, e) },
		"DeleteEndpoint": func() error { return t.store.DeleteEndpoint(ctx, e.ID) },
		"Claim": func() error {
			_, err := t.store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: long})
			return err
		},
		"Finish":     func() error { _, err := t.store.Finish(ctx, []alotwebhook.Outcome{delivered(c)}); return err },
		"Redeliver":  func() error { _, err := t.store.Redeliver(ctx, []string{c.DeliveryID}); return err },
		"Endpoint":   func() error { _, err := t.store.Endpoint(ctx, e.ID); return err },
		"Endpoints":  func() error { _, _, err := t.store.Endpoints(ctx, alotwebhook.EndpointFilter{}); return err },
		"Event":      func() error { _, err := t.store.Event(ctx, event.ID); return err },
		"Deliveries": func() error { _, _, err := t.store.Deliveries(ctx, alotwebhook.Filter{}); return err },
		"Delivery":   func() error { _, err := t.store.Delivery(ctx, c.DeliveryID); return err },
		"Purge":      func() error { _, err := t.store.Purge(ctx, alotwebhook.PurgeRequest{}); return err },
		"Stats":      func() error { _, err := t.store.Stats(ctx); return err },
	} {
		require.Error(t, call(), name)
	}
	require.Len(t, t.claim(10), 1, "the failed calls of Claim and Enqueue changed nothing")
	t.finish(delivered(c))
	t.enqueue(event)
	t.claimOne()
	t.put(&e)
}
