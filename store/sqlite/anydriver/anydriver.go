// Package anydriver is package sqlite without a driver: the same store, on a
// handle of the host's own, for hosts that have a driver for SQLite already.
//
//	import _ "github.com/glebarez/go-sqlite" // or any other
//
//	db, err := sql.Open("sqlite", "file:app.db?_pragma=busy_timeout(10000)&_txlock=immediate")
//	db.SetMaxOpenConns(1)
//	store, err := anydriver.New(ctx, db)
//
// Package sqlite brings the driver modernc.org/sqlite, which registers itself
// as "sqlite". A program in which another one does the same, such as
// github.com/glebarez/go-sqlite, ends before main begins: "Register called twice
// for driver sqlite". A program that imports this package, and not package
// sqlite, links no driver but its own.
//
// # Drivers
//
// The driver must be one of database/sql, for SQLite 3.38 or later. The store's
// tests run on these. Of each, a data source name that suits, and why it does
// is in the comment of [New]:
//
//	modernc.org/sqlite           "sqlite"   file:app.db?_pragma=busy_timeout(10000)&_txlock=immediate
//	github.com/glebarez/go-sqlite "sqlite"  file:app.db?_pragma=busy_timeout(10000)&_txlock=immediate
//	github.com/ncruces/go-sqlite3 "sqlite3" file:app.db?_pragma=busy_timeout(10000)&_txlock=immediate
//	github.com/mattn/go-sqlite3   "sqlite3" file:app.db?_busy_timeout=10000&_synchronous=FULL&_txlock=immediate
//
// [New] refuses any other driver whose errors carry no result code of SQLite's. What was run on
// which versions is in docs/databases.md.
//
// Everything else is as the comment of package sqlite says: durability,
// processes, time and tables.
package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/internal/own"
)

// Store is an [alotwebhook.Store] in a SQLite database. All methods may be
// called from many goroutines at once.
type Store struct {
	reads *sql.DB // for history; on a host's handle, the one for everything
	owned bool
	path  string // the file; "" for none
	// bornAt is when the tables of a database in memory were made, in µs since 1970.
	bornAt int64

	jobs    chan *job
	quit    chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	closing sync.Once

	stretches int // how many stretches of events one call of Remove looks at

	audiences audiences            // for hosts' transactions
	forHosts  map[string]*sql.Stmt // statements of theirs, prepared; not changed after start

	// The writer's own; nobody else touches them.
	writing  *session
	labels   labeling
	erasedTo int64 // up to this event every payload is erased
	// removedTo has the event up to which Remove has come, by organization.
	removedTo map[string]int64

	// Only who has put something into claiming may use these.
	claiming chan struct{} // of capacity 1
	claims   *session
	lanes    lanes
	owner    ownership // some of its fields are for others too, as they say

	held *holdings
}

var _ alotwebhook.Store = (*Store)(nil)

// Own makes the store of package sqlite, which alone can call it.
func Own(ctx context.Context, h own.Handles) (*Store, error) {
	s := newStore(h.Writes, h.Claims, h.Reads, true)
	// Before any other connection: the last one that is closed writes the log into the file.
	err := checkLog(ctx, h.Writes.Driver(), h.Path)
	if err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(explain("open "+h.Path, err), s.closeHandles())
	}
	return s, nil
}

// New makes a store of the database behind the host's own handle, by whatever
// driver, and migrates it. The handle stays the host's: Close does not close it.
//
// New turns on WAL, which the file keeps. Settings of a connection are up
// to the handle's data source name; drivers spell it differently, and these are
// the names of modernc.org/sqlite:
//
//   - _pragma=synchronous(FULL), also the default, but of mattn/go-sqlite3, which needs
//     _synchronous=FULL: with less, what was stored last may be gone after a power cut. New
//     refuses less.
//   - _pragma=busy_timeout(10000) or so: how long the host's own statements wait
//     for the store's short transactions. Without it they fail with "database is
//     locked" as soon as the dispatcher is at work. New warns of that, in a line
//     to [slog.Default]. The store itself waits without it, up to ten seconds: in its
//     own transactions it turns the timeout off, and gives each connection back as it was.
//   - _pragma=journal_size_limit(67108864), in bytes: to what the write-ahead log shrinks
//     after a burst, or after somebody has read for long. Without it, the log keeps its
//     largest size, so that the store sets this limit on the connections that it writes on.
//   - _txlock=immediate: each transaction begins with the write lock, and waits for
//     it. Without that, one that reads first and writes or emits later fails at
//     once, whatever the busy timeout, if another has written in between.
//
// The handle should have one connection, SetMaxOpenConns(1). Any number will do, but SQLite has
// one writer, and its lock goes to whoever happens to be awake: with many writers at once, some
// wait for seconds. A single connection is handed out in turn. Within a transaction of its own,
// the host must then use [Store.Tx] only: any other method would wait for the connection, one
// that writes for ten seconds, one that reads until its context ends. A database in memory needs
// exactly one connection.
//
// The error says what is wrong with the handle: nil (an
// [*alotwebhook.FieldError]), not of SQLite, of a version before 3.38, of a driver whose errors
// carry no result code, without WAL, with less than synchronous=FULL, of several connections that
// lock each other out (journal_mode or locking_mode in the data source name) or have a database in
// memory each, on a file that a newer version of this module has migrated, or on one that stands
// beside the write-ahead log of another file, as after a restore that has left the -wal there.
func New(ctx context.Context, db *sql.DB) (*Store, error) {
	if db == nil {
		return nil, &alotwebhook.FieldError{Field: "db", Problem: "is nil; give an open *sql.DB, after a look at the error of sql.Open"}
	}
	s := newStore(db, db, db, false)
	located := waiting(ctx, func() error { return s.besides(ctx) })
	err := checkLog(ctx, db.Driver(), s.path) // first, since SQLite may find such a file corrupt
	if err == nil {
		if err = lockedOut(located); !busy(err) { // it has waited for long enough
			err = checkHandle(ctx, db)
		}
	}
	if err == nil {
		err = located
	}
	if err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		return nil, explain("use the host's handle", err)
	}
	return s, nil
}

func newStore(writes, claims, reads *sql.DB, owned bool) *Store {
	return &Store{
		reads:     reads,
		owned:     owned,
		jobs:      make(chan *job, maxGroup),
		quit:      make(chan struct{}),
		stopped:   make(chan struct{}),
		writing:   newSession(writes),
		claiming:  make(chan struct{}, 1),
		claims:    newSession(claims),
		removedTo: map[string]int64{},
		stretches: stretchesAtOnce,
		lanes:     lanes{marks: map[int64]place{}},
		held:      newHoldings(),
	}
}

// start migrates and starts the writer.
func (s *Store) start(ctx context.Context) error {
	err := s.bootstrap(ctx)
	if err == nil && s.owned { // not before, as the connection for it turns on WAL, too, without waiting
		err = s.besides(ctx)
	}
	if err != nil {
		return err
	}
	go s.writer()
	err = s.write(ctx, "migrate", s.migrate)
	if err == nil {
		err = s.beginLabels(ctx)
	}
	if err == nil {
		err = s.failOrphans(ctx)
	}
	if err == nil && s.path == "" {
		err = s.read(ctx, "open", func(t *txn) (err error) {
			s.bornAt, err = t.bornAt()
			return err
		})
	}
	if err == nil {
		err = s.prepareForHosts(ctx)
	}
	if err != nil {
		s.stop()
	}
	return err
}

// Close waits for what is being written and releases the database; a host's
// handle stays open. Others may claim at once what the store has not claimed, and the rest
// when its leases run out. Calls after it fail; a second Close does nothing.
func (s *Store) Close() error {
	if err := s.made(); err != nil {
		return err
	}
	var err error
	s.closing.Do(func() {
		s.retire()
		close(s.quit)
		<-s.stopped
		err = errors.Join(s.writing.close(), s.claims.close())
		for _, stmt := range s.forHosts {
			err = errors.Join(err, stmt.Close())
		}
		if s.owned {
			err = errors.Join(err, s.closeHandles())
		}
	})
	return explain("close", err)
}

func (s *Store) closeHandles() error {
	return errors.Join(s.reads.Close(), s.claims.db.Close(), s.writing.db.Close())
}

func (s *Store) stop() {
	s.closing.Do(func() {
		close(s.quit)
		<-s.stopped
	})
}
