package sqltest

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/dedupe/dedupetest"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" { // the child process needs no PostgreSQL
		os.Exit(m.Run())
	}
	postgrestest.Main(m)
}

// databases are the databases that the tests run on, with the drivers that hosts use.
var databases = []struct {
	name    string
	dialect dedupe.Dialect
	driver  string
	dsn     func(t testing.TB) string // of a new and empty database
}{
	{"sqlite", dedupe.SQLite, "sqlite", func(t testing.TB) string { return sqliteAt(filepath.Join(t.TempDir(), "customer.db")) }},
	{"pgx", dedupe.PostgreSQL, "pgx", func(t testing.TB) string { return newSchema(t) }},
	{"lib-pq", dedupe.PostgreSQL, "postgres", func(t testing.TB) string { return newSchema(t) }},
	{"pgx, serializable", dedupe.PostgreSQL, "pgx", func(t testing.TB) string { return newSchema(t, serializable) }},
	{"lib-pq, repeatable read", dedupe.PostgreSQL, "postgres", func(t testing.TB) string { return newSchema(t, repeatableRead) }},
}

func sqliteAt(path string) string {
	return "file:" + path + "?_pragma=busy_timeout(600000)&_pragma=journal_mode(WAL)&_txlock=immediate"
}

// What a database or a role may have by ALTER … SET.
const (
	serializable   = "default_transaction_isolation=serializable"
	repeatableRead = "default_transaction_isolation=repeatable%20read"
)

func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	return handle(t, "sqlite", sqliteAt(path))
}

func newSchema(t testing.TB, settings ...string) (dsn string) {
	t.Helper()
	pool := postgrestest.Pool(t)
	schema := postgrestest.Schema(t, pool)
	_, err := pool.Exec(t.Context(), "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	return withSettings(postgrestest.DSN(t), append(settings, "search_path="+schema)...)
}

// withSettings adds settings to a connection string, be it a URL or key=value pairs.
func withSettings(dsn string, settings ...string) string {
	if !strings.Contains(dsn, "://") {
		return dsn + " " + strings.ReplaceAll(strings.Join(settings, " "), "%20", `\ `)
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + strings.Join(settings, "&")
}

func handle(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// newSQL returns a Deduper on db and creates its table.
func newSQL(t testing.TB, db *sql.DB, dialect dedupe.Dialect, cfg *dedupe.SQLConfig) *dedupe.SQL {
	t.Helper()
	s, err := dedupe.NewSQL(db, dialect, cfg)
	require.NoError(t, err)
	require.NoError(t, s.CreateTable(t.Context()))
	return s
}

// onEach runs a test on every database and driver. Each call of open makes another handle on the same database.
func onEach(t *testing.T, test func(t *testing.T, dialect dedupe.Dialect, open func() *sql.DB)) {
	t.Helper()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dsn := d.dsn(t)
			test(t, d.dialect, func() *sql.DB { return handle(t, d.driver, dsn) })
		})
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dedupetest.Run(t, func(tb testing.TB) alotwebhook.Deduper {
				return newSQL(tb, handle(tb, d.driver, d.dsn(tb)), d.dialect, nil)
			})
		})
	}
}

func claimed(t testing.TB, d alotwebhook.Deduper, key string, lease time.Duration) alotwebhook.DedupeClaim {
	t.Helper()
	c, err := d.Claim(context.Background(), key, lease)
	require.NoError(t, err)
	require.Equal(t, alotwebhook.DedupeClaimed, c.State)
	return c
}

func count(t testing.TB, db *sql.DB, table string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}
