package anydriver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/alot/alotwebhook/store/sqlite/internal/walfile"
)

// Whoever restores a file and leaves the write-ahead log of the old one beside it gets neither: SQLite
// writes the log's pages into the restored file, without an error. After a crash the same is right, and
// SQLite cannot tell these apart. So the file has a label, which gets a new value at each start and
// in each log, behind the value before it:
//
//	alotwebhook-log <value> <value before> <page that it stands on>
//
// A file that a log belongs to has a label of that log, or the one before the log's first. Every other
// file is another one, such as an older copy. So is a file whose label stands on another page, as in
// what VACUUM INTO has written. Not told apart is a copy of the very pages that the file has had since
// the log began: that a log is rolled forward over these is what happens after each crash.
//
// The label belongs to the file, and not to the schema: a release that does not know it labels nothing,
// and where there is no label, nothing is refused.

// label is the file's label as it stands on a page.
type label struct {
	value, before string
	page          int64
	noted         int64 // the page that it was written on, before any VACUUM
}

// labelForm has a fixed length, so that SQLite writes each label over the one before.
var labelForm = regexp.MustCompile(`alotwebhook-log ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9]{10})`)

const (
	noLabel = "0000000000000000"

	createLabel = `CREATE TABLE IF NOT EXISTS alotwebhook_label (id INTEGER PRIMARY KEY CHECK (id = 1), label TEXT NOT NULL) STRICT`
	firstLabel  = `INSERT OR IGNORE INTO alotwebhook_label VALUES (1, 'alotwebhook-log ' || ? || ' ` + noLabel + ` 0000000000')`
	nextLabel   = `UPDATE alotwebhook_label SET label = 'alotwebhook-log ' || ? || ' ' || substr(label, 17, 16) || ' ' ||
		printf('%010d', (SELECT rootpage FROM sqlite_schema WHERE name = 'alotwebhook_label')) WHERE id = 1`
)

// labeling is what the writer knows of the label.
type labeling struct {
	on  bool               // the table is there
	log walfile.Generation // the log to which the newest label went, or the one before it
}

// beginLabels gives the file a new label, and has it come into the file itself unless somebody reads.
func (s *Store) beginLabels(ctx context.Context) error {
	if s.path == "" {
		return nil
	}
	err := s.submit(&job{
		ctx:   ctx,
		doing: "label the file",
		run: func(t *txn) error {
			if err := t.exec(createLabel); err != nil {
				return err
			}
			if n, err := t.affected(firstLabel, newLabel()); err != nil || n > 0 {
				return err
			}
			return t.exec(nextLabel, newLabel())
		},
		committed: func() { s.labels.on = true },
		done:      make(chan struct{}),
	})
	if err == nil {
		_, _ = s.writing.db.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)") // it waits for nobody
	}
	return err
}

// relabel gives the file a new label if its log is not the one of the last label. The caller notes
// the log that is returned, once the transaction is committed.
func (t *txn) relabel() (walfile.Generation, error) {
	known := t.s.labels.log
	if !t.s.labels.on {
		return known, nil
	}
	log := walfile.GenerationOf(t.s.path + "-wal")
	if log == known {
		return log, nil
	}
	return log, t.exec(nextLabel, newLabel())
}

func newLabel() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// checkLog refuses a file beside the log of another one. It opens the file by itself, for reading, so
// that SQLite does not look at the log. What cannot be read is left to SQLite.
func checkLog(ctx context.Context, d driver.Driver, path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // SQLite deletes the log of an empty file
	}
	for range 3 { // somebody who works with the file may begin a new log meanwhile
		log := walfile.GenerationOf(path + "-wal")
		if log == (walfile.Generation{}) {
			return nil
		}
		have, ok := labelOf(ctx, d, path)
		if !ok {
			return nil
		}
		labels, seen, err := labelsIn(path + "-wal")
		if err != nil {
			return nil
		}
		if seen == log && walfile.GenerationOf(path+"-wal") == log {
			return belongs(have, labels, path)
		}
	}
	return nil
}

// labelOf returns the label in the file itself, whatever the log says. ok is false if that cannot be told:
// the file may be in the middle of a checkpoint.
func labelOf(ctx context.Context, d driver.Driver, path string) (have label, ok bool) {
	db := sql.OpenDB(&alone{d, path})
	defer db.Close()
	var text string
	if err := db.QueryRowContext(ctx, "SELECT rootpage FROM sqlite_schema WHERE name = 'alotwebhook_label'").Scan(&have.page); err != nil {
		return label{value: noLabel}, err == sql.ErrNoRows
	}
	if err := db.QueryRowContext(ctx, "SELECT label FROM alotwebhook_label").Scan(&text); err != nil {
		return label{value: noLabel}, err == sql.ErrNoRows
	}
	found := labelForm.FindStringSubmatch(text)
	if found == nil {
		return have, false
	}
	have.value = found[1]
	return have, true
}

// labelsIn returns the labels in a log.
func labelsIn(path string) (list []label, log walfile.Generation, err error) {
	log, err = walfile.Pages(path, func(number uint32, content []byte) {
		for _, m := range labelForm.FindAllSubmatch(content, -1) {
			noted, _ := strconv.ParseInt(string(m[3]), 10, 64)
			list = append(list, label{value: string(m[1]), before: string(m[2]), page: int64(number), noted: noted})
		}
	})
	return list, log, err
}

// belongs returns an error if a file with this label cannot be the one of a log with those.
func belongs(have label, labels []label, path string) error {
	if len(labels) == 0 || isBefore(have, labels[0]) {
		return nil
	}
	for _, l := range labels {
		if have.value == l.value && have.page == l.page {
			return nil
		}
	}
	return sayf("the write-ahead log %q belongs to another file than the one beside it, as when a backup was put in the place of a file: "+
		"SQLite would write the log's pages into the backup. End every process that uses the file, delete what ends in -wal and -shm, "+
		"put the backup there once more, and start again. If the log is the file's own after all, have the sqlite3 tool write it there: "+
		"PRAGMA wal_checkpoint(TRUNCATE)", path+"-wal")
}

// isBefore reports whether a file with this label may be the one of before the log whose first label that is.
func isBefore(have, first label) bool {
	if first.noted == 0 || first.noted != first.page { // the file had none, or VACUUM has moved it
		return have.value == first.value || have.value == first.before
	}
	return have.value == first.before && have.page == first.page
}

// alone is a connector to a file without its log.
type alone struct {
	driver driver.Driver
	path   string
}

// Connect implements [driver.Connector].
func (a *alone) Connect(context.Context) (driver.Conn, error) {
	query := url.Values{"mode": {"ro"}, "immutable": {"1"}}
	return a.driver.Open((&url.URL{Scheme: "file", Path: filepath.ToSlash(a.path), RawQuery: query.Encode()}).String())
}

// Driver implements [driver.Connector].
func (a *alone) Driver() driver.Driver { return a.driver }
