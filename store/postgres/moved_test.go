package postgres_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// The address leads to a standby for a while, and back to the primary. The connections
// that were opened meanwhile stay open, and the standby is never promoted: nothing that
// the store does may go over them any more.
func TestAddressMovesAwayAndBack(t *testing.T) {
	t.Parallel()
	primary, standby := primaryAndStandby(t)
	relay := newRelay(t, primary)
	store, pool := openAt(t, relay.dsn(), four)
	endpoints := putEndpoints(t, store, 1)
	readerPool := postgrestest.PoolAt(t, relay.dsn(), four)
	reader, err := postgres.New(t.Context(), readerPool, &postgres.Options{Schema: store.Schema()})
	require.NoError(t, err)
	freeze(t, primary, standby)

	enqueueAll(t, store, endpoints, 1)
	leased := claim(t, store)
	require.Len(t, leased, 1)
	w := work(t, store, reader, endpoints[0].OrganizationID, leased)
	require.Empty(t, w.fails(t, 3, "on the primary"))

	relay.lead(standby)
	relay.cut()
	const n = 20
	failed := w.fails(t, n, "on the standby")
	for name := range w {
		require.Equal(t, n, failed[name], "%s works on a standby", name)
	}
	_, err = postgres.New(t.Context(), pool, &postgres.Options{Schema: store.Schema()})
	require.ErrorContains(t, err, "the server is a standby, which takes no writes")
	keepOpen(t, pool, 4)
	keepOpen(t, readerPool, 4)

	relay.lead(primary)
	require.Empty(t, w.fails(t, n, "back on the primary"))
	for _, p := range []*pgxpool.Pool{pool, readerPool} {
		requireOnPrimary(t, p)
	}
}

// calls are some calls of stores, by what they do.
type calls map[string]func() error

// work returns calls of each kind: some read the old history of the standby, the others write.
func work(t *testing.T, store, reader *postgres.Store, organization string, leased []alotwebhook.Claimed) calls {
	return calls{
		"emit": func() error { return store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, organization)}) },
		"claim": func() error {
			_, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 1, PerEndpoint: 1, Lease: time.Hour})
			return err
		},
		"finish": func() error {
			_, err := store.Finish(t.Context(), outcomesOf(leased))
			return err
		},
		"read": func() error {
			page, _, err := reader.Deliveries(t.Context(), alotwebhook.Filter{})
			if err == nil {
				require.NotEmpty(t, page, "the standby shows an old history")
			}
			return err
		},
		"stats": func() error {
			_, err := reader.Stats(t.Context())
			return err
		},
	}
}

// fails makes each call n times, and returns how often which failed.
func (c calls) fails(t *testing.T, n int, when string) map[string]int {
	t.Helper()
	failed := map[string]int{}
	var last error
	for range n {
		for name, do := range c {
			if err := do(); err != nil {
				failed[name]++
				last = err
				require.NotContains(t, err.Error(), "postgres.Migrate")
			}
		}
	}
	t.Logf("%s: failed of %d tries each: %v, at last: %v", when, n, failed, last)
	return failed
}

// requireOnPrimary requires that no idle connection of the pool leads to a standby.
func requireOnPrimary(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, conn := range pool.AcquireAllIdle(t.Context()) {
		var onStandby bool
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT pg_is_in_recovery()`).Scan(&onStandby))
		require.False(t, onStandby, "a connection to the standby was kept")
		conn.Release()
	}
}

// New on a pool whose connections lead to the wrong server finds the right one.
func TestNewAfterTheAddressMoved(t *testing.T) {
	t.Parallel()
	primary, standby := primaryAndStandby(t)
	relay := newRelay(t, standby)
	pool := postgrestest.PoolAt(t, relay.dsn(), four)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, postgrestest.PoolAt(t, primary.DSN())), Migrate: true}
	_, err := postgres.New(t.Context(), pool, opts)
	require.ErrorContains(t, err, "the server is a standby, which takes no writes")
	keepOpen(t, pool, 4)
	relay.lead(primary)
	_, err = postgres.New(t.Context(), pool, opts)
	require.NoError(t, err)
}

// A connection that listens on a server of which nothing comes any more is given up.
func TestListenAfterTheAddressMoved(t *testing.T) {
	t.Parallel()
	primary, standby := primaryAndStandby(t)
	relay := newRelay(t, primary)
	pool := postgrestest.PoolAt(t, relay.dsn(), four)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true, Logger: slog.New(slog.DiscardHandler)}
	store, err := postgres.New(t.Context(), pool, opts)
	require.NoError(t, err)
	store.ListenSilence(50 * time.Millisecond)
	var heard, failed atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil { // as a dispatcher does
			if err := store.Listen(ctx, func() { heard.Add(1) }); err != nil {
				failed.Add(1)
				pause(ctx)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	hears := func(when string) {
		t.Helper()
		// The first word may come of the beginning, the next ones come over the connection.
		from := heard.Load()
		require.Eventually(t, func() bool { return heard.Load() >= from+3 }, patience, time.Millisecond, when)
	}
	hears("on the primary")

	relay.lead(standby)
	relay.cut()
	require.Eventually(t, func() bool { return failed.Load() >= 3 }, patience, time.Millisecond, "a standby cannot be listened on")
	relay.lead(primary)
	hears("back on the primary")

	// The old primary goes on alone, and the socket stays open, so that nothing tells
	// the one who listens.
	require.NoError(t, standby.Promote())
	before := failed.Load()
	relay.lead(standby)
	pool.Reset()
	require.Eventually(t, func() bool { return failed.Load() > before }, patience, time.Millisecond, "it still listens on the old primary")
	hears("on the new primary")
	t.Logf("tries to listen that failed: %d after the standby had taken over", failed.Load()-before)
}

// four is a pool of four connections.
func four(c *pgxpool.Config) { c.MaxConns = 4 }

func primaryAndStandby(t *testing.T) (primary, standby *postgrestest.Cluster) {
	t.Helper()
	primary = postgrestest.New(t, "shared_buffers = 64MB")
	standby, err := primary.Standby("shared_buffers = 64MB")
	require.NoError(t, err)
	t.Cleanup(standby.Close)
	return primary, standby
}

// freeze waits until the standby has what the primary has, and stops it there.
func freeze(t *testing.T, primary, standby *postgrestest.Cluster) {
	t.Helper()
	var end string
	require.NoError(t, postgrestest.PoolAt(t, primary.DSN()).QueryRow(t.Context(), `SELECT pg_current_wal_lsn()::text`).Scan(&end))
	at := postgrestest.PoolAt(t, standby.DSN())
	require.Eventually(t, func() bool {
		var there bool
		err := at.QueryRow(t.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, end).Scan(&there)
		return err == nil && there
	}, patience, 10*time.Millisecond)
	run(t, at, `SELECT pg_wal_replay_pause()`)
}

// keepOpen has the host use n connections of the pool at once, which stay open.
func keepOpen(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	conns := make([]*pgxpool.Conn, n)
	for i := range conns {
		conns[i] = eventually(t, func() (*pgxpool.Conn, error) { return pool.Acquire(t.Context()) })
		_, err := conns[i].Exec(t.Context(), `SELECT 1`)
		require.NoError(t, err)
	}
	for _, c := range conns {
		c.Release()
	}
}
