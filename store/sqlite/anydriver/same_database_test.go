package anydriver_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
	"github.com/alot/alotwebhook/store/sqltx"
)

// handleOn returns a handle on what a data source name names.
func handleOn(t *testing.T, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1)
	return db
}

// emitIn stores an event in a transaction of the handle, and returns the event and the error.
func emitIn(t *testing.T, s *anydriver.Store, db *sql.DB, wrap func(*sql.Tx) sqltx.Tx) (alotwebhook.Event, error) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	event := newEvent(t, "org_1")
	err = s.Tx(wrap(tx)).Enqueue(t.Context(), []alotwebhook.Event{event})
	require.NoError(t, tx.Commit(), "the host's transaction goes on")
	return event, err
}

func bare(tx *sql.Tx) sqltx.Tx    { return tx }
func wrapped(tx *sql.Tx) sqltx.Tx { return struct{ *sql.Tx }{tx} }

// requireTaken fails unless the store takes events in transactions of the handle, as its own.
func requireTaken(t *testing.T, s *anydriver.Store, db *sql.DB) {
	t.Helper()
	for _, wrap := range []func(*sql.Tx) sqltx.Tx{bare, wrapped} {
		event, err := emitIn(t, s, db, wrap)
		require.NoError(t, err)
		_, err = s.Event(t.Context(), event.ID)
		require.NoError(t, err)
	}
}

// requireAnother fails unless the store refuses transactions of the handle, in which none of the stores
// finds the event.
func requireAnother(t *testing.T, s, other *anydriver.Store, db *sql.DB) {
	t.Helper()
	const another = "enqueue in the host's transaction: the transaction is on another database than the store; begin it on a handle of the store's file"
	for _, wrap := range []func(*sql.Tx) sqltx.Tx{bare, wrapped} {
		event, err := emitIn(t, s, db, wrap)
		require.ErrorContains(t, err, another)
		_, err = other.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound)
	}
}

// The other database would take the events, whose subscribers never get them.
func TestTxOfAnotherDatabaseThatHasTheTables(t *testing.T) {
	t.Parallel()
	own, db := open(t, patient), open(t, patient)
	s, other := newStore(t, own), newStore(t, db)
	requireAnother(t, s, other, db)
	requireTaken(t, s, own)

	path := filepath.Join(t.TempDir(), "webhooks.db")
	opened, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	defer opened.Close()
	requireAnother(t, opened, other, db)
	requireTaken(t, opened, handleOn(t, "file:"+path+patient))
}

func TestEraseInTxOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	s, db := newStore(t, open(t, patient)), open(t, patient)
	newStore(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	d, err := alotwebhook.NewDispatcher(s, nil)
	require.NoError(t, err)
	_, err = d.EraseIn(t.Context(), s.Tx(tx), "", "cand_1")
	require.ErrorContains(t, err, "erase in the host's transaction: the transaction is on another database than the store")
}

// One file has many names.
func TestTxOfTheSameFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	s := newStore(t, handleOn(t, "file:"+path+patient))
	link := filepath.Join(dir, "link.db")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	working, err := os.Getwd()
	require.NoError(t, err)
	relative, err := filepath.Rel(working, path)
	require.NoError(t, err)
	for _, name := range []string{path, link, filepath.ToSlash(relative), dir + "/sub/../app.db"} {
		requireTaken(t, s, handleOn(t, "file:"+name+patient))
	}
}

// Names that SQLite does not resolve, as on a file system that ignores case, are compared by the file. Here it
// is a second hard link, whose log is another file, so that the first one must be empty.
func TestTxOfAFileThatSQLiteNamesOtherwise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, hard := filepath.Join(dir, "app.db"), filepath.Join(dir, "hard.db")
	own := handleOn(t, "file:"+path+patient)
	s := newStore(t, own)
	_, err := own.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	require.NoError(t, os.Link(path, hard))
	tx, err := handleOn(t, "file:"+hard+patient).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
	require.NoError(t, tx.Rollback())
}

// SQLite looks for a table in main first, and then in what was attached, in that order.
func TestTxOfAttachedDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return "file:" + filepath.Join(dir, name) + patient }
	s := newStore(t, handleOn(t, at("own.db")))
	other := newStore(t, handleOn(t, at("other.db")))
	attach := func(main string, more ...string) *sql.DB {
		db := handleOn(t, at(main))
		for _, name := range more {
			_, err := db.Exec("ATTACH ? AS \"the "+name+"\"", filepath.Join(dir, name))
			require.NoError(t, err)
		}
		return db
	}
	requireTaken(t, s, attach("own.db", "other.db"))
	requireTaken(t, s, attach("host.db", "own.db", "other.db"))
	requireTaken(t, s, attach("host.db", "empty.db", "own.db"))
	requireAnother(t, s, other, attach("other.db", "own.db"))
	requireAnother(t, s, other, attach("host.db", "other.db", "own.db"))
	requireAnother(t, s, other, attach("host.db", "empty.db"))
}

// Databases in memory have no name that tells them apart.
func TestTxOfDatabasesInMemory(t *testing.T) {
	t.Parallel()
	const shared = "file:TestTxOfDatabasesInMemory?mode=memory&cache=shared"
	own, db := handleOn(t, ":memory:"), handleOn(t, shared)
	s, other := newStore(t, own), newStore(t, db)
	requireTaken(t, s, own)
	requireAnother(t, s, other, db)
	requireTaken(t, other, handleOn(t, shared))
	file := open(t, patient)
	inFile := newStore(t, file)
	requireAnother(t, s, inFile, file)
	requireAnother(t, inFile, s, own)
}
