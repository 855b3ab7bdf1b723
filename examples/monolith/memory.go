package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// memoryDatabase keeps everything in memory. A map has no transactions, so a transaction
// gathers its writes, and they are made together at its end or never.
type memoryDatabase struct {
	events *memory.Store

	mu         sync.Mutex
	candidates map[[2]string]candidate // the key is organization and session
}

func openMemory(context.Context, *slog.Logger) (database, error) {
	return &memoryDatabase{events: memory.New(), candidates: map[[2]string]candidate{}}, nil
}

func (db *memoryDatabase) store() alotwebhook.Store { return db.events }
func (db *memoryDatabase) close() error             { return nil }

func (db *memoryDatabase) inTransaction(ctx context.Context, fn func(transaction) error) error {
	db.mu.Lock() // allows one transaction at a time
	defer db.mu.Unlock()
	tx := &memoryTransaction{db: db}
	if err := fn(tx); err != nil {
		return err
	}
	if err := db.events.Enqueue(ctx, tx.events); err != nil {
		return err
	}
	for _, c := range tx.candidates {
		db.candidates[[2]string{c.OrganizationID, c.SessionID}] = c
	}
	return nil
}

func (db *memoryDatabase) candidate(_ context.Context, organizationID, sessionID string) (candidate, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	c, ok := db.candidates[[2]string{organizationID, sessionID}]
	if !ok {
		return candidate{}, errNoCandidate
	}
	return c, nil
}

type memoryTransaction struct {
	db         *memoryDatabase
	candidates []candidate
	events     []alotwebhook.Event
}

func (tx *memoryTransaction) insert(_ context.Context, c candidate) error {
	if _, ok := tx.db.candidates[[2]string{c.OrganizationID, c.SessionID}]; ok {
		return errCompleted
	}
	tx.candidates = append(tx.candidates, c)
	return nil
}

// Enqueue implements [alotwebhook.Enqueuer].
func (tx *memoryTransaction) Enqueue(_ context.Context, events []alotwebhook.Event) error {
	tx.events = slices.Concat(tx.events, events)
	return nil
}
