package anydriver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	modernc "modernc.org/sqlite"

	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// mute is a driver that keeps the text alone of SQLite's errors.
type mute struct{ driver.Driver }

func (d mute) Open(name string) (driver.Conn, error) {
	conn, err := d.Driver.Open(name)
	return muteConn{conn}, err
}

type muteConn struct{ driver.Conn }

func (c muteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if err != nil {
		return nil, errors.New(err.Error())
	}
	return rows, nil
}

func init() { sql.Register("mute", mute{&modernc.Driver{}}) }

// A store that cannot tell a lock from a failure would fail at the first lock.
func TestNewRefusesADriverWithoutResultCodes(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("mute", "file:"+filepath.Join(t.TempDir(), "app.db")+patient)
	require.NoError(t, err)
	defer db.Close()
	_, err = anydriver.New(t.Context(), db)
	require.ErrorContains(t, err, "the errors of the driver anydriver_test.mute do not carry SQLite's result code")
	require.ErrorContains(t, err, "use modernc.org/sqlite, ")
}

// Connections that the host has used before prove nothing of those to come.
func TestNewLooksAtAConnectionToCome(t *testing.T) {
	t.Parallel()
	db := open(t, patient+"&_pragma=journal_mode(DELETE)")
	db.SetMaxIdleConns(3)
	conns := make([]*sql.Conn, 3)
	for i := range conns {
		var err error
		conns[i], err = db.Conn(t.Context())
		require.NoError(t, err)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	_, err := anydriver.New(t.Context(), db)
	require.ErrorContains(t, err, "take journal_mode")
}

// A second process of the host's, which opens the file as the first one does, is told as well.
func TestNewBesideAnotherProcessWithAnotherJournal(t *testing.T) {
	t.Parallel()
	path := "file:" + filepath.Join(t.TempDir(), "app.db")
	first, err := sql.Open("sqlite", path+patient)
	require.NoError(t, err)
	defer first.Close()
	newStore(t, first)
	second, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(1)&_pragma=journal_mode(DELETE)")
	require.NoError(t, err)
	defer second.Close()
	_, err = anydriver.New(t.Context(), second)
	require.ErrorContains(t, err, "take journal_mode and locking_mode out of its data source name")
}
