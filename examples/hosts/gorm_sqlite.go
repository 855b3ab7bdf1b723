package main

import (
	"context"
	"database/sql"
	"errors"

	gormsqlite "github.com/glebarez/sqlite"
	"gorm.io/gorm"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite/anydriver"
)

// gormSQLiteHost is GORM on SQLite. Its dialect brings a driver of its own, so that the
// store is the one without: package anydriver.
type gormSQLiteHost struct {
	db       *gorm.DB
	handle   *sql.DB
	webhooks *anydriver.Store
}

func (h *gormSQLiteHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	return h.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&c).Error; err != nil {
			return err
		}
		if err := d.EmitTo(ctx, h.webhooks.Tx(tx.Statement.ConnPool), event); err != nil {
			return err
		}
		if c.Score < 0 {
			return errScore // rolls back
		}
		return nil // commits
	})
}

func openGORMSQLite(ctx context.Context, path string) (_ host, err error) {
	h := &gormSQLiteHost{}
	h.db, err = gorm.Open(gormsqlite.Open("file:"+path+"?_pragma=busy_timeout(10000)&_txlock=immediate"), &gorm.Config{PrepareStmt: true, Logger: toStderr})
	if err != nil {
		return nil, err
	}
	if h.handle, err = h.db.DB(); err != nil {
		return nil, err
	}
	if h.webhooks, err = anydriver.New(ctx, h.handle); err != nil {
		return nil, errors.Join(err, h.handle.Close())
	}
	err = h.db.WithContext(ctx).Exec("CREATE TABLE IF NOT EXISTS candidates (session_id TEXT PRIMARY KEY, score INTEGER NOT NULL)").Error
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *gormSQLiteHost) store() alotwebhook.Store { return h.webhooks }

func (h *gormSQLiteHost) close() error { return errors.Join(h.webhooks.Close(), h.handle.Close()) }
