// Package postgrestest gives tests a PostgreSQL of their own: a temporary
// cluster made from the binaries of the machine, with fsync on as in production,
// gone when the tests are.
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		pool := postgrestest.Pool(t)
//		schema := postgrestest.Schema(t, pool)
//		…
//
// If ALOT_TEST_POSTGRES is set to a connection string, the tests use the server
// there instead. If ALOT_TEST_POSTGRES_BIN is set to a folder with initdb, pg_ctl and postgres, the
// cluster is made from these. If there is no such server and no binaries, tests skip, or fail when
// CI is set.
package postgrestest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Environment variables: EnvDSN holds the connection string of a server to use, and EnvBin the
// folder of the binaries to make one from.
const (
	EnvDSN = "ALOT_TEST_POSTGRES"
	EnvBin = "ALOT_TEST_POSTGRES_BIN"
)

var (
	shared    *Cluster // started by Main
	sharedErr error    // why Main could not start it
	schemas   atomic.Int64
)

// parallel is how many tests of a package run at once: more than there are cores, as most wait for
// the server or for a lease to end, and no more than the server has connections for.
const parallel = "8"

// Main runs the tests of a package on one cluster, eight at once unless -parallel says otherwise. It
// does not return.
func Main(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", parallel) // fails only outside tests, where there is no such flag
	}
	if os.Getenv(EnvDSN) == "" {
		shared, sharedErr = Start()
	}
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

func given(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// DSN returns the connection string of the server that the package's tests share.
func DSN(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv(EnvDSN); dsn != "" {
		return dsn
	}
	require(t, sharedErr)
	if shared == nil {
		t.Fatal("postgrestest: TestMain does not call postgrestest.Main")
	}
	return shared.DSN()
}

// New starts a cluster for one test, which may stop and start it.
func New(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := Start(settings...)
	require(t, err)
	t.Cleanup(c.Close)
	return c
}

// require skips the test, or fails it when CI is set, if there is no PostgreSQL.
func require(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("postgrestest: no PostgreSQL, but CI is set: %v", err)
	default:
		t.Skipf("postgrestest: no PostgreSQL here: %v", err)
	}
}

// Pool returns a pool on the shared server, closed when the test ends. configure
// changes its configuration.
func Pool(t testing.TB, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	return PoolAt(t, DSN(t), configure...)
}

// PoolAt is [Pool] for another server.
func PoolAt(t testing.TB, dsn string, configure ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatalf("postgrestest: connection string: %v", err)
	}
	config.MaxConns = 8
	for _, change := range configure {
		change(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatalf("postgrestest: pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Schema returns a schema's name of this test's own, dropped when the test
// ends. It does not create the schema.
func Schema(t testing.TB, pool *pgxpool.Pool) string {
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	dsn := pool.Config().ConnString()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		cleaner, err := pgxpool.New(ctx, dsn)
		if err != nil {
			return
		}
		defer cleaner.Close()
		// This fails if the test has stopped its server, whose files go anyway.
		_, _ = cleaner.Exec(ctx, "SET client_min_messages = 'warning'; DROP SCHEMA IF EXISTS "+name+" CASCADE")
	})
	return strings.ToLower(name)
}
