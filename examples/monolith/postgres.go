package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/postgres"
)

// postgresDatabase keeps the candidates in the default schema of the connection, and the
// store's tables in a schema of their own. Any number of processes may share it.
type postgresDatabase struct {
	pool   *pgxpool.Pool
	events *postgres.Store
}

const postgresSchema = `CREATE TABLE IF NOT EXISTS candidates (
	organization_id text NOT NULL,
	session_id      text NOT NULL,
	assessment_id   text NOT NULL,
	candidate_name  text NOT NULL,
	candidate_email text NOT NULL,
	score           double precision,
	status          text NOT NULL,
	event_id        text NOT NULL,
	PRIMARY KEY (organization_id, session_id)
)`

func openPostgres(ctx context.Context, dsn string, log *slog.Logger) (database, error) {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("-store postgres:DSN: %w", err)
	}
	events, err := postgres.New(ctx, pool, &postgres.Options{Migrate: true, Logger: log})
	if err == nil {
		err = migrate(ctx, pool)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &postgresDatabase{pool, events}, nil
}

// migrate creates the product's own table. The lock lets one process do so at a time,
// because IF NOT EXISTS alone fails if two create the table at the same time.
func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('monolith.candidates'))`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, postgresSchema)
		return err
	})
}

func (p *postgresDatabase) store() alotwebhook.Store { return p.events }

func (p *postgresDatabase) close() error {
	p.pool.Close()
	return nil
}

func (p *postgresDatabase) inTransaction(ctx context.Context, fn func(transaction) error) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		return fn(postgresTransaction{p.events.Tx(tx), tx})
	})
}

type postgresTransaction struct {
	alotwebhook.Enqueuer
	tx pgx.Tx
}

func (t postgresTransaction) insert(ctx context.Context, c candidate) error {
	tag, err := t.tx.Exec(ctx,
		`INSERT INTO candidates (organization_id, session_id, assessment_id, candidate_name, candidate_email, score, status, event_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		c.OrganizationID, c.SessionID, c.AssessmentID, c.CandidateName, c.CandidateEmail, c.Score, c.Status, c.EventID)
	if err == nil && tag.RowsAffected() == 0 {
		err = errCompleted
	}
	return err
}

func (p *postgresDatabase) candidate(ctx context.Context, organizationID, sessionID string) (candidate, error) {
	c := candidate{OrganizationID: organizationID}
	c.SessionID = sessionID
	err := p.pool.QueryRow(ctx,
		`SELECT assessment_id, candidate_name, candidate_email, score, status, event_id
		FROM candidates WHERE organization_id = $1 AND session_id = $2`, organizationID, sessionID,
	).Scan(&c.AssessmentID, &c.CandidateName, &c.CandidateEmail, &c.Score, &c.Status, &c.EventID)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoCandidate
	}
	return c, err
}
