package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/alot/alotwebhook"
)

// advice says, by primary result code, what is wrong and what to do.
// Source: https://sqlite.org/rescode.html.
var advice = map[int]string{
	lib.SQLITE_BUSY:     "another process or transaction holds the write lock; end it, or keep transactions short",
	lib.SQLITE_LOCKED:   "another connection of this process holds a lock; do not share its cache",
	lib.SQLITE_READONLY: "the file or its directory cannot be written; give this process write permission to both",
	lib.SQLITE_PERM:     "the file cannot be accessed; give this process permission",
	lib.SQLITE_AUTH:     "access is denied; give this process permission",
	lib.SQLITE_CANTOPEN: "the file cannot be opened; its directory must exist and be writable, and it must be a file",
	lib.SQLITE_NOTADB:   "the file is not a SQLite database; give another path, or restore the file from a backup",
	lib.SQLITE_CORRUPT:  "the database is corrupt; restore it from a backup, or save what is readable with the sqlite3 tool's .recover",
	lib.SQLITE_FULL:     "the disk is full; free some space",
	lib.SQLITE_IOERR:    "the disk or the file system failed; see the system's log",
}

// explain wraps what the database said with what was being done and what to do about it.
func explain(doing string, err error) error {
	if err == nil || passes(err) {
		return err
	}
	var failure *driver.Error
	if errors.As(err, &failure) {
		if hint := advice[failure.Code()&0xff]; hint != "" {
			return fmt.Errorf("alotwebhook: sqlite: %s: %s: %w", doing, hint, err)
		}
	}
	if errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("alotwebhook: sqlite: %s: the transaction has ended; use it before its Commit or Rollback: %w", doing, err)
	}
	return fmt.Errorf("alotwebhook: sqlite: %s: %w", doing, err)
}

// passes reports whether an error says everything already.
func passes(err error) bool {
	var said *said
	return refused(err) || errors.As(err, &said)
}

// refused reports whether a job was refused before it wrote anything.
func refused(err error) bool {
	return errors.Is(err, alotwebhook.ErrNotFound) || errors.Is(err, alotwebhook.ErrConflict)
}

// said is an error in this package's own words.
type said struct{ error }

func (s *said) Unwrap() error { return s.error }

func sayf(format string, args ...any) error {
	return &said{fmt.Errorf("alotwebhook: sqlite: "+format, args...)}
}

var errClosed = sayf("the store is closed")

func busy(err error) bool {
	var failure *driver.Error
	return errors.As(err, &failure) && failure.Code()&0xff == lib.SQLITE_BUSY
}

func notFound(kind, id string) error {
	return fmt.Errorf("%w: %s %q", alotwebhook.ErrNotFound, kind, id)
}

func ended(ctx context.Context) error {
	return sayf("given up: %w", context.Cause(ctx))
}
