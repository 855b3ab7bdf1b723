package sqlite_test

import (
	"context"
	"database/sql"
	"flag"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store { return open(tb, newPath(tb)) })
}

func TestContractOnHostHandle(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store { return onHandle(tb, hostHandle(tb, newPath(tb))) })
}

func TestContractOnOneConnection(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	storetest.Run(t, func(tb testing.TB) alotwebhook.Store {
		db := hostHandle(tb, newPath(tb))
		db.SetMaxOpenConns(1)
		return onHandle(tb, db)
	})
}

// Each store has connections and a memory of its own, as in four processes.
func TestContractOfFourStores(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	storetest.RunShared(t, func(tb testing.TB) []alotwebhook.Store {
		path := newPath(tb)
		stores := make([]alotwebhook.Store, 4)
		for i := range stores {
			stores[i] = open(tb, path)
		}
		return stores
	})
}

func TestTxContract(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	storetest.RunTx(t, func(tb testing.TB) storetest.Host {
		db := hostHandle(tb, newPath(tb))
		s := onHandle(tb, db)
		return storetest.Host{Store: s, OneWriter: true, Begin: func(ctx context.Context) (storetest.Tx, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return storetest.Tx{}, err
			}
			return storetest.Tx{Enqueuer: s.Tx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
		}}
	})
}

func BenchmarkStore(b *testing.B) {
	open := func(tb testing.TB) alotwebhook.Store { return open(tb, newPath(tb)) }
	b.Run("Claim", func(b *testing.B) { storetest.BenchmarkClaim(b, open) })
	b.Run("Deliver", func(b *testing.B) { storetest.BenchmarkDeliver(b, open) })
}

// skipUnderRaceDetector skips a suite that runs the same code as TestContract, which is enough
// for the detector, or a test in which SQLite has much to do: the detector makes SQLite in Go ten
// times slower.
func skipUnderRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("too slow under the race detector; .ci/run and .ci/run long run it without")
	}
}

// skipRulesUnderRaceDetector leaves those groups of TestContract out in which a rule calls the store
// in one goroutine: half of the time that the detector takes here. Who names tests by -run gets them.
func skipRulesUnderRaceDetector() {
	const groups = `Backfill|Cancel|Endpoints|Enqueue|Erase|Finish|History|Operations|Pauses|Purge|Recoveries|Redeliver|` +
		`Remove|Stats|Subscriptions|Tallies|Tests|Texts|URLs`
	flag.Parse()
	if raceDetector && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		_ = flag.Set("test.skip", "^TestContract$/^("+groups+")$")
	}
}

// newPath returns the path of a file that is not there yet.
func newPath(tb testing.TB) string { return filepath.Join(tb.TempDir(), "webhooks.db") }

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), path)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

// hostHandle opens a handle as a host might, with a busy timeout and nothing else.
func hostHandle(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// onHandle returns a store on a host's handle.
func onHandle(tb testing.TB, db *sql.DB) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.New(context.Background(), db)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}
