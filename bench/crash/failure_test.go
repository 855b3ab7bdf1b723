package crash

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// failing is a dispatcher under load. The tests make its database fail.
type failing struct {
	*host
	t       *testing.T
	where   place
	ledger  *ledger
	store   alotwebhook.Store // that works all the time
	admin   *pgxpool.Pool     // the same
	emitted func() []string   // stops the load
}

// newFailing starts the dispatcher; configure sets up its pool.
func newFailing(t *testing.T, configure func(*pgxpool.Config)) (*failing, *pgxpool.Pool) {
	dsn := postgrestest.DSN(t)
	f := &failing{t: t, where: inPostgres(t, dsn), ledger: newLedger(t)}
	f.store, f.admin = openStore(t, f.where), postgrestest.PoolAt(t, dsn)
	registerEndpoints(t, f.store, f.ledger.url)
	pool := postgrestest.PoolAt(t, dsn, configure)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: f.where.Schema, Notify: true})
	require.NoError(t, err)
	f.host = newHost(t, store, "dispatcher")
	f.run(t)
	f.emitted = newHost(t, f.store, "emitter").load(t)
	f.awaitMore()
	return f, pool
}

// awaitMore waits until more events have been delivered.
func (f *failing) awaitMore() {
	before := f.ledger.sum()
	await(f.t, "nothing is delivered", func() bool { return f.ledger.sum() > before+20 })
}

// finish ends the load. It requires that no delivery was lost or sent without need, and
// checks the log and the number of failed calls.
func (f *failing) finish(episodes, tries int) {
	f.awaitMore()
	acknowledged := f.emitted()
	awaitEmpty(f.t, f.store)
	f.stop()
	sum := f.ledger.tally(f.t, acknowledged)
	again, _ := review(f.t, f.store, len(endpointPaths)*len(acknowledged))
	f.t.Logf("%d events, %d deliveries: %d lost, %d duplicated, %d attempts repeated; calls %v", len(acknowledged), sum.deliveries, sum.lost, sum.duplicates, again, f.host.store)
	require.Zero(f.t, sum.lost)
	require.LessOrEqual(f.t, sum.duplicates, again, "only attempts that the history shows as repeated may come twice")
	f.requireEpisodes(f.t, episodes, tries)
}

// All sessions of the dispatcher are terminated, again and again.
func TestTerminatedUnderLoad(t *testing.T) {
	t.Parallel()
	const rounds, conns = 10, 4
	name := "terminated"
	f, _ := newFailing(t, func(c *pgxpool.Config) {
		c.MaxConns = conns
		c.ConnConfig.RuntimeParams["application_name"] = name
	})
	terminated := 0
	for range rounds {
		var n int
		require.NoError(t, f.admin.QueryRow(t.Context(),
			`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1`, name).Scan(&n))
		terminated += n
		f.awaitMore()
	}
	require.Positive(t, terminated)
	// The calls under way fail. Of the idle connections none makes a call fail, however many
	// there are.
	f.finish(rounds, 2*rounds)
}

// The host keeps all connections of the pool for longer than a claim waits.
func TestFullPool(t *testing.T) {
	t.Parallel()
	f, pool := newFailing(t, func(c *pgxpool.Config) { c.MaxConns = 2 })
	var held []*pgxpool.Conn
	for range 2 {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, conn)
	}
	await(t, "no claim gave up", func() bool { return f.host.store.of("claim").failed > 0 })
	calls, since := f.host.store.of("claim").all, time.Now()
	time.Sleep(200 * time.Millisecond) // enough for a hot loop to show
	calls = f.host.store.of("claim").all - calls
	require.LessOrEqual(t, calls, 2+triesIn(time.Since(since)))
	for _, conn := range held {
		conn.Release()
	}
	f.finish(1, 3+triesIn(time.Since(since)))
}

// Another session locks the queue for longer than a statement may take.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	f, _ := newFailing(t, func(c *pgxpool.Config) { c.MaxConns = 4 })
	rounds, since := 0, time.Now()
	// The lock may come when nothing is under way that will have an outcome, or
	// when a connection still prepares its statements, which the server does not bound.
	// A finish waits for a lock for a second, long before its process would give it up.
	for !f.host.store.failedWith("55P03") {
		rounds++
		require.LessOrEqual(t, rounds, 20, "no finish was ended by the server's own timeout")
		f.lockQueue()
		f.awaitMore()
	}
	f.finish(rounds, 3*rounds+triesIn(time.Since(since)))
}

// lockQueue locks the queue until a claim has given up, and a finish if there is one.
func (f *failing) lockQueue() {
	lock, err := f.admin.Begin(f.t.Context())
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, lock.Rollback(context.Background())) }()
	claims := f.host.store.of("claim").failed
	_, err = lock.Exec(f.t.Context(), `LOCK TABLE `+f.queue()+` IN ACCESS EXCLUSIVE MODE`)
	require.NoError(f.t, err)
	await(f.t, "no claim gave up", func() bool { return f.host.store.of("claim").failed > claims })
	underWay := f.host.store.of("finish") // began a little later than the claim
	await(f.t, "a finish has no end", func() bool {
		return underWay.begun == underWay.all || f.host.store.of("finish").all > underWay.all
	})
}

// triesIn is how often a call may fail in a time, beside the first few tries:
// each waits up to five seconds after the one before, and less while few have failed.
func triesIn(d time.Duration) int { return int(d / time.Second) }

// leastRetry is the least that a dispatcher waits before it tries a call again.
const leastRetry = 25 * time.Millisecond

// Somebody else locks the same rows in another order, so that the dispatcher's
// transactions deadlock and are the ones to give way.
func TestDeadlocks(t *testing.T) {
	t.Parallel()
	f, _ := newFailing(t, func(c *pgxpool.Config) {
		c.MaxConns = 4
		c.ConnConfig.RuntimeParams["deadlock_timeout"] = "10ms" // PostgreSQL ends the transaction that finds the deadlock first
	})
	before := f.deadlocks()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended, since := make(chan struct{}), time.Now()
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = f.lockBackwards(ctx) // may be the one that a deadlock ends
		}
	}()
	await(t, "no deadlocks", func() bool { return f.deadlocks() >= before+5 })
	cancel()
	<-ended
	t.Logf("%d deadlocks", f.deadlocks()-before)
	retries := int(time.Since(since) / leastRetry)
	f.finish(100+retries, 300+retries)
}

func (f *failing) queue() string { return pgx.Identifier{f.where.Schema, "queue"}.Sanitize() }

func (f *failing) deadlocks() (n int) {
	err := f.admin.QueryRow(f.t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
	require.NoError(f.t, err)
	return n
}

// lockBackwards locks deliveries that are due or under way one after the other, the newest first.
func (f *failing) lockBackwards(ctx context.Context) error {
	return pgx.BeginFunc(ctx, f.admin, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id::text FROM `+f.queue()+` WHERE next_at <= now() ORDER BY id DESC LIMIT 20`)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, id := range slices.Compact(ids) {
			if _, err := tx.Exec(ctx, `SELECT FROM `+f.queue()+` WHERE id = $1::uuid FOR UPDATE`, id); err != nil {
				return err
			}
		}
		return nil
	})
}
