package main

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/examples/hosts/sqlc"
)

// sqlcHost is code that sqlc generated for pgx, on the store's own pool.
type sqlcHost struct{ onPostgres }

func (h sqlcHost) complete(ctx context.Context, d *alotwebhook.Dispatcher, c candidate, event alotwebhook.Event) error {
	return pgx.BeginFunc(ctx, h.pool, func(tx pgx.Tx) error {
		row := sqlc.CreateCandidateParams{SessionID: c.SessionID, Score: int32(c.Score)}
		if err := sqlc.New(tx).CreateCandidate(ctx, row); err != nil {
			return err
		}
		if err := d.EmitTo(ctx, h.webhooks.Tx(tx), event); err != nil {
			return err
		}
		if c.Score < 0 {
			return errScore // rolls back
		}
		return nil // commits
	})
}

func openSQLC(ctx context.Context, database string) (host, error) {
	p, err := openPostgres(ctx, database)
	if err != nil {
		return nil, err
	}
	return sqlcHost{p}, nil
}
