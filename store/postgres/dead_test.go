package postgres_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// dying is a store whose pool has many connections, all of which a test ends while they are
// idle. The pool does not look whether they are alive, as it does not under load.
type dying struct {
	*postgres.Store
	t        *testing.T
	pool     *pgxpool.Pool
	endpoint alotwebhook.Endpoint
}

const dyingConns = 12

func newDying(t *testing.T, configure ...func(*pgxpool.Config)) *dying {
	t.Helper()
	store, pool := openAt(t, postgrestest.DSN(t), append(configure, func(c *pgxpool.Config) {
		c.MaxConns = dyingConns
		c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	})...)
	return &dying{store, t, pool, putEndpoints(t, store, 1)[0]}
}

// fill opens all connections of the pool.
func (d *dying) fill() (pids []uint32) {
	d.t.Helper()
	conns := make([]*pgxpool.Conn, dyingConns)
	for i := range conns {
		var err error
		conns[i], err = d.pool.Acquire(d.t.Context())
		require.NoError(d.t, err)
		pids = append(pids, conns[i].Conn().PgConn().PID())
	}
	for _, c := range conns {
		c.Release()
	}
	return pids
}

// terminate ends all sessions, and returns once the server has none of them.
func (d *dying) terminate() {
	d.t.Helper()
	killer := postgrestest.Pool(d.t, small)
	pids := d.fill()
	_, err := killer.Exec(d.t.Context(), `SELECT pg_terminate_backend(pid::int, $2) FROM unnest($1::bigint[]) AS pid`, pids, patience.Milliseconds())
	require.NoError(d.t, err)
}

func (d *dying) claim() ([]alotwebhook.Claimed, error) {
	r, err := d.Claim(d.t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: time.Minute})
	return r.Deliveries, err
}

// All sessions are terminated while they are idle. No call fails for it, however many dead
// connections the pool has: none of them has begun anything.
func TestTerminatedWhileIdle(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{
		"prepared": pgx.QueryExecModeCacheStatement, "simple": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDying(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			for _, n := range []int{1, 200} { // each is stored in a way of its own
				d.terminate()
				events := make([]alotwebhook.Event, n)
				for i := range events {
					events[i] = newEvent(t, d.endpoint.OrganizationID)
				}
				require.NoError(t, d.Enqueue(t.Context(), events))
			}
			d.terminate()
			claimed, err := d.claim()
			require.NoError(t, err)
			require.NotEmpty(t, claimed)
			d.terminate()
			lost, err := d.Finish(t.Context(), outcomesOf(claimed))
			require.NoError(t, err)
			require.Empty(t, lost)
			d.terminate()
			_, err = d.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Hour})
			require.NoError(t, err)
		})
	}
}

// All connections are cut off without a word, by whatever stands between. Nobody knows what
// became of a transaction under way, so one call may fail. The next finds a new connection.
func TestCutOffWhileIdle(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var open []net.Conn
	d := newDying(t, func(c *pgxpool.Config) {
		dial := c.ConnConfig.DialFunc
		c.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			mu.Lock()
			defer mu.Unlock()
			open = append(open, conn)
			return conn, err
		}
	})
	cut := func() {
		d.fill()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.(*net.TCPConn).CloseRead() // what is sent is not answered; an error says that the pool has closed it
		}
		open = nil
	}
	require.NoError(t, d.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, d.endpoint.OrganizationID)}))
	cut()
	_, err := d.claim()
	require.ErrorContains(t, err, "EOF")
	claimed, err := d.claim()
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	cut()
	_, err = d.Finish(t.Context(), outcomesOf(claimed))
	require.ErrorContains(t, err, "EOF")
	_, err = d.Finish(t.Context(), outcomesOf(claimed)) // the first one may be stored
	require.NoError(t, err)
}
