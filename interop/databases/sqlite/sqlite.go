// Package sqlite runs the suites of the store and of the deduper on a driver for SQLite. Each
// driver has a package of its own below this one, since several of them register themselves under
// one name.
//
//	go test ./interop/databases/sqlite/...                    # modernc and glebarez
//	go test -tags alldrivers ./interop/databases/sqlite/...   # ncruces and mattn, too
//
// The latter compiles two more SQLites, which takes minutes.
package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
	"github.com/alot/alotwebhook/dedupe/dedupetest"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
	"github.com/alot/alotwebhook/store/storetest"
)

// Driver is a driver, and how it spells a setting in a data source name.
type Driver struct {
	Name    string // in database/sql
	Setting func(name, value string) string
}

// Pragma spells a setting as most drivers do.
func Pragma(name, value string) string { return "_pragma=" + name + "(" + value + ")" }

// dsn is a data source name for the file, with settings given as name=value. Without any, the
// connections would be as the driver makes them.
func (d Driver) dsn(path string, settings ...string) string {
	var query []string
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if name != "_txlock" { // all drivers spell that in the same way
			s = d.Setting(name, value)
		}
		query = append(query, s)
	}
	return "file:" + path + "?" + strings.Join(query, "&")
}

const durable = "synchronous=FULL"

// fit waits for locks, and begins transactions with one.
func (d Driver) fit(path string) string {
	return d.dsn(path, durable, "busy_timeout=60000", "_txlock=immediate")
}

// impatient does not wait.
func (d Driver) impatient(path string) string { return d.dsn(path, durable, "busy_timeout=0") }

// Run proves that the store and the deduper work on the driver as they do on modernc.org's.
func Run(t *testing.T, d Driver) {
	d.logVersion(t)
	t.Run("Contract", func(t *testing.T) {
		t.Parallel()
		skipUnderRaceDetector(t)
		storetest.Run(t, func(tb testing.TB) alotwebhook.Store { return newStore(tb, d.open(tb, d.fit(newPath(tb)))) })
	})
	t.Run("TxContract", d.txContract)
	t.Run("Dedupe", d.dedupe)
	t.Run("Transaction", d.transaction)
	t.Run("NoDatabase", d.noDatabase)
	t.Run("Unfit", d.unfit)
	t.Run("Busy", d.busy)
	t.Run("Stale", d.stale)
	t.Run("Erase", d.erase)
	t.Run("LinksNoOtherDriver", linksNoOtherDriver)
}

// logVersion says which SQLite the driver brings, for the table that the script run makes.
func (d Driver) logVersion(t *testing.T) {
	var version string
	require.NoError(t, d.open(t, d.fit(newPath(t))).QueryRow("SELECT sqlite_version()").Scan(&version))
	t.Log("database: SQLite", version)
}

func skipUnderRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("too slow under the race detector; .ci/run runs it without")
	}
}

func newPath(tb testing.TB) string { return filepath.Join(tb.TempDir(), "app.db") }

func (d Driver) open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(d.Name, dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

func newStore(tb testing.TB, db *sql.DB) *anydriver.Store {
	tb.Helper()
	s, err := anydriver.New(context.Background(), db)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func newEvent(t *testing.T) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]string{"sessionId": "sess_123"})
	require.NoError(t, err)
	return e
}

// txContract: the rules of a host's transactions hold on any driver.
func (d Driver) txContract(t *testing.T) {
	t.Parallel()
	skipUnderRaceDetector(t)
	storetest.RunTx(t, func(tb testing.TB) storetest.Host {
		db := d.open(tb, d.fit(newPath(tb)))
		s := newStore(tb, db)
		return storetest.Host{Store: s, OneWriter: true, Begin: func(ctx context.Context) (storetest.Tx, error) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return storetest.Tx{}, err
			}
			return storetest.Tx{Enqueuer: s.Tx(tx), Commit: tx.Commit, Rollback: tx.Rollback}, nil
		}}
	})
}

// dedupe: what a receiver remembers.
func (d Driver) dedupe(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(tb testing.TB) alotwebhook.Deduper {
		s, err := dedupe.NewSQL(d.open(tb, d.dsn(newPath(tb), durable, "journal_mode=WAL", "busy_timeout=600000", "_txlock=immediate")), dedupe.SQLite, nil)
		require.NoError(tb, err)
		require.NoError(tb, s.CreateTable(context.Background()))
		return s
	})
}

// transaction: events commit and roll back with the host's own rows.
func (d Driver) transaction(t *testing.T) {
	t.Parallel()
	db := d.open(t, d.fit(newPath(t)))
	_, err := db.Exec("CREATE TABLE candidates (name TEXT)")
	require.NoError(t, err)
	s := newStore(t, db)
	kept, undone, refused := newEvent(t), newEvent(t), newEvent(t)
	refused.ID = "evt_short"
	emit := func(e alotwebhook.Event) (*sql.Tx, error) {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.Exec("INSERT INTO candidates VALUES ('Jane Smith')")
		require.NoError(t, err)
		return tx, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{e})
	}

	tx, err := emit(kept)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	tx, err = emit(undone)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	tx, err = emit(refused) // the savepoint, not the host's row
	require.ErrorContains(t, err, "evt_short")
	require.NoError(t, tx.Commit())

	got, err := s.Event(t.Context(), kept.ID)
	require.NoError(t, err)
	require.Equal(t, kept.Payload(), got.Payload())
	_, err = s.Event(t.Context(), undone.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	var rows int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM candidates").Scan(&rows))
	require.Equal(t, 2, rows)
}

// noDatabase: the driver's error is understood, and explained.
func (d Driver) noDatabase(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("not a database\n"), 1000), 0o600))
	_, err := anydriver.New(t.Context(), d.open(t, d.fit(path)))
	require.ErrorContains(t, err, "the file is not a SQLite database; give another path")
}

// unfit: New refuses in words what would fail at the first lock, or after a power cut.
func (d Driver) unfit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, setting, says string
		conns               int
	}{
		{"", "synchronous=NORMAL", "synchronous=NORMAL, with which a power cut loses what was stored last", 0},
		{"", "synchronous=OFF", "synchronous=OFF, with which a power cut loses what was stored last", 1},
		{"", "journal_mode=DELETE", "take journal_mode", 0},
		{"", "locking_mode=EXCLUSIVE", "take locking_mode out", 0},
		{":memory:", durable, "the database is in memory", 0},
		{"", "journal_mode=DELETE", "", 1}, // on one connection New has the last word
		{"", "locking_mode=EXCLUSIVE", "", 1},
		{":memory:", durable, "", 1},
	} {
		t.Run(fmt.Sprint(c.setting, c.path, c.conns), func(t *testing.T) {
			t.Parallel()
			settings := []string{c.setting, "busy_timeout=10000"}
			if !strings.HasPrefix(c.setting, "synchronous") { // of two, drivers take the first or the last
				settings = append(settings, durable)
			}
			db := d.open(t, d.dsn(cmp.Or(c.path, newPath(t)), settings...))
			db.SetMaxOpenConns(c.conns)
			s, err := anydriver.New(t.Context(), db)
			if c.says == "" {
				require.NoError(t, err)
				require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t)}))
				require.NoError(t, s.Close())
				return
			}
			require.ErrorContains(t, err, "alotwebhook: sqlite: ")
			require.ErrorContains(t, err, c.says)
		})
	}
}

// busy: while another connection holds the write lock the store waits by
// itself, whatever the handle's busy timeout.
func (d Driver) busy(t *testing.T) {
	t.Parallel()
	db := d.open(t, d.impatient(newPath(t)))
	s := newStore(t, db)
	holder, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = holder.Exec("DELETE FROM alotwebhook_migrations WHERE 0")
	require.NoError(t, err)

	tx, err := db.BeginTx(t.Context(), nil)
	if err == nil { // otherwise it began with the lock, and was refused at once
		err = s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t)})
		require.ErrorContains(t, err, "another process or transaction holds the write lock")
		require.ErrorContains(t, err, "_txlock=immediate")
		require.NoError(t, tx.Rollback())
	}

	done := make(chan error)
	go func() { done <- s.Enqueue(context.Background(), []alotwebhook.Event{newEvent(t)}) }()
	select {
	case err := <-done:
		require.Fail(t, "the lock was held", "%v", err)
	default:
	}
	require.NoError(t, holder.Commit())
	require.NoError(t, <-done)
}

// stale: a transaction that has read cannot write once another has. No busy timeout helps,
// and the error says what does.
func (d Driver) stale(t *testing.T) {
	t.Parallel()
	db := d.open(t, d.impatient(newPath(t))+"&_txlock=deferred") // the default of most drivers, but not of ncruces'
	s := newStore(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM alotwebhook_migrations").Scan(&n))
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t)}))
	err = s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t)})
	require.ErrorContains(t, err, "another transaction has written since this one first read, and waiting does not help")
	require.ErrorContains(t, err, "_txlock=immediate")
}

// linksNoOtherDriver: the package and all that it imports is without modernc.org's driver.
func linksNoOtherDriver(t *testing.T) {
	t.Parallel()
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/alot/alotwebhook/store/sqlite/anydriver").Output()
	require.NoError(t, err)
	require.Contains(t, string(deps), "github.com/alot/alotwebhook/store/sqlite/anydriver\n")
	for _, dep := range strings.Fields(string(deps)) {
		require.NotContains(t, dep, "modernc.org/")
	}
}

// erase: what is erased is overwritten, whenever the driver compiles a statement, and the connection is
// as it was.
func (d Driver) erase(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := d.open(t, d.fit(path))
	db.SetMaxOpenConns(1)
	s := newStore(t, db)
	execute := func(query string) {
		_, err := db.Exec(query)
		require.NoError(t, err)
	}
	for i, setting := range []string{"OFF", "ON", "FAST", "OFF"} {
		execute("PRAGMA secure_delete = " + setting)
		for _, inTx := range []bool{false, true} {
			e := newEvent(t)
			e.Subject, e.Data = "cand_123", []byte(`"Jane Smith"`)
			require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{e}))
			execute("PRAGMA wal_checkpoint(TRUNCATE)")
			require.Contains(t, read(t, path), "Jane Smith")
			require.Equal(t, 1, d.eraseIn(t, db, s, inTx))
			execute("PRAGMA wal_checkpoint(TRUNCATE)")
			require.NotContains(t, read(t, path), "Jane Smith")
		}
		var now int
		require.NoError(t, db.QueryRow("PRAGMA secure_delete").Scan(&now))
		require.Equal(t, i%3, now)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// eraseIn erases a subject, in a transaction of the host's or outside of one.
func (d Driver) eraseIn(t *testing.T, db *sql.DB, s *anydriver.Store, inTx bool) int {
	t.Helper()
	r := alotwebhook.Recovery{Subject: "cand_123"}
	if !inTx {
		n, _, err := s.Erase(t.Context(), r, 10)
		require.NoError(t, err)
		return n
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	dispatcher, err := alotwebhook.NewDispatcher(s, nil)
	require.NoError(t, err)
	n, err := dispatcher.EraseIn(t.Context(), s.Tx(tx), "", r.Subject)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	return n
}
