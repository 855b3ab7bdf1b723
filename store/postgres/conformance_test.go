package postgres_test

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	schemas := &schemas{t: t}
	storetest.Run(t, func(t testing.TB) alotwebhook.Store { return schemas.open(t, postgrestest.DSN(t)) })
}

func TestConformanceOnOneConnection(t *testing.T) {
	t.Parallel()
	schemas := &schemas{t: t}
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return schemas.open(t, postgrestest.DSN(t), func(c *pgxpool.Config) { c.MaxConns = 1 })
	})
}

func TestConformanceWithSimpleProtocol(t *testing.T) {
	t.Parallel()
	schemas := &schemas{t: t}
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return schemas.open(t, postgrestest.DSN(t), mode(pgx.QueryExecModeSimpleProtocol))
	})
}

func TestConformanceThroughPgBouncer(t *testing.T) {
	t.Parallel()
	schemas := &schemas{t: t}
	dsn := postgrestest.PgBouncer(t, postgrestest.DSN(t))
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		return schemas.open(t, dsn, mode(pgx.QueryExecModeExec))
	})
}

// Each method call goes to the next of eight stores on one schema. Each store has a
// pool and lanes of its own, as in eight processes.
func TestConformanceOfEightStores(t *testing.T) {
	t.Parallel()
	schemas := &schemas{t: t}
	storetest.Run(t, func(t testing.TB) alotwebhook.Store {
		all := &eight{}
		schema := schemas.take(t)
		for i := range all.stores {
			store, err := postgres.New(t.Context(), postgrestest.Pool(t, small), &postgres.Options{Schema: schema})
			require.NoError(t, err)
			all.stores[i] = store
		}
		return all
	})
}

// schemas lends schemas to the rules of one run, one after the other: to empty a
// schema is much faster than to make one.
type schemas struct {
	t    *testing.T // its end drops the schemas
	mu   sync.Mutex
	free []string
}

func (s *schemas) open(t testing.TB, dsn string, configure ...func(*pgxpool.Config)) alotwebhook.Store {
	schema := s.take(t)
	store, err := postgres.New(t.Context(), postgrestest.PoolAt(t, dsn, configure...), &postgres.Options{Schema: schema})
	require.NoError(t, err)
	return store
}

func (s *schemas) take(t testing.TB) (schema string) {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		schema, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if schema == "" {
		pool := postgrestest.Pool(t, small)
		schema = postgrestest.Schema(s.t, pool)
		require.NoError(t, postgres.Migrate(t.Context(), pool, &postgres.Options{Schema: schema}))
	}
	t.Cleanup(func() { s.giveBack(t, schema) })
	return schema
}

func (s *schemas) giveBack(t testing.TB, schema string) {
	conn, err := pgx.Connect(context.Background(), postgrestest.DSN(t))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	for _, table := range []string{"owners", "queue", "attempts", "deliveries", "events", "endpoints", "recoveries", "tallies"} {
		_, err := conn.Exec(context.Background(), "DELETE FROM "+schema+"."+table)
		require.NoError(t, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, schema)
}

func mode(m pgx.QueryExecMode) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = m }
}

func small(c *pgxpool.Config) { c.MaxConns = 2 }

// eight is a store that passes each call on to the next of eight.
type eight struct {
	stores  [8]alotwebhook.Store
	calls   atomic.Uint64
	claimer sync.Map // by token
}

var (
	_ alotwebhook.Store   = (*eight)(nil)
	_ alotwebhook.Tallier = (*eight)(nil)
)

func (e *eight) next() alotwebhook.Store { return e.stores[e.calls.Add(1)%uint64(len(e.stores))] }

func (e *eight) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	return e.next().Enqueue(ctx, events)
}

func (e *eight) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	return e.next().EnqueueTo(ctx, endpointID, event)
}

// Claim asks all of them, since each has lanes of its own, and each until it gives no more, as
// a dispatcher does: only a claim that would return nothing is sure to survey what the others
// have added.
func (e *eight) Claim(ctx context.Context, c alotwebhook.ClaimRequest) (all alotwebhook.ClaimResult, err error) {
	busy := map[string]int{}
	maps.Copy(busy, c.Busy)
	c.Busy = busy
	first := int(e.calls.Add(1))
	for i := range e.stores {
		store := e.stores[(first+i)%len(e.stores)]
		for c.Limit > 0 {
			more, err := store.Claim(ctx, c)
			if err != nil {
				return all, err
			}
			if all.NextIn == 0 || more.NextIn > 0 && more.NextIn < all.NextIn {
				all.NextIn = more.NextIn
			}
			for _, d := range more.Deliveries {
				if _, listed := busy[d.Endpoint.ID]; !listed {
					busy[d.Endpoint.ID] = c.PerEndpoint - c.Free(d.Endpoint.ID, "")
				}
				busy[d.Endpoint.ID]++
				e.claimer.Store(d.Token, store)
			}
			c.Limit -= len(more.Deliveries)
			all.Deliveries = append(all.Deliveries, more.Deliveries...)
			if len(more.Deliveries) == 0 || c.Lease < time.Second { // so short a lease might run out meanwhile
				break
			}
		}
	}
	return all, nil
}

// Finish gives each outcome to the store whose claim it is of.
func (e *eight) Finish(ctx context.Context, outcomes []alotwebhook.Outcome) (lost []string, err error) {
	parts := map[alotwebhook.Store][]alotwebhook.Outcome{}
	for _, o := range outcomes {
		store := e.next()
		if claimer, ok := e.claimer.Load(o.Token); ok {
			store = claimer.(alotwebhook.Store)
		}
		parts[store] = append(parts[store], o)
	}
	for store, part := range parts {
		more, err := store.Finish(ctx, part)
		if err != nil {
			return lost, err
		}
		lost = append(lost, more...)
	}
	return lost, nil
}

func (e *eight) Redeliver(ctx context.Context, ids []string) (int, error) {
	return e.next().Redeliver(ctx, ids)
}

func (e *eight) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error) {
	return e.next().Discard(ctx, endpointID, before, limit)
}

func (e *eight) PutEndpoint(ctx context.Context, endpoint alotwebhook.Endpoint) error {
	return e.next().PutEndpoint(ctx, endpoint)
}

func (e *eight) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	return e.next().Endpoint(ctx, id)
}

func (e *eight) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	return e.next().Endpoints(ctx, f)
}

func (e *eight) DeleteEndpoint(ctx context.Context, id string) error {
	return e.next().DeleteEndpoint(ctx, id)
}

func (e *eight) PutRecovery(ctx context.Context, r alotwebhook.Recovery) error {
	return e.next().PutRecovery(ctx, r)
}

func (e *eight) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) ([]alotwebhook.Recovery, string, error) {
	return e.next().Recoveries(ctx, f)
}

func (e *eight) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	return e.next().(alotwebhook.Tallier).AddTallies(ctx, tallies)
}

func (e *eight) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	return e.next().(alotwebhook.Tallier).Tallies(ctx, endpointIDs, since)
}

func (e *eight) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	return e.next().Event(ctx, id)
}

func (e *eight) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	return e.next().Deliveries(ctx, f)
}

func (e *eight) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	return e.next().Delivery(ctx, id)
}

func (e *eight) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	return e.next().Purge(ctx, p)
}

func (e *eight) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	return e.next().Stats(ctx)
}
