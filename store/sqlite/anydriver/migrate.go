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
// before. Once released, a file never changes. The first line of one that only adds what
// code before it does without is -- additive: then programs of both releases may use the
// file.
//
//go:embed migrations/*.sql
var migrations embed.FS

// bootstrap makes the table that holds the schema's version. PRAGMA
// user_version would do but for databases that are the host's.
func (s *Store) bootstrap(ctx context.Context) error {
	return waiting(ctx, func() error {
		_, err := s.writing.db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS alotwebhook_migrations (
			version    INTEGER PRIMARY KEY,
			applied_at INTEGER NOT NULL
		) STRICT`)
		return err
	})
}

// migrate brings the schema up to date.
func (s *Store) migrate(t *txn) error {
	have, least, err := versions(t)
	if err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if least > len(names) {
		return sayf("the database has schema version %d, this program knows up to %d: it is too old for the file; run a newer one, or give another path", have, len(names))
	}
	for i := have; i < len(names); i++ {
		name := names[i]
		if err := apply(t, i+1, name); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	// A file that cannot be written opens all the same. This write finds it now, and
	// not at the first event.
	return t.exec("UPDATE alotwebhook_migrations SET applied_at = applied_at WHERE version = ?", least)
}

// versions returns the version of the schema, and the least version that a program has to
// know. Before version 3 there is no column latest.
func versions(t *txn) (have, least int, err error) {
	var additive bool
	if err := t.one("SELECT count(*) FROM pragma_table_info('alotwebhook_migrations') WHERE name = 'latest'")(&additive); err != nil {
		return 0, 0, err
	}
	newest := "max(version)"
	if additive {
		newest = "max(coalesce(latest, version))"
	}
	err = t.one("SELECT coalesce("+newest+", 0), coalesce(max(version), 0) FROM alotwebhook_migrations")(&have, &least)
	return have, least, err
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
	if strings.HasPrefix(string(script), "-- additive\n") {
		return t.exec("UPDATE alotwebhook_migrations SET latest = ? WHERE version = (SELECT max(version) FROM alotwebhook_migrations)", version)
	}
	return t.exec("INSERT INTO alotwebhook_migrations (version, applied_at) VALUES (?, ?)", version, time.Now().UnixMicro())
}
