package anydriver

import (
	"context"
	"database/sql"
	"log/slog"
	"strconv"
	"strings"
)

// checkHandle turns on WAL, and refuses a handle on which the store could not keep its
// promises. Otherwise that would show at the first lock, or after a power cut.
func checkHandle(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return lockedOut(err)
	}
	defer conn.Close()
	h := handle{db: db, conn: conn, several: db.Stats().MaxOpenConnections != 1}
	for _, check := range []func(context.Context) error{h.checkVersion, h.checkErrors, h.checkLocking, h.turnOnWAL, h.checkDisk} {
		if err := waiting(ctx, func() error { return check(ctx) }); err != nil {
			return err
		}
	}
	if err := h.checkNext(ctx); err != nil {
		return err
	}
	return h.warnOfImpatience(ctx)
}

// handle is a host's handle under examination.
type handle struct {
	db       *sql.DB
	conn     *sql.Conn // one of its connections
	several  bool      // it may have more than that one
	inMemory bool      // set by turnOnWAL
}

func (h *handle) pragma(ctx context.Context, assignment string, value any) error {
	return h.conn.QueryRowContext(ctx, "PRAGMA "+assignment).Scan(value)
}

// checkVersion refuses what is not SQLite, and a SQLite that lacks what the
// store uses: STRICT tables, and JSON functions in every build.
// Sources: https://sqlite.org/stricttables.html and https://sqlite.org/json1.html.
func (h *handle) checkVersion(ctx context.Context) error {
	var version string
	if err := h.conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		if resultCode(err) != 0 {
			return err // SQLite's own, such as for a file that is no database
		}
		return sayf("the handle does not answer as SQLite does; is it on another database? %w", err)
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, err := strconv.Atoi(minor)
	if major != "3" || err != nil || m < 38 {
		return sayf("the driver brings SQLite %s, but 3.38 or later is needed; update the driver", version)
	}
	return nil
}

// checkErrors provokes an error, and refuses a driver that hides the result code in it: the
// store could not tell a lock, for which it waits, from a failure.
func (h *handle) checkErrors(ctx context.Context) error {
	var n int
	// A table that is not there would not do: while others change the schema, that gets another code.
	err := h.conn.QueryRowContext(ctx, "SELECT FROM").Scan(&n)
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if code := resultCode(err); code != codeError {
		return sayf("the errors of the driver %T do not carry SQLite's result code (got %d for a syntax error, need %d), so that "+
			"a lock could not be told from a failure; use modernc.org/sqlite, github.com/glebarez/go-sqlite, "+
			"github.com/ncruces/go-sqlite3 or github.com/mattn/go-sqlite3", h.db.Driver(), code, codeError)
	}
	return nil
}

// checkLocking refuses several connections each of which locks the others out.
func (h *handle) checkLocking(ctx context.Context) error {
	var mode string
	if err := h.pragma(ctx, "locking_mode", &mode); err != nil {
		return err
	}
	if mode == "exclusive" && h.several {
		return sayf("the handle has locking_mode=EXCLUSIVE and may have several connections, which lock each other out; " +
			"take locking_mode out of its data source name, or call SetMaxOpenConns(1)")
	}
	return nil
}

// turnOnWAL makes the setting that belongs to the file.
func (h *handle) turnOnWAL(ctx context.Context) error {
	var mode string
	if err := h.pragma(ctx, "journal_mode = WAL", &mode); err != nil {
		return err
	}
	h.inMemory = mode == "memory"
	switch {
	case h.inMemory && h.several:
		return sayf("the database is in memory, and each connection of the handle has one of its own; call SetMaxOpenConns(1), or use a file")
	case h.inMemory || mode == "wal":
		return nil
	}
	return sayf("the journal mode stays %q, not WAL; the file must be on a local disk", mode)
}

// checkDisk refuses commits that have not reached the disk.
func (h *handle) checkDisk(ctx context.Context) error {
	var level int
	if err := h.pragma(ctx, "synchronous", &level); err != nil || h.inMemory || level >= 2 {
		return err
	}
	return sayf("the handle has synchronous=%s, with which a power cut loses what was stored last; use _pragma=synchronous(FULL) "+
		"in its data source name, or as your driver spells that: _synchronous=FULL with mattn/go-sqlite3", []string{"OFF", "NORMAL"}[max(level, 0)])
}

// checkNext opens a further connection, as the host's statements will. Its data source name may
// undo WAL, which fails while the first one is open. A connection that was idle has been opened
// before, and proves nothing.
func (h *handle) checkNext(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for idle := 1; h.several && idle > 0; {
		stats := h.db.Stats()
		if idle = stats.Idle; stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
			return nil
		}
		next, err := h.db.Conn(ctx)
		if err != nil {
			return lockedOut(err)
		}
		defer next.Close()
		var mode string
		if err := next.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
			return lockedOut(err)
		}
		if mode != "wal" {
			return sayf("New has turned on WAL, and a further connection turned to journal mode %q; take journal_mode out of the handle's data source name", mode)
		}
	}
	return nil
}

// lockedOut explains why a connection could not be had beside others.
func lockedOut(err error) error {
	if !busy(err) {
		return err
	}
	return sayf("a connection of the handle is locked out while another is open; take journal_mode and locking_mode "+
		"out of its data source name, or end the process that keeps the file locked: %w", err)
}

// warnOfImpatience warns of host's statements that would not wait for the store's. On one
// connection nobody meets another's lock.
func (h *handle) warnOfImpatience(ctx context.Context) error {
	var timeout int
	if err := h.pragma(ctx, "busy_timeout", &timeout); err != nil || timeout > 0 || !h.several {
		return err
	}
	slog.WarnContext(ctx, "alotwebhook: sqlite: the handle has busy_timeout 0: your own statements will fail with "+
		`"database is locked" while the store writes; open it with _pragma=busy_timeout(10000), or as your driver spells that`)
	return nil
}
