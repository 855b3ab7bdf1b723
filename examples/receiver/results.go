package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// result is a row of this service's table.
type result struct {
	EventID       string   `json:"eventId"`
	CandidateName string   `json:"candidateName"`
	Score         *float64 `json:"score"`
	Status        string   `json:"status"`
}

// results is the service's own table, with the Deduper in the same database.
type results struct {
	db      *sql.DB
	handled *dedupe.SQL
}

const createResults = `CREATE TABLE IF NOT EXISTS results (
	id             INTEGER PRIMARY KEY,
	event_id       TEXT NOT NULL,
	candidate_name TEXT NOT NULL,
	score          REAL,
	status         TEXT NOT NULL
)`

func openResults(ctx context.Context, path string) (*results, error) {
	// With these settings, a transaction takes the write lock when it begins, and
	// waits for it instead of failing.
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	r := &results{db: db}
	if err := r.create(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return r, nil
}

func (r *results) create(ctx context.Context) (err error) {
	if r.handled, err = dedupe.NewSQL(r.db, dedupe.SQLite, nil); err != nil {
		return err
	}
	if err := r.handled.CreateTable(ctx); err != nil {
		return err
	}
	_, err = r.db.ExecContext(ctx, createResults)
	return err
}

// save stores a result and marks its event as handled, in one transaction.
func (r *results) save(ctx context.Context, new result) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	_, err = tx.ExecContext(ctx, "INSERT INTO results (event_id, candidate_name, score, status) VALUES (?, ?, ?, ?)",
		new.EventID, new.CandidateName, new.Score, new.Status)
	if err != nil {
		return err
	}
	if err := r.handled.Tx(tx).Complete(ctx, alotwebhook.ClaimFromContext(ctx)); err != nil {
		return err
	}
	return tx.Commit()
}

func (r *results) all(ctx context.Context) ([]result, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT event_id, candidate_name, score, status FROM results ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []result{}
	for rows.Next() {
		var one result
		if err := rows.Scan(&one.EventID, &one.CandidateName, &one.Score, &one.Status); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func (r *results) close() error { return r.db.Close() }
