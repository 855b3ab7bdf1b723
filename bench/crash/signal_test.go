package crash

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestRollingRestartsSQLite(t *testing.T) {
	t.Parallel()
	testRollingRestarts(t, inSQLite(t))
}

func TestRollingRestartsPostgres(t *testing.T) {
	t.Parallel()
	testRollingRestarts(t, inPostgres(t, postgrestest.DSN(t)))
}

// testRollingRestarts replaces dispatchers under load, as a deployment does. The new one
// starts, and then the old one gets a SIGTERM and finishes its attempts.
func testRollingRestarts(t *testing.T, where place) {
	random := draw(t)
	ledger := newLedger(t)
	store := openStore(t, where)
	registerEndpoints(t, store, ledger.url)
	crowd := newCrowd(t, job{Place: where})
	for range *processes {
		crowd.start(dispatcherRole)
	}
	crowd.start(emitterRole)
	inHand := 0
	for range *terms {
		running := crowd.running(dispatcherRole)
		crowd.awaitAcknowledged(len(crowd.acknowledged()) + 40)
		crowd.start(dispatcherRole)
		old, underWay := ledger.catchAtWork(t, running, random, 20*time.Millisecond)
		inHand += underWay
		require.NoError(t, old.end(syscall.SIGTERM), "%v", old.log)
	}
	crowd.stopEmitting()
	awaitEmpty(t, store)
	for _, p := range crowd.running(dispatcherRole) {
		require.NoError(t, p.end(syscall.SIGTERM))
	}
	sum := ledger.tally(t, crowd.acknowledged())
	again, _ := review(t, store, len(endpointPaths)*(len(crowd.acknowledged())+sum.unreported))
	t.Logf("%d restarts with %d requests under way, %d deliveries: %d lost, %d duplicated, %d attempts repeated", *terms, inHand, sum.deliveries, sum.lost, sum.duplicates, again)
	require.Zero(t, sum.lost)
	require.LessOrEqual(t, sum.duplicates, again, "only what the history says was repeated came again")
	require.Positive(t, inHand, "no restart hit anything in flight")
}

// A dispatcher is held up until its leases have run out and another one has sent its
// deliveries. Its outcomes then change nothing, and it continues to work.
func TestHeldUpPastTheLease(t *testing.T) {
	t.Parallel()
	where := inPostgres(t, postgrestest.DSN(t))
	ledger := newLedger(t)
	store := openStore(t, where)
	registerEndpoints(t, store, ledger.url)
	crowd := newCrowd(t, job{Place: where})
	host := newHost(t, store, "parent")
	acknowledged := host.emit(t, inFlight/len(endpointPaths))

	held := crowd.start(dispatcherRole)
	ledger.hangOn(held.name)
	await(t, "nothing in flight", func() bool { return ledger.sender(held.name).received >= inFlight/2 })
	await(t, "nothing in flight when it is held up", func() bool {
		require.NoError(t, held.Process.Signal(syscall.SIGSTOP))
		if ledger.sender(held.name).busy > 0 {
			return true
		}
		require.NoError(t, held.Process.Signal(syscall.SIGCONT)) // a slow machine: all attempts were over their time
		return false
	})
	other := crowd.start(dispatcherRole)
	awaitEmpty(t, store)
	before := histories(t, store)
	require.Len(t, before, inFlight)

	require.NoError(t, held.Process.Signal(syscall.SIGCONT))
	await(t, "the stale outcomes did not come", func() bool { return held.logged("came too late to be recorded") > 0 })
	require.Equal(t, before, histories(t, store))
	for _, d := range before {
		require.Equal(t, alotwebhook.StateDelivered, d.State)
		for i, a := range d.Attempts {
			require.Equal(t, i+1, a.Number)
			require.Equal(t, i == len(d.Attempts)-1, a.Reason == "", "only the last attempt may have succeeded")
		}
	}

	ledger.hangOn("")
	require.NoError(t, other.end(syscall.SIGTERM))
	received := ledger.sender(held.name).received
	acknowledged = append(acknowledged, host.emit(t, inFlight)...)
	awaitEmpty(t, store)
	require.NoError(t, held.end(syscall.SIGTERM))
	sum := ledger.tally(t, acknowledged)
	t.Logf("%d requests of the held-up process had no response; afterwards it delivered %d: %d lost, %d duplicated",
		ledger.sender(held.name).cutOff, ledger.sender(held.name).received-received, sum.lost, sum.duplicates)
	require.Equal(t, inFlight*len(endpointPaths), ledger.sender(held.name).received-received, "it must continue to work")
	require.Zero(t, sum.lost)
	require.LessOrEqual(t, sum.duplicates, inFlight)
}

// histories returns all deliveries with their attempts.
func histories(t *testing.T, store alotwebhook.Store) []alotwebhook.Delivery {
	page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{Limit: 1000})
	require.NoError(t, err)
	for i := range page {
		page[i], err = store.Delivery(t.Context(), page[i].ID)
		require.NoError(t, err)
	}
	return page
}
