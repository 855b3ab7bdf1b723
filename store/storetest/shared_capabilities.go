package storetest

import (
	"context"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

// These methods are called only if all values of a shared store have the capability: see
// capabilityOf.

func (s *shared) AddTallies(ctx context.Context, tallies []alotwebhook.Tally) error {
	return nextAs[alotwebhook.Tallier](s).AddTallies(ctx, tallies)
}

func (s *shared) Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]alotwebhook.Tally, error) {
	return nextAs[alotwebhook.Tallier](s).Tallies(ctx, endpointIDs, since)
}

func (s *shared) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	return nextAs[alotwebhook.Pauser](s).PutPause(ctx, p, ops...)
}

func (s *shared) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	return nextAs[alotwebhook.Pauser](s).DeletePause(ctx, organizationID, endpointID, ops...)
}

func (s *shared) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	return nextAs[alotwebhook.Pauser](s).Pauses(ctx)
}

func (s *shared) Backlogs(ctx context.Context, limit int) ([]alotwebhook.Backlog, error) {
	return nextAs[alotwebhook.Surveyor](s).Backlogs(ctx, limit)
}

func (s *shared) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	return nextAs[alotwebhook.Surveyor](s).Totals(ctx, since)
}

func (s *shared) Processes(ctx context.Context) ([]alotwebhook.Process, error) {
	return nextAs[alotwebhook.Surveyor](s).Processes(ctx)
}

func (s *shared) Count(ctx context.Context, r alotwebhook.Recovery) (alotwebhook.Count, error) {
	return nextAs[alotwebhook.Surveyor](s).Count(ctx, r)
}

func (s *shared) Feed(ctx context.Context, f feed.Filter) (feed.Page, error) {
	return nextAs[feed.Feeder](s).Feed(ctx, f)
}

func (s *shared) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	return nextAs[feed.Backfiller](s).Backfill(ctx, r, types, limit)
}
