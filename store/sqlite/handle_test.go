package sqlite_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// pragma returns a setting of a handle of one connection.
func pragma(t *testing.T, db *sql.DB, name string) (value int) {
	t.Helper()
	require.NoError(t, db.QueryRow("PRAGMA "+name).Scan(&value))
	return value
}

// The store's transactions change nothing of how the host's own statements wait. That its
// write-ahead log shrinks after a burst, they see to, unless the host has chosen otherwise.
func TestConnectionsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query        string
		timeout, wal int
	}{
		{"", 0, 64 << 20},
		{"?_pragma=busy_timeout(12345)", 12345, 64 << 20},
		{"?_pragma=busy_timeout(12345)&_pragma=journal_size_limit(1000000)", 12345, 1000000},
	} {
		db, err := sql.Open("sqlite", "file:"+newPath(t)+c.query)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		db.SetMaxOpenConns(1)
		s := onHandle(t, db)
		putEndpoint(t, s, 1, "org_1")
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
		bad := newEvent(t, "org_1")
		bad.ID = "evt_short"
		require.Error(t, s.Enqueue(t.Context(), []alotwebhook.Event{bad}))
		require.Equal(t, c.timeout, pragma(t, db, "busy_timeout"))
		require.Equal(t, c.wal, pragma(t, db, "journal_size_limit"))
	}
}

// However long the host's own statements wait for a lock, the store waits in its own way: it
// has given up long before SQLite would have.
func TestStoreWaitsInItsOwnWay(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(100000000)&_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := onHandle(t, db)
	holder, err := hostHandle(t, path).Conn(t.Context())
	require.NoError(t, err)
	defer holder.Close()
	_, err = holder.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	err = s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})
	require.ErrorContains(t, err, "another process or transaction holds the write lock")
	_, err = holder.ExecContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
}

// While somebody reads for long, the write-ahead log grows. Afterwards it shrinks, on a host's
// handle as well.
func TestLogShrinks(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := hostHandle(t, path)
	s := onHandle(t, db)
	putEndpoint(t, s, 1, "org_1")
	_, err := db.Exec("CREATE TABLE recordings (data BLOB)")
	require.NoError(t, err)
	reader := inTx(t, db)
	var n int
	require.NoError(t, reader.QueryRow("SELECT count(*) FROM recordings").Scan(&n))
	for range 2 {
		_, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
			INSERT INTO recordings SELECT zeroblob(2 << 20) FROM n`)
		require.NoError(t, err)
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		return info.Size()
	}
	require.Greater(t, size(), int64(64<<20))
	require.NoError(t, reader.Rollback())
	require.Eventually(t, func() bool {
		require.NoError(t, s.Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")}))
		return size() <= 64<<20
	}, patience, 1)
}
