package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/alot/alotwebhook"
)

// SQLite's primary result codes, by the name of each without SQLITE_.
// Source: https://sqlite.org/rescode.html.
const (
	codeError    = 1
	codePerm     = 3
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeIOErr    = 10
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeAuth     = 23
	codeNotADB   = 26
)

// codeBusySnapshot is an extended result code of codeBusy: the transaction has read, and
// another has written since.
const codeBusySnapshot = codeBusy | 2<<8

// advice maps a primary result code to a sentence: what is wrong and what to do.
var advice = map[int]string{
	codeBusy:     "another process or transaction holds the write lock; end it, or keep transactions short",
	codeLocked:   "another connection of this process holds a lock; do not share its cache",
	codeReadOnly: "the file or its directory cannot be written; give this process write permission to both",
	codePerm:     "the file cannot be accessed; give this process permission",
	codeAuth:     "access is denied; give this process permission",
	codeCantOpen: "the file cannot be opened; its directory must exist and be writable, and it must be a file",
	codeNotADB:   "the file is not a SQLite database; give another path, or restore the file from a backup",
	codeCorrupt: "the database is corrupt; restore it from a backup, or save what is readable with the sqlite3 tool's .recover; " +
		"if you have just restored it, files of before that end in -wal or -shm must not stand beside it: delete them, and put the backup there again",
	codeFull:  "the disk is full; free some space",
	codeIOErr: "the disk or the file system failed; see the system's log",
}

// explain wraps an error of the database: it says what the store was doing and, if there is
// advice, what to do about it.
func explain(doing string, err error) error {
	if err == nil || passes(err) {
		return err
	}
	if hint := advice[resultCode(err)]; hint != "" {
		return fmt.Errorf("alotwebhook: sqlite: %s: %s: %w", doing, hint, err)
	}
	if errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("alotwebhook: sqlite: %s: the transaction has ended; use it before its Commit or Rollback: %w", doing, err)
	}
	return fmt.Errorf("alotwebhook: sqlite: %s: %w", doing, err)
}

// Advice for a host's transaction that did not get the write lock. No busy timeout helps one
// that has read before: SQLite refuses it at once if another has written since then. All
// drivers spell the cure in the same way.
const (
	writeLockFirst = "begin transactions with the write lock: put _txlock=immediate into the handle's data source name, or use BEGIN IMMEDIATE"
	adviceSnapshot = "another transaction has written since this one first read, and waiting does not help; roll back and repeat it, and " + writeLockFirst
)

// explainTx is explain for a host's transaction, which may be on another database, or may
// have read before it writes.
func explainTx(doing string, err error) error {
	switch {
	case extendedResultCode(err) == codeBusySnapshot:
		return fmt.Errorf("alotwebhook: sqlite: %s: %s: %w", doing, adviceSnapshot, err)
	case busy(err):
		return fmt.Errorf("alotwebhook: sqlite: %s: %s; if this one has read before, %s: %w", doing, advice[codeBusy], writeLockFirst, err)
	}
	if resultCode(err) == codeError && strings.Contains(err.Error(), "no such table: alotwebhook_") {
		return fmt.Errorf("alotwebhook: sqlite: %s: "+adviceDatabase+": %w", doing, err)
	}
	return explain(doing, err)
}

// passes reports whether an error needs no further explanation.
func passes(err error) bool {
	var said *said
	return refused(err) || errors.As(err, &said)
}

// refused reports whether a job was refused before it wrote anything.
func refused(err error) bool {
	return errors.Is(err, alotwebhook.ErrNotFound) || errors.Is(err, alotwebhook.ErrConflict)
}

// said is an error that this package has worded itself.
type said struct{ error }

func (s *said) Unwrap() error { return s.error }

func sayf(format string, args ...any) error {
	return &said{fmt.Errorf("alotwebhook: sqlite: "+format, args...)}
}

var errClosed = sayf("the store is closed")

var errNotMade = sayf("the store is nil or zero; make the store with Open or New, and look at the error that they return")

// made refuses a store that neither Open nor New has made, as when the error of theirs was ignored.
func (s *Store) made() error {
	if s == nil || s.jobs == nil {
		return errNotMade
	}
	return nil
}

func busy(err error) bool { return resultCode(err) == codeBusy }

func notFound(kind, id string) error {
	return fmt.Errorf("%w: %s %.40q", alotwebhook.ErrNotFound, kind, id)
}

func ended(ctx context.Context) error {
	return sayf("given up: %w", context.Cause(ctx))
}
