package alotwebhook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"
)

// memoryPage is the size of a page when a filter leaves it open.
const memoryPage = 100

// memoryStretch is how many deliveries that do not match a page passes over
// before it is cut short.
const memoryStretch = 2000

// memoryPurge is how many rows a purge takes when its request leaves it open.
const memoryPurge = 1000

// Event implements [History].
func (s *MemoryStore) Event(ctx context.Context, id string) (Event, error) {
	if err := s.lock(ctx); err != nil {
		return Event{}, err
	}
	defer s.mu.Unlock()
	stored := s.events[id]
	if stored == nil || stored.payload == nil {
		return Event{}, fmt.Errorf("%w: event %q", ErrNotFound, id)
	}
	event := stored.Event
	event.Data = bytes.Clone(event.Data)
	return event, nil
}

// Delivery implements [History].
func (s *MemoryStore) Delivery(ctx context.Context, id string) (Delivery, error) {
	if err := s.lock(ctx); err != nil {
		return Delivery{}, err
	}
	defer s.mu.Unlock()
	d := s.deliveries[id]
	if d == nil {
		return Delivery{}, fmt.Errorf("%w: delivery %q", ErrNotFound, id)
	}
	row := s.row(d)
	row.Attempts = slices.Clone(d.attempts)
	return row, nil
}

// row is what a list shows of d.
func (s *MemoryStore) row(d *memoryDelivery) Delivery {
	row := Delivery{
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
	if d.state == StatePending {
		row.NextAttemptAt = s.instant(d.dueAt)
	} else {
		row.FinishedAt = s.instant(d.finishedAt)
	}
	return row
}

func (d *memoryDelivery) shownState() DeliveryState {
	if d.state == StatePending && d.endpoint.Disabled {
		return StateParked
	}
	return d.state
}

// Deliveries implements [History].
func (s *MemoryStore) Deliveries(ctx context.Context, f Filter) (page []Delivery, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	from, before := idRange(f)
	limit, passed := cmp.Or(f.Limit, memoryPage), 0
	for d := range s.narrowest(f).descending(before) {
		if d.id < from {
			break
		}
		if !d.matches(f) {
			if passed++; passed > memoryStretch {
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
func (s *MemoryStore) narrowest(f Filter) *idList {
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

func (d *memoryDelivery) matches(f Filter) bool {
	return matchesText(f.OrganizationID, d.event.OrganizationID) &&
		matchesText(f.EndpointID, d.endpoint.ID) &&
		matchesText(f.EventID, d.event.ID) &&
		matchesText(f.EventType, d.event.Type) &&
		matchesText(f.State, d.shownState())
}

func matchesText[T ~string](wanted, got T) bool { return wanted == "" || wanted == got }

// idRange turns a filter's times and cursor into the ids selected: at least
// from, and below before unless that is "".
func idRange(f Filter) (from, before string) {
	if !f.Since.IsZero() {
		from = firstID(f.Since)
	}
	before = f.Cursor
	if !f.Until.IsZero() {
		if until := firstID(f.Until); before == "" || until < before {
			before = until
		}
	}
	return from, before
}

// firstID is the least delivery id of a millisecond, which a UUIDv7 begins with.
func firstID(t time.Time) string {
	var u uuid.UUID
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	binary.BigEndian.PutUint64(u[:], uint64(ms)<<16)
	return formatID(deliveryPrefix, u)
}

// Stats implements [History].
func (s *MemoryStore) Stats(ctx context.Context) (Stats, error) {
	if err := s.lock(ctx); err != nil {
		return Stats{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	var st Stats
	for _, e := range s.endpoints {
		if e.Disabled {
			st.Parked += e.unfinished
			continue
		}
		st.Pending += e.unfinished
		if front := e.dueNow.Front(); front != nil {
			st.OldestDue = max(st.OldestDue, now-front.Value.(*memoryDelivery).dueAt)
		}
		if len(e.waiting) > 0 {
			st.OldestDue = max(st.OldestDue, now-e.waiting[0].dueAt)
		}
	}
	return st, nil
}

// Purge implements [History].
func (s *MemoryStore) Purge(ctx context.Context, p PurgeRequest) (PurgeResult, error) {
	if err := s.lock(ctx); err != nil {
		return PurgeResult{}, err
	}
	defer s.mu.Unlock()
	var r PurgeResult
	now := s.now()
	limit := cmp.Or(p.Limit, memoryPurge)
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
func (s *MemoryStore) purgeDeliveries(until time.Duration, limit int, r *PurgeResult) {
	for r.Deliveries < limit && s.finished.Len() > 0 {
		d := s.finished.Front().Value.(*memoryDelivery)
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
func (s *MemoryStore) purgeUnheard(until time.Duration, limit int, r *PurgeResult) {
	for r.Events < limit && s.unheard.Len() > 0 {
		event := s.unheard.Front().Value.(*memoryEvent)
		if event.settledAt > until {
			return
		}
		s.forget(event)
		r.Events++
	}
}

// purgePayloads erases the payloads of events whose last delivery was finished until then.
func (s *MemoryStore) purgePayloads(until time.Duration, limit int, r *PurgeResult) {
	for r.Payloads < limit && s.settled.Len() > 0 {
		event := s.settled.Front().Value.(*memoryEvent)
		if event.settledAt > until {
			return
		}
		s.unsettle(event)
		event.payload, event.Data = nil, nil
		r.Payloads++
	}
}

func (s *MemoryStore) forget(event *memoryEvent) {
	s.unsettle(event)
	if event.unheard != nil {
		s.unheard.Remove(event.unheard)
	}
	delete(s.events, event.ID)
}

// settle notes that nothing of the event is unfinished any more.
func (s *MemoryStore) settle(event *memoryEvent, now time.Duration) {
	event.settledAt = now
	if event.payload != nil {
		event.settled = s.settled.PushBack(event)
	}
}

func (s *MemoryStore) unsettle(event *memoryEvent) {
	if event.settled != nil {
		s.settled.Remove(event.settled)
		event.settled = nil
	}
}

// listsOf returns every list that d belongs to.
func (s *MemoryStore) listsOf(d *memoryDelivery) [4]*idList {
	of := s.byEndpoint[d.endpoint.ID]
	if of == nil {
		of = &idList{}
		s.byEndpoint[d.endpoint.ID] = of
	}
	return [...]*idList{&s.all, &s.organization(d.event.OrganizationID).deliveries, &d.event.deliveries, of}
}

// idList holds deliveries in the order of their ids, in chunks. Most ids come
// in ascending order and are appended; any other place costs one chunk's move.
type idList struct{ chunks [][]*memoryDelivery }

const maxChunk = 512

func (l *idList) empty() bool { return len(l.chunks) == 0 }

// find returns where id is or belongs.
func (l *idList) find(id string) (chunk, i int) {
	chunk, _ = slices.BinarySearchFunc(l.chunks, id, func(c []*memoryDelivery, id string) int {
		return cmp.Compare(c[len(c)-1].id, id)
	})
	if chunk < len(l.chunks) {
		i, _ = slices.BinarySearchFunc(l.chunks[chunk], id, func(d *memoryDelivery, id string) int {
			return cmp.Compare(d.id, id)
		})
	}
	return chunk, i
}

func (l *idList) insert(d *memoryDelivery) {
	chunk, i := l.find(d.id)
	if chunk == len(l.chunks) { // behind all others
		if last := chunk - 1; last >= 0 && len(l.chunks[last]) < maxChunk {
			l.chunks[last] = append(l.chunks[last], d)
		} else {
			l.chunks = append(l.chunks, []*memoryDelivery{d})
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
func (l *idList) descending(before string) iter.Seq[*memoryDelivery] {
	return func(yield func(*memoryDelivery) bool) {
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
