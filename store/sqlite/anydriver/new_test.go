package anydriver_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
	"github.com/alot/alotwebhook/store/sqltx"
)

// open returns a handle on a new file with what is given behind its name.
func open(t *testing.T, query string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+query)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func newStore(t *testing.T, db *sql.DB) *anydriver.Store {
	t.Helper()
	s, err := anydriver.New(t.Context(), db)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// It replaces the default logger, so that it is not parallel.
func TestNewWarnsOfImpatientHandles(t *testing.T) {
	old := slog.Default()
	defer slog.SetDefault(old)
	warnings := func(db *sql.DB) string {
		var log bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		newStore(t, db)
		return log.String()
	}
	require.Contains(t, warnings(open(t, "")), "busy_timeout 0")
	require.Empty(t, warnings(open(t, "?_pragma=busy_timeout(10000)")))
	one := open(t, "")
	one.SetMaxOpenConns(1)
	require.Empty(t, warnings(one))
}

const patient = "?_pragma=busy_timeout(10000)"

func TestTxRefusesWhatIsNoTransaction(t *testing.T) {
	t.Parallel()
	db := open(t, patient)
	s := newStore(t, db)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	event := newEvent(t, "org_1")
	for _, c := range []struct {
		tx   sqltx.Tx
		says string
	}{
		{nil, "tx is nil; give the transaction"},
		{(*sql.Tx)(nil), "tx is nil; give the transaction"},
		{db, "tx is a *sql.DB, which is no transaction"},
		{conn, "tx is a *sql.Conn, which is no transaction"},
	} {
		err := s.Tx(c.tx).Enqueue(t.Context(), []alotwebhook.Event{event})
		require.ErrorIs(t, err, alotwebhook.ErrInvalid)
		require.ErrorContains(t, err, "alotwebhook: "+c.says)
	}
	_, err = s.Event(t.Context(), event.ID)
	require.ErrorIs(t, err, alotwebhook.ErrNotFound, "nothing was stored")
}

// What stands above database/sql has transactions of its own.
func TestTxOfALibrary(t *testing.T) {
	t.Parallel()
	db := open(t, patient)
	s := newStore(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	event := newEvent(t, "org_1")
	require.NoError(t, s.Tx(struct{ *sql.Tx }{tx}).Enqueue(t.Context(), []alotwebhook.Event{event}))
	require.NoError(t, tx.Commit())
	_, err = s.Event(t.Context(), event.ID)
	require.NoError(t, err)
}

func TestTxOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	s := newStore(t, open(t, patient))
	other := open(t, patient)
	tx, err := other.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	err = s.Tx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t, "org_1")})
	require.ErrorContains(t, err, "the transaction is on another database than the store")
	require.NoError(t, tx.Commit(), "the host's transaction goes on")
}

func TestNewRefusesNil(t *testing.T) {
	t.Parallel()
	_, err := anydriver.New(t.Context(), nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	require.EqualError(t, err, "alotwebhook: db is nil; give an open *sql.DB, after a look at the error of sql.Open")
}
