package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// These tests measure instead of testing. Run them by
//
//	go test ./store/postgres -run TestMeasure -v -measure
//
// Each has a cluster of its own, so that the server's processor time is known.
var (
	measure = flag.Bool("measure", false, "measure instead of testing")
	deep    = flag.Bool("deep", false, "measure with five million deliveries, too")
)

// bench is a store to be measured, with its cluster.
type bench struct {
	*testing.T
	cluster   *postgrestest.Cluster
	pool      *pgxpool.Pool
	schema    string
	store     *postgres.Store
	endpoints []alotwebhook.Endpoint
}

func newBench(t *testing.T, endpoints int) *bench {
	t.Helper()
	if !*measure {
		t.Skip("not asked to -measure")
	}
	b := &bench{T: t, cluster: postgrestest.New(t)}
	b.pool = postgrestest.PoolAt(t, b.cluster.DSN())
	b.schema = postgrestest.Schema(t, b.pool)
	b.open()
	b.endpoints = putEndpoints(t, b.store, endpoints)
	return b
}

// open replaces the store by a new one, which remembers no endpoints.
func (b *bench) open() {
	if b.store != nil {
		_, err := b.store.Claim(b.Context(), alotwebhook.ClaimRequest{})
		require.NoError(b, err)
	}
	store, err := postgres.New(b.Context(), b.pool, &postgres.Options{Schema: b.schema, Migrate: true})
	require.NoError(b, err)
	b.store = store
}

// exec executes a statement in the schema, on a connection of its own.
func (b *bench) exec(sql string, args ...any) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.cluster.DSN())
	require.NoError(b, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(b.Context(), "SET search_path TO "+b.schema)
	require.NoError(b, err)
	_, err = conn.Exec(b.Context(), sql, args...)
	require.NoError(b, err)
}

// fill puts n due deliveries into the queue.
func (b *bench) fill(n, endpoints int) {
	b.Helper()
	fillQueue(b, b.pool, b.schema, n, endpoints)
	b.exec(`VACUUM ANALYZE queue, events`) // or autovacuum does it during the measurement
	b.exec(`CHECKPOINT`)
}

func (b *bench) empty() {
	b.exec(`TRUNCATE queue, events, deliveries, attempts`)
}

// meter holds the readings at the beginning of a measurement: the clock, and the
// processor time of this process (own) and of the server (pg).
type meter struct {
	b       *bench
	at      time.Time
	own, pg time.Duration
}

func (b *bench) meter() meter {
	pg, err := b.cluster.CPU()
	require.NoError(b, err)
	return meter{b, time.Now(), ownCPU(), pg}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report prints deliveries per second and processor time per delivery, for n of them.
func (m meter) report(what string, n int) {
	end := m.b.meter()
	wall := end.at.Sub(m.at)
	fmt.Printf("%-52s %9.0f/s  client %5.1f µs  PostgreSQL %5.1f µs each\n", what, float64(n)/wall.Seconds(),
		micros(end.own-m.own)/float64(n), micros(end.pg-m.pg)/float64(n))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// drain claims and finishes n deliveries, a batch at a time, and returns how long
// each claim took.
func (b *bench) drain(n, batch int) (claims []time.Duration) {
	b.Helper()
	for done := 0; done < n; {
		began := time.Now()
		r, err := b.store.Claim(b.Context(), alotwebhook.ClaimRequest{Limit: min(batch, n-done), PerEndpoint: 1 << 20, Lease: time.Minute})
		require.NoError(b, err)
		claims = append(claims, time.Since(began))
		require.NotEmpty(b, r.Deliveries)
		lost, err := b.store.Finish(b.Context(), outcomesOf(r.Deliveries))
		require.NoError(b, err)
		require.Empty(b, lost)
		done += len(r.Deliveries)
	}
	return claims
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

func TestMeasureEnqueue(t *testing.T) {
	b := newBench(t, 100)
	for _, batch := range []int{1, 100, 1000, 5000} {
		n := min(100_000, batch*100)
		events := make([]alotwebhook.Event, n)
		for i := range events {
			events[i] = newEvent(t, b.endpoints[i%len(b.endpoints)].OrganizationID)
		}
		m := b.meter()
		for part := range slices.Chunk(events, batch) {
			require.NoError(t, b.store.Enqueue(t.Context(), part))
		}
		m.report(fmt.Sprintf("enqueue, batches of %d", batch), n)
		b.empty()
	}
}

func TestMeasureClaimAndFinish(t *testing.T) {
	for _, endpoints := range []int{10, 1000} {
		b := newBench(t, endpoints)
		for _, batch := range []int{64, 256, 500, 1000} {
			const n = 100_000
			b.empty()
			b.fill(n, endpoints)
			b.open()
			m := b.meter()
			claims := b.drain(n, batch)
			m.report(fmt.Sprintf("%d endpoints, claim + finish of %d, claim %v", endpoints, batch, median(claims).Round(10*time.Microsecond)), n)
		}
	}
}

func TestMeasureDepth(t *testing.T) {
	b := newBench(t, 10)
	depths := []int{10_000, 1_000_000}
	if *deep {
		depths = append(depths, 5_000_000)
	}
	for _, depth := range depths {
		b.empty()
		b.fill(depth, 10)
		b.open()
		b.claims(fmt.Sprintf("backlog %d", depth), nil)
	}

	b.empty()
	b.fill(100_000, 10)
	b.exec(`UPDATE queue SET endpoint = 1 WHERE endpoint <= 5`)
	b.fill(1_000_000, 1)
	b.open()
	b.claims("1,000,000 due on one hung endpoint", map[string]int{b.endpoints[0].ID: 32})

	b.empty()
	b.fill(300_000, 10)
	b.open()
	locker, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = locker.Exec(t.Context(), `SELECT id FROM `+b.schema+`.queue ORDER BY next_at LIMIT 100000 FOR UPDATE`)
	require.NoError(t, err)
	b.claims("100,000 rows locked in front", nil)
	require.NoError(t, locker.Rollback(t.Context()))
}

// claims prints how long claims of 100 deliveries take. It shows the first one by
// itself, since it surveys the queue.
func (b *bench) claims(what string, busy map[string]int) {
	b.Helper()
	var took []time.Duration
	for range 51 {
		began := time.Now()
		r, err := b.store.Claim(b.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 32, Lease: time.Minute, Busy: busy})
		require.NoError(b, err)
		took = append(took, time.Since(began))
		require.Len(b, r.Deliveries, 100)
	}
	fmt.Printf("%-52s claim of 100: %v, the first %v, the slowest later %v\n", what, median(took[1:]), took[0], slices.Max(took[1:]))
}

func TestMeasurePinnedSnapshot(t *testing.T) {
	b := newBench(t, 10)
	for _, pinned := range []bool{false, true, false, true} {
		const n = 300_000
		b.empty()
		b.fill(n, 10)
		b.open()
		pin, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		require.NoError(t, err)
		if pinned {
			_, err = pin.Exec(t.Context(), `SELECT count(*) FROM `+b.schema+`.queue`)
			require.NoError(t, err)
		}
		for range 5 {
			m := b.meter()
			claims := b.drain(n/5, 500)
			m.report(fmt.Sprintf("pinned %v, claim %v, slowest %v", pinned, median(claims).Round(10*time.Microsecond), slices.Max(claims).Round(10*time.Microsecond)), n/5)
		}
		require.NoError(t, pin.Rollback(t.Context()))
	}
}

func TestMeasureStats(t *testing.T) {
	const endpoints, n, rounds = 300, 1_000_000, 15
	b := newBench(t, endpoints)
	b.fill(n, endpoints)
	b.exec(`UPDATE endpoints SET failing_since = now() WHERE key % 100 = 1`)
	b.claims("before the count", nil) // so that some is under way
	var took []time.Duration
	m := b.meter()
	for range rounds {
		began := time.Now()
		_, err := b.store.Stats(t.Context())
		require.NoError(t, err)
		took = append(took, time.Since(began))
	}
	m.report(fmt.Sprintf("stats of %d over %d endpoints: median %v", n, endpoints, median(took).Round(time.Millisecond)), rounds)
}

// A long transaction keeps what has left the queue in its index.
func TestMeasureStatsPinned(t *testing.T) {
	const endpoints, n, gone, rounds = 300, 1_000_000, 500_000, 7
	b := newBench(t, endpoints)
	b.fill(n, endpoints)
	pin, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	_, err = pin.Exec(t.Context(), `SELECT count(*) FROM `+b.schema+`.queue`)
	require.NoError(t, err)
	b.exec(`DELETE FROM queue WHERE id IN (SELECT id FROM queue ORDER BY next_at LIMIT $1)`, gone)
	m := b.meter()
	for range rounds {
		_, err := b.store.Stats(t.Context())
		require.NoError(t, err)
	}
	m.report("stats of 500,000 behind 500,000 that are gone", rounds)
	require.NoError(t, pin.Rollback(t.Context()))
}
