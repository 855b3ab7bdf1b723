// Package sqlite keeps events, endpoints, deliveries and their history in a
// SQLite file: the durable store of a host that runs on one machine. Nothing
// else has to run, and the driver is pure Go, so that no C compiler is needed.
//
//	store, err := sqlite.Open(ctx, "/var/lib/app/webhooks.db")
//
// A host that keeps its own tables in SQLite gives its handle to [New]
// instead. Its events are then stored in its own transactions, through
// [Store.Tx], and commit or roll back with the business row.
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
// others' deliveries, claims and endpoints. The file must be on a local disk:
// SQLite's locks do not hold on network file systems. Machines that share
// their work need package postgres.
//
// # Time
//
// The store's clock is this machine's, [time.Now], kept to the microsecond.
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
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook"
)

// Store is an [alotwebhook.Store] in a SQLite database. All methods may be
// called from many goroutines at once.
type Store struct {
	writes *sql.DB // the writer's
	reads  *sql.DB // for history; the same as writes on a host's handle
	owned  bool

	jobs    chan *job
	quit    chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	closing sync.Once

	// The writer's own; nobody else touches them.
	prepared    map[string]*sql.Stmt
	catalogue   *catalogue
	dataVersion int64          // SQLite's, of the last transaction
	turn        int64          // the endpoint that had the last turn in a claim
	leased      map[key]queued // what this store has claimed, until it is finished
	erasedTo    int64          // up to this event every payload is erased
}

var _ alotwebhook.Store = (*Store)(nil)

// Pragmas of every connection that Open makes. Sources:
// https://sqlite.org/pragma.html and https://sqlite.org/wal.html.
var ownPragmas = []string{
	"journal_mode(WAL)",            // readers and the writer do not wait for each other; one fsync a commit
	"synchronous(FULL)",            // a commit is on the disk when it returns, not just safe from corruption
	"wal_autocheckpoint(4000)",     // pages: pages that change all the time are copied back a quarter as often
	"cache_size(-16384)",           // KiB of pages per connection: the hot end of the queue and its indexes
	"temp_store(MEMORY)",           // the few rows sorted for a page need no file
	"journal_size_limit(67108864)", // bytes that the WAL keeps after a burst; without it, it never shrinks
	"trusted_schema(OFF)",          // a doctored file cannot run functions through its schema
}

// Beside these, a reader waits up to ten seconds for a lock, which in WAL it
// hardly ever meets, and cannot write. The writer does its waiting itself.

// readers is how many history pages are read at once; each has a connection.
const readers = 4

// Open opens the database at path, creates it if need be, readable by this
// user alone, and migrates it. Its directory must exist.
//
// The error says what is wrong with a file that is not a database, is corrupt,
// cannot be written, or was migrated by a newer version.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, sayf("open %q: %w", path, err)
	}
	writes, err := sql.Open("sqlite", dsn(absolute, url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(0)"}}))
	if err != nil {
		return nil, sayf("open %q: %w", path, err)
	}
	writes.SetMaxOpenConns(1)
	reads, err := sql.Open("sqlite", dsn(absolute, url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)"}}))
	if err != nil {
		return nil, errors.Join(sayf("open %q: %w", path, err), writes.Close())
	}
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	s := newStore(writes, reads, true)
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(explain("open "+path, err), writes.Close(), reads.Close())
	}
	return s, nil
}

func dsn(path string, extra url.Values) string {
	query := url.Values{"_pragma": append(extra["_pragma"], ownPragmas...)}
	if lock := extra.Get("_txlock"); lock != "" {
		query.Set("_txlock", lock)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// checkPath refuses what SQLite would take for something else than a durable
// file, and makes the file so that only its owner can read it: it holds
// personal data. SQLite gives its companions the same permissions.
func checkPath(path string) error {
	if path == "" || path == ":memory:" {
		return sayf("open %q: a durable store needs a file; memory.New keeps everything in memory", path)
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

// New makes a store of the database behind the host's own handle, which must
// be one of the driver "sqlite" of modernc.org/sqlite, and migrates it. The
// handle stays the host's: Close does not close it.
//
// New turns on WAL, which the file keeps. What belongs to each connection is up
// to the handle's data source name:
//
//   - _pragma=synchronous(FULL), also the default: with NORMAL, what was stored
//     last may be gone after a power cut. New refuses OFF.
//   - _pragma=busy_timeout(10000) or so: how long the host's transactions wait
//     for the store's short ones. The store itself waits without it.
//   - _txlock=immediate: a transaction that reads first and writes later fails
//     at once if another has written in between; this one waits instead.
//
// Any number of connections will do. With SetMaxOpenConns(1) the store and the
// host take turns: within a transaction of its own, the host must then use
// [Store.Tx] only: any other method would wait for the connection, one that
// writes for ten seconds, one that reads until its context ends. A database in
// memory needs exactly one connection.
func New(ctx context.Context, db *sql.DB) (*Store, error) {
	if db == nil {
		return nil, sayf("New needs a handle, not nil")
	}
	s := newStore(db, db, false)
	if err := checkHandle(ctx, db); err != nil {
		return nil, explain("use the host's handle", err)
	}
	if err := s.start(ctx); err != nil {
		return nil, explain("use the host's handle", err)
	}
	return s, nil
}

// checkHandle sets what belongs to the file and checks what belongs to the connection.
func checkHandle(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" && mode != "memory" {
		return sayf("the journal mode stays %q, not WAL; the file must be on a local disk", mode)
	}
	var synchronous int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if synchronous == 0 {
		return sayf("the handle has synchronous=OFF, which loses what was stored; use _pragma=synchronous(FULL)")
	}
	return nil
}

func newStore(writes, reads *sql.DB, owned bool) *Store {
	return &Store{
		writes:    writes,
		reads:     reads,
		owned:     owned,
		jobs:      make(chan *job, maxGroup),
		quit:      make(chan struct{}),
		stopped:   make(chan struct{}),
		prepared:  map[string]*sql.Stmt{},
		catalogue: newCatalogue(0),
		leased:    map[key]queued{},
	}
}

// start migrates and starts the writer.
func (s *Store) start(ctx context.Context) error {
	err := s.bootstrap(ctx)
	if err != nil {
		return err
	}
	go s.writer()
	err = s.write(ctx, "migrate", s.migrate)
	if err == nil {
		err = s.failOrphans(ctx)
	}
	if err != nil {
		s.stop()
	}
	return err
}

// Close waits for what is being written and releases the database; a host's
// handle stays open. Calls after it fail; a second Close does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.quit)
		<-s.stopped
		for _, stmt := range s.prepared {
			err = errors.Join(err, stmt.Close())
		}
		if s.owned {
			err = errors.Join(err, s.reads.Close(), s.writes.Close())
		}
	})
	return explain("close", err)
}

func (s *Store) stop() {
	s.closing.Do(func() {
		close(s.quit)
		<-s.stopped
	})
}
