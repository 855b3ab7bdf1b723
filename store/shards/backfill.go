package shards

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/internal/unwrap"
)

var _ feed.Backfiller = (*Store)(nil)

// errNoBackfill says that a shard sends no missed events.
var errNoBackfill = fmt.Errorf("alotwebhook: the shard's store sends no missed events: %w", errors.ErrUnsupported)

// Backfill implements [feed.Backfiller]: one of the organization's shards after the other, as Feed does.
// A shard that the endpoint is not in has no events for it.
func (s *Store) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	if err := ended(ctx); err != nil {
		return 0, 0, at, "", err
	}
	list, err := s.placesOf(r.OrganizationID)
	if err != nil {
		return 0, 0, at, "", err
	}
	if _, err := s.Endpoint(ctx, r.EndpointID); err != nil {
		return 0, 0, at, "", err
	}
	place, err := url.ParseQuery(r.Cursor)
	if err != nil {
		return 0, 0, at, "", fmt.Errorf("%w: %.64q is no place in the feeds of shards", feed.ErrCursorExpired, r.Cursor)
	}
	list = slices.Clone(list)
	slices.Reverse(list)
	begin := max(slices.IndexFunc(list, func(sh *shard) bool { return sh.name == place.Get("shard") }), 0)
	for i, sh := range list[begin:] {
		r.Cursor = ""
		if i == 0 {
			r.Cursor = place.Get("place")
		}
		var some, skipped int
		some, skipped, at, next, err = sh.backfill(ctx, r, types, limit)
		switch {
		case errors.Is(err, alotwebhook.ErrNotFound):
			continue
		case err != nil:
			return 0, 0, at, "", err
		case next != "":
			return some, skipped, at, url.Values{"shard": {sh.name}, "place": {next}}.Encode(), nil
		case begin+i < len(list)-1 && some+skipped == 0:
			continue
		case begin+i < len(list)-1: // the next call begins with the next shard
			return some, skipped, at, url.Values{"shard": {list[begin+i+1].name}}.Encode(), nil
		}
		sent, left = some, skipped
	}
	return sent, left, at, "", nil
}

func (sh *shard) backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	backfiller := unwrap.To[feed.Backfiller](sh.store)
	if backfiller == nil {
		return 0, 0, at, "", sh.explain(errNoBackfill)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	sent, left, at, next, err = backfiller.Backfill(ctx, r, types, limit)
	return sent, left, at, next, sh.explain(err)
}
