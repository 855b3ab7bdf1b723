package postgres_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// asVersion10 makes a schema of version 10 with the partitions of a day, in each of which some
// events are, as a process of that release stored them.
func asVersion10(t *testing.T) (pool *pgxpool.Pool, schema string) {
	t.Helper()
	pool = postgrestest.Pool(t)
	schema = postgrestest.Schema(t, pool)
	run(t, pool, strings.TrimSuffix(postgres.MigrationSQL(schema), postgres.MigrationSQLSince(schema, 10)))
	yesterday := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	oldDay(t, pool, schema, yesterday)
	for _, day := range []string{uuidOf(yesterday)[:13], uuidOf(time.Now())[:13]} {
		run(t, pool, `INSERT INTO `+schema+`.events (id, type, organization_id, payload, created_at)
			SELECT ('`+day+`-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'candidate.completed', 'org', '{}', now() FROM generate_series(1, 100) AS n`)
	}
	return pool, schema
}

// files returns the files of the tables and the indexes of events. Whatever is written anew or made
// gets another one.
func files(t *testing.T, pool *pgxpool.Pool, schema, kind string) map[string]uint32 {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT relname::text, pg_relation_filenode(oid) FROM pg_class
		WHERE relnamespace = $1::regnamespace AND relkind = $2 AND relname ~ '^(events|deliveries|attempts|queue|endpoints)'`, schema, kind)
	require.NoError(t, err)
	found := map[string]uint32{}
	var name string
	var file uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &file}, func() error {
		found[name] = file
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(found), 5)
	return found
}

// The migration reads events, but writes no table anew.
func TestMigrationRewritesNoTable(t *testing.T) {
	t.Parallel()
	pool, schema := asVersion10(t)
	tables := files(t, pool, schema, "r")
	run(t, pool, postgres.MigrationSQLSince(schema, 10))
	after := files(t, pool, schema, "r")
	for name := range tables {
		require.Equal(t, tables[name], after[name], name)
	}
}

// After the statements of docs/operating.md the migration makes no index of events either, but takes
// those that are there.
func TestUpgradeOfALargeTable(t *testing.T) {
	t.Parallel()
	pool, schema := asVersion10(t)
	tables := files(t, pool, schema, "r")
	recipe(t, pool, schema)
	indexes := files(t, pool, schema, "i")
	require.NoError(t, postgres.Migrate(t.Context(), pool, &postgres.Options{Schema: schema}))
	after, made := files(t, pool, schema, "r"), files(t, pool, schema, "i")
	for name := range tables {
		require.Equal(t, tables[name], after[name], name)
	}
	day := time.Now().UTC().AddDate(0, 0, -1).Format("20060102")
	for _, of := range []string{"events_default", "events_" + day} {
		for _, columns := range []string{"_subject_id_idx", "_organization_id_stored_by_id_idx"} {
			require.NotZero(t, indexes[of+columns])
			require.Equal(t, indexes[of+columns], made[of+columns])
			require.NotContains(t, made, of+columns+"1")
		}
	}
	var invalid int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid IN (
		SELECT relid FROM pg_partition_tree('`+schema+`.events'))`).Scan(&invalid))
	require.Zero(t, invalid)
}

// recipe executes what the section Upgrading says, as psql does.
func recipe(t *testing.T, pool *pgxpool.Pool, schema string) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```sql upgrade=11\n(.*?)```").FindSubmatch(guide)
	require.NotNil(t, block)
	script := strings.ReplaceAll(string(block[1]), "alotwebhook.", schema+".")
	before, query, _ := strings.Cut(script, "RESET lock_timeout;\n")
	query, found := strings.CutSuffix(query, " \\gexec\n")
	require.True(t, found)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(t.Context(), before+"RESET lock_timeout;").ReadAll()
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), query)
	require.NoError(t, err)
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, statements, 4)
	for _, s := range statements {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
}
