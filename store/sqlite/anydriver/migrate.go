package anydriver

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// migrations holds a file for each version of the schema. It leads there from the version
// before. Once released, a file never changes.
//
//go:embed migrations/*.sql
var migrations embed.FS

// bootstrap makes the table that holds the schema's version. PRAGMA
// user_version would do but for databases that are the host's.
func (s *Store) bootstrap(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return patiently(ctx, func() error {
		_, err := s.writes.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS alotwebhook_migrations (
			version    INTEGER PRIMARY KEY,
			applied_at INTEGER NOT NULL
		) STRICT`)
		return err
	})
}

// migrate brings the schema up to date.
func (s *Store) migrate(t *txn) error {
	var have int
	if err := t.one("SELECT coalesce(max(version), 0) FROM alotwebhook_migrations")(&have); err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if have > len(names) {
		return sayf("the database has schema version %d, this program knows up to %d: it is too old for the file; run a newer one, or give another path", have, len(names))
	}
	for i, name := range names[have:] {
		if err := apply(t, have+i+1, name); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	// A file that cannot be written opens all the same. This write finds it now, and
	// not at the first event.
	return t.exec("UPDATE alotwebhook_migrations SET applied_at = applied_at WHERE version = ?", have)
}

func apply(t *txn, version int, name string) error {
	number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
	if n, err := strconv.Atoi(number); err != nil || n != version {
		return fmt.Errorf("is not number %d", version)
	}
	script, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	if err := t.exec(string(script)); err != nil {
		return err
	}
	return t.exec("INSERT INTO alotwebhook_migrations VALUES (?, ?)", version, time.Now().UnixMicro())
}
