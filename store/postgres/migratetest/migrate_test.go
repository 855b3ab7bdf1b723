package migratetest_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	pgxmigrate "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	tern "github.com/jackc/tern/v2/migrate"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// The host's own migrations, before ours and after it. The first makes a table
// that is named and made as one of ours is.
const (
	before = "CREATE TABLE migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());\n"
	after  = "CREATE TABLE candidates (name text);\n"
)

// tools are what runs three migrations, and the table that each keeps in public.
var tools = map[string]struct {
	table string
	run   func(t *testing.T, pool *pgxpool.Pool)
}{
	"goose":                          {"goose_db_version", func(t *testing.T, p *pgxpool.Pool) { gooseUp(t, p, "-- +goose Up\n") }},
	"goose, NO TRANSACTION":          {"goose_db_version", func(t *testing.T, p *pgxpool.Pool) { gooseUp(t, p, "-- +goose NO TRANSACTION\n-- +goose Up\n") }},
	"goose, one statement":           {"goose_db_version", gooseBlock},
	"golang-migrate":                 {"schema_migrations", func(t *testing.T, p *pgxpool.Pool) { golangMigrate(t, p, false) }},
	"golang-migrate, multiStatement": {"schema_migrations", func(t *testing.T, p *pgxpool.Pool) { golangMigrate(t, p, true) }},
	"tern":                           {"schema_version", func(t *testing.T, p *pgxpool.Pool) { ternUp(t, p, "") }},
	"tern, disable-tx":               {"schema_version", func(t *testing.T, p *pgxpool.Pool) { ternUp(t, p, "---- tern: disable-tx ----\n") }},
}

func TestTools(t *testing.T) {
	t.Parallel()
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newDatabase(t)
			tool.run(t, pool)

			var tables string
			require.NoError(t, pool.QueryRow(t.Context(),
				`SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables))
			require.Equal(t, "candidates "+between(tool.table), tables)
			var rows int
			require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM public.migrations").Scan(&rows))
			require.Zero(t, rows, "nothing of ours is in the host's table")
			requireStores(t, pool)
		})
	}
}

// between puts the tool's table and migrations in order.
func between(table string) string {
	if table < "migrations" {
		return table + " migrations"
	}
	return "migrations " + table
}

// newDatabase returns a pool on a database of the test's own.
func newDatabase(t *testing.T) *pgxpool.Pool {
	t.Helper()
	admin := postgrestest.Pool(t)
	name := fmt.Sprintf("migrate_%d", time.Now().UnixNano())
	_, err := admin.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") })
	return postgrestest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.Database = name })
}

// requireStores: the schema is whole.
func requireStores(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store, err := postgres.New(t.Context(), pool, nil)
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]string{"sessionId": "sess_123"})
	require.NoError(t, err)
	require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{event}))
	_, err = store.Event(t.Context(), event.ID)
	require.NoError(t, err)
}

func handle(t *testing.T, pool *pgxpool.Pool) *sql.DB {
	db := stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func file(name, head, sql string) fstest.MapFS {
	return fstest.MapFS{name: {Data: []byte(head + sql)}}
}

func files(of ...fstest.MapFS) fs.FS {
	all := fstest.MapFS{}
	for _, one := range of {
		for name, f := range one {
			all[name] = f
		}
	}
	return all
}

func gooseUp(t *testing.T, pool *pgxpool.Pool, head string) {
	runGoose(t, pool, files(file("1_before.sql", head, before), file("2_alotwebhook.sql", head, postgres.MigrationSQL("")), file("3_after.sql", head, after)))
}

// gooseBlock gives goose all of ours as one statement.
func gooseBlock(t *testing.T, pool *pgxpool.Pool) {
	const head = "-- +goose Up\n"
	ours := "-- +goose StatementBegin\n" + postgres.MigrationSQL("") + "-- +goose StatementEnd\n"
	runGoose(t, pool, files(file("1_before.sql", head, before), file("2_alotwebhook.sql", head, ours), file("3_after.sql", head, after)))
}

func runGoose(t *testing.T, pool *pgxpool.Pool, migrations fs.FS) {
	p, err := goose.NewProvider(goose.DialectPostgres, handle(t, pool), migrations)
	require.NoError(t, err)
	results, err := p.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 3)
}

func golangMigrate(t *testing.T, pool *pgxpool.Pool, statementByStatement bool) {
	migrations, err := iofs.New(files(file("1_before.up.sql", "", before), file("2_alotwebhook.up.sql", "", postgres.MigrationSQL("")), file("3_after.up.sql", "", after)), ".")
	require.NoError(t, err)
	target, err := pgxmigrate.WithInstance(handle(t, pool), &pgxmigrate.Config{MultiStatementEnabled: statementByStatement})
	require.NoError(t, err)
	m, err := migrate.NewWithInstance("iofs", migrations, "pgx5", target)
	require.NoError(t, err)
	defer m.Close() // the handle has a connection in use until then
	require.NoError(t, m.Up())
}

func ternUp(t *testing.T, pool *pgxpool.Pool, head string) {
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	m, err := tern.NewMigrator(t.Context(), conn, "public.schema_version")
	require.NoError(t, err)
	require.NoError(t, m.LoadMigrations(files(file("1_before.sql", head, before), file("2_alotwebhook.sql", head, postgres.MigrationSQL("")), file("3_after.sql", head, after))))
	require.NoError(t, m.Migrate(t.Context()))
}
