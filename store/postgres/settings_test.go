package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// with sets a parameter for every connection of a pool, as a role's settings do.
func with(name, value string) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams[name] = value }
}

// PostgreSQL turns every text into the encoding of the connection. Payloads have to come
// and go as they are.
func TestClientEncoding(t *testing.T) {
	t.Parallel()
	good, pool := openAt(t, postgrestest.DSN(t))
	e := putEndpoints(t, good, 1)[0]
	event, err := alotwebhook.NewEvent("candidate.completed", e.OrganizationID, map[string]string{"candidateName": "Zoë"})
	require.NoError(t, err)
	opts := &postgres.Options{Schema: good.Schema()}
	latin := postgrestest.Pool(t, with("client_encoding", "LATIN1"))
	_, err = postgres.New(t.Context(), latin, opts)
	require.ErrorContains(t, err, "the connection's client_encoding is LATIN1, and payloads need UTF8")
	require.ErrorContains(t, postgres.Migrate(t.Context(), latin, opts), "client_encoding is LATIN1")
	for _, fine := range []string{"utf-8", "UNICODE"} {
		_, err = postgres.New(t.Context(), postgrestest.Pool(t, with("client_encoding", fine)), opts)
		require.NoError(t, err, fine)
	}

	tx, err := latin.Begin(t.Context())
	require.NoError(t, err)
	err = good.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{event})
	require.ErrorContains(t, err, "client_encoding that is not UTF8")
	require.Error(t, tx.Commit(t.Context()), "nothing is stored after an error")
	db := stdlib.OpenDBFromPool(latin)
	defer db.Close()
	sqlTx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorContains(t, good.SQLTx(sqlTx).Enqueue(t.Context(), []alotwebhook.Event{event}), "client_encoding that is not UTF8")
	require.NoError(t, sqlTx.Rollback())

	// The host changes it later, for the connections to come.
	changing := ""
	late := postgrestest.Pool(t, small, func(c *pgxpool.Config) {
		c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if changing != "" {
				c.RuntimeParams["client_encoding"] = changing
			}
			return nil
		}
	})
	store, err := postgres.New(t.Context(), late, opts)
	require.NoError(t, err)
	changing = "LATIN1"
	late.Reset()
	require.ErrorContains(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}), "client_encoding is LATIN1")
	_, err = store.Event(t.Context(), event.ID)
	require.ErrorContains(t, err, "client_encoding is LATIN1")

	require.NoError(t, good.Enqueue(t.Context(), []alotwebhook.Event{event}))
	require.Equal(t, event.Payload(), claim(t, good)[0].Payload)
	require.Equal(t, 1, count(t, pool, good.Schema()+".events"))
}

// A role may write dates in its own way. What comes as text has to be read all the same,
// in the host's transaction, too.
func TestDateStyles(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"German, DMY", "SQL, MDY", "Postgres, DMY"} {
		for _, m := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(fmt.Sprint(style, ", ", m), func(t *testing.T) {
				t.Parallel()
				store, pool := openAt(t, postgrestest.DSN(t), with("datestyle", style), mode(m))
				e := putEndpoints(t, store, 1)[0]
				own, hosts := newEvent(t, e.OrganizationID), newEvent(t, e.OrganizationID)
				require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{own}))
				tx, err := pool.Begin(t.Context())
				require.NoError(t, err)
				require.NoError(t, store.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{hosts}))
				var left string
				require.NoError(t, tx.QueryRow(t.Context(), "SHOW datestyle").Scan(&left))
				require.Equal(t, style, left, "the host's transaction keeps its settings")
				require.NoError(t, tx.Commit(t.Context()))
				outcomes := outcomesOf(claim(t, store))
				require.Len(t, outcomes, 2)
				outcomes[0].State, outcomes[0].NextAttemptIn = alotwebhook.StatePending, time.Hour
				outcomes[0].Attempt.Reason = alotwebhook.ReasonTimeout
				lost, err := store.Finish(t.Context(), outcomes)
				require.NoError(t, err)
				require.Empty(t, lost)
				for _, o := range outcomes {
					d, err := store.Delivery(t.Context(), o.DeliveryID)
					require.NoError(t, err)
					require.Len(t, d.Attempts, 1)
					require.WithinDuration(t, o.Attempt.StartedAt, d.Attempts[0].StartedAt, time.Millisecond)
				}
				page, _, err := store.Deliveries(t.Context(), alotwebhook.Filter{})
				require.NoError(t, err)
				require.Len(t, page, 2)
				_, _, err = store.Endpoints(t.Context(), alotwebhook.EndpointFilter{})
				require.NoError(t, err)
				_, err = store.Stats(t.Context())
				require.NoError(t, err)
				_, err = store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Hour, History: time.Hour, Tallies: time.Hour})
				require.NoError(t, err)
				hour := time.Now().UTC().Truncate(time.Hour)
				require.NoError(t, store.AddTallies(t.Context(), []alotwebhook.Tally{{EndpointID: e.ID, Hour: hour, Succeeded: 1}}))
				tallies, err := store.Tallies(t.Context(), []string{e.ID}, hour)
				require.NoError(t, err)
				require.Len(t, tallies, 1)
			})
		}
	}
}

// The statement_timeout of a role is no limit for a migration, nor for one that waits for
// another's.
func TestMigrateOutlastsAShortStatementTimeout(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, admin)
	holder, err := admin.Begin(t.Context())
	require.NoError(t, err)
	const class = int32(0x616c6f74)
	_, err = holder.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1, hashtext($2))", class, schema) // as a process that migrates
	require.NoError(t, err)
	pool := postgrestest.Pool(t, with("statement_timeout", "200ms"), with("lock_timeout", "200ms"))
	ended := make(chan error, 1)
	go func() { ended <- postgres.Migrate(context.Background(), pool, &postgres.Options{Schema: schema}) }()
	select {
	case err := <-ended:
		t.Fatalf("did not wait for the other process: %v", err)
	case <-time.After(time.Second):
	}
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-ended)
	_, err = postgres.New(t.Context(), admin, &postgres.Options{Schema: schema})
	require.NoError(t, err)
}
