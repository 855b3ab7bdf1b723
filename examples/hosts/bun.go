package main

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"github.com/alot/alotwebhook"
)

// bunHost is bun with a handle of its own, on bun's driver.
type bunHost struct {
	onPostgres
	db *bun.DB
}

func (h *bunHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	return h.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
			return err
		}
		if err := d.EmitTo(ctx, h.webhooks.SQLTx(tx), event); err != nil {
			return err
		}
		if c.Score < 0 {
			return errScore // rolls back
		}
		return nil // commits
	})
}

func openBun(ctx context.Context, database string) (host, error) {
	p, err := openPostgres(ctx, database)
	if err != nil {
		return nil, err
	}
	db := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(database))), pgdialect.New())
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close(), p.close())
	}
	return &bunHost{p, db}, nil
}

func (h *bunHost) close() error { return errors.Join(h.db.Close(), h.onPostgres.close()) }
