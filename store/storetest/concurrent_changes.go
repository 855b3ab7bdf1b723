package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

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
	require.Equal(t, alotwebhook.Stats{Parked: total, DisabledEndpoints: 1}, t.stats())
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
	t.failHalf(total)
	ids := idsOf(events, e)
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
			claims.addAll(r.Deliveries)
		}
		return nil
	})
	g.wait(t)
	claims.addAll(t.claim(total))
	require.Len(t, claims.n, total, "every delivery is claimed")
	claims.requireOnce(t)
	require.EqualValues(t, total, made.Load(), "Redeliver counts each delivery that it made due, once")
}

// failHalf claims n deliveries. It fails every second one, and has the others wait for a retry.
func (t *trial) failHalf(n int) {
	t.Helper()
	claims := t.claim(n)
	require.Len(t, claims, n)
	outcomes := make([]alotwebhook.Outcome, n)
	for i, c := range claims {
		if outcomes[i] = retry(c, long); i%2 == 0 {
			outcomes[i] = failed(c)
		}
	}
	t.finish(outcomes...)
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
	const total = keep * batches * batch // those of the endpoints that stay
	c := t.crew(total)
	c.run(1, func(int) error {
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
	c.meanwhile(func() error {
		_, err := t.store.Purge(t.ctx(), alotwebhook.PurgeRequest{Parked: soon, Payloads: soon, History: 20 * soon, Limit: 100})
		if err != nil {
			err = fmt.Errorf("Purge: %w", err)
		}
		return err
	})
	c.work(4, func(int) (int, error) { return t.workBesidePurge(kept, &claims) })
	c.wait(t)
	require.EqualValues(t, total, c.ended.Load(), "each delivery of the endpoints that stay is delivered")
	claims.requireOnce(t)
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

// Somebody cancels what is under way at that moment. The history must say what the caller was told,
// and the batches of both come in any order.
func cancelBesideFinishes(t *trial) {
	const rounds, batches, batch = 10, 5, 5
	e := t.endpoint("org_1", completed)
	for range rounds {
		events := newEvents(t, "org_1", completed, batches*batch)
		t.enqueue(events...)
		claims, ids := t.claim(100), idsOf(events, e)
		require.Len(t, claims, len(ids))
		slices.Reverse(ids)
		var lost []string
		canceled := 0
		var g group
		g.run(1, func(int) error {
			for part := range slices.Chunk(claims, batch) {
				some, err := t.store.Finish(t.ctx(), allDelivered(part))
				if err != nil {
					return err
				}
				lost = append(lost, some...)
			}
			return nil
		})
		g.run(1, func(int) error {
			for part := range slices.Chunk(ids, batch) {
				n, err := t.store.Cancel(t.ctx(), part)
				if err != nil {
					return err
				}
				canceled += n
			}
			return nil
		})
		g.wait(t)
		var wantLost []string
		for _, d := range t.deliveriesOf(events, e) {
			if d.State == alotwebhook.StateDelivered {
				require.Equal(t, []any{1, alotwebhook.FailureReason("")}, []any{d.AttemptCount, d.LastReason})
				continue
			}
			requireCanceled(t, d, 0)
			wantLost = append(wantLost, d.ID)
		}
		require.ElementsMatch(t, wantLost, lost)
		require.Equal(t, len(wantLost), canceled, "it says how many it has canceled")
	}
	require.Zero(t, t.stats())
}

// Somebody is to be forgotten whose events are being sent at that moment. What a receiver answers must
// not be stored behind the back of whoever erases.
func eraseBesideWork(t *trial) {
	const rounds, batch = 10, 5
	e := t.endpoint("org_1", completed)
	for range rounds {
		events := newPersonals(t, "org_1", 10*batch)
		t.enqueue(events...)
		claims := t.claim(5 * batch)
		var g group
		g.run(1, func(int) error {
			for part := range slices.Chunk(claims, batch) {
				if _, err := t.store.Finish(t.ctx(), allTelling(part)); err != nil {
					return err
				}
			}
			return nil
		})
		g.run(1, func(int) error {
			for range 5 {
				r, err := t.store.Claim(t.ctx(), alotwebhook.ClaimRequest{Limit: batch, PerEndpoint: 100, Lease: long})
				if err == nil {
					_, err = t.store.Finish(t.ctx(), allTelling(r.Deliveries))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		g.run(1, func(int) error {
			r := alotwebhook.Recovery{Subject: personal[1], State: alotwebhook.RecoveryErasing}
			for more := true; more; more = r.Cursor != "" {
				var err error
				if _, r.Cursor, err = t.store.Erase(t.ctx(), r, 2*batch); err != nil {
					return err
				}
			}
			return nil
		})
		g.wait(t)
		t.requireForgotten(events...)
		for _, d := range t.deliveriesOf(events, e) {
			if d.State != alotwebhook.StateDelivered {
				requireErasedAfter(t, d, 0)
			}
		}
		require.Empty(t, t.claim(1000))
	}
	require.Zero(t, t.stats())
}

// allTelling returns the outcomes of claims that were delivered, with what the receivers answered.
func allTelling(claims []alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := allDelivered(claims)
	for i := range outcomes {
		outcomes[i] = telling(outcomes[i])
	}
	return outcomes
}
