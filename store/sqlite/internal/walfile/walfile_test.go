package walfile_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook/store/sqlite/internal/walfile"
)

// pages returns the numbers of the pages in a log.
func pages(t *testing.T, log []byte) (numbers []uint32, g walfile.Generation) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.db-wal")
	require.NoError(t, os.WriteFile(path, log, 0o600))
	g, err := walfile.Pages(path, func(n uint32, content []byte) {
		require.Len(t, content, 4096)
		numbers = append(numbers, n)
	})
	require.NoError(t, err)
	return numbers, g
}

func TestPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE a (x); INSERT INTO a VALUES (zeroblob(20000))")
	require.NoError(t, err)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	all, g := pages(t, log)
	require.Len(t, all, (len(log)-32)/(24+4096))
	require.Equal(t, g, walfile.GenerationOf(path+"-wal"))
	require.NotZero(t, g)

	short, _ := pages(t, log[:len(log)-1]) // the newest page is cut off
	require.Equal(t, all[:len(all)-1], short)
	torn := slices.Clone(log)
	torn[32+2*(24+4096)+24+100] ^= 1 // in the third page
	got, _ := pages(t, torn)
	require.Equal(t, all[:2], got)
	for _, none := range [][]byte{nil, log[:31], make([]byte, 9000), append([]byte("not a log"), log...)} {
		got, g := pages(t, none)
		require.Empty(t, got)
		require.Zero(t, g)
	}

	_, err = db.Exec("PRAGMA wal_checkpoint(RESTART); INSERT INTO a VALUES (1)")
	require.NoError(t, err)
	require.NotEqual(t, g, walfile.GenerationOf(path+"-wal"), "a new log has begun")
	gone, err := walfile.Pages(path+"-none", nil)
	require.NoError(t, err)
	require.Zero(t, gone)
	require.Zero(t, walfile.GenerationOf(path+"-none"))
}
