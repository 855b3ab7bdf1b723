package anydriver

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/feed"
)

var _ feed.Backfiller = (*Store)(nil)

// Backfill implements [feed.Backfiller].
func (s *Store) Backfill(ctx context.Context, r alotwebhook.Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error) {
	place, ok := parsePlace(r.Cursor)
	if !ok {
		return 0, 0, at, "", unknownPlace(r.Cursor)
	}
	if types == nil {
		types = []string{}
	}
	err = s.write(ctx, "send missed events", func(t *txn) error {
		sent, left, at, next = 0, 0, time.Time{}, "" // it may be repeated
		var endpoint, version int64
		err := t.one(liveEndpoint, r.EndpointID)(&endpoint, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return notFound("endpoint", r.EndpointID)
		}
		if err != nil {
			return err
		}
		f := feed.Filter{OrganizationID: r.OrganizationID, EventTypes: types, Since: r.Since, Limit: max(limit, 1)}
		refs, passed, err := t.feedRefs(f, place)
		if err != nil {
			return err
		}
		if passed != 0 {
			next = strconv.FormatInt(passed, 10)
		}
		var missed []due
		for _, ref := range refs {
			d, last, err := t.missed(ref, endpoint, r.EndpointID)
			if err != nil {
				return err
			}
			if at = last; d == nil {
				left++
				continue
			}
			missed = append(missed, *d)
		}
		if sent = len(missed); sent == 0 {
			return nil
		}
		return t.queue(missed)
	})
	return sent, left, at, next, err
}

// missed returns the delivery of an event to an endpoint, or nil if there is one, and the time in the
// event's id.
func (t *txn) missed(ref, endpoint int64, endpointID string) (*due, time.Time, error) {
	f := fresh{ref: ref}
	if err := t.one("SELECT id, type FROM alotwebhook_events WHERE ref = ?", ref)(&f.key, &f.kind); err != nil {
		return nil, time.Time{}, err
	}
	k, _ := parseKey(deliveryPrefix, alotwebhook.DeliveryID(f.key.spell(eventPrefix), endpointID))
	var there bool
	err := t.one("SELECT EXISTS (SELECT 1 FROM alotwebhook_queue WHERE id = ?1) OR EXISTS (SELECT 1 FROM alotwebhook_deliveries WHERE id = ?1)", k[:])(&there)
	if err != nil || there {
		return nil, f.key.time(), err
	}
	return &due{k, endpoint, &f}, f.key.time(), nil
}
