package main

import (
	"context"
	"errors"
	"log"
	"os"
	"time"

	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/alot/alotwebhook"
)

// toStderr keeps GORM's words about slow statements out of the standard output, which is
// where it writes them by itself.
var toStderr = logger.New(log.New(os.Stderr, "", log.LstdFlags), logger.Config{SlowThreshold: time.Second})

// gormHost is GORM on the store's own pool.
type gormHost struct {
	onPostgres
	db *gorm.DB
}

func (h *gormHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	return h.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&c).Error; err != nil {
			return err
		}
		if err := d.EmitTo(ctx, h.webhooks.SQLTx(tx.Statement.ConnPool), event); err != nil {
			return err
		}
		if c.Score < 0 {
			return errScore // rolls back
		}
		return nil // commits
	})
}

func openGORM(ctx context.Context, database string) (host, error) {
	p, err := openPostgres(ctx, database)
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: p.handle()}), &gorm.Config{PrepareStmt: true, Logger: toStderr})
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return &gormHost{p, db}, nil
}
