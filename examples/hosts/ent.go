package main

import (
	"context"
	"errors"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/examples/hosts/ent"
)

// entHost is ent on the store's own pool.
type entHost struct {
	onPostgres
	client *ent.Client
}

func (h *entHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	tx, err := h.client.Tx(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing once committed
	if _, err := tx.Candidate.Create().SetID(c.SessionID).SetScore(c.Score).Save(ctx); err != nil {
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

func openEnt(ctx context.Context, database string) (host, error) {
	p, err := openPostgres(ctx, database)
	if err != nil {
		return nil, err
	}
	return &entHost{p, ent.NewClient(ent.Driver(entsql.OpenDB(dialect.Postgres, p.handle())))}, nil
}

func (h *entHost) close() error { return errors.Join(h.client.Close(), h.onPostgres.close()) }
