package memory

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// defaultPage is how many entries a page holds when its filter sets no limit.
const defaultPage = 100

// pageSize returns how many entries a page holds whose filter sets this limit.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, math.MaxInt32)
}

// maxStretch is how many deliveries that do not match a filter are passed over
// for one page. Then the page ends with what it has, so that it is quick.
const maxStretch = 2000

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Event{}, err
	}
	defer s.mu.Unlock()
	stored := s.events[id]
	if stored == nil || stored.payload == nil {
		return alotwebhook.Event{}, fmt.Errorf("%w: event %.40q", alotwebhook.ErrNotFound, id)
	}
	return stored.copied(), nil
}

// copied returns the event as the caller may keep it.
func (e *storedEvent) copied() alotwebhook.Event {
	event := e.Event
	event.Data = bytes.Clone(event.Data)
	return event
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Delivery{}, err
	}
	defer s.mu.Unlock()
	d := s.deliveries[id]
	if d == nil {
		return alotwebhook.Delivery{}, fmt.Errorf("%w: delivery %.40q", alotwebhook.ErrNotFound, id)
	}
	row := s.row(d)
	for _, a := range d.attempts {
		a.URL = s.urlOf(d, a.urls)
		row.Attempts = append(row.Attempts, a.Attempt)
	}
	return row, nil
}

// row returns d as a listing shows it: without its attempts.
func (s *Store) row(d *storedDelivery) alotwebhook.Delivery {
	row := alotwebhook.Delivery{
		ID:             d.id,
		EventID:        d.event.ID,
		EventType:      d.event.Type,
		OrganizationID: d.event.OrganizationID,
		EndpointID:     d.endpoint.ID,
		Test:           d.event.Test,
		State:          d.shownState(),
		CreatedAt:      s.instant(d.createdAt),
		AttemptCount:   d.made,
		LastReason:     d.lastReason,
	}
	if first := d.waitsFor(); first != nil {
		row.WaitsFor = first.id
		if d.endpoint.first.until != 0 {
			row.WaitsUntil = s.instant(d.endpoint.first.until)
		}
	}
	if n := len(d.attempts); n > 0 {
		row.LastStatusCode = d.attempts[n-1].StatusCode
	}
	if d.state == alotwebhook.StatePending {
		row.NextAttemptAt = s.instant(d.dueAt)
	} else {
		row.FinishedAt = s.instant(d.finishedAt)
	}
	return row
}

// shownState is the state that people read: a pending delivery is parked while
// its endpoint is disabled.
func (d *storedDelivery) shownState() alotwebhook.DeliveryState {
	if d.state == alotwebhook.StatePending && d.endpoint.parks() {
		return alotwebhook.StateParked
	}
	return d.state
}

// Deliveries implements [alotwebhook.History].
func (s *Store) Deliveries(ctx context.Context, f alotwebhook.Filter) (page []alotwebhook.Delivery, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	if err := checkCursor("dlv", f.Cursor, "a delivery", "page"); err != nil {
		return nil, "", err
	}
	from, before := idRange("dlv", f.Since, f.Until, f.Cursor)
	limit, passed := pageSize(f.Limit), 0
	for d := range s.narrowest(f).descending(before) {
		if d.id < from {
			break
		}
		if !d.matches(f) {
			if passed++; passed > maxStretch {
				return page, d.id, nil
			}
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].ID, nil
		}
		page = append(page, s.row(d))
	}
	return page, "", nil
}

// narrowest returns the shortest of the store's lists that holds every delivery
// that f selects.
func (s *Store) narrowest(f alotwebhook.Filter) *idList[*storedDelivery] {
	var none idList[*storedDelivery]
	switch {
	case f.EventID != "":
		if event := s.events[f.EventID]; event != nil {
			return &event.deliveries
		}
		return &none
	case f.Subject != "":
		if subject := s.bySubject[f.Subject]; subject != nil {
			return &subject.deliveries
		}
		return &none
	case f.EndpointID != "":
		if l := s.byEndpoint[f.EndpointID]; l != nil {
			return l
		}
		return &none
	case f.OrganizationID != "":
		if org := s.byOrg[f.OrganizationID]; org != nil {
			return &org.deliveries
		}
		return &none
	}
	return &s.all.deliveries
}

func (d *storedDelivery) matches(f alotwebhook.Filter) bool {
	return matchesText(f.OrganizationID, d.event.OrganizationID) &&
		matchesText(f.EndpointID, d.endpoint.ID) &&
		matchesText(f.EventID, d.event.ID) &&
		matchesText(f.EventType, d.event.Type) &&
		matchesText(f.Subject, d.event.Subject) &&
		(d.event.Test && !f.NoTests || !d.event.Test && !f.OnlyTests) &&
		(f.State == alotwebhook.StateUnfinished && d.state == alotwebhook.StatePending || matchesText(f.State, d.shownState()))
}

// matchesText reports whether got is the wanted text; "" wants any.
func matchesText[T ~string](wanted, got T) bool { return wanted == "" || wanted == got }

// checkCursor refuses a cursor that is not the id of what it should be. It would be compared with ids
// like any text, and the page show more than is wanted, or less.
func checkCursor(prefix, cursor, of, before string) error {
	if cursor == "" {
		return nil
	}
	if _, err := typeid.Parse(prefix, cursor); err != nil {
		return &alotwebhook.FieldError{Field: "cursor", Problem: fmt.Sprintf("%.64q is not the id of %s; give the cursor that came with the %s before", cursor, of, before)}
	}
	return nil
}

// idRange turns a filter's times and cursor into bounds of the selected ids:
// from ≤ id < before, or without an upper bound when before is "". An id begins
// with a time, that of a delivery with its event's, which is why times are bounds of ids.
func idRange(prefix string, since, until time.Time, cursor string) (from, before string) {
	if !since.IsZero() {
		from = typeid.First(prefix, since)
	}
	before = cursor
	if !until.IsZero() {
		if until := typeid.First(prefix, until); before == "" || until < before {
			before = until
		}
	}
	return from, before
}

// Stats implements [alotwebhook.History].
func (s *Store) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Stats{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var st alotwebhook.Stats
	for _, e := range s.endpoints {
		if e.Disabled {
			st.DisabledEndpoints++
			st.Parked += e.unfinished
			continue
		}
		st.Pending += e.unfinished
		oldest := &st.OldestDue
		if !e.FailingSince.IsZero() {
			st.FailingEndpoints++
			oldest = &st.OldestDueFailing
		}
		if !s.paused(e) {
			*oldest = max(*oldest, e.oldestDue(now))
		}
	}
	return st, nil
}

// oldestDue returns how long the delivery of e that is due longest has been due; 0 or less if none
// is.
func (e *storedEndpoint) oldestDue(now time.Duration) (oldest time.Duration) {
	if front := e.dueNow.Front(); front != nil {
		oldest = now - front.Value.(*storedDelivery).dueAt
	}
	if len(e.waiting) > 0 {
		oldest = max(oldest, now-e.waiting[0].dueAt)
	}
	return oldest
}
