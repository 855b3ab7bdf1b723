package crash

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

const emitters = 2

func TestKillSQLite(t *testing.T) {
	t.Parallel()
	testKills(t, inSQLite(t), nil)
}

func TestKillPostgres(t *testing.T) {
	t.Parallel()
	testKills(t, inPostgres(t, postgrestest.DSN(t)), nil)
}

// Meanwhile, the database also stops as in a power cut, and starts again.
func TestKillAndStopPostgres(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t, "shared_buffers = 64MB")
	testKills(t, inPostgres(t, cluster.DSN()), cluster)
}

// testKills kills children at random instants. If the test has its own cluster, it stops that,
// too.
func testKills(t *testing.T, where place, cluster *postgrestest.Cluster) {
	k := newKilling(t, where, cluster)
	disturbances := *kills
	if cluster != nil {
		disturbances += *stops
	}
	for i := range disturbances {
		k.awaitAcknowledged((i + 1) * *events / (disturbances + 1))
		if rest := disturbances - i; k.stopped < *stops && cluster != nil && k.random.IntN(rest) < *stops-k.stopped {
			k.stopDatabase(t)
		} else {
			k.killOne(t)
		}
	}
	last := time.Now()
	k.awaitAcknowledged(*events)
	k.stopEmitting()
	emitted := time.Since(last)
	store := openStore(t, where)
	awaitEmpty(t, store)
	t.Logf("%v after the last kill all was emitted, %v after it all was delivered",
		emitted.Round(time.Millisecond), time.Since(last).Round(time.Millisecond))
	k.killAll()
	k.report(t, store)
}

// killing is the state of such a test.
type killing struct {
	*crowd
	ledger  *ledger
	random  *rand.Rand
	cluster *postgrestest.Cluster

	emitters    int           // the number of emitters killed
	dispatchers []*process    // the dispatchers killed
	stopped     int           // how often the database was stopped
	resumed     time.Duration // the longest time from a start of the database to a claim
}

func newKilling(t *testing.T, where place, cluster *postgrestest.Cluster) *killing {
	k := &killing{random: draw(t), ledger: newLedger(t), cluster: cluster}
	registerEndpoints(t, openStore(t, where), k.ledger.url)
	k.crowd = newCrowd(t, job{Place: where})
	for range *processes {
		k.start(dispatcherRole)
	}
	for range emitters {
		k.start(emitterRole)
	}
	return k
}

// killOne kills a child at work, and starts another in its place. Every fourth time it kills
// an emitter, and otherwise a dispatcher.
func (k *killing) killOne(t *testing.T) {
	role := dispatcherRole
	if (k.emitters+len(k.dispatchers))%4 == 3 {
		role = emitterRole
	}
	running := k.running(role)
	p := running[k.random.IntN(len(running))]
	if role == dispatcherRole {
		p, _ = k.ledger.catchAtWork(t, running, k.random, 30*time.Millisecond)
	} else {
		pauseUpTo(k.random, 30*time.Millisecond) // a random instant, not one of ours
	}
	_ = p.end(os.Kill)
	if role == emitterRole {
		k.emitters++
	} else {
		k.dispatchers = append(k.dispatchers, p)
	}
	k.start(role)
}

// stopDatabase stops the database for up to a second.
func (k *killing) stopDatabase(t *testing.T) {
	pauseUpTo(k.random, 50*time.Millisecond)
	require.NoError(t, k.cluster.Stop("immediate"))
	pauseUpTo(k.random, time.Second)
	before, started := k.ledger.sum(), time.Now()
	require.NoError(t, k.cluster.Start())
	k.stopped++
	await(t, "claims do not go on", func() bool { return k.ledger.sum() > before })
	k.resumed = max(k.resumed, time.Since(started))
}

func (k *killing) report(t *testing.T, store alotwebhook.Store) {
	sum := k.ledger.tally(t, k.acknowledged())
	hits, unanswered := 0, 0
	for _, p := range k.dispatchers {
		n := k.ledger.sender(p.name).cutOff
		unanswered += n
		hits += min(n+sum.repeated[p.name], 1) // killed before the response came, or before its outcome was stored
	}
	t.Logf("%d events acknowledged, %d deliveries received", len(k.acknowledged()), sum.deliveries)
	t.Logf("%d dispatchers killed, %d of them with attempts in flight, %d of which had no response yet; %d emitters killed, %d events stored but not acknowledged",
		len(k.dispatchers), hits, unanswered, k.emitters, sum.unreported)
	for _, p := range k.children {
		// Claim, finish and listen each log a stop, and may log it twice, since a second
		// connection may turn out to be dead after the first.
		require.LessOrEqual(t, p.failures(), 2*3*k.stopped, "%v", p.log)
	}
	if k.stopped > 0 {
		t.Logf("%d stops of the database; claims went on at most %v after the start began", k.stopped, k.resumed.Round(time.Millisecond))
	}
	again, _ := review(t, store, len(endpointPaths)*(len(k.acknowledged())+sum.unreported))
	t.Logf("%d lost, %d duplicated, %d attempts repeated; dispatchers killed × in flight is %d", sum.lost, sum.duplicates, again, len(k.dispatchers)*inFlight)
	require.GreaterOrEqual(t, len(k.acknowledged()), *events)
	require.Zero(t, sum.lost, "acknowledged deliveries that never arrived")
	// As many may wait to be stored, and as many be on their way into the store, as are on their way out.
	require.LessOrEqual(t, sum.duplicates, len(k.dispatchers)*3*inFlight+again, "more duplicates than the killed had in hand")
	if *events >= max(10_000, 200**kills) { // few events between two kills would make the share say little
		require.LessOrEqual(t, 20*sum.duplicates, sum.deliveries, "more duplicates than one in twenty")
	}
	require.GreaterOrEqual(t, 4*hits, len(k.dispatchers), "too few kills hit a request in flight for the test to be of use")
}
