package anydriver

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

var _ feed.Feeder = (*Store)(nil)

const (
	// feedStretch is how many events, of all organizations, are looked at for a page of a feed. No index
	// has those of one, since each event would pay for it.
	feedStretch = 20_000
	// feedBytes is from how many bytes of payload on a page ends.
	feedBytes = 4 << 20
)

// Feed implements [feed.Feeder]. One transaction writes at a time, and numbers its events
// behind those of all before it. So events appear in the order of their numbers, and a cursor is one.
func (s *Store) Feed(ctx context.Context, f feed.Filter) (page feed.Page, err error) {
	place, ok := parsePlace(f.Cursor)
	if !ok {
		return page, unknownPlace(f.Cursor)
	}
	err = s.read(ctx, "list events", func(t *txn) error {
		var last int64
		if err := t.one("SELECT coalesce(max(ref), 0) FROM alotwebhook_events")(&last); err != nil {
			return err
		}
		if place > last {
			return unknownPlace(f.Cursor)
		}
		refs, passed, err := t.feedRefs(f, place)
		if err != nil {
			return err
		}
		if page.More = passed != 0; page.More {
			last = passed
		}
		if page.Events, passed, err = t.feedEvents(refs); passed != 0 {
			last, page.More = passed, true
		}
		page.Next = strconv.FormatInt(last, 10)
		return err
	})
	if err != nil {
		return feed.Page{}, err
	}
	return page, nil
}

func parsePlace(cursor string) (place int64, ok bool) {
	if cursor == "" {
		return 0, true
	}
	place, err := strconv.ParseInt(cursor, 10, 64)
	return place, err == nil && place >= 0
}

func unknownPlace(cursor string) error {
	return &said{fmt.Errorf("%w: no event of this database was at %.64q yet", feed.ErrCursorExpired, cursor)}
}

// feedRefs returns the numbers of the events of a page behind a place, and up to where it has looked;
// 0 if that is the end.
func (t *txn) feedRefs(f feed.Filter, place int64) (refs []int64, passed int64, err error) {
	of := make(map[int64]bool, len(f.EventTypes))
	for _, name := range f.EventTypes {
		kinds, err := t.numbers("SELECT ref FROM alotwebhook_types WHERE name = ?", name)
		if err != nil {
			return nil, 0, err
		}
		for _, kind := range kinds {
			of[kind] = true
		}
	}
	var from key
	if !f.Since.IsZero() {
		from = firstKey(f.Since)
	}
	if place == 0 && from != (key{}) { // the ids are in an index
		if err := t.one("SELECT coalesce(min(ref), 1) - 1 FROM alotwebhook_events WHERE id >= ?", from[:])(&place); err != nil {
			return nil, 0, err
		}
	}
	limit, looked := pageSize(f.Limit), 0
	const behind = "SELECT ref, type, id, organization = ? AND payload IS NOT NULL AND test IS NULL FROM alotwebhook_events WHERE ref > ? ORDER BY ref LIMIT ?"
	err = t.each(behind, []any{f.OrganizationID, place, feedStretch + 1}, func(scan func(...any) error) error {
		var ref, kind int64
		var id key
		var selected bool
		if err := scan(&ref, &kind, &id, &selected); err != nil {
			return err
		}
		if looked++; len(refs) == limit || looked > feedStretch {
			passed = place
			return errEnough
		}
		place = ref
		if selected && !id.less(from) && (f.EventTypes == nil || of[kind]) {
			refs = append(refs, ref)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return refs, passed, err
}

// feedEvents returns the events with these numbers, as far as one page goes. passed is the last one's
// number if it does not go to the end.
func (t *txn) feedEvents(refs []int64) (events []alotwebhook.Event, passed int64, err error) {
	size := 0
	for i, ref := range refs {
		event, err := t.event("e.ref = ?", ref)
		if err != nil {
			return nil, 0, err
		}
		events = append(events, event)
		if size += len(event.Data); size >= feedBytes && i < len(refs)-1 {
			return events, ref, nil
		}
	}
	return events, 0, nil
}

// keepLast has f delete events, and sees to it that the next event gets a number behind all that
// there were.
func (t *txn) keepLast(f func() error) error {
	const newest = "SELECT coalesce(max(ref), 0) FROM alotwebhook_events"
	var before, after int64
	if err := t.one(newest)(&before); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	if err := t.one(newest)(&after); err != nil || after == before {
		return err
	}
	return t.exec(`INSERT INTO alotwebhook_events (ref, id, type, happened_at, stored_at, organization) VALUES (?, zeroblob(16), 0, 0, 0, '')
		ON CONFLICT (id) DO UPDATE SET ref = excluded.ref`, before)
}
