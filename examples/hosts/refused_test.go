package main

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"
	"gorm.io/gorm"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqltx"
)

func newEvent(t *testing.T) alotwebhook.Event {
	t.Helper()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]string{"sessionId": "sess_123"})
	require.NoError(t, err)
	return event
}

// Each library has a handle of the same methods as its transactions: with that
// one the event would stay after a rollback.
func TestHandlesAreRefused(t *testing.T) {
	t.Parallel()
	database := newDatabase(t, "refused")
	handles := map[string]func(host) sqltx.Tx{
		"gorm": func(h host) sqltx.Tx { return h.(*gormHost).db.Statement.ConnPool },
		"gorm without PrepareStmt": func(h host) sqltx.Tx {
			return h.(*gormHost).db.Session(&gorm.Session{PrepareStmt: false}).Statement.ConnPool
		},
		"sqlx": func(h host) sqltx.Tx { return h.(*sqlxHost).db },
		"bun":  func(h host) sqltx.Tx { return h.(*bunHost).db },
		"ent":  func(h host) sqltx.Tx { return h.(*entHost).client },
	}
	for name, handle := range handles {
		library := name
		if library == "gorm without PrepareStmt" {
			library = "gorm"
		}
		h, err := hosts[library](t.Context(), database)
		require.NoError(t, err)
		event := newEvent(t)
		store := h.store().(interface {
			alotwebhook.Store
			SQLTx(sqltx.Tx) alotwebhook.Enqueuer
		})
		err = store.SQLTx(handle(h)).Enqueue(t.Context(), []alotwebhook.Event{event})
		require.ErrorIs(t, err, alotwebhook.ErrInvalid, name)
		require.ErrorContains(t, err, "which is no transaction", name)
		_, err = store.Event(t.Context(), event.ID)
		require.ErrorIs(t, err, alotwebhook.ErrNotFound, name)
		require.NoError(t, h.close())
	}
}

// bun's driver has errors of its own.
func TestBunOnAnotherDatabase(t *testing.T) {
	t.Parallel()
	h, err := openBun(t.Context(), newDatabase(t, "one"))
	require.NoError(t, err)
	defer func() { require.NoError(t, h.close()) }()
	elsewhere := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(newDatabase(t, "another")))), pgdialect.New())
	defer elsewhere.Close()
	tx, err := elsewhere.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	err = h.(*bunHost).webhooks.SQLTx(tx).Enqueue(t.Context(), []alotwebhook.Event{newEvent(t)})
	require.ErrorContains(t, err, "begin it on the database that the store's pool is on")
}
