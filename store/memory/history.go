package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// memoryPage is the size of a page when a filter leaves it open.
const defaultPage = 100

// memoryStretch is how many deliveries that do not match a page passes over
// before it is cut short.
const maxStretch = 2000

// memoryPurge is how many rows a purge takes when its request leaves it open.
const defaultPurge = 1000

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Event{}, err
	}
	defer s.mu.Unlock()
	stored := s.events[id]
	if stored == nil || stored.payload == nil {
		return alotwebhook.Event{}, fmt.Errorf("%w: event %q", alotwebhook.ErrNotFound, id)
	}
	event := stored.Event
	event.Data = bytes.Clone(event.Data)
	return event, nil
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Delivery{}, err
	}
	defer s.mu.Unlock()
	d := s.deliveries[id]
	if d == nil {
		return alotwebhook.Delivery{}, fmt.Errorf("%w: delivery %q", alotwebhook.ErrNotFound, id)
	}
	row := s.row(d)
	row.Attempts = slices.Clone(d.attempts)
	return row, nil
}

// row is what a list shows of d.
func (s *Store) row(d *storedDelivery) alotwebhook.Delivery {
	row := alotwebhook.Delivery{
		ID:             d.id,
		EventID:        d.event.ID,
		EventType:      d.event.Type,
		OrganizationID: d.event.OrganizationID,
		EndpointID:     d.endpoint.ID,
		State:          d.shownState(),
		CreatedAt:      s.instant(d.createdAt),
		AttemptCount:   len(d.attempts),
		LastReason:     d.lastReason,
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

func (d *storedDelivery) shownState() alotwebhook.DeliveryState {
	if d.state == alotwebhook.StatePending && d.endpoint.Disabled {
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
	from, before := idRange(f)
	limit, passed := cmp.Or(f.Limit, defaultPage), 0
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

// narrowest returns the shortest list that holds all that f selects.
func (s *Store) narrowest(f alotwebhook.Filter) *idList {
	switch {
	case f.EventID != "":
		if event := s.events[f.EventID]; event != nil {
			return &event.deliveries
		}
		return &idList{}
	case f.EndpointID != "":
		if l := s.byEndpoint[f.EndpointID]; l != nil {
			return l
		}
		return &idList{}
	case f.OrganizationID != "":
		if org := s.byOrg[f.OrganizationID]; org != nil {
			return &org.deliveries
		}
		return &idList{}
	}
	return &s.all
}

func (d *storedDelivery) matches(f alotwebhook.Filter) bool {
	return matchesText(f.OrganizationID, d.event.OrganizationID) &&
		matchesText(f.EndpointID, d.endpoint.ID) &&
		matchesText(f.EventID, d.event.ID) &&
		matchesText(f.EventType, d.event.Type) &&
		matchesText(f.State, d.shownState())
}

func matchesText[T ~string](wanted, got T) bool { return wanted == "" || wanted == got }

// idRange turns a filter's times and cursor into the ids selected: at least
// from, and below before unless that is "".
func idRange(f alotwebhook.Filter) (from, before string) {
	if !f.Since.IsZero() {
		from = typeid.First("dlv", f.Since)
	}
	before = f.Cursor
	if !f.Until.IsZero() {
		if until := typeid.First("dlv", f.Until); before == "" || until < before {
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
			st.Parked += e.unfinished
			continue
		}
		st.Pending += e.unfinished
		if front := e.dueNow.Front(); front != nil {
			st.OldestDue = max(st.OldestDue, now-front.Value.(*storedDelivery).dueAt)
		}
		if len(e.waiting) > 0 {
			st.OldestDue = max(st.OldestDue, now-e.waiting[0].dueAt)
		}
	}
	return st, nil
}

// Purge implements [alotwebhook.History].
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	defer s.mu.Unlock()
	var r alotwebhook.PurgeResult
	now := s.now()
	limit := cmp.Or(p.Limit, defaultPurge)
	if p.History > 0 {
		s.purgeDeliveries(now-p.History, limit, &r)
		s.purgeUnheard(now-p.History, limit, &r)
		s.purgeRecoveries(now - p.History)
	}
	if p.Tallies > 0 {
		s.purgeTallies(now-p.Tallies, limit, &r)
	}
	if p.Payloads > 0 {
		s.purgePayloads(now-p.Payloads, limit, &r)
	}
	return r, nil
}

// purgeDeliveries deletes what was finished until then; an event goes with its
// last delivery.
func (s *Store) purgeDeliveries(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Deliveries < limit && s.finished.Len() > 0 {
		d := s.finished.Front().Value.(*storedDelivery)
		if d.finishedAt > until {
			return
		}
		s.finished.Remove(d.elem)
		delete(s.deliveries, d.id)
		for _, l := range s.listsOf(d) {
			l.remove(d.id)
		}
		r.Deliveries++
		if d.event.deliveries.empty() {
			s.forget(d.event)
			r.Events++
		}
		if s.byEndpoint[d.endpoint.ID].empty() {
			delete(s.byEndpoint, d.endpoint.ID)
		}
	}
}

// purgeUnheard deletes events without deliveries that were stored until then.
func (s *Store) purgeUnheard(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Events < limit && s.unheard.Len() > 0 {
		event := s.unheard.Front().Value.(*storedEvent)
		if event.settledAt > until {
			return
		}
		s.forget(event)
		r.Events++
	}
}

// purgePayloads erases the payloads of events whose last delivery was finished until then.
func (s *Store) purgePayloads(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Payloads < limit && s.settled.Len() > 0 {
		event := s.settled.Front().Value.(*storedEvent)
		if event.settledAt > until {
			return
		}
		s.unsettle(event)
		event.payload, event.Data = nil, nil
		r.Payloads++
	}
}

func (s *Store) forget(event *storedEvent) {
	s.unsettle(event)
	if event.unheard != nil {
		s.unheard.Remove(event.unheard)
	}
	delete(s.events, event.ID)
}

// settle notes that nothing of the event is unfinished any more.
func (s *Store) settle(event *storedEvent, now time.Duration) {
	event.settledAt = now
	if event.payload != nil {
		event.settled = s.settled.PushBack(event)
	}
}

func (s *Store) unsettle(event *storedEvent) {
	if event.settled != nil {
		s.settled.Remove(event.settled)
		event.settled = nil
	}
}

// listsOf returns every list that d belongs to.
func (s *Store) listsOf(d *storedDelivery) [4]*idList {
	of := s.byEndpoint[d.endpoint.ID]
	if of == nil {
		of = &idList{}
		s.byEndpoint[d.endpoint.ID] = of
	}
	return [...]*idList{&s.all, &s.organization(d.event.OrganizationID).deliveries, &d.event.deliveries, of}
}

// idList holds deliveries in the order of their ids, in chunks. Most ids come
// in ascending order and are appended; any other place costs one chunk's move.
type idList struct{ chunks [][]*storedDelivery }

const maxChunk = 512

func (l *idList) empty() bool { return len(l.chunks) == 0 }

// find returns where id is or belongs.
func (l *idList) find(id string) (chunk, i int) {
	chunk, _ = slices.BinarySearchFunc(l.chunks, id, func(c []*storedDelivery, id string) int {
		return cmp.Compare(c[len(c)-1].id, id)
	})
	if chunk < len(l.chunks) {
		i, _ = slices.BinarySearchFunc(l.chunks[chunk], id, func(d *storedDelivery, id string) int {
			return cmp.Compare(d.id, id)
		})
	}
	return chunk, i
}

func (l *idList) insert(d *storedDelivery) {
	chunk, i := l.find(d.id)
	if chunk == len(l.chunks) { // behind all others
		if last := chunk - 1; last >= 0 && len(l.chunks[last]) < maxChunk {
			l.chunks[last] = append(l.chunks[last], d)
		} else {
			l.chunks = append(l.chunks, []*storedDelivery{d})
		}
		return
	}
	c := slices.Insert(l.chunks[chunk], i, d)
	l.chunks[chunk] = c
	if len(c) > maxChunk {
		half := len(c) / 2
		l.chunks[chunk] = c[:half:half]
		l.chunks = slices.Insert(l.chunks, chunk+1, slices.Clone(c[half:]))
	}
}

// remove takes out the delivery with that id, which is there.
func (l *idList) remove(id string) {
	chunk, i := l.find(id)
	if c := slices.Delete(l.chunks[chunk], i, i+1); len(c) > 0 {
		l.chunks[chunk] = c
	} else {
		l.chunks = slices.Delete(l.chunks, chunk, chunk+1)
	}
}

// descending yields the deliveries with ids below before, or all if that is "".
func (l *idList) descending(before string) iter.Seq[*storedDelivery] {
	return func(yield func(*storedDelivery) bool) {
		chunk, i := len(l.chunks), 0
		if before != "" {
			chunk, i = l.find(before)
		}
		for {
			if i--; i < 0 {
				if chunk--; chunk < 0 {
					return
				}
				i = len(l.chunks[chunk])
				continue
			}
			if !yield(l.chunks[chunk][i]) {
				return
			}
		}
	}
}
