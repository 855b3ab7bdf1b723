package storetest

import (
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
	{"CancelBesideFinishes", "If deliveries are canceled while their outcomes are stored, each ends once: it is canceled and its outcome is lost, or the other way round.", cancelBesideFinishes},
	{"EraseBesideWork", "If events are erased while their deliveries are claimed and finished, each delivery ends once, and nothing of them is left.", eraseBesideWork},
	{"RemoveBesideWork", "If an organization is removed while its deliveries and those of others are stored, claimed and finished, no call fails, and no outcome of another organization is lost.", removeBesideWork},
	{"EnqueueCutShort", "If its context ends meanwhile, Enqueue stores all of its batch or nothing, and can be repeated.", enqueueCutShort},
	{"FinishCutShort", "If its context ends meanwhile, Finish stores all of its batch or nothing, and can be repeated.", finishCutShort},
	{"RedeliverCutShort", "If its context ends meanwhile, Redeliver makes all of its batch due or nothing, and can be repeated.", redeliverCutShort},
	{"CancelCutShort", "If its context ends meanwhile, Cancel fails all of its batch or nothing, and can be repeated.", cancelCutShort},
	{"EraseCutShort", "If its context ends meanwhile, Erase erases all of its page or nothing, and can be repeated.", eraseCutShort},
	{"RemoveCutShort", "If its context ends meanwhile, Remove leaves nothing unfinished of what it has deleted, and can be repeated.", removeCutShort},
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

// crew is a group whose workers go on until total deliveries have ended.
type crew struct {
	group
	total    int64
	ended    atomic.Int64
	patience time.Duration
	deadline time.Time
}

func (t *trial) crew(total int64) *crew {
	patience := t.patience()
	return &crew{total: total, patience: patience, deadline: time.Now().Add(patience)}
}

// work has n workers call fn again and again. It returns how many deliveries it has ended.
func (c *crew) work(n int, fn func(worker int) (ended int, err error)) {
	c.run(n, func(worker int) error {
		for c.working() {
			if time.Now().After(c.deadline) {
				return fmt.Errorf("after %v %d of %d deliveries have ended", c.patience, c.ended.Load(), c.total)
			}
			ended, err := fn(worker)
			if err != nil {
				return err
			}
			c.ended.Add(int64(ended))
		}
		return nil
	})
}

// meanwhile calls fn again and again for as long as the others work.
func (c *crew) meanwhile(fn func() error) {
	c.run(1, func(int) error {
		for c.working() && time.Now().Before(c.deadline) {
			if err := fn(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *crew) working() bool { return c.ended.Load() < c.total && !c.failed.Load() }

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

// addAll adds each of the claims.
func (c *tally) addAll(claims []alotwebhook.Claimed) {
	for _, one := range claims {
		c.add(one.DeliveryID)
	}
}

// requireOnce requires that each delivery was counted once. All claims had long leases.
func (c *tally) requireOnce(t *trial) {
	t.Helper()
	for id, n := range c.n {
		require.Equal(t, 1, n, "%s was claimed %d times under leases of an hour", id, n)
	}
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
			claims.addAll(r.Deliveries)
		}
		return nil
	})
	g.wait(t)
	claims.addAll(t.claim(total)) // a store may skip rows that another claim has locked
	require.Len(t, claims.n, total, "every delivery is claimed")
	claims.requireOnce(t)
}

// Each method may be right by itself and still lose or repeat a delivery beside others: several
// processes at their ordinary work call all of them at once.
func everythingAtOnce(t *trial) {
	const endpoints, emitters, batches, batch = 8, 4, 10, 50
	const total = batches * batch * endpoints
	for i := range endpoints {
		t.endpoint(fmt.Sprintf("org_%d", i%emitters), completed)
	}
	var emits [emitters][][]alotwebhook.Event // made here, since newEvents may fail the test and a goroutine must not
	for i := range emits {
		for range batches {
			emits[i] = append(emits[i], newEvents(t, fmt.Sprintf("org_%d", i), completed, batch))
		}
	}
	var claims tally
	c := t.crew(total)
	c.run(emitters, func(i int) error { return t.enqueueEach(emits[i]) })
	c.work(8, func(int) (int, error) { return claimAndFinish(t, &claims) })
	c.meanwhile(func() error { return t.lookAround() })
	c.wait(t)
	require.Len(t, claims.n, total)
	claims.requireOnce(t)
	require.Equal(t, alotwebhook.Stats{}, t.stats(), "at the end nothing is pending")
	list := t.list(alotwebhook.Filter{State: alotwebhook.StateDelivered, Limit: 1000})
	require.Len(t, list, total)
	for _, d := range list {
		require.Equal(t, 1, d.AttemptCount, "%s", d.ID)
	}
}

// enqueueEach stores batches one after the other.
func (t *trial) enqueueEach(batches [][]alotwebhook.Event) error {
	for _, b := range batches {
		if err := t.store.Enqueue(t.ctx(), b); err != nil {
			return err
		}
	}
	return nil
}

// lookAround reads the history and the statistics, and then leaves the store to the others for
// a while.
func (t *trial) lookAround() error {
	if _, _, err := t.store.Deliveries(t.ctx(), alotwebhook.Filter{Limit: 20}); err != nil {
		return err
	}
	if _, err := t.store.Stats(t.ctx()); err != nil {
		return err
	}
	time.Sleep(time.Millisecond) // a pause, which no result depends on: without it the reader would slow the work down
	return nil
}

// claimAndFinish claims one batch, finishes it as delivered, and returns its size.
func claimAndFinish(t *trial, claims *tally) (int, error) {
	r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 64, PerEndpoint: 32, Lease: long})
	if err != nil {
		return 0, err
	}
	claims.addAll(r.Deliveries)
	lost, err := t.store.Finish(t.ctx(), allDelivered(r.Deliveries))
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("outcomes of the newest claims were lost: %v", lost)
	}
	return len(r.Deliveries), err
}

// On a slow database, leases run out while attempts are under way. However the calls
// interleave, one outcome counts.
func expiringLeases(t *trial) {
	const total = 60
	t.endpoint("org_1", completed)
	t.enqueue(newEvents(t, "org_1", completed, total)...)
	var ends tally
	crew := t.crew(total)
	crew.work(6, func(worker int) (int, error) {
		lease := 40 * time.Millisecond
		if worker == 0 {
			lease = long // this worker is always in time, so that the test ends
		}
		r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: 5, PerEndpoint: 1000, Lease: lease})
		if err != nil {
			return 0, err
		}
		if worker%2 == 1 {
			time.Sleep(60 * time.Millisecond) // the attempt, which takes longer than its lease
		}
		return endAll(t, r.Deliveries, &ends)
	})
	crew.wait(t)
	require.Len(t, ends.n, total)
	for id, n := range ends.n {
		require.Equal(t, 1, n, "%s ended %d times", id, n)
		require.Len(t, t.delivery(id).Attempts, 1)
	}
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}

// endAll finishes claims as delivered, and returns how many outcomes were not lost.
func endAll(t *trial, claims []alotwebhook.Claimed, ends *tally) (int, error) {
	lost, err := t.store.Finish(t.ctx(), allDelivered(claims))
	if err != nil {
		return 0, err
	}
	for _, c := range claims {
		if !slices.Contains(lost, c.DeliveryID) {
			ends.add(c.DeliveryID)
		}
	}
	return len(claims) - len(lost), nil
}
