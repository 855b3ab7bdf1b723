package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// Sessions are terminated while eight workers deliver: calls fail, but nothing
// is lost, nothing is delivered twice under one lease, and nobody hangs.
func TestTerminatedSessions(t *testing.T) {
	t.Parallel()
	const name = "to_be_terminated"
	store, _ := openAt(t, postgrestest.DSN(t), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["application_name"] = name
	})
	endpoints := putEndpoints(t, store, 4)
	const n = 2000
	enqueueAll(t, store, endpoints, n)

	killer := postgrestest.Pool(t, small)
	const rounds = 20
	killed, next := 0, 0
	deliverAll(t, store, time.Second, func(delivered int) {
		if delivered < next { // each round finds work done since the one before
			return
		}
		next = delivered + n/(2*rounds)
		var hit int
		require.NoError(t, killer.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name = $1`, name).Scan(&hit))
		killed += hit
	})
	require.Positive(t, killed)
	requireDelivered(t, store, n)
}

// An immediate stop is like a crash of the server. When the server is back,
// everything that it had confirmed is there, and the same Store goes on by itself.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.New(t)
	store, _ := openAt(t, cluster.DSN())
	endpoints := putEndpoints(t, store, 4)
	const n = 2000
	enqueueAll(t, store, endpoints, n)
	first := claim(t, store)
	require.NotEmpty(t, first)

	require.NoError(t, cluster.Stop("immediate"))
	_, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: time.Minute})
	require.ErrorContains(t, err, "alotwebhook: postgres: claim deliveries")
	_, err = store.Finish(t.Context(), outcomesOf(first))
	require.Error(t, err)
	require.NoError(t, cluster.Start())

	lost := eventually(t, func() ([]string, error) { return store.Finish(t.Context(), outcomesOf(first)) })
	require.Empty(t, lost, "leases outlive the server")
	deliverAll(t, store, time.Minute, nil)
	requireDelivered(t, store, n)
}

// The primary is gone in an instant, and its standby is promoted. Everything that
// was committed is there, since the standby was synchronous, and the same Store
// finds the new primary by its pool's connection string.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary := postgrestest.New(t)
	standby, err := primary.Standby()
	require.NoError(t, err)
	t.Cleanup(standby.Close)
	admin, err := pgx.Connect(t.Context(), primary.DSN())
	require.NoError(t, err)
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`} {
		_, err = admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, admin.Close(t.Context()))

	both := fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", primary.Port(), standby.Port())
	store, _ := openAt(t, both)
	endpoints := putEndpoints(t, store, 4)
	const n = 1000
	enqueueAll(t, store, endpoints, n)
	leased := claim(t, store)
	require.NotEmpty(t, leased)

	// A store that was pointed at the standby says so at once.
	_, err = postgres.New(t.Context(), postgrestest.PoolAt(t, standby.DSN()), &postgres.Options{Schema: store.Schema()})
	require.ErrorContains(t, err, "the server is a standby, which takes no writes")

	require.NoError(t, primary.Stop("immediate"))
	_, err = store.Finish(t.Context(), outcomesOf(leased))
	require.ErrorContains(t, err, "alotwebhook: postgres: record outcomes")
	require.NoError(t, standby.Promote())
	require.Empty(t, eventually(t, func() ([]string, error) { return store.Finish(t.Context(), outcomesOf(leased)) }))
	deliverAll(t, store, time.Minute, nil)
	requireDelivered(t, store, n)
}

// A pinned snapshot hides nothing from a claim and gives nothing twice.
func TestPinnedSnapshot(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	endpoints := putEndpoints(t, store, 3)
	enqueueAll(t, store, endpoints, 300)
	pin, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer func() { _ = pin.Rollback(context.Background()) }()
	var seen int
	require.NoError(t, pin.QueryRow(t.Context(), `SELECT count(*) FROM `+store.Schema()+`.queue`).Scan(&seen))
	require.Equal(t, 300, seen)
	deliverAll(t, store, time.Minute, nil)
	enqueueAll(t, store, endpoints, 300)
	deliverAll(t, store, time.Minute, nil)
	requireDelivered(t, store, 600)
	require.NoError(t, pin.QueryRow(t.Context(), `SELECT count(*) FROM `+store.Schema()+`.queue`).Scan(&seen))
	require.Equal(t, 300, seen, "the snapshot was pinned all the time")
}

// A claim does not wait for rows that others hold, nor does it wait for a
// connection longer than its context allows.
func TestClaimDoesNotWait(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t), small)
	e := putEndpoints(t, store, 1)[0]
	enqueueAll(t, store, []alotwebhook.Endpoint{e}, 3)
	holder, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.Background()) }()
	var held int
	require.NoError(t, holder.QueryRow(t.Context(), `WITH h AS (SELECT id FROM `+store.Schema()+`.queue LIMIT 2 FOR UPDATE) SELECT count(*) FROM h`).Scan(&held))
	require.Equal(t, 2, held)
	require.Len(t, claim(t, store), 3)

	second, err := pool.Begin(t.Context()) // the pool has two connections
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, second.Rollback(t.Context()))
	require.NoError(t, holder.Rollback(t.Context()))
	require.Empty(t, claim(t, store))
}

// The sessions of a role may be serializable by default. The store's transactions
// must not be, or the claims of several processes would make each other fail.
func TestSerializableByDefault(t *testing.T) {
	t.Parallel()
	store, _ := openAt(t, postgrestest.DSN(t), func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	})
	endpoints := putEndpoints(t, store, 4)
	enqueueAll(t, store, endpoints, 500)
	deliverAll(t, store, time.Minute, nil)
	requireDelivered(t, store, 500)
}

func TestErrorsKeepTheirCause(t *testing.T) {
	t.Parallel()
	store, pool := openAt(t, postgrestest.DSN(t))
	run(t, pool, `DROP TABLE `+store.Schema()+`.queue`)
	_, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Minute})
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg)
	require.Equal(t, "42P01", pg.Code)
	require.ErrorContains(t, err, "somebody has dropped a table of schema")

	// Migrate makes nothing of that, and says so, as New does.
	opts := &postgres.Options{Schema: store.Schema()}
	for _, err := range []error{postgres.Migrate(t.Context(), pool, opts), func() error { _, err := postgres.New(t.Context(), pool, opts); return err }()} {
		require.ErrorContains(t, err, "lacks queue, which its version has: somebody has dropped that. Restore it from a backup")
	}
	run(t, pool, `DROP SCHEMA `+store.Schema()+` CASCADE`)
	require.NoError(t, postgres.Migrate(t.Context(), pool, opts))
	require.Empty(t, claim(t, store))
}

func enqueueAll(t testing.TB, store alotwebhook.Store, endpoints []alotwebhook.Endpoint, n int) {
	t.Helper()
	events := make([]alotwebhook.Event, n)
	for i := range events {
		events[i] = newEvent(t, endpoints[i%len(endpoints)].OrganizationID)
	}
	require.NoError(t, store.Enqueue(t.Context(), events))
}

// deliverAll has eight workers claim and finish, whatever fails, until nothing
// is pending. disturb, if any, is called all the while with the number of
// deliveries whose outcomes are certain to be stored.
func deliverAll(t testing.TB, store alotwebhook.Store, lease time.Duration, disturb func(delivered int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	var delivered atomic.Int64
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	for range 8 {
		workers.Go(func() {
			for ctx.Err() == nil {
				r, err := store.Claim(ctx, alotwebhook.ClaimRequest{Limit: 20, PerEndpoint: 50, Lease: lease})
				if err != nil || len(r.Deliveries) == 0 {
					pause(ctx)
					continue
				}
				// An error may come after the commit; then others find nothing to do.
				if lost, err := store.Finish(ctx, outcomesOf(r.Deliveries)); err == nil {
					delivered.Add(int64(len(r.Deliveries) - len(lost)))
				}
			}
		})
	}
	for {
		st, err := store.Stats(ctx)
		if err == nil && st.Pending == 0 {
			return
		}
		require.NoError(t, ctx.Err(), "%d were delivered, and the last count of what is left was %d (%v)", delivered.Load(), st.Pending, err)
		if disturb != nil {
			disturb(int(delivered.Load()))
		}
		pause(ctx)
	}
}

// requireDelivered holds the history to n deliveries that succeeded with one
// attempt: who lost a lease recorded none.
func requireDelivered(t testing.TB, store alotwebhook.Store, n int) {
	t.Helper()
	total := 0
	for f := (alotwebhook.Filter{State: alotwebhook.StateDelivered, Limit: 500}); ; {
		var next string
		page := eventually(t, func() (page []alotwebhook.Delivery, err error) { // a read that meets a dead connection of the pool fails
			page, next, err = store.Deliveries(t.Context(), f)
			return page, err
		})
		for _, d := range page {
			require.Equal(t, 1, d.AttemptCount, d.ID)
		}
		total += len(page)
		if f.Cursor = next; next == "" {
			break
		}
	}
	require.Equal(t, n, total)
}

// pause keeps a worker that fails from spinning.
func pause(ctx context.Context) {
	select {
	case <-time.After(5 * time.Millisecond):
	case <-ctx.Done():
	}
}

// eventually repeats do until it succeeds, as it will once the server is back.
func eventually[T any](t testing.TB, do func() (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		got, err := do()
		if err == nil {
			return got
		}
		require.NoError(t, ctx.Err(), err)
		pause(ctx)
	}
}
