package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(file, slices.Repeat([]byte("not a database\n"), 1000), 0o600))
	for _, c := range []struct{ name, path, says string }{
		{"memory", ":memory:", "store/memory"},
		{"nothing", "", "needs a file"},
		{"a URI", "file:webhooks.db?_pragma=busy_timeout(10000)", "it is a URI; give the path alone"},
		{"a URI of a file that is there", "file:" + file, "it is a URI; give the path alone"},
		{"a URI in memory", "file::memory:?cache=shared", "it is a URI; give the path alone"},
		{"a directory", dir, "it is a directory"},
		{"no directory", filepath.Join(dir, "missing", "webhooks.db"), "create it first"},
		{"a file for a directory", filepath.Join(file, "webhooks.db"), "not a directory"},
		{"no database", file, "not a SQLite database"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sqlite.Open(t.Context(), c.path)
			require.ErrorContains(t, err, "alotwebhook: sqlite: open")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestOpenRefusesWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("permissions do not hold for this user")
	}
	path := newPath(t)
	require.NoError(t, closed(t, path))
	require.NoError(t, os.Chmod(path, 0o400))
	_, err := sqlite.Open(t.Context(), path)
	require.ErrorContains(t, err, "write permission")
}

// Permissions do not hold for root. A read-only handle refuses writes to any user.
func TestNewRefusesReadOnly(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, closed(t, path))
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()
	_, err = sqlite.New(t.Context(), db)
	require.ErrorContains(t, err, "write permission")
}

func TestNewRefusesUnsafeHandles(t *testing.T) {
	t.Parallel()
	_, err := sqlite.New(t.Context(), nil)
	require.ErrorContains(t, err, "nil")
	db, err := sql.Open("sqlite", "file:"+newPath(t)+"?_pragma=synchronous(OFF)")
	require.NoError(t, err)
	defer db.Close()
	_, err = sqlite.New(t.Context(), db)
	require.ErrorContains(t, err, "synchronous=OFF")
}

// closed opens and closes a store, for its file.
func closed(tb testing.TB, path string) error {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), path)
	require.NoError(tb, err)
	return s.Close()
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	require.NoError(t, closed(t, path))
	host := hostHandle(t, path)
	// A later release has only added something: this one goes on.
	_, err := host.Exec("UPDATE alotwebhook_migrations SET latest = 98 WHERE version = (SELECT max(version) FROM alotwebhook_migrations)")
	require.NoError(t, err)
	require.NoError(t, closed(t, path))
	_, err = host.Exec("INSERT INTO alotwebhook_migrations (version, applied_at) VALUES (99, 0)")
	require.NoError(t, err)
	_, err = sqlite.Open(t.Context(), path)
	require.ErrorContains(t, err, "schema version 99")
	require.ErrorContains(t, err, "run a newer one")
}

func TestCorruptFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	fleet(t, s, 10)
	enqueue(t, s, 1000, 0, 10)
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := 4096; i < len(whole); i++ { // all but the first page
		whole[i] = 0x5a
	}
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	_, err = sqlite.Open(t.Context(), path)
	require.ErrorContains(t, err, "corrupt")
	require.ErrorContains(t, err, "backup")
}

func TestPathsAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a?b=c#d%20 é.db")
	require.NoError(t, closed(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NotZero(t, info.Size())
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestReopenKeepsEverything(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	want := putEndpoint(t, s, 1, "org_1")
	events := []alotwebhook.Event{newEvent(t, "org_1"), newEvent(t, "org_1")}
	require.NoError(t, s.Enqueue(t.Context(), events))
	claimed := claim(t, s, 2, nil)
	finish(t, s, claimed[:1])
	require.NoError(t, s.Close())

	s = open(t, path)
	finish(t, s, claimed[1:]) // the lease holds
	got, err := s.Endpoint(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want.Secret, got.Secret)
	page, _, err := s.Deliveries(t.Context(), alotwebhook.Filter{State: alotwebhook.StateDelivered})
	require.NoError(t, err)
	require.Len(t, page, 2)
	event, err := s.Event(t.Context(), events[1].ID)
	require.NoError(t, err)
	require.Equal(t, events[1].Payload(), event.Payload())
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), newPath(t))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorContains(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}), "closed")
	_, err = s.Stats(t.Context())
	require.ErrorContains(t, err, "closed")
	require.ErrorContains(t, s.Tx(nil).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}), "closed")
}

// migratedTo makes a file as the release with that version of the schema has left it.
func migratedTo(t *testing.T, version int) string {
	t.Helper()
	scripts, err := filepath.Glob("anydriver/migrations/*.sql")
	require.NoError(t, err)
	path := newPath(t)
	db := hostHandle(t, path)
	_, err = db.Exec("CREATE TABLE alotwebhook_migrations (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT")
	require.NoError(t, err)
	for i, name := range scripts[:version] {
		script, err := os.ReadFile(name)
		require.NoError(t, err)
		_, err = db.Exec(string(script))
		require.NoError(t, err)
		if strings.HasPrefix(string(script), "-- additive\n") {
			_, err = db.Exec("UPDATE alotwebhook_migrations SET latest = ? WHERE version = (SELECT max(version) FROM alotwebhook_migrations)", i+1)
		} else {
			_, err = db.Exec("INSERT INTO alotwebhook_migrations (version, applied_at) VALUES (?, ?)", i+1, time.Now().UnixMicro())
		}
		require.NoError(t, err)
	}
	return path
}

// A file that any version has left comes up to date with what it holds.
func TestMigratesFromEveryVersion(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("anydriver/migrations/*.sql")
	require.NoError(t, err)
	for version := range len(scripts) + 1 {
		path := migratedTo(t, version)
		s := open(t, path)
		putEndpoint(t, s, 1, "org_1")
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
		require.Len(t, claim(t, s, 1, nil), 1, "from version %d", version)
		// What release 0.1.0 looks at, which knows version 2: it goes on beside this one.
		var seen int
		require.NoError(t, hostHandle(t, path).QueryRow("SELECT coalesce(max(version), 0) FROM alotwebhook_migrations").Scan(&seen))
		require.Equal(t, 2, seen)
	}
}

// A host's own version number stays the host's.
func TestNewLeavesUserVersion(t *testing.T) {
	t.Parallel()
	db := hostHandle(t, newPath(t))
	_, err := db.Exec("PRAGMA user_version = 42")
	require.NoError(t, err)
	onHandle(t, db)
	var version int
	require.NoError(t, db.QueryRow("PRAGMA user_version").Scan(&version))
	require.Equal(t, 42, version)
}
