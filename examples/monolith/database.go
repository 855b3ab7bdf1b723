package main

import (
	"context"
	"errors"

	"github.com/alot/alotwebhook"
)

// database holds the product's candidates and its webhooks in the same place, so that one
// transaction can write both.
type database interface {
	store() alotwebhook.Store
	// inTransaction calls fn in a transaction. It commits if fn returns nil, and
	// otherwise rolls back.
	inTransaction(ctx context.Context, fn func(transaction) error) error
	// candidate returns a candidate, or errNoCandidate.
	candidate(ctx context.Context, organizationID, sessionID string) (candidate, error)
	close() error
}

// transaction is a transaction of the database. Events can be emitted in it.
type transaction interface {
	alotwebhook.Enqueuer
	// insert adds a candidate, or returns errCompleted if there is one already.
	insert(ctx context.Context, c candidate) error
}

// candidate is a row of the product's own table.
type candidate struct {
	OrganizationID string `json:"organizationId"`
	alotwebhook.CandidateCompleted
	EventID string `json:"eventId"`
}

var (
	errNoCandidate = errors.New("no candidate has completed in this session")
	errCompleted   = errors.New("the candidate has completed already")
)
