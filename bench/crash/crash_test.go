// Package crash kills processes that emit and deliver, at random instants, and
// counts what was lost and what came twice.
//
// The test executes itself again as child processes over one store: emitters,
// which report an event only once Emit has returned, and dispatchers. SIGKILL
// ends a child without warning; another takes its place. The receiver, which is
// not killed, writes each delivery to a ledger and syncs it before it answers.
// In the end every reported event must be in the ledger, once per endpoint, and
// nothing may be left in the queue.
//
// The short form runs with the other tests. The long form:
//
//	go test ./bench/crash -v -crash.kills 20 -crash.events 5000
package crash

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

var (
	kills     = flag.Int("crash.kills", 4, "how many processes to kill")
	events    = flag.Int("crash.events", 800, "how many events to emit, to two endpoints each")
	processes = flag.Int("crash.processes", 2, "how many dispatcher processes run at once")
	seed      = flag.Uint64("crash.seed", 0, "repeat the kills of an earlier run; 0 draws one")
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(child(role))
	}
	os.Exit(m.Run())
}

func TestKillSQLite(t *testing.T) {
	t.Parallel()
	testKills(t, "sqlite:"+filepath.Join(t.TempDir(), "webhooks.db"))
}

func testKills(t *testing.T, dsn string) {
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("seed %d", drawn)
	random := rand.New(rand.NewPCG(drawn, 0))

	ctx := t.Context()
	ledger := newLedger(t)
	store, closeStore, err := openStore(ctx, dsn)
	require.NoError(t, err)
	defer closeStore()
	registerEndpoints(t, store, ledger.url)

	crowd := newCrowd(t, dsn)
	for i := range *processes {
		crowd.start(dispatcherRole, fmt.Sprintf("dispatcher-%d", i))
	}
	crowd.start(emitterRole, "emitter")

	hits := 0
	for range *kills {
		crowd.awaitProgress(*events / (*kills + 1))
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond) // a random instant, not one of our own
		if crowd.killOne(random, ledger) {
			hits++
		}
	}
	lastKill := time.Now()
	crowd.awaitProgress(*events)
	awaitEmpty(t, store)
	t.Logf("drained %v after the last kill", time.Since(lastKill).Round(time.Millisecond))
	crowd.end()

	acknowledged := crowd.acknowledged()
	lost, duplicates := ledger.compare(t, acknowledged)
	t.Logf("%d events acknowledged, %d deliveries received, %d kills of which %d hit attempts in flight: %d lost, %d duplicated",
		len(acknowledged), ledger.lines(), *kills, hits, lost, duplicates)
	require.GreaterOrEqual(t, len(acknowledged), *events)
	require.Zero(t, lost, "acknowledged deliveries that never arrived")
	require.LessOrEqual(t, duplicates, *kills*inFlight, "more duplicates than attempts that the kills cut off")
	require.GreaterOrEqual(t, 4*hits, *kills, "too few kills hit anything in flight for the test to mean something")
}

// registerEndpoints has two endpoints of one organization subscribe.
func registerEndpoints(t *testing.T, store alotwebhook.Store, url string) {
	d, err := newDispatcher(store, "parent")
	require.NoError(t, err)
	for _, path := range endpointPaths {
		_, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: organization, URL: url + path, EventTypes: []string{alotwebhook.EventCandidateCompleted}, Secret: secret,
		})
		require.NoError(t, err)
	}
}

// awaitEmpty waits until nothing is left to deliver; a lease after the last
// kill at most, and some time for a busy machine.
func awaitEmpty(t *testing.T, store alotwebhook.Store) {
	deadline := time.Now().Add(lease + time.Minute)
	for {
		stats, err := store.Stats(t.Context())
		require.NoError(t, err)
		if stats == (alotwebhook.Stats{}) {
			return
		}
		require.True(t, time.Now().Before(deadline), "deliveries are stuck: %+v", stats)
		time.Sleep(20 * time.Millisecond)
	}
}

// crowd is the child processes.
type crowd struct {
	t   *testing.T
	dsn string

	mu       sync.Mutex
	children []*process
	acked    []string // ids of events whose Emit returned
	progress *sync.Cond
}

type process struct {
	*exec.Cmd
	role, name string
	killed     bool
	gone       chan struct{}
}

func newCrowd(t *testing.T, dsn string) *crowd {
	c := &crowd{t: t, dsn: dsn}
	c.progress = sync.NewCond(&c.mu)
	t.Cleanup(c.end)
	return c
}

func (c *crowd) start(role, name string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "CRASH_DSN="+c.dsn, "CRASH_NAME="+name, fmt.Sprintf("CRASH_EVENTS=%d", *events))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	p := &process{Cmd: cmd, role: role, name: name, gone: make(chan struct{})}
	c.mu.Lock()
	c.children = append(c.children, p)
	c.mu.Unlock()
	go c.read(p, bufio.NewScanner(out))
}

// read notes what an emitter reports. A line that the kill cut short has no
// line end, and what was not reported may or may not have been stored.
func (c *crowd) read(p *process, lines *bufio.Scanner) {
	defer close(p.gone)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), ackPrefix); ok && strings.HasSuffix(id, ackSuffix) {
			c.mu.Lock()
			c.acked = append(c.acked, strings.TrimSuffix(id, ackSuffix))
			c.progress.Broadcast()
			c.mu.Unlock()
		}
	}
	err := p.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !p.killed && err != nil {
		c.t.Errorf("%s ended by itself: %v", p.name, err)
		c.acked = append(c.acked, make([]string, *events)...) // let nobody wait for more
	}
	c.progress.Broadcast()
}

// awaitProgress waits until so many events were acknowledged.
func (c *crowd) awaitProgress(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for start := len(c.acked); len(c.acked) < min(*events, max(n, start+n/2)); {
		c.progress.Wait()
	}
}

// killOne kills a child, starts another in its place and reports whether it
// had attempts in flight.
func (c *crowd) killOne(random *rand.Rand, l *ledger) (hit bool) {
	c.mu.Lock()
	i := random.IntN(len(c.children))
	p := c.children[i]
	c.children = append(c.children[:i], c.children[i+1:]...)
	p.killed = true
	c.mu.Unlock()
	hit = l.inFlight(p.name) > 0
	_ = p.Process.Kill() // an emitter may have ended by itself
	<-p.gone
	c.start(p.role, p.name+"'")
	return hit || p.role == emitterRole
}

func (c *crowd) acknowledged() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.acked...)
}

func (c *crowd) end() {
	c.mu.Lock()
	children := c.children
	c.children = nil
	for _, p := range children {
		p.killed = true
	}
	c.mu.Unlock()
	for _, p := range children {
		_ = p.Process.Kill()
		<-p.gone
	}
}

var _ = context.Background
