package docs_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/webhooktest"
)

// TestRights: with the rights that docs/sending.md gives, and no others, roles
// migrate, emit, deliver and purge.
func TestRights(t *testing.T) {
	t.Parallel()
	s := &server{postgrestest.New(t)}
	for _, c := range []struct{ rights, owner, runs string }{ // one after the other: in a database of the same name
		{"one", "app", "app"},
		{"two", "app_migrate", "app_run"},
	} {
		t.Run(c.rights, func(t *testing.T) {
			admin := s.as(t, "postgres", "postgres")
			for _, sql := range []string{"DROP DATABASE IF EXISTS app WITH (FORCE)", "CREATE DATABASE app"} {
				_, err := admin.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			execute(t, s.as(t, "postgres", "app"), rights(t, c.rights))
			owner, runs := s.as(t, c.owner, "app"), s.as(t, c.runs, "app")
			require.NoError(t, postgres.Migrate(t.Context(), owner, nil))
			if c.runs != c.owner {
				execute(t, owner, rights(t, c.rights+"-migrated"))
			}
			requireWorks(t, runs)
			if c.runs != c.owner {
				_, err := runs.Exec(t.Context(), "CREATE TABLE alotwebhook.mine (id int)")
				require.ErrorContains(t, err, "permission denied", "it has more rights than are meant")
			}
			// Partitions that are made later have the same rights.
			execute(t, owner, dropDay(t, owner))
			require.NoError(t, postgres.Migrate(t.Context(), owner, nil))
			requireWorks(t, runs)
		})
	}
}

// TestRightsOfTheList: with the rights that a sentence of docs/sending.md lists, and no others, a role
// does everything, and New misses none.
func TestRightsOfTheList(t *testing.T) {
	t.Parallel()
	s := &server{postgrestest.New(t)}
	admin := s.as(t, "postgres", "postgres")
	require.NoError(t, postgres.Migrate(t.Context(), admin, nil))
	execute(t, admin, "CREATE ROLE app_listed LOGIN; GRANT USAGE ON SCHEMA alotwebhook TO app_listed; GRANT SELECT ON alotwebhook.migrations TO app_listed")
	listed := listedTables(t)
	for _, table := range listed {
		execute(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON alotwebhook."+table+" TO app_listed")
	}
	execute(t, admin, `DO $$ DECLARE p regclass; BEGIN
		FOR p IN SELECT oid FROM pg_class WHERE relispartition AND relkind = 'r' LOOP EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO app_listed', p); END LOOP; END $$`)
	runs := s.as(t, "app_listed", "postgres")
	requireWorks(t, runs)
	requireChanges(t, runs)
	for _, table := range listed {
		execute(t, admin, "REVOKE DELETE ON alotwebhook."+table+" FROM app_listed")
		_, err := postgres.New(t.Context(), runs, nil)
		require.ErrorContains(t, err, "alotwebhook."+table)
		execute(t, admin, "GRANT DELETE ON alotwebhook."+table+" TO app_listed")
	}
}

// listedTables returns the tables on which docs/sending.md says that a role needs all rights.
func listedTables(t testing.TB) (tables []string) {
	t.Helper()
	_, list, found := strings.Cut(read(t, "docs/sending.md"), "`INSERT`, `UPDATE` and `DELETE` on ")
	require.True(t, found)
	list, _, found = strings.Cut(list, ", and on their partitions")
	require.True(t, found)
	for _, name := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(list, -1) {
		tables = append(tables, name[1])
	}
	return tables
}

// requireChanges changes an endpoint, rotates its secret, has a 410 disable it, deletes another and removes
// the organization.
func requireChanges(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store, err := postgres.New(t.Context(), pool, nil)
	require.NoError(t, err)
	d, err := alotwebhook.NewDispatcher(store, config)
	require.NoError(t, err)
	receiver := webhooktest.NewServer(t)
	receiver.Always(webhooktest.Answer{Status: http.StatusGone})
	create := func() alotwebhook.Endpoint {
		e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_9", URL: receiver.URL, EventTypes: []string{"candidate.completed"}})
		require.NoError(t, err)
		return e
	}
	e, other := create(), create()
	require.NoError(t, d.DeleteEndpoint(t.Context(), other.ID))
	e.URL = receiver.URL + "/changed"
	e, err = d.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	_, err = d.RotateSecret(t.Context(), e.ID, "", time.Now().Add(time.Hour))
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_9", map[string]any{"score": 82})
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	require.Eventually(t, func() bool {
		now, err := d.Endpoint(t.Context(), e.ID)
		return err == nil && now.Disabled
	}, patience, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	for range 100 {
		n, err := store.Remove(t.Context(), "org_9", 1000)
		require.NoError(t, err)
		if n == 0 {
			return
		}
	}
	require.Fail(t, "the removal has no end")
}

// server is a cluster of the test's own: roles are a whole cluster's.
type server struct{ *postgrestest.Cluster }

func (s *server) as(t testing.TB, role, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, s.Port(), database))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// rights returns the block of docs/sending.md with that attribute.
func rights(t testing.TB, name string) string {
	t.Helper()
	for _, b := range blocksOf(t, "docs/sending.md") {
		if b.language == "sql" && b.attributes["rights"] == name {
			return b.text
		}
	}
	require.Fail(t, "docs/sending.md has no block", "rights=%s", name)
	return ""
}

func execute(t testing.TB, pool *pgxpool.Pool, script string) {
	t.Helper()
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Conn().PgConn().Exec(t.Context(), script).ReadAll()
	require.NoError(t, err, script)
}

// dropDay drops the partitions of the last day that has some.
func dropDay(t testing.TB, pool *pgxpool.Pool) (script string) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
		SELECT format('DROP TABLE alotwebhook.attempts_%1$s, alotwebhook.deliveries_%1$s, alotwebhook.events_%1$s', max(substr(relname, 10)))
		FROM pg_class WHERE relnamespace = 'alotwebhook'::regnamespace AND relname ~ '^attempts_\d+$'`).Scan(&script)
	require.NoError(t, err)
	return script
}

// requireWorks emits in a transaction, delivers, recovers, and purges what came
// of that.
func requireWorks(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	store, err := postgres.New(t.Context(), pool, nil)
	require.NoError(t, err)
	cfg := *config
	cfg.PayloadRetention, cfg.HistoryRetention = time.Microsecond, time.Microsecond
	d, err := alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(t, err)
	receiver := webhooktest.NewServer(t)
	receiver.Always(webhooktest.Answer{Status: http.StatusNoContent})
	endpoint, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: receiver.URL, EventTypes: []string{"candidate.completed"},
	})
	require.NoError(t, err)

	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
	require.NoError(t, err)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.EmitTo(t.Context(), store.Tx(tx), event))
	require.NoError(t, tx.Commit(t.Context()))

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	_, err = receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
	_, err = d.Recover(t.Context(), endpoint.ID, time.Time{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r, err := d.Recovery(t.Context(), endpoint.ID)
		return err == nil && r.State == alotwebhook.RecoveryDone
	}, patience, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)

	require.NoError(t, d.DeleteEndpoint(t.Context(), endpoint.ID))
	purged, err := d.Purge(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, purged.Deliveries)
}

// TestBackup: the copy that docs/operating.md tells to make is a database that
// goes on where the other was.
func TestBackup(t *testing.T) {
	t.Parallel()
	path, backup := filepath.Join(t.TempDir(), "webhooks.db"), filepath.Join(t.TempDir(), "backup.db")
	store, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	defer store.Close()
	d, err := alotwebhook.NewDispatcher(store, config)
	require.NoError(t, err)
	_, err = d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: "http://127.0.0.1:3000/", EventTypes: []string{"candidate.completed"},
	})
	require.NoError(t, err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), event))

	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), replacer{"backup.db": backup}.in(backupStatement(t)))
	require.NoError(t, err)

	restored, err := sqlite.Open(t.Context(), backup)
	require.NoError(t, err)
	defer restored.Close()
	stats, err := restored.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.Pending)
}

func backupStatement(t testing.TB) string {
	t.Helper()
	found := regexp.MustCompile(`"(VACUUM INTO [^"]+)"`).FindStringSubmatch(read(t, "docs/operating.md"))
	require.NotNil(t, found)
	return found[1]
}

// TestMigrationSQL runs the program of docs/sending.md that prints it.
func TestMigrationSQL(t *testing.T) {
	t.Parallel()
	p := start(t, "docs/sending.md", "Migrations", nil)
	p.wait()
	cluster := postgrestest.New(t)
	pool := (&server{cluster}).as(t, "postgres", "postgres")
	execute(t, pool, "BEGIN;\n"+p.log.String()+"\nCOMMIT;")
	_, err := postgres.New(t.Context(), pool, nil)
	require.NoError(t, err)
}
