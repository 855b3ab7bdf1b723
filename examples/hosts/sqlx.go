package main

import (
	"context"
	"errors"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // registers the driver "postgres"

	"github.com/alot/alotwebhook"
)

// sqlxHost is sqlx with a handle of its own, on lib/pq.
type sqlxHost struct {
	onPostgres
	db *sqlx.DB
}

func (h *sqlxHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	tx, err := h.db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing once committed
	if _, err := tx.NamedExecContext(ctx, "INSERT INTO candidates (session_id, score) VALUES (:sessionid, :score)", c); err != nil {
		return err
	}
	if err := d.EmitTo(ctx, h.webhooks.SQLTx(tx), event); err != nil {
		return err
	}
	if c.Score < 0 {
		return errScore
	}
	return tx.Commit()
}

func openSQLX(ctx context.Context, database string) (host, error) {
	p, err := openPostgres(ctx, database)
	if err != nil {
		return nil, err
	}
	db, err := sqlx.ConnectContext(ctx, "postgres", database)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return &sqlxHost{p, db}, nil
}

func (h *sqlxHost) close() error { return errors.Join(h.db.Close(), h.onPostgres.close()) }
