package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/sqlite"
)

// sqliteDatabase keeps the candidates and the store's tables in one file, through one
// handle.
type sqliteDatabase struct {
	db     *sql.DB
	events *sqlite.Store
}

const sqliteSchema = `CREATE TABLE IF NOT EXISTS candidates (
	organization_id TEXT NOT NULL,
	session_id      TEXT NOT NULL,
	assessment_id   TEXT NOT NULL,
	candidate_name  TEXT NOT NULL,
	candidate_email TEXT NOT NULL,
	score           REAL,
	status          TEXT NOT NULL,
	event_id        TEXT NOT NULL,
	PRIMARY KEY (organization_id, session_id)
) WITHOUT ROWID`

func openSQLite(ctx context.Context, path string) (database, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(absolute); err != nil {
		return nil, fmt.Errorf("sqlite:%s: %w", path, err)
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: url.Values{
		"_pragma": {"busy_timeout(10000)", "synchronous(FULL)"},
		"_txlock": {"immediate"}, // a transaction takes the write lock, and waits for it, when it begins
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("sqlite:%s: %w", path, err)
	}
	events, err := sqlite.New(ctx, db)
	if err == nil {
		_, err = db.ExecContext(ctx, sqliteSchema)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite:%s: %w", path, err), db.Close())
	}
	return &sqliteDatabase{db, events}, nil
}

// create creates the file, if it does not exist, so that only its owner can read it. SQLite
// would create a file that everybody can read.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *sqliteDatabase) store() alotwebhook.Store { return s.events }
func (s *sqliteDatabase) close() error             { return errors.Join(s.events.Close(), s.db.Close()) }

func (s *sqliteDatabase) inTransaction(ctx context.Context, fn func(transaction) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	if err := fn(sqliteTransaction{s.events.Tx(tx), tx}); err != nil {
		return err
	}
	return tx.Commit()
}

type sqliteTransaction struct {
	alotwebhook.Enqueuer
	tx *sql.Tx
}

func (t sqliteTransaction) insert(ctx context.Context, c candidate) error {
	result, err := t.tx.ExecContext(ctx,
		`INSERT INTO candidates (organization_id, session_id, assessment_id, candidate_name, candidate_email, score, status, event_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		c.OrganizationID, c.SessionID, c.AssessmentID, c.CandidateName, c.CandidateEmail, c.Score, c.Status, c.EventID)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errCompleted, err)
	}
	return nil
}

func (s *sqliteDatabase) candidate(ctx context.Context, organizationID, sessionID string) (candidate, error) {
	c := candidate{OrganizationID: organizationID}
	c.SessionID = sessionID
	err := s.db.QueryRowContext(ctx,
		`SELECT assessment_id, candidate_name, candidate_email, score, status, event_id
		FROM candidates WHERE organization_id = ? AND session_id = ?`, organizationID, sessionID,
	).Scan(&c.AssessmentID, &c.CandidateName, &c.CandidateEmail, &c.Score, &c.Status, &c.EventID)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoCandidate
	}
	return c, err
}
