package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// openNamed returns a store in a schema of that name.
func openNamed(t *testing.T, pool *pgxpool.Pool, name string) *postgres.Store {
	t.Helper()
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: name, Migrate: true, Notify: true})
	require.NoError(t, err, name)
	t.Cleanup(func() {
		_, err := pool.Exec(context.Background(), "DROP SCHEMA "+pgx.Identifier{name}.Sanitize()+" CASCADE")
		require.NoError(t, err)
	})
	return store
}

// PostgreSQL cuts off what is longer, so that two schemas would be one.
func TestNamesThatPostgreSQLDoesNotKeep(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	for name, says := range map[string]string{
		strings.Repeat("x", 63) + "_one": "schema has 67 bytes, and PostgreSQL keeps 63 of them",
		strings.Repeat("é", 32):          "schema has 64 bytes",
		"a\x00b":                         "schema has a NUL",
		"a\xffb":                         "schema is no UTF-8",
	} {
		opts := &postgres.Options{Schema: name, Migrate: true}
		_, err := postgres.New(t.Context(), pool, opts)
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, says)
		require.ErrorIs(t, postgres.Migrate(t.Context(), pool, opts), alotwebhook.ErrInvalid)
		_, err = pool.Exec(t.Context(), postgres.MigrationSQL(name))
		require.ErrorContains(t, err, says, "whoever migrates with another tool reads the same")
	}
}

// Every name that PostgreSQL keeps works, partitions and notifications as well.
func TestNamesThatPostgreSQLKeeps(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	for _, name := range []string{
		"a$attach$b$$c", `a"b'c\d`, "{s}{home}", "%s %d %!", "ünïcode\n.", strings.Repeat("s", 51), strings.Repeat("s", 52), strings.Repeat("s", 62) + "1", strings.Repeat("s", 62) + "2",
	} {
		store := openNamed(t, pool, name)
		var partitions int
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename LIKE 'events_2%'", name).Scan(&partitions))
		require.Equal(t, 3, partitions, name)
		require.NoError(t, store.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
		ctx, cancel := context.WithCancel(t.Context())
		words := 0
		require.NoError(t, store.Listen(ctx, func() {
			if words++; words == 1 { // it listens
				store.Notify()
			} else {
				cancel()
			}
		}))
		require.Equal(t, 2, words, name)
	}
}

// Processes of an older release hear each other and this one.
func TestTheChannelOfAShortName(t *testing.T) {
	t.Parallel()
	pool := postgrestest.Pool(t)
	name := postgrestest.Schema(t, pool)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: name, Migrate: true, Notify: true})
	require.NoError(t, err)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{"alotwebhook." + name}.Sanitize())
	require.NoError(t, err)
	store.Notify()
	_, err = conn.Conn().WaitForNotification(t.Context())
	require.NoError(t, err)
}

// lines is a log that a test waits for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(bytes.Clone(p))
	return len(p), nil
}

// Whoever has turned notifications on is told if none can be sent, and not for each emit.
func TestNotificationsThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	schema := postgrestest.Schema(t, postgrestest.Pool(t))
	pool := postgrestest.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = schema + ", pg_catalog" })
	log := make(lines, 100)
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Schema: schema, Migrate: true, Notify: true,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), "CREATE FUNCTION "+schema+".pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE insufficient_privilege; END'")
	require.NoError(t, err)
	store.Notify() // has two sent
	first, second := <-log, <-log
	require.Contains(t, first, "level=WARN")
	require.Contains(t, first, "other processes were not notified of an emit")
	require.Contains(t, second, "level=DEBUG")
}
