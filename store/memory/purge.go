package memory

import (
	"cmp"
	"context"
	"time"

	"github.com/alot/alotwebhook"
)

// defaultPurge is how many rows of each kind a purge removes at most when its
// request sets no limit.
const defaultPurge = 1000

// Purge implements [alotwebhook.History].
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.PurgeResult{}, err
	}
	defer s.mu.Unlock()
	var r alotwebhook.PurgeResult
	now := s.now()
	limit := cmp.Or(max(p.Limit, 0), defaultPurge)
	if p.Parked > 0 {
		s.expire(now-p.Parked, limit, &r)
	}
	if p.History > 0 {
		s.purgeDeliveries(now-p.History, limit, &r)
		s.purgeUnsubscribed(now-p.History, limit, &r)
		s.purgeRecoveries(now - p.History)
		s.purgeOperations(now-p.History, limit, &r)
	}
	if p.Tallies > 0 {
		s.purgeTallies(now-p.Tallies, limit, &r)
	}
	if p.Payloads > 0 {
		s.purgePayloads(now-p.Payloads, limit, &r)
	}
	return r, nil
}

// expire fails the deliveries that fell due at until or before, and whose endpoints were
// disabled by then.
func (s *Store) expire(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	now := s.now()
	for _, e := range s.endpoints {
		if !e.Disabled || e.DisabledAt.After(s.instant(until)) {
			continue
		}
		for e.moveDue(now); r.Expired < limit && e.dueNow.Len() > 0; r.Expired++ {
			d := e.dueNow.Front().Value.(*storedDelivery)
			if d.dueAt > until {
				break
			}
			s.fail(d, alotwebhook.ReasonExpired, now)
		}
	}
}

// purgeDeliveries deletes the deliveries that were finished at until or before,
// and each event whose last delivery goes.
func (s *Store) purgeDeliveries(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Deliveries < limit && s.finished.Len() > 0 {
		d := s.finished.Front().Value.(*storedDelivery)
		if d.finishedAt > until {
			return
		}
		s.deleteDelivery(d)
		r.Deliveries++
		if d.event.deliveries.empty() {
			s.deleteEvent(d.event)
			r.Events++
		}
	}
}

// deleteDelivery forgets a finished delivery.
func (s *Store) deleteDelivery(d *storedDelivery) {
	s.finished.Remove(d.elem)
	delete(s.deliveries, d.id)
	d.event.deliveries.remove(d.id)
	for of := range s.recordsOf(d.event) {
		of.deliveries.remove(d.id)
	}
	ofEndpoint := s.byEndpoint[d.endpoint.ID]
	if ofEndpoint.remove(d.id); ofEndpoint.empty() {
		delete(s.byEndpoint, d.endpoint.ID)
	}
}

// purgeUnsubscribed deletes the events without deliveries that were stored at
// until or before.
func (s *Store) purgeUnsubscribed(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Events < limit && s.unsubscribed.Len() > 0 {
		event := s.unsubscribed.Front().Value.(*storedEvent)
		if event.settledAt > until {
			return
		}
		s.deleteEvent(event)
		r.Events++
	}
}

// purgePayloads erases the payloads of the events whose last delivery was
// finished at until or before.
func (s *Store) purgePayloads(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for r.Payloads < limit && s.settled.Len() > 0 {
		event := s.settled.Front().Value.(*storedEvent)
		if event.settledAt > until {
			return
		}
		s.unsettle(event)
		s.erasePayload(event)
		r.Payloads++
	}
}

// purgeRecoveries deletes the recoveries of deleted endpoints, and those over many, that have
// ended and were last changed at until or before.
func (s *Store) purgeRecoveries(until time.Duration) {
	for id, r := range s.recoveries {
		if !r.State.Active() && s.endpoints[id] == nil && !r.UpdatedAt.After(s.instant(until)) {
			delete(s.recoveries, id)
		}
	}
}

// purgeTallies deletes the tallies of the hours that began at until or before.
func (s *Store) purgeTallies(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	all := func(string) bool { return true }
	r.Tallies = s.deleteTallies(limit, all, func(t *alotwebhook.Tally) bool { return !t.Hour.After(s.instant(until)) })
}

// deleteTallies deletes up to limit tallies of those organizations, and returns how many.
func (s *Store) deleteTallies(limit int, of func(organizationID string) bool, is func(*alotwebhook.Tally) bool) (n int) {
	for id, stored := range s.tallies {
		if !of(stored.organizationID) {
			continue
		}
		for hour, t := range stored.hours {
			if n == limit {
				return n
			}
			if is(t) {
				delete(stored.hours, hour)
				n++
			}
		}
		if len(stored.hours) == 0 {
			delete(s.tallies, id)
		}
	}
	return n
}

// deleteEvent forgets an event that has no delivery.
func (s *Store) deleteEvent(event *storedEvent) {
	s.unsettle(event)
	s.erasePayload(event)
	if event.unsubscribed != nil {
		s.unsubscribed.Remove(event.unsubscribed)
	}
	delete(s.events, event.ID)
	for of := range s.recordsOf(event) {
		of.events.remove(event.ID)
	}
	s.forgetIfEmpty(event.Subject)
}

// settle notes that no delivery of the event is unfinished: from now on, the
// time runs for which its payload is kept.
func (s *Store) settle(event *storedEvent, now time.Duration) {
	event.settledAt = now
	if event.payload != nil {
		event.settled = s.settled.PushBack(event)
	}
}

// unsettle takes the event out of the list of settled ones, if it is there.
func (s *Store) unsettle(event *storedEvent) {
	if event.settled != nil {
		s.settled.Remove(event.settled)
		event.settled = nil
	}
}
