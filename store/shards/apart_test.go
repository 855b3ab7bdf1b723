package shards_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/store/shards"
)

// Events of one call go to their shards. If one is down, the others have their part, and the
// same call again stores the rest and nothing twice.
func TestEnqueueAcrossShards(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	put(t, p, "org_a")
	put(t, p, "org_b")
	events := []alotwebhook.Event{newEvent(t, "org_a"), newEvent(t, "org_b"), newEvent(t, "org_a"), newEvent(t, "org_b")}
	p.b.way.Store(fails)
	err := p.Enqueue(t.Context(), events)
	require.ErrorIs(t, err, errDown)
	require.EqualError(t, err, `alotwebhook: shard "b": the database is away`)
	require.Len(t, claim(t, p, 10), 2)
	require.NoError(t, p.Enqueue(t.Context(), events[:1]), "an event of a alone")
	p.b.way.Store(well)
	require.NoError(t, p.Enqueue(t.Context(), events))
	stats, err := p.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 4, stats.Pending)
	all, next, err := p.Deliveries(t.Context(), alotwebhook.Filter{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, all, 4)
}

// enqueuer is what a store returns for a transaction: here, without one.
type enqueuer struct{ alotwebhook.Enqueuer }

// A host's transaction is of one database. An event of another shard's organization would
// be stored where nobody looks for it.
func TestWithin(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	d, err := alotwebhook.NewDispatcher(p, nil)
	require.NoError(t, err)
	q := p.Within("a", enqueuer{p.a})
	ours, theirs := newEvent(t, "org_a"), newEvent(t, "org_b")
	require.NoError(t, d.EmitTo(t.Context(), q, ours))
	_, err = p.a.Event(t.Context(), ours.ID)
	require.NoError(t, err)

	err = d.EmitTo(t.Context(), q, newEvent(t, "org_a"), theirs)
	require.ErrorContains(t, err, `the home of the organization "org_b" is the shard "b", and the transaction is of "a"`)
	_, err = p.Event(t.Context(), theirs.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	require.ErrorIs(t, d.EmitTo(t.Context(), p.Within("z", enqueuer{p.a}), ours), alotwebhook.ErrInvalid)
	require.ErrorIs(t, d.EmitTo(t.Context(), p.Within("a", nil), ours), alotwebhook.ErrInvalid)
}

// elsewhere is a transaction of a store that says which.
type elsewhere struct{ alotwebhook.Enqueuer }

func (elsewhere) Place() string { return "database c" }

func TestWithinTheTransactionOfAnotherShard(t *testing.T) {
	t.Parallel()
	p := newPair(t, patient)
	d, err := alotwebhook.NewDispatcher(p, nil)
	require.NoError(t, err)
	err = d.EmitTo(t.Context(), p.Within("a", elsewhere{p.a}), newEvent(t, "org_a"))
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.ErrorContains(t, err, `is a transaction of the store in database c, and the shard "a" is in the memory of this process: give the Tx of that one`)
	err = d.EmitTo(t.Context(), elsewhere{p.a}, newEvent(t, "org_a"))
	require.ErrorContains(t, err, `the dispatcher's store is in the shards ["a" "b"]`, "without Within nobody would look whose home it is")
}

// While a shard hangs, whatever concerns another's organization alone goes on: the host's
// calls, the pages, recoveries. In faked time, nothing may take any.
func TestCallsGoOnWhileAShardHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		defer time.Sleep(time.Minute) // for the calls that nobody waits for
		e, other := put(t, p, "org_a"), put(t, p, "org_b")
		first := enqueue(t, p, "org_a", 3)
		claims := claim(t, p, 10)
		require.NoError(t, errOf(p.Finish(t.Context(), delivered(claims...))))
		p.b.way.Store(hangs)
		began := time.Now()
		require.Empty(t, claim(t, p, 10))
		require.Equal(t, 50*time.Millisecond, time.Since(began), "the first claim waits for it")
		began = time.Now()

		ctx := t.Context()
		found, err := p.Endpoint(ctx, e.ID)
		require.NoError(t, err)
		require.Equal(t, e.ID, found.ID)
		found.Description = "changed"
		require.NoError(t, p.PutEndpoint(ctx, found))
		page, _, err := p.Endpoints(ctx, alotwebhook.EndpointFilter{OrganizationID: "org_a", IDs: []string{e.ID, other.ID}})
		require.NoError(t, err)
		require.Len(t, page, 1)
		for _, f := range []alotwebhook.Filter{{OrganizationID: "org_a"}, {EndpointID: e.ID}} {
			list, _, err := p.Deliveries(ctx, f)
			require.NoError(t, err)
			require.Len(t, list, 3)
		}
		id := alotwebhook.DeliveryID(first[0].ID, e.ID)
		d, err := p.Delivery(ctx, id)
		require.NoError(t, err)
		require.Len(t, d.Attempts, 1)
		n, err := p.Redeliver(ctx, []string{id})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, errOf(p.Event(ctx, first[0].ID)))
		require.NoError(t, p.EnqueueTo(ctx, e.ID, newEvent(t, "org_a")))
		require.NoError(t, p.PutRecovery(ctx, alotwebhook.Recovery{EndpointID: e.ID, OrganizationID: "org_a", State: alotwebhook.RecoveryRunning}))
		recoveries, _, err := p.Recoveries(ctx, alotwebhook.RecoveryFilter{EndpointID: e.ID})
		require.NoError(t, err)
		require.Len(t, recoveries, 1)
		require.NoError(t, p.AddTallies(ctx, []alotwebhook.Tally{{EndpointID: e.ID, Hour: time.Now().Truncate(time.Hour), Succeeded: 1}}))
		tallies, err := p.Tallies(ctx, []string{e.ID}, time.Time{})
		require.NoError(t, err)
		require.Len(t, tallies, 1)
		require.NoError(t, errOf(p.Discard(ctx, e.ID, time.Now(), 10)))
		claims = claim(t, p, 10)
		require.Len(t, claims, 2, "what was redelivered, and the new one")
		require.NoError(t, errOf(p.Finish(ctx, delivered(claims...))))
		require.NoError(t, p.DeleteEndpoint(ctx, e.ID))
		require.ErrorIs(t, p.DeleteEndpoint(ctx, e.ID), alotwebhook.ErrNotFound)
		require.ErrorIs(t, errOf(p.Endpoint(ctx, e.ID)), alotwebhook.ErrNotFound)
		require.ErrorIs(t, p.EnqueueTo(ctx, e.ID, newEvent(t, "org_a")), alotwebhook.ErrNotFound)
		require.Zero(t, time.Since(began))

		recoveries, _, err = p.Recoveries(ctx, alotwebhook.RecoveryFilter{State: alotwebhook.RecoveryRunning})
		require.NoError(t, err, "a search for work leaves out who does not answer")
		require.Len(t, recoveries, 1)
		require.Equal(t, 50*time.Millisecond, time.Since(began))

		began = time.Now()
		require.ErrorIs(t, errOf(p.Endpoint(ctx, newEndpoint(t, "org_a").ID)), context.DeadlineExceeded, "it may be there")
		require.Equal(t, 3*time.Second, time.Since(began), "nobody waits long for a shard that is known to hang")
	})
}

// What needs all shards says which one is missing, after a time.
func TestCallsThatNeedAll(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]int32{"fails": fails, "hangs": hangs, "hangs for ever": stubborn} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, patient)
				defer time.Sleep(time.Minute)
				e := put(t, p, "org_a")
				p.b.way.Store(way)
				defer close(p.b.cured)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				for name, err := range map[string]error{
					"Stats":     errOf(p.Stats(ctx)),
					"Endpoints": third(p.Endpoints(ctx, alotwebhook.EndpointFilter{})),
					"list":      third(p.Deliveries(ctx, alotwebhook.Filter{})),
					"Event":     errOf(p.Event(ctx, newEvent(t, "org_a").ID)),
					"Delivery":  errOf(p.Delivery(ctx, alotwebhook.DeliveryID(newEvent(t, "org_a").ID, e.ID))),
					"Endpoint":  errOf(p.Endpoint(ctx, newEndpoint(t, "org_a").ID)),
				} {
					require.Error(t, err, name)
					require.NotErrorIs(t, err, alotwebhook.ErrNotFound, "%s: it may be there", name)
					if way == fails {
						require.ErrorContains(t, err, `shard "b": the database is away`, name)
					} else {
						require.ErrorIs(t, err, context.DeadlineExceeded, name)
					}
				}
			})
		})
	}
}

func third[T, U any](_ T, _ U, err error) error { return err }

// Tallies of a shard that is down are kept until it is back. Those of the others must not
// count twice meanwhile.
func TestTalliesOfAShardThatIsDown(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]int32{"fails": fails, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 50*time.Millisecond)
				a, b := put(t, p, "org_a"), put(t, p, "org_b")
				require.NoError(t, errOf(p.Endpoint(t.Context(), a.ID)))
				require.NoError(t, errOf(p.Endpoint(t.Context(), b.ID)))
				hour := time.Now().UTC().Truncate(time.Hour)
				one := func(id string) alotwebhook.Tally {
					return alotwebhook.Tally{EndpointID: id, Hour: hour, Succeeded: 1, Reasons: map[alotwebhook.FailureReason]int64{alotwebhook.ReasonDNS: 2}}
				}
				p.b.way.Store(way)
				for range 20 {
					require.NoError(t, p.AddTallies(t.Context(), []alotwebhook.Tally{one(a.ID), one(b.ID)}))
					time.Sleep(5 * time.Second)
				}
				require.Less(t, p.b.count("AddTallies"), int64(21))
				got, err := p.Tallies(t.Context(), []string{a.ID}, hour)
				require.NoError(t, err)
				require.EqualValues(t, 20, got[0].Succeeded)
				p.b.way.Store(well)
				time.Sleep(time.Minute)
				require.NoError(t, p.AddTallies(t.Context(), nil))
				got, err = p.Tallies(t.Context(), []string{b.ID, a.ID}, hour)
				require.NoError(t, err)
				require.Len(t, got, 2)
				for _, tally := range got {
					require.EqualValues(t, 20, tally.Succeeded)
					require.EqualValues(t, 40, tally.Failed())
				}
			})
		})
	}
}

// hidden is a store that keeps no tallies.
type hidden struct{ alotwebhook.Store }

// Where a shard keeps no tallies, the others do; where none does, the error is the one that
// a dispatcher gives for such a store.
func TestTalliesAreOptional(t *testing.T) {
	t.Parallel()
	stores := map[string]alotwebhook.Store{"a": wrapped{memory.New()}, "b": hidden{memory.New()}}
	s := newStore(t, stores, shards.Config{Places: byPrefix, Patience: patient})
	a, b := put(t, s, "org_a"), put(t, s, "org_b")
	hour := time.Now().UTC().Truncate(time.Hour)
	require.NoError(t, s.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: a.ID, Hour: hour, Succeeded: 1}, {EndpointID: b.ID, Hour: hour, Succeeded: 1}}))
	got, err := s.Tallies(t.Context(), []string{a.ID, b.ID}, hour)
	require.NoError(t, err)
	require.Len(t, got, 1)
	delete(stores, "a")
	_, err = newStore(t, stores, shards.Config{}).Tallies(t.Context(), []string{b.ID}, hour)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
