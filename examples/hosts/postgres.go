package main

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// onPostgres is what the hosts on PostgreSQL have in common: the store and its
// pool. A library on database/sql can share that pool, or have a handle of its own.
type onPostgres struct {
	pool     *pgxpool.Pool
	webhooks *postgres.Store
}

func openPostgres(ctx context.Context, database string) (p onPostgres, err error) {
	if p.pool, err = pgxpool.New(ctx, database); err != nil {
		return p, err
	}
	p.webhooks, err = postgres.New(ctx, p.pool, &postgres.Options{Migrate: true})
	if err == nil {
		err = p.createCandidates(ctx)
	}
	if err != nil {
		p.pool.Close()
	}
	return p, err
}

// createCandidates makes the product's own table, one process at a time: IF NOT
// EXISTS alone fails when two begin together.
func (p onPostgres) createCandidates(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('hosts.candidates'))"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS candidates (session_id text PRIMARY KEY, score integer NOT NULL)")
		return err
	})
}

// handle is the store's pool as database/sql has it.
func (p onPostgres) handle() *sql.DB { return stdlib.OpenDBFromPool(p.pool) }

func (p onPostgres) store() alotwebhook.Store { return p.webhooks }

func (p onPostgres) close() error {
	p.pool.Close()
	return nil
}
