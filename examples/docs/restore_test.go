package docs_test

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
	"github.com/alot/alotwebhook/store/postgres/postgrestest"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/webhooktest"
)

// backedUp is a host with one customer, whose database is backed up and restored.
type backedUp struct {
	t          *testing.T
	server     *webhooktest.Server
	dispatcher *alotwebhook.Dispatcher
	stop       func()
	endpoint   alotwebhook.Endpoint
}

func (b *backedUp) emit() alotwebhook.Event {
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
	require.NoError(b.t, err)
	require.NoError(b.t, b.dispatcher.Emit(b.t.Context(), event))
	return event
}

// run has a dispatcher work on the store until stop.
func (b *backedUp) run(store alotwebhook.Store) {
	cfg := *config
	cfg.Timeout = time.Second // and a lease of 12 s
	d, err := alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	b.dispatcher, b.stop = d, func() {
		cancel()
		require.NoError(b.t, <-ended)
	}
}

// await returns the n-th request, once its outcome is recorded.
func (b *backedUp) await(n int) webhooktest.Received {
	got, err := b.server.Wait(b.t.Context(), n)
	require.NoError(b.t, err)
	require.Len(b.t, got, n)
	id := got[n-1].Header.Get("X-Alot-Delivery")
	require.Eventually(b.t, func() bool {
		d, err := b.dispatcher.Delivery(b.t.Context(), id)
		return err == nil && d.State == alotwebhook.StateDelivered
	}, patience, 20*time.Millisecond)
	return got[n-1]
}

// requireRestore is what docs/operating.md says of a restored database. backUp copies the store's database
// while its dispatcher works, and returns what puts the copy in place.
func requireRestore(t *testing.T, store alotwebhook.Store, backUp func() (restore func() alotwebhook.Store)) {
	b := &backedUp{t: t, server: webhooktest.NewServer(t)}
	b.server.Always(webhooktest.Answer{Status: http.StatusNoContent})
	b.run(store)
	var err error
	b.endpoint, err = b.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: b.server.URL, EventTypes: []string{"candidate.completed"},
	})
	require.NoError(t, err)
	b.emit() // delivered before the backup
	b.await(1)
	_, err = b.dispatcher.Pause(t.Context(), alotwebhook.Pause{OrganizationID: "org_123"})
	require.NoError(t, err)
	pending := b.emit() // delivered after it
	restore := backUp()
	fresh, err := b.dispatcher.RotateSecret(t.Context(), b.endpoint.ID, "", time.Time{})
	require.NoError(t, err)
	require.NoError(t, b.dispatcher.Resume(t.Context(), alotwebhook.Pause{OrganizationID: "org_123"}))
	second := b.await(2)
	lost := b.emit() // emitted after it
	b.await(3)
	b.stop()
	require.NoError(t, alotwebhook.Verify(second.Body, second.Header.Get(alotwebhook.SignatureHeader), fresh))

	b.run(restore())
	require.NoError(t, b.dispatcher.Resume(t.Context(), alotwebhook.Pause{OrganizationID: "org_123"})) // pauses are as they were then
	again := b.await(4)
	require.Equal(t, second.Body, again.Body, "the same bytes, with the id of the event")
	require.Equal(t, pending.Payload(), again.Body)
	require.Equal(t, second.Header.Get("X-Alot-Delivery"), again.Header.Get("X-Alot-Delivery"))
	require.NoError(t, alotwebhook.Verify(again.Body, again.Header.Get(alotwebhook.SignatureHeader), b.endpoint.Secret), "the secret of before")
	require.Error(t, alotwebhook.Verify(again.Body, again.Header.Get(alotwebhook.SignatureHeader), fresh))
	_, err = b.dispatcher.Event(t.Context(), lost.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound)

	// What to do: give the endpoint the secret that the customer has, and emit what was lost again, with its id.
	_, err = b.dispatcher.RotateSecret(t.Context(), b.endpoint.ID, fresh, time.Time{})
	require.NoError(t, err)
	require.NoError(t, b.dispatcher.Emit(t.Context(), lost))
	last := b.await(5)
	require.Equal(t, lost.Payload(), last.Body)
	require.NoError(t, alotwebhook.Verify(last.Body, last.Header.Get(alotwebhook.SignatureHeader), fresh))
	b.stop()
}

func TestRestoreSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "webhooks.db"), filepath.Join(dir, "backup.db")
	store, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	requireRestore(t, store, func() func() alotwebhook.Store {
		db, err := sql.Open("sqlite", "file:"+path)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), replacer{"backup.db": backup}.in(backupStatement(t)))
		require.NoError(t, err)
		return func() alotwebhook.Store {
			require.NoError(t, store.Close())
			shell(t, dir, operating(t, "restore", "sqlite"))
			restored, err := sqlite.Open(t.Context(), path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, restored.Close()) })
			return restored
		}
	})
}

// operating returns the text of the block of docs/operating.md that has an attribute.
func operating(t testing.TB, attribute, value string) string {
	t.Helper()
	for _, b := range blocksOf(t, "docs/operating.md") {
		if b.attributes[attribute] == value {
			return b.text
		}
	}
	require.Fail(t, "docs/operating.md has no block", "%s=%s", attribute, value)
	return ""
}

// shell executes a script in a directory, with variables.
func shell(t testing.TB, dir, script string, variables ...string) {
	t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), variables...)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

func TestRestoreDump(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"pg_dump", "pg_restore", "psql"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") == "" {
			t.Skip(err)
		}
	}
	from, to := &server{postgrestest.New(t)}, &server{postgrestest.New(t)}
	pool := from.as(t, "postgres", "postgres")
	store, err := postgres.New(t.Context(), pool, &postgres.Options{Migrate: true})
	require.NoError(t, err)
	dir := t.TempDir()
	requireRestore(t, store, func() func() alotwebhook.Store {
		variables := []string{"DATABASE_URL=" + from.DSN(), "RESTORED_URL=" + to.DSN()}
		shell(t, dir, operating(t, "backup", "dump"), variables...)
		return func() alotwebhook.Store {
			shell(t, dir, operating(t, "restore", "dump"), variables...)
			restored, err := postgres.New(t.Context(), to.as(t, "postgres", "postgres"), nil)
			require.NoError(t, err)
			return restored
		}
	})
}

// A standby begins as a base backup and takes the log of the server until it is promoted: so is
// a base backup that is restored up to a point in time.
func TestRestoreBaseBackup(t *testing.T) {
	t.Parallel()
	primary := &server{postgrestest.New(t)}
	store, err := postgres.New(t.Context(), primary.as(t, "postgres", "postgres"), &postgres.Options{Migrate: true})
	require.NoError(t, err)
	requireRestore(t, store, func() func() alotwebhook.Store {
		standby, err := primary.Standby()
		require.NoError(t, err)
		t.Cleanup(standby.Close)
		require.NoError(t, standby.Promote())
		return func() alotwebhook.Store {
			restored, err := postgres.New(t.Context(), (&server{standby}).as(t, "postgres", "postgres"), nil)
			require.NoError(t, err)
			return restored
		}
	})
}
