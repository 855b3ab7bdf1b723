package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

var databases atomic.Int64

// newDatabase makes a database of the test's own and returns how to connect to it.
func newDatabase(t testing.TB) (dsn string) {
	t.Helper()
	return databaseNamed(t, fmt.Sprintf("migrate_%d", databases.Add(1)))
}

func databaseNamed(t testing.TB, name string) (dsn string) {
	t.Helper()
	pool, quoted := postgrestest.Pool(t), pgx.Identifier{name}.Sanitize()
	run(t, pool, "CREATE DATABASE "+quoted)
	t.Cleanup(func() { _, _ = pool.Exec(context.Background(), "DROP DATABASE "+quoted+" WITH (FORCE)") })
	c := pool.Config().ConnConfig
	return fmt.Sprintf("host='%s' port=%d user='%s' password='%s' dbname='%s' sslmode=disable", c.Host, c.Port, c.User, c.Password,
		strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name))
}

// hostDatabase has a table migrations of the host's own, in the form that ours has.
func hostDatabase(t testing.TB, driver string) (db *sql.DB, dsn string) {
	t.Helper()
	dsn = newDatabase(t)
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec("CREATE TABLE public.migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())")
	require.NoError(t, err)
	return db, dsn
}

// requireMigrated: the host's table is as it was and alone, and the store works.
func requireMigrated(t testing.TB, db *sql.DB, dsn string) {
	t.Helper()
	var rows int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM public.migrations").Scan(&rows))
	require.Zero(t, rows)
	var relations string
	require.NoError(t, db.QueryRow(`SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
		WHERE relnamespace = 'public'::regnamespace`).Scan(&relations))
	require.Equal(t, "migrations migrations_pkey", relations)

	store, err := postgres.New(t.Context(), postgrestest.PoolAt(t, dsn), nil)
	require.NoError(t, err)
	e := putEndpoints(t, store, 1)[0]
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	require.Len(t, claim(t, store), 1)
}

// psql runs a file without a transaction around it, and so does goose with NO TRANSACTION.
func TestMigrationSQLOutsideATransaction(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			db, dsn := hostDatabase(t, driver)
			for _, statement := range statements(postgres.MigrationSQL("")) {
				_, err := db.Exec(statement) // on whichever connection
				require.NoError(t, err, statement)
			}
			requireMigrated(t, db, dsn)
		})
	}
}

func TestMigrationSQLInATransaction(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"pgx", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			db, dsn := hostDatabase(t, driver)
			tx, err := db.Begin()
			require.NoError(t, err)
			settings := func() (all string) {
				require.NoError(t, tx.QueryRow(`SELECT string_agg(name || '=' || setting, E'\n' ORDER BY name) FROM pg_settings`).Scan(&all))
				return all
			}
			before := settings()
			for _, statement := range statements(postgres.MigrationSQL("")) {
				_, err := tx.Exec(statement)
				require.NoError(t, err, statement)
			}
			require.Equal(t, before, settings())
			require.NoError(t, tx.Commit())
			requireMigrated(t, db, dsn)
		})
	}
}

// statements splits a script as migration tools do: none of ours has a
// semicolon within a statement.
func statements(script string) (list []string) {
	for _, s := range strings.Split(script, ";\n") {
		if strings.TrimSpace(s) != "" {
			list = append(list, s)
		}
	}
	return list
}

func TestMigrationSQLSince(t *testing.T) {
	t.Parallel()
	require.Equal(t, postgres.MigrationSQL("odd"), postgres.MigrationSQLSince("odd", -1))
	require.Empty(t, postgres.MigrationSQLSince("", postgres.SchemaVersion))
	require.Empty(t, postgres.MigrationSQLSince("", postgres.SchemaVersion+1))
	require.NotContains(t, postgres.MigrationSQLSince("", 1), "CREATE SCHEMA")
	require.NotContains(t, postgres.MigrationSQL(""), "{s}")
	// golang-migrate, with multiStatement, ends a statement at any semicolon, be it in a comment.
	require.NotRegexp(t, `--.*;`, postgres.MigrationSQL(""))
}

// A role that may create in a schema that is there, and no schemas.
func TestMigrateInAGivenSchema(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, admin)
	role := schema + "_owner"
	run(t, admin, "CREATE ROLE "+role+" LOGIN")
	run(t, admin, "CREATE SCHEMA "+schema+" AUTHORIZATION "+role)
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role) })

	pool := postgrestest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.User = role })
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: schema, Migrate: true})
	require.NoError(t, err)
	e := putEndpoints(t, store, 1)[0]
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, e.OrganizationID)}))
	require.Len(t, claim(t, store), 1)
}

// A version that has only added something locks out no release before it; version 5, of which
// others know nothing, does. Both ways to migrate from release 0.1.0, which knew version 2, come
// to the same.
func TestMigrationsSinceVersion2(t *testing.T) {
	t.Parallel()
	since := postgres.MigrationSQLSince("", 2)
	require.Contains(t, since, "SET latest = 3 WHERE")
	require.Contains(t, since, "SET latest = 4 WHERE")
	require.Equal(t, 1, strings.Count(since, "INSERT INTO \"alotwebhook\".migrations"))
	require.Contains(t, since, "VALUES (5)")

	store, pool := openAt(t, postgrestest.DSN(t))
	asVersion2(t, pool, store.Schema())
	run(t, pool, postgres.MigrationSQLSince(store.Schema(), 2))
	again, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: store.Schema()})
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), pool, &postgres.Options{Schema: store.Schema()}))
	require.Empty(t, claim(t, again))
}
