package postgrestest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	if len(s.free) > 0 {
		schema, s.free = s.free[0], s.free[1:]
	}
	s.mu.Unlock()
	if schema == "" {
		pool := Pool(t, func(c *pgxpool.Config) { c.MaxConns = 2 })
		schema = Schema(s.t, pool)
		if err := postgres.Migrate(context.Background(), pool, &postgres.Options{Schema: schema}); err != nil {
			t.Fatalf("postgrestest: %v", err)
		}
	} else if err := empty(DSN(t), schema); err != nil {
		t.Fatalf("postgrestest: empty %s: %v", schema, err)
	}
	t.Cleanup(func() { s.giveBack(schema) })
	return schema
}

// giveBack puts a schema behind the others that are free, as it is.
func (s *Schemas) giveBack(schema string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, schema)
}

// empty deletes what a test has left in a schema. It does so right before the next one, and waits for
// statements that are under way: a test may have given up a call that a pooler executes after its end.
func empty(dsn, schema string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tables := []string{"owners", "queue", "attempts", "deliveries", "events", "endpoints", "urls", "recoveries", "tallies", "operations", "pauses"}
	var statements strings.Builder // in one transaction, as they come in one message
	for i, table := range tables {
		tables[i] = pgx.Identifier{schema, table}.Sanitize()
	}
	statements.WriteString("LOCK TABLE " + strings.Join(tables, ", ") + " IN ACCESS EXCLUSIVE MODE;")
	for _, table := range tables {
		statements.WriteString("DELETE FROM " + table + ";")
	}
	for range 10 { // such a call may lock the tables in another order
		_, err = conn.Exec(ctx, statements.String(), pgx.QueryExecModeSimpleProtocol)
		var deadlock *pgconn.PgError
		if !errors.As(err, &deadlock) || deadlock.Code != "40P01" {
			break
		}
	}
	return err
}
