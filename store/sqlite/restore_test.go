package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
	"github.com/alot/alotwebhook/store/sqlite/internal/walfile"
)

// killedWhile has another process play a role on a file, and kills it when it has printed n lines, so that
// its log stays.
func killedWhile(t *testing.T, role, path string, n int) {
	t.Helper()
	cmd := child(t, role, path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range n {
		require.True(t, lines.Scan())
	}
	require.NoError(t, cmd.Process.Kill())
	for lines.Scan() {
	}
	require.Error(t, cmd.Wait())
}

// childEmitAndCopy is childEmit, and has SQLite copy the file after 20 events.
func childEmitAndCopy(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		event, err := alotwebhook.NewEvent(completed, "org_1", data)
		if err != nil {
			return err
		}
		if err := s.Enqueue(context.Background(), []alotwebhook.Event{event}); err != nil {
			return err
		}
		if n == 20 {
			if err := vacuumInto(path, path+".copy"); err != nil {
				return err
			}
		}
		fmt.Println(event.ID)
	}
}

func vacuumInto(path, to string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec("VACUUM INTO '" + to + "'")
	return err
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	all, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, all, 0o600))
}

func countEvents(t *testing.T, path string) (n int) {
	t.Helper()
	require.NoError(t, hostHandle(t, path).QueryRow("SELECT count(*) FROM alotwebhook_events").Scan(&n))
	return n
}

// withEvents makes a file with so many events.
func withEvents(t *testing.T, path string, n int) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	require.NoError(t, err)
	putEndpoint(t, s, 1, "org_1")
	for range n {
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
	}
	require.NoError(t, s.Close())
}

// A backup in the place of a file whose log was left there is refused as it is, and opens once the log is
// gone.
func TestABackupBesideTheLogOfBefore(t *testing.T) {
	t.Parallel()
	for name, backUp := range map[string]func(t *testing.T, path string){
		"a copy of the closed file": func(t *testing.T, path string) {
			copyFile(t, path, path+".copy")
			killedWhile(t, "emit", path, 50)
		},
		"a copy by VACUUM INTO of an earlier run": func(t *testing.T, path string) {
			require.NoError(t, vacuumInto(path, path+".copy"))
			killedWhile(t, "emit", path, 50)
		},
		"a copy by VACUUM INTO of the same run": func(t *testing.T, path string) {
			killedWhile(t, "emit and copy", path, 50)
		},
		"a copy by VACUUM INTO, long before": func(t *testing.T, path string) {
			killedWhile(t, "emit and copy", path, 1500)
		},
		"a copy from before several crashes": func(t *testing.T, path string) {
			killedWhile(t, "emit and copy", path, 30)
			killedWhile(t, "emit", path, 30)
			killedWhile(t, "emit", path, 30)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			withEvents(t, path, 50)
			backUp(t, path)
			backup := path + ".copy"
			copyFile(t, backup, path)
			_, err := sqlite.Open(t.Context(), path)
			require.ErrorContains(t, err, "belongs to another file")
			require.ErrorContains(t, err, path+"-wal")
			db, err := sql.Open("sqlite", "file:"+path)
			require.NoError(t, err)
			_, err = sqlite.New(t.Context(), db)
			require.ErrorContains(t, err, "delete what ends in -wal and -shm")
			_ = db.Close() // it may write the log into the file, or find that it cannot

			copyFile(t, backup, path)
			_ = os.Remove(path + "-wal")
			_ = os.Remove(path + "-shm")
			open(t, path)
			require.Equal(t, countEvents(t, backup), countEvents(t, path))
		})
	}
}

// What is refused stays as it is.
func TestARefusedBackupIsNotWritten(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	withEvents(t, path, 10)
	copyFile(t, path, path+".copy")
	killedWhile(t, "emit", path, 10)
	copyFile(t, path+".copy", path)
	_, err := sqlite.Open(t.Context(), path)
	require.Error(t, err)
	want, err := os.ReadFile(path + ".copy")
	require.NoError(t, err)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, slices.Equal(want, got))
}

// After a crash the log is the file's own, wherever a checkpoint was, and whatever was done to the file.
func TestACrashIsNoRestore(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	withEvents(t, path, 5)
	for i, n := range []int{1, 2, 3, 1, 700, 5, 350, 1, 420} {
		killedWhile(t, "emit", path, n)
		if i%3 == 1 { // the pages change places, in the log as well
			other := hostHandle(t, path)
			_, err := other.Exec("DELETE FROM alotwebhook_events WHERE id IN (SELECT id FROM alotwebhook_events LIMIT 40)")
			require.NoError(t, err)
			_, err = other.Exec("CREATE TABLE IF NOT EXISTS mine (x); VACUUM")
			require.NoError(t, err)
			killedWhile(t, "emit", path, n)
		}
	}
	open(t, path)
}

// Neither is a crash in the midst of a checkpoint, which has written some pages into the file.
func TestACrashInACheckpointIsNoRestore(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	withEvents(t, path, 20)
	killedWhile(t, "emit", path, 60)
	newest := map[uint32][]byte{}
	_, err := walfile.Pages(path+"-wal", func(number uint32, content []byte) { newest[number] = slices.Clone(content) })
	require.NoError(t, err)
	require.NotEmpty(t, newest)
	for most := uint32(0); most < 60; most += 4 {
		to := filepath.Join(t.TempDir(), "webhooks.db")
		copyFile(t, path, to)
		copyFile(t, path+"-wal", to+"-wal")
		file, err := os.OpenFile(to, os.O_RDWR, 0)
		require.NoError(t, err)
		for number, content := range newest {
			if number <= most {
				_, err = file.WriteAt(content, int64(number-1)*int64(len(content)))
				require.NoError(t, err)
			}
		}
		require.NoError(t, file.Close())
		open(t, to)
		require.GreaterOrEqual(t, countEvents(t, to), 80)
	}
}

// Nor is one in the first run on a file, none of whose log has come into the file, because somebody reads.
func TestACrashOfTheFirstRunIsNoRestore(t *testing.T) {
	t.Parallel()
	path, to := newPath(t), newPath(t)
	db := hostHandle(t, path)
	_, err := db.Exec("PRAGMA journal_mode = WAL; CREATE TABLE mine (x)")
	require.NoError(t, err)
	reader := inTx(t, db)
	var n int
	require.NoError(t, reader.QueryRow("SELECT count(*) FROM mine").Scan(&n))
	killedWhile(t, "emit", path, 5)
	copyFile(t, path, to)
	copyFile(t, path+"-wal", to+"-wal")
	require.NoError(t, reader.Rollback())
	open(t, to)
	require.GreaterOrEqual(t, countEvents(t, to), 5)
}
