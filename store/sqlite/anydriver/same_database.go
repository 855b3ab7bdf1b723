package anydriver

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// adviceDatabase is what is wrong with a host's transaction on another database, and what to do.
const adviceDatabase = "the transaction is on another database than the store; begin it on a handle of the store's file"

// checkDatabase refuses a host's transaction on another database than the store's, where somebody
// else's tables could take the events. A transaction of the store's own handle has proven itself
// by taking a statement of it; of any other, SQLite has to say which file it is on.
func (s *Store) checkDatabase(t *txn, doing string) error {
	if t.ofOwnHandle() {
		return nil
	}
	list, err := t.databases()
	if err != nil {
		return err
	}
	on := list[0] // always main
	if on.file != s.path && len(list) > 1 {
		if on, err = t.holder(list); err != nil {
			return err
		}
	}
	same, err := s.isOn(t, on.file)
	if err == nil && !same {
		err = sayf("%s: "+adviceDatabase+": it is on %s, the store on %s", doing, spellFile(on.file), spellFile(s.path))
	}
	return err
}

// Place names the database: see [alotwebhook.Enqueuer].
func (s *Store) Place() string {
	switch {
	case s.made() != nil:
		return ""
	case s.path == "":
		return fmt.Sprintf("a SQLite database in memory, made at %d µs", s.bornAt)
	}
	return "the SQLite file " + spellFile(s.path)
}

func spellFile(path string) string {
	if path == "" {
		return "one in memory"
	}
	return strconv.Quote(path)
}

// isOn reports whether the tables that a transaction sees, in that file, are the store's. A file may have
// several names, and a driver may spell it in its own way.
func (s *Store) isOn(t *txn, file string) (bool, error) {
	if file != s.path {
		return sameFile(file, s.path), nil
	}
	if file != "" {
		return true, nil
	}
	bornAt, err := t.bornAt()
	return bornAt == s.bornAt, err
}

func sameFile(a, b string) bool {
	ofA, err := os.Stat(a)
	if err != nil {
		return false
	}
	ofB, err := os.Stat(b)
	return err == nil && os.SameFile(ofA, ofB)
}

// bornAt returns when the first of the store's tables were made, in µs since 1970. It tells databases in memory
// apart, which have no name.
func (t *txn) bornAt() (micros int64, err error) {
	err = t.one("SELECT applied_at FROM alotwebhook_migrations WHERE version = 1")(&micros)
	return micros, err
}

// database is one that a connection has open.
type database struct{ name, file string }

// databases lists those of the connection: main, and those that were attached, in the order in which
// SQLite looks for a table in them.
func (t *txn) databases() (list []database, err error) {
	err = t.each("PRAGMA database_list", nil, func(scan func(...any) error) error {
		var number int
		var name string
		var file sql.NullString
		err := scan(&number, &name, &file)
		if name != "temp" {
			list = append(list, database{name, file.String})
		}
		return err
	})
	if err == nil && len(list) == 0 {
		err = sayf("PRAGMA database_list names no database: what was given as the transaction is on no SQLite database")
	}
	return list, err
}

// holder returns the first of several databases that has the store's tables, which is where SQLite
// finds them; main if none has.
func (t *txn) holder(list []database) (database, error) {
	for _, d := range list {
		var has bool
		quoted := `"` + strings.ReplaceAll(d.name, `"`, `""`) + `"`
		err := t.one("SELECT EXISTS (SELECT 1 FROM " + quoted + ".sqlite_master WHERE type = 'table' AND name = 'alotwebhook_events')")(&has)
		if err != nil || has {
			return d, err
		}
	}
	return list[0], nil
}
