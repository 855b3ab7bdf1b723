// Package postgres_test runs the suites of the store and of the deduper on PostgreSQL: with pgx in
// each of its query modes and with lib/pq, straight or through a pooler.
//
// ALOT_TEST_POSTGRES_BIN is the folder of the server's binaries, by default the newest that Debian
// has installed. ALOT_TEST_THROUGH is empty, pgbouncer or pgpool. The script run sets both, and
// ALOT_TEST_DATABASES, without which everything here is skipped.
package postgres_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq" // registers the driver "postgres"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/dedupe/dedupetest"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestMain(m *testing.M) {
	if raceDetector || os.Getenv("ALOT_TEST_DATABASES") == "" { // everything is skipped
		os.Exit(m.Run())
	}
	postgrestest.Main(m)
}

// through returns the connection string to test, and logs what is behind it for the table that the
// script run makes.
func through(t *testing.T) string {
	t.Helper()
	if raceDetector || os.Getenv("ALOT_TEST_DATABASES") == "" {
		t.Skip("takes minutes, and store/postgres has the suites for pgx's default mode: run interop/databases/run, as .ci/run does with -quick")
	}
	var version string
	require.NoError(t, postgrestest.Pool(t).QueryRow(t.Context(), "SHOW server_version").Scan(&version))
	t.Log("database: PostgreSQL", version)
	switch name := os.Getenv("ALOT_TEST_THROUGH"); name {
	case "":
		return postgrestest.DSN(t)
	case "pgbouncer":
		return postgrestest.PgBouncer(t, postgrestest.DSN(t))
	case "pgpool":
		return pgpool(t)
	default:
		t.Fatalf("ALOT_TEST_THROUGH is %q; leave it empty, or set pgbouncer or pgpool", name)
		return ""
	}
}

var modes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

// TestPgx has a subtest for each of pgx's query modes. One that New refuses is skipped, with
// what New says.
func TestPgx(t *testing.T) {
	t.Parallel()
	dsn := through(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schemas := postgrestest.NewSchemas(t)
			s := suites{schemas: schemas, dsn: dsn, pool: func(t testing.TB, dsn string) *pgxpool.Pool {
				return postgrestest.PoolAt(t, dsn, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			}}
			s.handle = func(t testing.TB, dsn string) *sql.DB { return stdlib.OpenDBFromPool(s.pool(t, dsn)) }
			if _, err := postgres.New(t.Context(), s.pool(t, dsn), &postgres.Options{Schema: schemas.Take(t)}); err != nil {
				require.ErrorContains(t, err, "pooler")
				t.Skip("refused: ", err)
			}
			if name != "simple_protocol" || os.Getenv("ALOT_TEST_THROUGH") != "pgpool" { // see docs/databases.md
				t.Run("Store", s.store)
				t.Run("Tx", s.tx)
				t.Run("SQLTx", s.sqlTx)
			}
			t.Run("Dedupe", func(t *testing.T) {
				if name == "describe_exec" {
					skipBehindPgBouncer(t)
				}
				s.dedupe(t)
			})
		})
	}
}

// skipBehindPgBouncer skips what sends a statement and its parameters in two messages, and not in a
// transaction: between these PgBouncer may lend the session to another, which has statements of its own.
func skipBehindPgBouncer(t *testing.T) {
	t.Helper()
	if os.Getenv("ALOT_TEST_THROUGH") == "pgbouncer" {
		t.Skip("the statement and its parameters are two messages")
	}
}

// TestLibPQ has the suites of what takes a handle of database/sql. With binary_parameters lib/pq
// sends a statement and its parameters in one message.
func TestLibPQ(t *testing.T) {
	t.Parallel()
	dsn := through(t)
	for name, parameters := range map[string]string{"default": "", "binary_parameters": "&binary_parameters=yes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suites{schemas: postgrestest.NewSchemas(t), dsn: dsn, pool: func(t testing.TB, _ string) *pgxpool.Pool {
				return postgrestest.Pool(t) // of pgx, straight to the server
			}}
			s.handle = func(t testing.TB, dsn string) *sql.DB {
				db, err := sql.Open("postgres", dsn+parameters)
				require.NoError(t, err)
				return db
			}
			t.Run("SQLTx", s.sqlTx)
			t.Run("Dedupe", func(t *testing.T) {
				if parameters == "" {
					skipBehindPgBouncer(t)
				}
				s.dedupe(t)
			})
		})
	}
}

// suites are the suites on one kind of connection to a server or a pooler.
type suites struct {
	schemas *postgrestest.Schemas
	dsn     string
	pool    func(t testing.TB, dsn string) *pgxpool.Pool
	handle  func(t testing.TB, dsn string) *sql.DB
}

func (s suites) new(t testing.TB, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	store, err := postgres.New(context.Background(), pool, &postgres.Options{Schema: s.schemas.Take(t)})
	require.NoError(t, err)
	return store
}

// open returns a handle that is closed when the test ends.
func (s suites) open(t testing.TB, dsn string) *sql.DB {
	db := s.handle(t, dsn)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(8)
	return db
}

func (s suites) store(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) alotwebhook.Store { return s.new(t, s.pool(t, s.dsn)) })
}

func (s suites) tx(t *testing.T) {
	t.Parallel()
	storetest.RunTx(t, func(t testing.TB) storetest.Host {
		pool := s.pool(t, s.dsn)
		store := s.new(t, pool)
		return storetest.Host{Store: store, Begin: func(ctx context.Context) (storetest.Tx, error) {
			tx, err := pool.Begin(ctx)
			if err != nil {
				return storetest.Tx{}, err
			}
			return storetest.Tx{
				Enqueuer: store.Tx(tx),
				Commit:   func() error { return tx.Commit(ctx) },
				Rollback: func() error { return tx.Rollback(ctx) },
			}, nil
		}}
	})
}

func (s suites) sqlTx(t *testing.T) {
	t.Parallel()
	storetest.RunTx(t, func(t testing.TB) storetest.Host {
		db, store := s.open(t, s.dsn), s.new(t, s.pool(t, s.dsn))
		return storetest.Host{Store: store, Begin: func(ctx context.Context) (storetest.Tx, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return storetest.Tx{}, err
			}
			return storetest.Tx{Enqueuer: store.SQLTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
		}}
	})
}

// dedupe gives each Deduper a database of its own: a session behind a pooler keeps no search_path.
func (s suites) dedupe(t *testing.T) {
	t.Parallel()
	admin := postgrestest.Pool(t)
	dedupetest.Run(t, func(t testing.TB) alotwebhook.Deduper {
		dsn, err := url.Parse(s.dsn)
		require.NoError(t, err)
		dsn.Path = "/" + postgrestest.Schema(t, admin)
		_, err = admin.Exec(context.Background(), "CREATE DATABASE "+dsn.Path[1:])
		require.NoError(t, err)
		d, err := dedupe.NewSQL(s.open(t, dsn.String()), dedupe.PostgreSQL, nil)
		require.NoError(t, err)
		require.NoError(t, d.CreateTable(context.Background()))
		return d
	})
}
