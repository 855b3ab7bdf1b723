package shards

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/alot/alotwebhook/feed"
)

// Feed implements [feed.Feeder]. The feed of an organization that moves is that of all its
// shards: first what the others have, since nothing comes there any more, and then its home's. A
// cursor has a place in each. The error is an [errors.ErrUnsupported] if one of them is no Feeder.
func (s *Store) Feed(ctx context.Context, f feed.Filter) (page feed.Page, err error) {
	if err := ended(ctx); err != nil {
		return page, err
	}
	list, err := s.placesOf(f.OrganizationID)
	if err != nil {
		return page, err
	}
	at, err := url.ParseQuery(f.Cursor)
	if err != nil {
		return page, fmt.Errorf("%w: %.64q is no place in the feeds of shards", feed.ErrCursorExpired, f.Cursor)
	}
	next := url.Values{}
	list = slices.Clone(list)
	slices.Reverse(list)
	for _, sh := range list {
		next.Set(sh.name, at.Get(sh.name))
	}
	if f.Limit = pageSize(f.Limit); f.Cursor != "" && !slices.ContainsFunc(list, func(sh *shard) bool { return at.Get(sh.name) != "" }) {
		return page, fmt.Errorf("%w: the organization has left the shards of %.64q", feed.ErrCursorExpired, f.Cursor)
	}
	for _, sh := range list {
		if page.More = page.More || f.Limit == len(page.Events); page.More {
			break // the rest is on the next page
		}
		part, err := sh.feed(ctx, f, at.Get(sh.name), f.Limit-len(page.Events))
		if err != nil {
			return feed.Page{}, err
		}
		page.Events, page.More = append(page.Events, part.Events...), part.More
		next.Set(sh.name, part.Next)
	}
	page.Next = next.Encode()
	return page, nil
}

// errNoFeed says that a shard lists no events.
var errNoFeed = fmt.Errorf("alotwebhook: the shard's store lists no events: %w", errors.ErrUnsupported)

func (sh *shard) feed(ctx context.Context, f feed.Filter, cursor string, limit int) (feed.Page, error) {
	if sh.feeder == nil {
		return feed.Page{}, sh.explain(errNoFeed)
	}
	f.Cursor, f.Limit = cursor, limit
	return inTime(func(ctx context.Context, sh *shard) (feed.Page, error) {
		page, err := sh.feeder.Feed(ctx, f)
		return page, sh.explain(err)
	})(ctx, sh)
}
