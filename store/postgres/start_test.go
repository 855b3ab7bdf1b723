package postgres_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestMigrateFromManyProcesses(t *testing.T) {
	t.Parallel()
	first := postgrestest.Pool(t)
	opts := &postgres.Options{Schema: postgrestest.Schema(t, first), Migrate: true}
	results := make(chan error, 8)
	for range cap(results) {
		pool := postgrestest.Pool(t, small)
		go func() {
			_, err := postgres.New(context.Background(), pool, opts)
			results <- err
		}()
	}
	for range cap(results) {
		require.NoError(t, <-results)
	}
	var applied int
	require.NoError(t, first.QueryRow(t.Context(), `SELECT max(coalesce(latest, version)) FROM `+opts.Schema+`.migrations`).Scan(&applied))
	require.Equal(t, postgres.SchemaVersion, applied)
}

// A host may migrate with a tool of its own, and run its process with a role that
// owns nothing. Each right that the role lacks is named.
func TestPlainSQLAndPlainRole(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, admin)
	role := schema + "_app"
	tx, err := admin.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Conn().PgConn().Exec(t.Context(), postgres.MigrationSQL(schema)).ReadAll()
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	run(t, admin, `CREATE ROLE `+role+` LOGIN`)
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role) })

	app := postgrestest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.User = role })
	opts := &postgres.Options{Schema: schema}
	_, err = postgres.New(t.Context(), app, opts)
	require.ErrorContains(t, err, "permission denied for schema")
	require.ErrorContains(t, err, "grant it")

	run(t, admin, `GRANT USAGE ON SCHEMA `+schema+` TO `+role)
	_, err = postgres.New(t.Context(), app, opts)
	require.ErrorContains(t, err, "the role may not select from "+schema+".migrations")
	run(t, admin, `GRANT SELECT ON ALL TABLES IN SCHEMA `+schema+` TO `+role)
	_, err = postgres.New(t.Context(), app, opts)
	require.ErrorContains(t, err, "may not select, insert, update and delete in "+schema+".endpoints")

	run(t, admin, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA `+schema+` TO `+role)
	store, err := postgres.New(t.Context(), app, opts)
	require.NoError(t, err)
	e := putEndpoints(t, store, 1)[0]
	event := newEvent(t, e.OrganizationID)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}))
	claimed := claim(t, store)
	require.Len(t, claimed, 1)
	lost, err := store.Finish(t.Context(), outcomesOf(claimed))
	require.NoError(t, err)
	require.Empty(t, lost)
	d, err := store.Delivery(t.Context(), claimed[0].DeliveryID)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.StateDelivered, d.State)

	_, err = postgres.New(t.Context(), app, &postgres.Options{Schema: schema + "_other", Migrate: true})
	require.ErrorContains(t, err, "permission denied for database")
	require.ErrorContains(t, err, "alotwebhook: postgres: migrate the schema")
}

func TestRefusedAtStart(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, pool)

	_, err := postgres.New(t.Context(), nil, nil)
	for _, err := range []error{err, postgres.Migrate(t.Context(), nil, nil)} {
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.EqualError(t, err, "alotwebhook: pool is nil; give the pool that pgxpool.New returned, after a look at its error")
	}

	_, err = postgres.New(t.Context(), pool, &postgres.Options{Schema: schema})
	require.ErrorContains(t, err, "has no tables: call postgres.Migrate")

	opts := &postgres.Options{Schema: schema, Migrate: true}
	_, err = postgres.New(t.Context(), pool, opts)
	require.NoError(t, err)
	// A later release has only added something: this one goes on.
	next := postgres.SchemaVersion + 1
	run(t, pool, fmt.Sprintf(`UPDATE %[1]s.migrations SET latest = %[2]d WHERE version = (SELECT max(version) FROM %[1]s.migrations)`, schema, next))
	store, err := postgres.New(t.Context(), pool, opts)
	require.NoError(t, err)
	require.Empty(t, claim(t, store))
	// Then one has changed something, and one has added something to that.
	run(t, pool, fmt.Sprintf(`INSERT INTO %s.migrations (version, latest) VALUES (%d, %d)`, schema, next+1, next+2))
	for _, opts := range []*postgres.Options{opts, {Schema: schema}} {
		_, err = postgres.New(t.Context(), pool, opts)
		require.ErrorContains(t, err, fmt.Sprintf("is at version %d, which works with code of version %d or later", next+2, next+1))
		require.ErrorContains(t, err, "run the newer release")
	}

	readOnly := postgrestest.Pool(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	})
	_, err = postgres.New(t.Context(), readOnly, &postgres.Options{Schema: schema})
	require.ErrorContains(t, err, "the session is read-only")
}

func TestServerIsDown(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	pool := postgrestest.PoolAt(t, fmt.Sprintf("postgres://someone:hunter2@127.0.0.1:%d/postgres?sslmode=disable", nobody))
	_, err = postgres.New(t.Context(), pool, nil)
	require.ErrorContains(t, err, "is the server running")
	require.Equal(t, 1, strings.Count(err.Error(), "alotwebhook: "))
	require.NotContains(t, err.Error(), "hunter2")
}

func TestOddSchemaName(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	schema := strings.ToUpper(postgrestest.Schema(t, pool)) + ` "odd" é`
	t.Cleanup(func() {
		_, _ = pool.Exec(context.Background(), `DROP SCHEMA "`+strings.ReplaceAll(schema, `"`, `""`)+`" CASCADE`)
	})
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: schema, Migrate: true})
	require.NoError(t, err)
	e := putEndpoints(t, store, 1)[0]
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	require.Len(t, claim(t, store), 1)
}

func run(t testing.TB, pool *pgxpool.Pool, sql string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}
