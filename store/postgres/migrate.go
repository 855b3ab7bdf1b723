package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var migrations embed.FS

// SchemaVersion is the version of the schema that this code works with.
var SchemaVersion = len(migrationFiles())

// migrationFiles returns the embedded files in the order of their versions: the
// first is version 1. They are never changed once released, only added to.
//
// A migration that only adds what code before it does without has the first line
//
//	-- additive
//
// Code of the version before and this one may then run side by side.
func migrationFiles() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		panic(err) // only a malformed pattern
	}
	return names
}

func migrationText(version int) string {
	text, err := migrations.ReadFile(migrationFiles()[version-1])
	if err != nil {
		panic(err) // embedded
	}
	return string(text)
}

// recordVersion returns the statement that ends the migration to a version. After an
// additive one, code of the version before still finds its own number.
func recordVersion(version int) string {
	if strings.HasPrefix(migrationText(version), "-- additive\n") {
		return fmt.Sprintf("UPDATE {s}.migrations SET latest = %d WHERE version = (SELECT max(version) FROM {s}.migrations);\n", version)
	}
	return fmt.Sprintf("INSERT INTO {s}.migrations (version) VALUES (%d);\n", version)
}

// These come before the first migration.
const (
	createSchema = "CREATE SCHEMA IF NOT EXISTS {s};\n"
	createTable  = `CREATE TABLE IF NOT EXISTS {s}.migrations (
	version    integer PRIMARY KEY,
	applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
`
)

// MigrationSQL returns the statements that bring an empty schema to
// [SchemaVersion], for hosts that migrate with a tool of their own. schema "" is
// [DefaultSchema]. Each statement names the schema of what it makes and none
// changes the session or the transaction, whose search_path does not matter. The role
// needs the right to create schemas in the database.
//
// Run it in one transaction, as most tools do by themselves: what fails midway then
// leaves nothing behind. For a name that [New] refuses, such as one of more than 63 bytes, it returns a
// statement that fails and says why.
//
// The partitions for the days to come are not part of it: every process makes
// them when it needs them, if its role owns the tables. Otherwise all rows go into the
// default partitions: nothing is lost, but old history is then deleted row by
// row instead of dropped.
func MigrationSQL(schema string) string {
	return MigrationSQLSince(schema, 0)
}

// MigrationSQLSince is [MigrationSQL] for a schema that is at that version
// already: "" when there is nothing to do. Less than 0 counts as 0.
func MigrationSQLSince(schema string, version int) string {
	return migrationSQL(schema, version, version <= 0)
}

func migrationSQL(schema string, version int, create bool) string {
	if err := checkSchemaName(schema); err != nil {
		return "DO " + literal("BEGIN RAISE EXCEPTION USING MESSAGE = "+literal(err.Error())+"; END") + ";\n"
	}
	var b strings.Builder
	if create {
		b.WriteString(createSchema)
	}
	if version <= 0 {
		version = 0
		b.WriteString(createTable)
	}
	for v := version + 1; v <= SchemaVersion; v++ {
		fmt.Fprintf(&b, "\n%s\n%s", strings.TrimSpace(migrationText(v)), recordVersion(v))
	}
	return strings.ReplaceAll(b.String(), "{s}", quoted(schema))
}

// Migrate brings the schema to [SchemaVersion], creating it where it is missing,
// and makes the partitions of the days to come. All processes may call it at
// once, at every start: they wait for each other, and whoever comes later finds
// nothing to do. A schema that is newer than the code is an error, unless it has only got
// things that this code does without; nothing is ever taken back. The role needs the right to create the schema, or to create in it.
//
// All happens in one transaction, also through PgBouncer in transaction mode.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts *Options) error {
	if err := checkInput(pool, opts); err != nil {
		return err
	}
	s := newStore(pool, opts)
	if err := s.migrate(ctx); err != nil {
		return s.explain("migrate the schema", err)
	}
	return s.makePartitions(ctx)
}

func (s *Store) migrate(ctx context.Context) error {
	const unlimited = "0" // ctx is the limit: a new version of large tables takes its time
	return s.inTx(ctx, unlimited, unlimited, func(tx pgx.Tx) error {
		if err := s.lockMigrations(ctx, tx); err != nil {
			return err
		}
		version, err := s.schemaVersion(ctx, tx)
		switch {
		case err != nil:
			return err
		case version >= SchemaVersion:
			return s.checkTables(ctx, tx)
		}
		// Even with IF NOT EXISTS, PostgreSQL asks for the right to create a schema.
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, s.quoted).Scan(&there); err != nil {
			return err
		}
		return execScript(ctx, tx, migrationSQL(s.schema, version, !there))
	})
}

// lockMigrations waits for other processes that change the same schema. The
// lock ends with the transaction: nothing stays behind in a pooled session.
func (s *Store) lockMigrations(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext($2))`, advisoryClass, s.schema)
	return err
}

// advisoryClass keeps the advisory locks of this library apart from others': "alot".
const advisoryClass = int32(0x616c6f74)

// execScript runs several statements at once, which only the simple protocol can.
func execScript(ctx context.Context, tx pgx.Tx, script string) error {
	_, err := tx.Conn().PgConn().Exec(ctx, script).ReadAll()
	return err
}

// schemaVersion returns 0 for a schema that is not there, and an error for one that is too
// new for this code.
func (s *Store) schemaVersion(ctx context.Context, q queryRower) (version int, err error) {
	var there, may bool
	err = q.QueryRow(ctx, `SELECT t IS NOT NULL, coalesce(has_table_privilege(t, 'SELECT'), false) FROM to_regclass($1::text) AS t`,
		s.quoted+".migrations").Scan(&there, &may)
	switch {
	case err != nil || !there:
		return 0, err
	case !may:
		return 0, fmt.Errorf("the role may not select from %s.migrations: grant it that right; docs/sending.md lists them all", s.schema)
	}
	var least int
	// Before version 3 there is no column latest. JSON has NULL for it then.
	err = q.QueryRow(ctx, s.sql(`
		SELECT coalesce(max(version), 0), coalesce(max(coalesce((to_jsonb(m) ->> 'latest')::int, version)), 0)
		FROM {s}.migrations m`)).Scan(&least, &version)
	if err == nil && least > SchemaVersion {
		err = fmt.Errorf("schema %q is at version %d, which works with code of version %d or later, and this code is of version %d: run the newer release",
			s.schema, version, least, SchemaVersion)
	}
	return version, err
}

type queryRower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func quoted(schema string) string {
	if schema == "" {
		schema = DefaultSchema
	}
	return pgx.Identifier{schema}.Sanitize()
}
