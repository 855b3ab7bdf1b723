package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
	"github.com/alot/alotwebhook/internal/typeid"
)

var _ feed.Backfiller = (*Store)(nil)

// Backfill implements [feed.Backfiller].
func (s *Store) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return 0, 0, at, "", err
	}
	defer s.mu.Unlock()
	e := s.endpoints[r.EndpointID]
	if e == nil {
		return 0, 0, at, "", fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, r.EndpointID)
	}
	place, err := s.readPlace(r.Cursor)
	if err != nil {
		return 0, 0, at, "", err
	}
	from, _ := idRange("evt", r.Since, time.Time{}, "")
	now := s.now()
	for i, event := range s.organization(r.OrganizationID).feed.behind(place) {
		if sent+left == max(limit, 1) || i == maxStretch {
			return sent, left, at, s.spellPlace(place), nil
		}
		place = event.place
		if event.payload == nil || event.Test || event.ID < from || !slices.Contains(types, event.Type) {
			continue
		}
		at, _ = typeid.Time("evt", event.ID)
		if s.deliveries[alotwebhook.DeliveryID(event.ID, e.ID)] != nil {
			left++
			continue
		}
		if event.unsubscribed != nil {
			s.unsubscribed.Remove(event.unsubscribed)
			event.unsubscribed = nil
		}
		s.addDelivery(event, e, now)
		sent++
	}
	return sent, left, at, "", nil
}
