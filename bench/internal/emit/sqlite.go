package emit

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/bench/internal/usage"
	"github.com/alot/alotwebhook/store/sqlite"
)

const (
	createRowsSQLite = `CREATE TABLE candidates (id INTEGER PRIMARY KEY, organization TEXT NOT NULL, name TEXT NOT NULL,
		score INTEGER NOT NULL, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)`
	insertRowSQLite = "INSERT INTO candidates (organization, name, score) VALUES (?, ?, ?)"
)

// sqliteHost is a host that keeps its tables in the store's file. All contenders share its
// handle, as SQLite has one writer at a time.
type sqliteHost struct {
	host
	store *sqlite.Store
	db    *sql.DB
}

func openSQLite(ctx context.Context, o Config) (*subject, error) {
	dir, err := os.MkdirTemp("", "alotwebhook-bench-")
	if err != nil {
		return nil, err
	}
	h := &sqliteHost{host: host{organizations: o.Organizations}}
	h.opens(func() error { return os.RemoveAll(dir) })
	groups, err := h.prepare(ctx, filepath.Join(dir, "host.db"), o)
	if err != nil {
		return nil, errors.Join(err, h.closeAll())
	}
	return &subject{groups, h.events, func() (time.Duration, error) { return usage.CPU(), nil }, h.closeAll}, nil
}

func (h *sqliteHost) prepare(ctx context.Context, path string, o Config) (_ []group, err error) {
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "journal_mode(WAL)"}}
	if h.db, err = sql.Open("sqlite", "file:"+path+"?"+query.Encode()); err != nil {
		return nil, err
	}
	h.opens(h.db.Close)
	if _, err := h.db.ExecContext(ctx, createRowsSQLite); err != nil {
		return nil, err
	}
	if h.store, err = sqlite.New(ctx, h.db); err != nil {
		return nil, err
	}
	h.opens(h.store.Close)
	if err := h.dispatch(ctx, h.store); err != nil {
		return nil, err
	}
	return h.groups(ctx, o)
}

func (h *sqliteHost) groups(ctx context.Context, o Config) ([]group, error) {
	client, err := newRiver(ctx, riversqlite.New(h.db), "")
	if err != nil {
		return nil, err
	}
	var tx transaction = func(ctx context.Context, fn func(hostTx) error) error {
		return inTx(ctx, h.db, insertRowSQLite, func(tx *sql.Tx) error {
			return fn(hostTx{h.store.Tx(tx), func(e alotwebhook.Event) error { return insertOne(ctx, client, tx, e) }})
		})
	}
	connect := func() (transaction, error) { return tx, nil }
	one, err := h.oneEvent("SQLite", connect)
	if err != nil || o.Batch == 0 {
		return []group{one}, err
	}
	many, err := h.many("SQLite", o.Batch, connect, insertMany(client))
	return []group{one, many}, err
}
