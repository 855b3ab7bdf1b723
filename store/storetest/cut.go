package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// cutShort calls try with contexts that end ever later, until the call under test is not
// cut short any more. try reports whether the call came to its end.
//
// The first contexts end after a number of looks at them: so a store that looks between
// two steps is cut there on any machine. The others end after a time: so it is cut while
// the database works.
func (t *trial) cutShort(try func(ctx context.Context) (whole bool, err error)) {
	t.Helper()
	for looks := int64(1); ; looks += 1 + looks/4 {
		ctx, cancel := endsAfterLooks(t.ctx(), looks)
		whole, err := try(ctx)
		cancel()
		require.Equal(t, err == nil, whole)
		if whole {
			break
		}
	}
	for after := 100 * time.Microsecond; after < t.patience(); after += after / 3 {
		ctx, cancel := context.WithTimeout(t.ctx(), after)
		whole, err := try(ctx)
		cancel()
		require.Equal(t, err == nil, whole)
		if whole {
			break
		}
	}
}

// lookedAt is a context that ends when it was looked at for a number of times.
type lookedAt struct {
	context.Context
	left   atomic.Int64
	cancel context.CancelFunc
}

func endsAfterLooks(parent context.Context, looks int64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	c := &lookedAt{Context: ctx, cancel: cancel}
	c.left.Store(looks)
	return c, cancel
}

func (c *lookedAt) look() {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
}

// Done implements [context.Context].
func (c *lookedAt) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}

// Err implements [context.Context].
func (c *lookedAt) Err() error {
	c.look()
	return c.Context.Err()
}

// A caller that gets an error repeats the call. If a part of the batch was stored, that
// part is stored already then: an event without its deliveries would never be sent.
func enqueueCutShort(t *trial) { t.cutEnqueueShort(t.store.Enqueue) }

// cutEnqueueShort requires of a way to store events that it stores all or none when it is cut
// short, and that Enqueue can store them afterwards.
func (t *trial) cutEnqueueShort(enqueue func(ctx context.Context, events []alotwebhook.Event) error) {
	t.Helper()
	e := t.endpoint("org_1", completed)
	t.cutShort(func(ctx context.Context) (bool, error) {
		events := newEvents(t, "org_1", completed, 100)
		err := enqueue(ctx, events)
		requireWhole(t, 100, len(t.deliveriesOf(events, e)), err)
		t.enqueue(events...)
		require.Len(t, t.deliveriesOf(events, e), 100, "the call can be repeated after an error")
		return err == nil, err
	})
}

// requireWhole requires that a call which has returned err did its work for all n members of its
// batch, or for none of them and with an error.
func requireWhole(t *trial, n, done int, err error) {
	t.Helper()
	require.Contains(t, []int{0, n}, done, "a part of the batch was stored")
	if err == nil {
		require.Equal(t, n, done)
	}
}

// deliveriesOf returns the deliveries of the events to e.
func (t *trial) deliveriesOf(events []alotwebhook.Event, e alotwebhook.Endpoint) []alotwebhook.Delivery {
	t.Helper()
	of := map[string]bool{}
	for _, id := range idsOf(events, e) {
		of[id] = true
	}
	all := t.list(alotwebhook.Filter{EndpointID: e.ID, Limit: 1000})
	return slices.DeleteFunc(all, func(d alotwebhook.Delivery) bool { return !of[d.ID] })
}

// A dispatcher repeats a batch after an error. An outcome that was stored the first time would be
// lost then, and the delivery might be sent once more.
func finishCutShort(t *trial) {
	e := t.endpoint("org_1", completed)
	t.cutShort(func(ctx context.Context) (bool, error) {
		events := newEvents(t, "org_1", completed, 100)
		t.enqueue(events...)
		claims := t.claim(100)
		require.Len(t, claims, 100)
		outcomes := make([]alotwebhook.Outcome, len(claims))
		for i, c := range claims {
			if outcomes[i] = delivered(c); i%2 == 0 {
				outcomes[i] = retry(c, long)
			}
		}
		lost, err := t.store.Finish(ctx, outcomes)
		require.Empty(t, lost)
		stored := t.attemptsOf(events, e)
		requireWhole(t, 100, stored, err)
		// A database may go on after the caller has given up: then it stores them by itself.
		lost = t.lost(outcomes...)
		require.Contains(t, []int{stored, 100}, len(lost), "what was stored is lost when it is stored again, and nothing else")
		require.Equal(t, 100, t.attemptsOf(events, e), "the call can be repeated after an error")
		return err == nil, err
	})
}

// attemptsOf returns how many attempts the deliveries of the events to e have together.
func (t *trial) attemptsOf(events []alotwebhook.Event, e alotwebhook.Endpoint) (n int) {
	t.Helper()
	for _, d := range t.deliveriesOf(events, e) {
		n += d.AttemptCount
	}
	return n
}

// A recovery tells its owner how many deliveries it has sent again. If half of a batch were made
// due, that number would be wrong.
func redeliverCutShort(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 100)
	t.enqueue(events...)
	ids := idsOf(events, e)
	t.cutShort(func(ctx context.Context) (bool, error) {
		claims := t.claim(1000)
		outcomes := make([]alotwebhook.Outcome, len(claims))
		for i, c := range claims {
			outcomes[i] = failed(c)
		}
		t.finish(outcomes...)
		n, err := t.store.Redeliver(ctx, ids)
		due := len(t.list(alotwebhook.Filter{EndpointID: e.ID, State: alotwebhook.StatePending, Limit: 1000}))
		requireWhole(t, 100, due, err)
		require.Contains(t, []int{0, 100}, n)
		require.Contains(t, []int{0, 100 - due}, t.redeliver(ids...), "the call can be repeated after an error")
		return err == nil, err
	})
}

// Whoever cancels reads how many deliveries that were. If half of a batch had failed before an error,
// that number would be wrong.
func cancelCutShort(t *trial) {
	e := t.endpoint("org_1", completed)
	t.cutShort(func(ctx context.Context) (bool, error) {
		events := newEvents(t, "org_1", completed, 100)
		t.enqueue(events...)
		ids := idsOf(events, e)
		n, err := t.store.Cancel(ctx, ids)
		canceled := 0
		for _, d := range t.deliveriesOf(events, e) {
			if d.State == alotwebhook.StateFailed {
				canceled++
			}
		}
		requireWhole(t, 100, canceled, err)
		require.Contains(t, []int{0, 100}, n)
		require.Contains(t, []int{0, 100 - canceled}, t.cancel(ids...), "the call can be repeated after an error")
		return err == nil, err
	})
}

// Whoever erases is told that it is done, or repeats the page.
func eraseCutShort(t *trial) {
	t.cutEraseShort(func(ctx context.Context, r alotwebhook.Recovery) error {
		_, _, err := t.store.Erase(ctx, r, 1000)
		return err
	})
}

// cutEraseShort requires of a way to erase a page that it erases all or nothing when it is cut short,
// and that Erase can erase the rest afterwards.
func (t *trial) cutEraseShort(erase func(ctx context.Context, r alotwebhook.Recovery) error) {
	t.Helper()
	t.endpoint("org_1", completed)
	run := 0
	t.cutShort(func(ctx context.Context) (bool, error) {
		run++
		r := alotwebhook.Recovery{Subject: fmt.Sprintf("cand_%d", run), State: alotwebhook.RecoveryErasing}
		events := newEvents(t, "org_1", completed, 100)
		for i := range events {
			events[i].Subject = r.Subject
		}
		t.enqueue(events...)
		err := erase(ctx, r)
		erased := 100 - len(t.list(alotwebhook.Filter{Subject: r.Subject, State: alotwebhook.StatePending, Limit: 1000}))
		requireWhole(t, 100, erased, err)
		require.Contains(t, []int{0, 100 - erased}, t.erase(r), "the call can be repeated after an error")
		t.requireErased(events[0], events[49], events[99])
		require.Empty(t, t.ofSubject(r.Subject))
		return err == nil, err
	})
}

// A process adds a batch of tallies again after an error. If half of it was stored the first time,
// that half would count twice.
func talliesCutShort(t *trial, s alotwebhook.Tallier) {
	t.cutShort(func(ctx context.Context) (bool, error) {
		var batch []alotwebhook.Tally
		var ids []string
		for range 100 {
			id := newEndpoint(t, "org_1").ID
			ids = append(ids, id)
			batch = append(batch, tallyOf(id, talliedHour))
		}
		err := s.AddTallies(ctx, batch)
		got, readErr := s.Tallies(t.ctx(), ids, talliedHour)
		require.NoError(t, readErr)
		requireWhole(t, 100, len(got), err)
		return err == nil, err
	})
}

// A request of the host may end at any time. The call that it made must either be stored
// or return an error.
func cancelled(t *trial) {
	e := t.endpoint("org_1", completed)
	told := newOperation(t, alotwebhook.OpEndpointChanged, e)
	t.putWith(&e, told)
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
		"Operations":       func() error { _, _, err := t.store.Operations(ctx, alotwebhook.OperationFilter{}); return err },
		"ClaimOperations":  func() error { _, err := t.store.ClaimOperations(ctx, 1, long); return err },
		"FinishOperations": func() error { return t.store.FinishOperations(ctx, []string{told.ID}, 0) },
		"Finish":           func() error { _, err := t.store.Finish(ctx, []alotwebhook.Outcome{delivered(c)}); return err },
		"Redeliver":        func() error { _, err := t.store.Redeliver(ctx, []string{c.DeliveryID}); return err },
		"Endpoint":         func() error { _, err := t.store.Endpoint(ctx, e.ID); return err },
		"Endpoints":        func() error { _, _, err := t.store.Endpoints(ctx, alotwebhook.EndpointFilter{}); return err },
		"Event":            func() error { _, err := t.store.Event(ctx, event.ID); return err },
		"Deliveries":       func() error { _, _, err := t.store.Deliveries(ctx, alotwebhook.Filter{}); return err },
		"Delivery":         func() error { _, err := t.store.Delivery(ctx, c.DeliveryID); return err },
		"Purge":            func() error { _, err := t.store.Purge(ctx, alotwebhook.PurgeRequest{}); return err },
		"Stats":            func() error { _, err := t.store.Stats(ctx); return err },
		"Erase": func() error {
			_, _, err := t.store.Erase(ctx, alotwebhook.Recovery{OrganizationID: "org_1", State: alotwebhook.RecoveryErasing}, 10)
			return err
		},
		"Remove": func() error { _, err := t.store.Remove(ctx, "org_1", 10); return err },
		"Cancel": func() error { _, err := t.store.Cancel(ctx, []string{c.DeliveryID}); return err },
	} {
		require.Error(t, call(), name)
	}
	require.Len(t, t.claimOperations(10, long), 1, "the failed calls of ClaimOperations and FinishOperations changed nothing")
	require.Len(t, t.claim(10), 1, "the failed calls of Claim and Enqueue changed nothing")
	t.finish(delivered(c))
	t.enqueue(event)
	t.claimOne()
	t.put(&e)
}
