package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alot/alotwebhook/feed"
)

var _ feed.Feeder = (*Store)(nil)

// lineup holds the events of an organization in the order in which they were stored. What has lost its
// payload stays until half of the list has.
type lineup struct {
	events []*storedEvent
	gone   int
}

func (f *lineup) add(event *storedEvent) { f.events = append(f.events, event) }

// drop notes that an event of the list has lost its payload.
func (f *lineup) drop() {
	if f.gone++; f.gone > len(f.events)/2 {
		f.events, f.gone = slices.DeleteFunc(f.events, func(e *storedEvent) bool { return e.payload == nil }), 0
	}
}

// behind returns the events that were stored after the one with that number.
func (f *lineup) behind(place int64) []*storedEvent {
	i, _ := slices.BinarySearchFunc(f.events, place+1, func(e *storedEvent, place int64) int { return cmp.Compare(e.place, place) })
	return f.events[i:]
}

// erasePayload erases the payload of an event, which leaves the feed.
func (s *Store) erasePayload(event *storedEvent) {
	if event.payload == nil {
		return
	}
	event.payload, event.Data = nil, nil
	s.organization(event.OrganizationID).feed.drop()
}

// feedBytes is from how many bytes of payload on a page of a feed ends.
const feedBytes = 4 << 20

// Feed implements [feed.Feeder]. One mutex stores events one after the other, so that none
// comes late.
func (s *Store) Feed(ctx context.Context, f feed.Filter) (page feed.Page, err error) {
	if err := s.lock(ctx); err != nil {
		return page, err
	}
	defer s.mu.Unlock()
	place, err := s.readPlace(f.Cursor)
	if err != nil {
		return page, err
	}
	org := s.byOrg[f.OrganizationID]
	if org == nil {
		org = &storedOrganization{}
	}
	from, _ := idRange("evt", f.Since, time.Time{}, "")
	left, size := pageSize(f.Limit), 0
	for i, event := range org.feed.behind(place) {
		if left == 0 || i == maxStretch || size >= feedBytes {
			page.More, page.Next = true, s.spellPlace(place)
			return page, nil
		}
		place = event.place
		if event.payload == nil || event.Test || event.ID < from || f.EventTypes != nil && !slices.Contains(f.EventTypes, event.Type) {
			continue
		}
		left--
		size += len(event.payload)
		page.Events = append(page.Events, event.copied())
	}
	page.Next = s.spellPlace(s.lastPlace)
	return page, nil
}

// spellPlace spells a place in the feeds. A place has no meaning for another store.
func (s *Store) spellPlace(place int64) string {
	return fmt.Sprintf("%x-%d", s.begun.UnixNano(), place)
}

func (s *Store) readPlace(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	_, number, _ := strings.Cut(cursor, "-")
	place, err := strconv.ParseInt(number, 10, 64)
	if err != nil || place > s.lastPlace || cursor != s.spellPlace(place) {
		return 0, fmt.Errorf("%w: this store has not given it", feed.ErrCursorExpired)
	}
	return place, nil
}
