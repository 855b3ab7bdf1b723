package main

import (
	"context"
	"errors"

	"github.com/alot/alotwebhook"
)

// database holds the product's candidates and, in the same place, its
// webhooks: that is why one transaction can have both.
type database interface {
	store() alotwebhook.Store
	// inTransaction commits what fn did, or nothing of it if fn returns an error.
	inTransaction(ctx context.Context, fn func(transaction) error) error
	// candidate returns one, or errNoCandidate.
	candidate(ctx context.Context, organizationID, sessionID string) (candidate, error)
	close() error
}

// transaction is one of the database's, in which events can be emitted, too.
type transaction interface {
	alotwebhook.Enqueuer
	// insert adds a candidate, or returns errCompleted if it is there already.
	insert(ctx context.Context, c candidate) error
}

// candidate is a row of the product's own.
type candidate struct {
	OrganizationID string `json:"organizationId"`
	alotwebhook.CandidateCompleted
	EventID string `json:"eventId"`
}

var (
	errNoCandidate = errors.New("no candidate has completed in this session")
	errCompleted   = errors.New("the candidate has completed already")
)
