package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/alot/alotwebhook"
)

// Enqueue implements [alotwebhook.Enqueuer].
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, event := range events {
		if s.events[event.ID] != nil {
			continue
		}
		stored := s.addEvent(event)
		for _, e := range s.organization(event.OrganizationID).endpoints {
			if e.Subscribes(event.Type) {
				s.addDelivery(stored, e, now)
			}
		}
		if stored.unfinished == 0 {
			stored.unsubscribed = s.unsubscribed.PushBack(stored)
			s.settle(stored, now)
		}
	}
	return nil
}

// EnqueueTo implements [alotwebhook.Queue].
func (s *Store) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[endpointID]
	if e == nil {
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, endpointID)
	}
	if s.events[event.ID] == nil {
		if event.Test {
			e = e.ofTests()
		}
		s.addDelivery(s.addEvent(event), e, s.now())
	}
	return nil
}

// addEvent stores a new event. Its Data becomes a part of its payload, so that
// the same bytes are not kept twice and the caller keeps its own slice.
func (s *Store) addEvent(event alotwebhook.Event) *storedEvent {
	payload := event.Payload()
	event.Timestamp = event.Timestamp.UTC().Truncate(time.Millisecond) // as the payload has it
	end := len(payload) - 1                                            // the data stands in front of the closing brace
	event.Data = payload[end-len(event.Data) : end : end]
	s.lastPlace++
	stored := &storedEvent{Event: event, payload: payload, place: s.lastPlace}
	s.events[event.ID] = stored
	s.organization(event.OrganizationID).feed.add(stored)
	for of := range s.recordsOf(stored) {
		of.events.insert(stored)
	}
	return stored
}

// addDelivery stores a new delivery of the event to e and makes it due.
func (s *Store) addDelivery(event *storedEvent, e *storedEndpoint, now time.Duration) {
	d := &storedDelivery{
		id:        alotwebhook.DeliveryID(event.ID, e.ID),
		event:     event,
		endpoint:  e,
		createdAt: now,
		waiting:   -1,
	}
	s.deliveries[d.id] = d
	event.deliveries.insert(d)
	entry(s.byEndpoint, e.ID).insert(d)
	for of := range s.recordsOf(event) {
		of.deliveries.insert(d)
	}
	s.begin(d, now)
}
