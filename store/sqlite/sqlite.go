// Package sqlite keeps events, endpoints, deliveries and their history in a
// SQLite file: the durable store of a host that runs on one machine. Nothing
// else has to run, and the driver is pure Go, so that no C compiler is needed.
//
//	store, err := sqlite.Open(ctx, "/var/lib/app/webhooks.db")
//
// A host that keeps its own tables in SQLite gives its handle to [New]
// instead, best one of a single connection. Its events are then stored in its own transactions, through
// [anydriver.Store.Tx], and commit or roll back with the business row.
//
// # Drivers
//
// This package links modernc.org/sqlite, which registers itself as "sqlite". A host that
// has another driver gives its handle to package anydriver, which is the same
// store and links none.
//
// # Durability and speed
//
// What a method stored has reached the disk when it returns (WAL,
// synchronous=FULL). Calls that come at the same time share one transaction and
// one fsync, so that many goroutines emit together about as fast as one.
//
// # Processes
//
// Several processes of one machine may open the same file; each sees the
// others' deliveries and endpoints. Those that claim share the endpoints among
// them: each endpoint is served by one process at a time. When one leaves, the
// others go on at once; so they do when one is killed, since a file beside the
// database, which ends in -owner- and a number, is locked for as long as its
// process lives. Where that cannot be, they wait until its time is up, a lease and
// a quarter.
//
// The file must be on a local disk:
// SQLite's locks do not hold on network file systems. Machines that share
// their work need package postgres.
//
// # Time
//
// The store's clock is this machine's, [time.Now], kept to the microsecond.
//
// # What is erased
//
// [Store.Erase] and [Store.Remove] have SQLite overwrite with zeros what they take out of the tables
// (PRAGMA secure_delete), on any connection, which they give back as it was. What remains is what
// other changes of rows have left in free pages before, and what is in the log until a checkpoint:
//
//	VACUUM;
//	PRAGMA wal_checkpoint(TRUNCATE);
//
// leave nothing of it in the file and the log. See docs/operating.md, "Erasing personal data".
//
// # Backing up
//
// VACUUM INTO makes a whole copy at any time; a copy of the file alone is none. A backup is put in the
// place of a file whose -wal and -shm were moved away. See docs/operating.md, "Backup and restore".
//
// # Tables
//
// All tables begin with alotwebhook_. Migrations are forward only and run by
// themselves; a file that a newer version has migrated is refused.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook/store/sqlite/anydriver"
	"github.com/alot/alotwebhook/store/sqlite/internal/own"
)

// Store is an [alotwebhook.Store] in a SQLite database: that of package
// anydriver, where its methods are described. All of them may be called from many
// goroutines at once.
type Store = anydriver.Store

// Pragmas of every connection that Open makes. Sources:
// https://sqlite.org/pragma.html and https://sqlite.org/wal.html.
var ownPragmas = []string{
	"journal_mode(WAL)",            // readers and the writer do not wait for each other; one fsync a commit
	"synchronous(FULL)",            // a commit is on the disk when it returns, not just safe from corruption
	"wal_autocheckpoint(4000)",     // pages: pages that change all the time are copied back a quarter as often
	"cache_size(-16384)",           // KiB of pages per connection: the hot end of the queue and its indexes
	"temp_store(MEMORY)",           // the few rows sorted for a page need no file
	"journal_size_limit(67108864)", // bytes that the WAL keeps after a burst; without it, it never shrinks
	"secure_delete(FAST)",          // what is deleted or replaced is overwritten in the pages that change anyway
	"trusted_schema(OFF)",          // a doctored file cannot run functions through its schema
}

// A reader cannot write. It waits up to ten seconds for a lock; with WAL it hardly ever
// meets one. The writer has no such wait: the store waits for it in its own way.

// readers is how many history pages are read at once; each has a connection.
const readers = 4

// Open opens the database at path, creates it if need be, readable by this
// user alone, and migrates it. Its directory must exist.
//
// The error says what is wrong with a file that is not a database, is corrupt,
// cannot be written, was migrated by a newer version, or stands beside the write-ahead
// log of another file, as after a restore that has left the -wal there. Such a file is not
// touched.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, sayf("open %q: %w", path, err)
	}
	writing := dsn(absolute, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(0)"}})
	reading := dsn(absolute, url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)"}})
	h := own.Handles{Path: path}
	for _, handle := range []struct {
		db    **sql.DB
		dsn   string
		conns int
	}{{&h.Writes, writing, 1}, {&h.Claims, reading, 1}, {&h.Reads, reading, readers}} {
		if *handle.db, err = sql.Open("sqlite", handle.dsn); err != nil { // only if the driver is missing
			return nil, sayf("open %q: %w", path, err)
		}
		(*handle.db).SetMaxOpenConns(handle.conns)
		(*handle.db).SetMaxIdleConns(handle.conns)
	}
	return anydriver.Own(ctx, h)
}

func dsn(path string, extra url.Values) string {
	query := url.Values{"_pragma": append(extra["_pragma"], ownPragmas...)}
	if lock := extra.Get("_txlock"); lock != "" {
		query.Set("_txlock", lock)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// checkPath refuses a path that SQLite would not take for a durable file. It creates the
// file so that only its owner can read it, since it holds personal data; SQLite gives the
// files beside it the same permissions.
func checkPath(path string) error {
	if path == "" || path == ":memory:" {
		return sayf("open %q: a durable store needs a file; package store/memory keeps everything in memory", path)
	}
	if strings.HasPrefix(path, "file:") {
		return sayf("open %q: it is a URI; give the path alone, since Open sets the pragmas, or open the database yourself and give the handle to New", path)
	}
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return sayf("open %q: it is a directory; give the path of a file in it", path)
	case errors.Is(err, fs.ErrNotExist):
		return create(path)
	case err != nil:
		return sayf("open %q: %w", path, err)
	}
	return nil
}

func create(path string) error {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return sayf("open %q: %q is not a directory; create it first", path, dir)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return sayf("open %q: the file cannot be created; give this process write permission to %q: %w", path, dir, err)
	}
	return f.Close()
}

// New makes a store of the database behind the host's own handle, of the
// driver "sqlite" of modernc.org/sqlite, and migrates it. It is [anydriver.New],
// which says what the handle should have. A host that has another driver
// imports package anydriver in place of this one.
func New(ctx context.Context, db *sql.DB) (*Store, error) { return anydriver.New(ctx, db) }

func sayf(format string, args ...any) error {
	return fmt.Errorf("alotwebhook: sqlite: "+format, args...)
}
