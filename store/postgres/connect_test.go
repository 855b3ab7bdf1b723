package postgres_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// withToken makes a pool of whose configuration no connection could be made, without the user that
// BeforeConnect fills in. It counts the connections that AfterConnect has seen.
func withToken(t *testing.T, seen *atomic.Int32) *pgxpool.Pool {
	t.Helper()
	return postgrestest.Pool(t, func(c *pgxpool.Config) {
		user := c.ConnConfig.User
		c.ConnConfig.User = "nobody_without_a_token"
		c.BeforeConnect = func(_ context.Context, config *pgx.ConnConfig) error {
			config.User = user
			return nil
		}
		c.AfterConnect = func(context.Context, *pgx.Conn) error {
			seen.Add(1)
			return nil
		}
	})
}

// Hosts fill in passwords that change, such as tokens, just before each connection is made.
func TestListenConnectsAsThePool(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	pool := withToken(t, &seen)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true})
	require.NoError(t, err)
	before := pool.Stat().NewConnsCount()
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, store.Listen(ctx, cancel), "it has heard once that it listens")
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.EqualValues(t, before+1, seen.Load(), "AfterConnect sets the role, for one")
}

func TestRebuildConnectsAsThePool(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	pool := withToken(t, &seen)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{
		Schema: postgrestest.Schema(t, pool), Migrate: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	passThrough(t, store, pool)
	before, _ := indexSize(t, pool, store)
	store.SparseFrom(sparse, patience)
	purge(t, store)
	after, _ := indexSize(t, pool, store)
	require.Less(t, after, before)
}

// What AfterConnect refuses is closed.
func TestAConnectionThatAfterConnectRefuses(t *testing.T) {
	t.Parallel()
	var refuse atomic.Bool
	var conn atomic.Pointer[pgx.Conn]
	pool := postgrestest.Pool(t, func(c *pgxpool.Config) {
		c.AfterConnect = func(_ context.Context, made *pgx.Conn) error {
			if refuse.Load() {
				conn.Store(made)
				return context.DeadlineExceeded
			}
			return nil
		}
	})
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true, Notify: true})
	require.NoError(t, err)
	refuse.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	require.ErrorIs(t, store.Listen(ctx, func() {}), context.DeadlineExceeded)
	require.True(t, conn.Load().IsClosed())
}
