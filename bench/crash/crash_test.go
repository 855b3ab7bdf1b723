// Package crash makes processes and databases fail at random instants, as they do in
// production, and counts the deliveries that were lost and those that came twice.
//
// The tests start their own binary as child processes on one store: emitters, which report
// an event only after Emit has returned, and dispatchers. SIGKILL ends a child without
// warning, SIGTERM asks it to end, and SIGSTOP holds it up. The database is stopped as in a
// power cut, its connections are cut after a commit, and a standby takes over. The receiver
// keeps running. It writes each delivery to a ledger on disk, and syncs it before it
// responds. In the end, every reported event must be in the ledger once for each endpoint,
// and the queue must be empty.
//
// The tests run in a short form by default. These commands run the long forms; the tests of
// the last three have one form only:
//
//	go test ./bench/crash -v -timeout 1h -run TestKillSQLite -crash.kills 20 -crash.events 2500
//	go test ./bench/crash -v -timeout 1h -run TestKillPostgres -crash.kills 100 -crash.events 20000 -crash.processes 3
//	go test ./bench/crash -v -timeout 1h -run TestKillAndStopPostgres -crash.kills 60 -crash.stops 5 -crash.events 20000 -crash.processes 3
//	go test ./bench/crash -v -timeout 1h -run TestRollingRestarts -crash.terms 20 -crash.processes 3
//	go test ./bench/crash -v -timeout 1h -run TestCutCommits -crash.cuts 1000
//	go test ./bench/crash -v -timeout 1h -run TestKillLosesNoOperation -crash.kills 40 -crash.events 20000
//	go test ./bench/crash -v -run TestHeldUpPastTheLease
//	go test ./bench/crash -v -run TestFailOver
//	go test ./bench/crash -v -run 'TestTerminatedUnderLoad|TestFullPool|TestStatementTimeout|TestDeadlocks'
package crash

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

var (
	kills     = flag.Int("crash.kills", 4, "how many processes to kill")
	stops     = flag.Int("crash.stops", 1, "how often to stop the database between the kills")
	terms     = flag.Int("crash.terms", 3, "how many dispatchers to restart one after the other")
	cuts      = flag.Int("crash.cuts", 50, "how many connections to cut after a commit")
	events    = flag.Int("crash.events", 800, "how many events to emit, to two endpoints each")
	processes = flag.Int("crash.processes", 2, "how many dispatcher processes run at once")
	seed      = flag.Uint64("crash.seed", 0, "the seed of an earlier run, to repeat its random instants; 0 draws a new one")
)

func TestMain(m *testing.M) {
	if text := os.Getenv(jobVariable); text != "" {
		os.Exit(child(text))
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "16") // the tests wait for leases most of the time
	postgrestest.Main(m)
}

// draw returns the source of random instants, and logs its seed.
func draw(t *testing.T) *rand.Rand {
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("-crash.seed %d", drawn)
	return rand.New(rand.NewPCG(drawn, 0))
}

// pauseUpTo waits for a random time below d.
func pauseUpTo(random *rand.Rand, d time.Duration) {
	time.Sleep(time.Duration(random.Int64N(int64(d))))
}

// inSQLite returns the place of a new database file.
func inSQLite(t *testing.T) place {
	return place{DSN: "sqlite:" + filepath.Join(t.TempDir(), "webhooks.db")}
}

// inPostgres returns the place of a new schema on the server of dsn.
func inPostgres(t *testing.T, dsn string) place {
	pool := postgrestest.PoolAt(t, dsn)
	p := place{DSN: "postgres:" + dsn, Schema: postgrestest.Schema(t, pool)}
	require.NoError(t, postgres.Migrate(t.Context(), pool, &postgres.Options{Schema: p.Schema}))
	return p
}

// openStore opens a store in the parent process.
func openStore(t *testing.T, p place) alotwebhook.Store {
	store, closeStore, err := p.open(t.Context())
	require.NoError(t, err)
	t.Cleanup(closeStore)
	return store
}

// registerEndpoints registers two endpoints of one organization.
func registerEndpoints(t *testing.T, store alotwebhook.Store, url string) {
	d, err := alotwebhook.NewDispatcher(store, config("parent", (&logbook{}).handler()))
	require.NoError(t, err)
	for _, path := range endpointPaths {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: organization, URL: url + path, EventTypes: []string{alotwebhook.EventCandidateCompleted}, Secret: secret,
		})
		require.NoError(t, err)
	}
}

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is: the machine may be busy.
const patience = 10 * time.Minute

// awaitEmpty waits until nothing is left to deliver, however long that takes while it goes on.
func awaitEmpty(t *testing.T, store alotwebhook.Store) {
	t.Helper()
	var last alotwebhook.Stats
	for progress := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		require.False(t, t.Failed(), "the test has failed already")
		stats, err := store.Stats(t.Context()) // the first call after a restart may meet a dead connection
		if err == nil && stats.Pending == 0 && stats.Parked == 0 {
			return
		}
		if stats.OldestDue, stats.OldestDueFailing = 0, 0; err == nil && stats != last {
			last, progress = stats, time.Now()
		}
		require.Less(t, time.Since(progress), patience, "deliveries are stuck: %+v, error %v", last, err)
	}
}

// await waits until something is so, or the test has failed elsewhere. It polls, because other
// processes do what it waits for.
func await(t *testing.T, otherwise string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		require.False(t, t.Failed(), "the test has failed already")
		require.True(t, time.Now().Before(deadline), otherwise)
	}
}
