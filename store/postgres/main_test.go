package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// patience bounds every wait. It is a last resort for what will never come, and
// no measure of how fast anything is.
const patience = 10 * time.Minute

func TestMain(m *testing.M) { postgrestest.Main(m) }

// open returns an empty store in a schema of its own.
func open(t testing.TB, configure ...func(*pgxpool.Config)) *postgres.Store {
	t.Helper()
	store, _ := openAt(t, postgrestest.DSN(t), configure...)
	return store
}

// openAt is open for another server; it returns the store's pool as well.
func openAt(t testing.TB, dsn string, configure ...func(*pgxpool.Config)) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.PoolAt(t, dsn, configure...)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, pool), Migrate: true}
	store, err := postgres.New(context.Background(), pool, opts)
	require.NoError(t, err)
	return store, pool
}

// putEndpoints stores n endpoints, each of an organization of its own.
func putEndpoints(t testing.TB, store alotwebhook.Store, n int) []alotwebhook.Endpoint {
	t.Helper()
	endpoints := make([]alotwebhook.Endpoint, n)
	for i := range endpoints {
		endpoints[i] = alotwebhook.Endpoint{
			ID: fmt.Sprintf("wh_%026d", i), OrganizationID: fmt.Sprintf("org_%d", i), URL: "https://example.com/hook",
			EventTypes: []string{"candidate.completed"}, Secret: "secret", CreatedAt: time.Now(), UpdatedAt: time.Now(),
		}
		require.NoError(t, store.PutEndpoint(context.Background(), endpoints[i]))
	}
	return endpoints
}

// newEvent returns an event with a payload of some 300 bytes.
func newEvent(t testing.TB, organization string) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent("candidate.completed", organization, map[string]any{
		"sessionId": "sess_123", "assessmentId": "asm_456", "candidateName": "Jane Smith",
		"candidateEmail": "jane@example.com", "score": 82, "status": "COMPLETED",
	})
	require.NoError(t, err)
	return e
}

// outcomesOf returns an outcome for each claimed delivery: a response with 204.
func outcomesOf(claimed []alotwebhook.Claimed) []alotwebhook.Outcome {
	outcomes := make([]alotwebhook.Outcome, len(claimed))
	for i, c := range claimed {
		outcomes[i] = alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), Duration: time.Millisecond, StatusCode: 204}}
	}
	return outcomes
}

// withSchema puts the schema's name into a statement, where it says {s}.
func withSchema(sql, schema string) string { return strings.ReplaceAll(sql, "{s}", schema) }

func mode(m pgx.QueryExecMode) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = m }
}

func small(c *pgxpool.Config) { c.MaxConns = 2 }
