package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Host has the two parts that [RunTx] needs: a store, and the transactions of a host on its database.
type Host struct {
	// Store is new and empty.
	Store alotwebhook.Store
	// Begin begins a transaction. Several may be open at once.
	Begin func(ctx context.Context) (Tx, error)
	// OneWriter says that the database lets one transaction write at a time, as SQLite
	// does. What writes then waits for an open transaction, and RunTx leaves out the rules
	// that say otherwise.
	OneWriter bool
}

// Tx is an open transaction of a host.
type Tx struct {
	// Enqueuer stores events in the transaction, and erases with its method Erase. Usually the
	// store's method Tx returns it.
	Enqueuer alotwebhook.Enqueuer
	// Commit and Rollback end the transaction. Commit returns an error unless everything
	// that was done in it is stored.
	Commit, Rollback func() error
}

// RunTx tests each rule of [alotwebhook.Enqueuer] for transactions of a host's own. It calls
// open once for each rule, from several goroutines at the same time, and lets tb.Cleanup
// close what it opens. A store with several methods for transactions, as for several
// drivers, is tested with each.
func RunTx(t *testing.T, open func(tb testing.TB) Host) {
	t.Helper()
	runRules(t, []topic{{"Tx", txRules}}, func(tb testing.TB) *trial {
		tb.Helper()
		host := open(tb)
		return &trial{store: host.Store, values: 1, host: host}
	})
}

var txRules = []rule{
	{"Commits", "What is stored in a transaction is there once it has committed.", txCommits},
	{"RollsBack", "What is stored in a transaction that is rolled back was never there.", txRollsBack},
	{"NotBeforeCommit", "What is stored in a transaction is neither claimed nor shown before it commits.", txNotBeforeCommit},
	{"LateCommit", "What commits late is claimed, whatever was claimed meanwhile.", txLateCommit},
	{"StoredAlready", "An event that is stored already changes nothing, whether it was stored before the transaction, or in it.", txStoredAlready},
	{"StoredAfterRollback", "An event of a transaction that was rolled back can be stored.", txStoredAfterRollback},
	{"SameIDConcurrently", "If several transactions store the same event, it is stored once; one that rolls back takes nothing from the others.", txSameIDConcurrently},
	{"HoldsUpNothing", "An open transaction holds up no Claim, Finish, PutEndpoint, Redeliver or Enqueue.", txHoldsUpNothing},
	{"ErrorStoresNothing", "After an error of Enqueue, nothing of its batch is stored, even if the host commits. What stood in the transaction before is stored then.", txErrorStoresNothing},
	{"CutShort", "If the context of Enqueue ends, nothing or all of its batch is stored, even if the host commits.", txCutShort},
	{"DueFromEnqueue", "A delivery is due from when Enqueue was called, not from when the transaction began.", txDueFromEnqueue},
	{"EndpointDeletedMeanwhile", "If an endpoint is deleted before the transaction commits, its delivery is not pending afterwards.", txEndpointDeletedMeanwhile},
	{"EndpointDisabledMeanwhile", "If an endpoint is disabled before the transaction commits, its delivery is parked afterwards.", txEndpointDisabledMeanwhile},
	{"KeepsTraceParent", "An event that is stored in a transaction keeps its TraceParent.", txKeepsTraceParent},
	{"KeepsSubject", "An event that is stored in a transaction keeps its Subject.", txKeepsSubject},
	{"Subscriptions", "An event that is stored in a transaction goes once to each endpoint that subscribes to its type, to \"*\" or to a beginning of it.", txSubscriptions},
	{"EraseCommits", "What is erased in a transaction is gone once it has committed: unfinished deliveries fail, and outcomes of those that are leased are lost.", txEraseCommits},
	{"EraseRollsBack", "What is erased in a transaction that is rolled back is there as before, and is delivered.", txEraseRollsBack},
	{"EraseNotBeforeCommit", "What is erased in a transaction is there for everybody else before it commits.", txEraseNotBeforeCommit},
	{"EraseItsOwn", "A transaction erases what it has stored itself before, and nothing that it stores later.", txEraseItsOwn},
	{"EraseHoldsUpNobodyElse", "An open transaction that has erased holds up no Claim, Enqueue or PutEndpoint, and no Finish or Redeliver of other deliveries.", txEraseHoldsUpNobodyElse},
	{"EraseCutShort", "If the context of Erase ends, nothing or all of its page is erased, even if the host commits.", txEraseCutShort},
	{"EraseErrorLeavesTheRest", "After an error of Erase, what stood in the transaction before is stored if the host commits.", txEraseErrorLeavesTheRest},
	{"FeedLateCommit", "What commits late appears in the feed behind what was read meanwhile.", with(txFeedLateCommit)},
	{"FeedRollsBack", "What is rolled back holds up no feed.", with(txFeedRollsBack)},
	{"NothingToStore", "An empty batch is no error.", txNothingToStore},
}

// begin begins a transaction of the host's. It is rolled back at the end, unless it has
// ended by then.
func (t *trial) begin() Tx {
	t.Helper()
	// A context of its own: database/sql rolls back when a transaction's context ends.
	tx, err := t.host.Begin(context.WithoutCancel(t.ctx()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (t *trial) enqueueIn(tx Tx, events ...alotwebhook.Event) {
	t.Helper()
	require.NoError(t, tx.Enqueuer.Enqueue(t.ctx(), events))
}

// requireUnknown requires that none of these events is stored.
func (t *trial) requireUnknown(events ...alotwebhook.Event) {
	t.Helper()
	for _, event := range events {
		_, err := t.store.Event(t.ctx(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, "event %s", event.ID)
	}
}

// The library is there to deliver an event if, and only if, the host's own rows are stored.
func txCommits(t *trial) {
	e := t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 3)
	tx := t.begin()
	t.enqueueIn(tx, events[:2]...)
	t.enqueueIn(tx, events[2])
	require.NoError(t, tx.Commit())
	require.ElementsMatch(t, idsOf(events, e), deliveryIDs(t.list(alotwebhook.Filter{})))
	claims := t.claim(10)
	require.ElementsMatch(t, idsOf(events, e), claimedIDs(claims))
	for _, event := range events {
		stored, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err)
		require.Equal(t, string(event.Payload()), string(stored.Payload()))
	}
	t.finishAll(claims)
}

// A customer must not be told of a candidate that was never stored.
func txRollsBack(t *trial) {
	t.endpoint("org_1", completed)
	events := newEvents(t, "org_1", completed, 3)
	tx := t.begin()
	t.enqueueIn(tx, events...)
	require.NoError(t, tx.Rollback())
	t.requireUnknown(events...)
	require.Empty(t, t.list(alotwebhook.Filter{}))
	require.Equal(t, alotwebhook.Stats{}, t.stats())
	require.Empty(t, t.claim(10))
}

// An open transaction may still be rolled back. And a customer who asks for the candidate on
// hearing of it must find it.
func txNotBeforeCommit(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	tx := t.begin()
	t.enqueueIn(tx, event)
	t.requireUnknown(event)
	require.Empty(t, t.list(alotwebhook.Filter{}))
	require.Equal(t, alotwebhook.Stats{}, t.stats())
	if !t.host.OneWriter {
		for range 3 {
			require.Empty(t, t.claim(10))
		}
	}
	require.NoError(t, tx.Commit())
	require.Equal(t, event.ID, t.claimOne().EventID)
}

// Transactions last, and overlap. A store that remembers how far it has claimed must not
// step over what commits behind that place.
func txLateCommit(t *trial) {
	if t.host.OneWriter {
		t.Skip("nothing is stored while a transaction is open: Host.OneWriter")
	}
	e := t.endpoint("org_1", completed)
	late := newEvents(t, "org_1", completed, 2)
	first, second := t.begin(), t.begin()
	t.enqueueIn(first, late[0])
	t.enqueueIn(second, late[1])
	t.emit("org_1", completed, 3)
	claims := t.claim(10)
	require.Len(t, claims, 3)
	t.finish(delivered(claims[0]), retry(claims[1], long))
	require.NoError(t, second.Commit())
	require.Equal(t, late[1].ID, t.claimOne().EventID)
	t.emit("org_1", completed, 1)
	t.claimOne()
	require.NoError(t, first.Commit())
	require.Equal(t, idsOf(late[:1], e)[0], t.claimOne().DeliveryID)
}

// A host that does not learn whether a commit has succeeded repeats the transaction.
func txStoredAlready(t *trial) {
	t.endpoint("org_1", completed)
	old, fresh := newEvent(t, "org_1", completed), newEvent(t, "org_1", completed)
	t.enqueue(old)
	tx := t.begin()
	for range 2 {
		t.enqueueIn(tx, old, fresh, fresh)
	}
	require.NoError(t, tx.Commit())
	tx = t.begin()
	t.enqueueIn(tx, fresh, old)
	require.NoError(t, tx.Commit())
	require.Len(t, t.list(alotwebhook.Filter{}), 2)
	require.Len(t, t.claim(10), 2)
}

// After an error the host rolls back, mends its data, and tries again with the same event.
func txStoredAfterRollback(t *trial) {
	t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	tx := t.begin()
	t.enqueueIn(tx, event)
	require.NoError(t, tx.Rollback())
	tx = t.begin()
	t.enqueueIn(tx, event)
	require.NoError(t, tx.Commit())
	require.Equal(t, event.ID, t.claimOne().EventID)
}

// Two processes may handle the same request. Whoever comes second waits for the first, and
// stores the event if that rolls back.
func txSameIDConcurrently(t *trial) {
	t.endpoint("org_1", completed)
	for _, end := range []string{"commits", "rolls back"} {
		event := newEvent(t, "org_1", completed)
		first := t.begin()
		t.enqueueIn(first, event)
		var g group
		g.run(1, func(int) error {
			// Several attempts: a database may refuse a transaction that has waited.
			var err error
			for range 5 {
				if err = t.enqueueAndCommit(event); err == nil {
					break
				}
			}
			return err
		})
		if end == "commits" {
			require.NoError(t, first.Commit())
		} else {
			require.NoError(t, first.Rollback())
		}
		g.wait(t)
		require.Equal(t, event.ID, t.claimOne().EventID, "the first transaction %s", end)
	}
}

// enqueueAndCommit stores events in a transaction of their own. It fails no test, so that
// any goroutine may call it.
func (t *trial) enqueueAndCommit(events ...alotwebhook.Event) error {
	tx, err := t.host.Begin(context.WithoutCancel(t.ctx()))
	if err != nil {
		return err
	}
	if err := tx.Enqueuer.Enqueue(t.ctx(), events); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// One host that holds a transaction open, for minutes perhaps, must not stop the deliveries
// of all customers: not even those of the endpoints that it has just emitted to.
func txHoldsUpNothing(t *trial) {
	if t.host.OneWriter {
		t.Skip("what writes waits for an open transaction: Host.OneWriter")
	}
	e := t.endpoint("org_1", completed)
	t.emit("org_1", completed, 4)
	before := t.claim(2)
	t.finish(failed(before[1]))
	tx := t.begin()
	t.enqueueIn(tx, newEvents(t, "org_1", completed, 5)...)

	ctx := t.ctx()
	calls := []struct {
		name string
		call func() error
	}{
		{"Finish", func() error {
			_, err := t.store.Finish(ctx, []alotwebhook.Outcome{delivered(before[0])})
			return err
		}},
		{"Claim", func() error {
			r, err := t.store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: long})
			if err == nil && len(r.Deliveries) > 0 {
				_, err = t.store.Finish(ctx, []alotwebhook.Outcome{retry(r.Deliveries[0], 0)})
			}
			return err
		}},
		{"Redeliver", func() error { _, err := t.store.Redeliver(ctx, []string{before[1].DeliveryID}); return err }},
		{"Enqueue", func() error { return t.store.Enqueue(ctx, []alotwebhook.Event{newEvent(t, "org_1", completed)}) }},
		{"PutEndpoint", func() error { e.Description = "changed"; return t.store.PutEndpoint(ctx, e) }},
	}
	for _, c := range calls {
		require.NoError(t, c.call(), "%s, while a transaction of the host is open", c.name)
	}
	require.NoError(t, tx.Commit())
	require.Len(t, t.list(alotwebhook.Filter{}), 10)
}

// A host may go on after an error and commit. An event that is then stored without its
// deliveries is lost for good: to store it again changes nothing. A store on a database
// where an error leaves the transaction alive needs a savepoint.
func txErrorStoresNothing(t *trial) {
	e := t.endpoint("org_1", completed)
	want := 0
	for name, spoil := range spoiled() {
		before := newEvent(t, "org_1", completed)
		batch := newEvents(t, "org_1", completed, 1001)
		spoil(&batch[1000])
		tx := t.begin()
		t.enqueueIn(tx, before)
		err := tx.Enqueuer.Enqueue(t.ctx(), batch)
		commitErr := tx.Commit()
		if err == nil {
			require.NoError(t, commitErr, name)
			require.Len(t, t.deliveriesOf(batch[:1000], e), 1000, name)
			want = len(t.list(alotwebhook.Filter{EndpointID: e.ID, Limit: 1000}))
			continue // the store takes such an event
		}
		if commitErr == nil {
			stored, err := t.store.Event(t.ctx(), before.ID)
			require.NoError(t, err, "%s: the commit has stored what stood before the error", name)
			require.Equal(t, before.ID, stored.ID)
			want++
		}
		good := batch[:1000]
		t.requireUnknown(good[0], good[499], good[999])
		t.enqueue(good...)
		want += len(good)
		require.Len(t, t.list(alotwebhook.Filter{EndpointID: e.ID, Limit: 1000}), want, "%s: the good events are stored with their deliveries, when they are stored alone", name)
	}
}

// spoiled returns changes to an event, each of which some stores cannot take.
func spoiled() map[string]func(*alotwebhook.Event) {
	return map[string]func(*alotwebhook.Event){
		"an id that is none":         func(e *alotwebhook.Event) { e.ID = "evt_short" },
		"an organization with a NUL": func(e *alotwebhook.Event) { e.OrganizationID = "org_1\x00" },
		"a type that is not UTF-8":   func(e *alotwebhook.Event) { e.Type = "candidate.\xff" },
		"an organization of 100,000 bytes": func(e *alotwebhook.Event) {
			e.OrganizationID = strings.Repeat("é", 50_000)
		},
	}
}

// The request that a host serves may end at any time, and a host may commit all the same.
func txCutShort(t *trial) {
	t.cutEnqueueShort(func(ctx context.Context, events []alotwebhook.Event) error {
		tx := t.begin()
		err := tx.Enqueuer.Enqueue(ctx, events)
		if commitErr := tx.Commit(); commitErr != nil {
			_ = tx.Rollback()
			err = errors.Join(err, commitErr) // the context has ended the transaction
		}
		return err
	})
}

// Stats must not raise an alarm over a delivery that could not be sent any sooner.
func txDueFromEnqueue(t *trial) {
	t.endpoint("org_1", completed)
	tx := t.begin()
	time.Sleep(3 * brief) // the transaction is older than its event
	before := time.Now()
	t.enqueueIn(tx, newEvent(t, "org_1", completed))
	require.NoError(t, tx.Commit())
	age := t.stats().OldestDue
	require.LessOrEqual(t, age, time.Since(before)+brief, "the delivery counts as due since before Enqueue was called")
}

// A delivery of an endpoint that is gone would be pending for ever. DeleteEndpoint may wait
// for the transaction.
func txEndpointDeletedMeanwhile(t *trial) {
	e := t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	tx := t.begin()
	t.enqueueIn(tx, event)
	t.meanwhile(tx, func() error { return t.store.DeleteEndpoint(t.ctx(), e.ID) })
	t.requireGone(e, event)
}

// requireGone requires that the deleted endpoint has no unfinished delivery of the event.
func (t *trial) requireGone(e alotwebhook.Endpoint, events ...alotwebhook.Event) {
	t.Helper()
	require.Empty(t, t.claim(1000), "an endpoint that was deleted gets nothing")
	require.Equal(t, alotwebhook.Stats{}, t.stats(), "nothing of an endpoint that was deleted is pending")
	for _, d := range t.list(alotwebhook.Filter{EndpointID: e.ID, Limit: 1000}) {
		require.Equal(t, alotwebhook.StateFailed, d.State)
		require.Equal(t, alotwebhook.ReasonEndpointDeleted, d.LastReason)
	}
	for _, event := range events {
		_, err := t.store.Event(t.ctx(), event.ID)
		require.NoError(t, err, "the event is stored, whoever hears of it")
	}
}

// meanwhile calls fn while the transaction is open, and commits: after fn if that returns
// soon, and otherwise before, since fn may wait for the transaction.
func (t *trial) meanwhile(tx Tx, fn func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	var err error
	select {
	case err = <-done:
		require.NoError(t, tx.Commit())
	case <-time.After(brief):
		require.NoError(t, tx.Commit())
		err = <-done
	}
	require.NoError(t, err)
}

// A delivery that were pending to a disabled endpoint would be sent.
func txEndpointDisabledMeanwhile(t *trial) {
	e := t.endpoint("org_1", completed)
	event := newEvent(t, "org_1", completed)
	tx := t.begin()
	t.enqueueIn(tx, event)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledByUser
	t.meanwhile(tx, func() error { return t.store.PutEndpoint(t.ctx(), e) })
	e.Version++
	require.Empty(t, t.claim(10))
	require.Equal(t, alotwebhook.Stats{Parked: 1, DisabledEndpoints: 1}, t.stats())
	t.setDisabled(&e, false)
	require.Equal(t, event.ID, t.claimOne().EventID)
}

// A caller need not check for an empty batch.
func txNothingToStore(t *trial) {
	tx := t.begin()
	t.enqueueIn(tx)
	require.NoError(t, tx.Commit())
	require.Equal(t, alotwebhook.Stats{}, t.stats())
}
