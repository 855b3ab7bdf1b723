package postgrestest

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook/store/postgres"
)

// Schemas lends schemas with the tables of a store to the rules of a suite, one after the
// other: to empty a schema is much faster than to make one.
type Schemas struct {
	t    testing.TB // its end drops the schemas
	mu   sync.Mutex
	free []string
}

// NewSchemas returns schemas on the shared server, which are dropped when the test ends.
func NewSchemas(t testing.TB) *Schemas { return &Schemas{t: t} }

// Open returns a store on a pool of its own for a server, or for a pooler in front of
// the shared one, in an empty schema.
func (s *Schemas) Open(t testing.TB, dsn string, configure ...func(*pgxpool.Config)) *postgres.Store {
	t.Helper()
	schema := s.Take(t)
	store, err := postgres.New(context.Background(), PoolAt(t, dsn, configure...), &postgres.Options{Schema: schema})
	if err != nil {
		t.Fatalf("postgrestest: %v", err)
	}
	return store
}

// Take returns an empty schema, which is the test's until it ends.
func (s *Schemas) Take(t testing.TB) (schema string) {
	t.Helper()
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		schema, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	if schema == "" {
		pool := Pool(t, func(c *pgxpool.Config) { c.MaxConns = 2 })
		schema = Schema(s.t, pool)
		if err := postgres.Migrate(context.Background(), pool, &postgres.Options{Schema: schema}); err != nil {
			t.Fatalf("postgrestest: %v", err)
		}
	}
	t.Cleanup(func() { s.giveBack(t, schema) })
	return schema
}

func (s *Schemas) giveBack(t testing.TB, schema string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), DSN(t))
	if err != nil {
		t.Fatalf("postgrestest: %v", err)
	}
	defer conn.Close(context.Background())
	for _, table := range []string{"owners", "queue", "attempts", "deliveries", "events", "endpoints", "recoveries", "tallies", "operations", "pauses"} {
		if _, err := conn.Exec(context.Background(), "DELETE FROM "+schema+"."+table); err != nil {
			t.Fatalf("postgrestest: empty %s: %v", table, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, schema)
}
