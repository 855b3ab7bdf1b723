package memory

import (
	"context"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
)

// Erase implements [alotwebhook.History].
func (s *Store) Erase(ctx context.Context, r alotwebhook.Recovery, limit int) (n int, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return 0, "", err
	}
	defer s.mu.Unlock()
	if err := checkCursor("evt", r.Cursor, "an event", "call"); err != nil {
		return 0, "", err
	}
	limit = max(limit, 1)
	var page []*storedEvent // before any goes out of the list that is gone through
	from, before := idRange("evt", r.Since, r.Until, r.Cursor)
	for event := range s.eventsOf(r).descending(before) {
		if event.ID < from {
			break
		}
		if !event.isOf(r) {
			continue
		}
		if len(page) == limit {
			next = page[limit-1].ID
			break
		}
		page = append(page, event)
	}
	for _, event := range page {
		s.erase(event)
	}
	return len(page), next, nil
}

// eventsOf returns the shortest of the store's lists that holds every event that r selects.
func (s *Store) eventsOf(r alotwebhook.Recovery) *idList[*storedEvent] {
	var none idList[*storedEvent]
	switch {
	case r.EventID != "":
		if event := s.events[r.EventID]; event != nil {
			none.insert(event)
		}
		return &none
	case r.Subject != "":
		if subject := s.bySubject[r.Subject]; subject != nil {
			return &subject.events
		}
		return &none
	case r.OrganizationID != "":
		if org := s.byOrg[r.OrganizationID]; org != nil {
			return &org.events
		}
		return &none
	}
	return &s.all.events
}

func (e *storedEvent) isOf(r alotwebhook.Recovery) bool {
	return matchesText(r.EventID, e.ID) && matchesText(r.Subject, e.Subject) && matchesText(r.OrganizationID, e.OrganizationID)
}

// erase leaves of the event, of its deliveries and of their attempts only what says nothing of
// anybody. What a claim has handed out keeps its payload.
func (s *Store) erase(event *storedEvent) {
	now := s.now()
	s.unsettle(event)
	s.erasePayload(event)
	event.TraceParent = ""
	for d := range event.deliveries.descending("") {
		if d.state == alotwebhook.StatePending {
			s.fail(d, alotwebhook.ReasonErased, now)
		}
		for i := range d.attempts {
			d.attempts[i].Detail, d.attempts[i].ResponseBody = "", ""
		}
	}
	s.forgetSubject(event)
}

// forgetSubject takes the event and its deliveries out of the lists of its subject.
func (s *Store) forgetSubject(event *storedEvent) {
	subject := s.bySubject[event.Subject]
	if subject == nil {
		return
	}
	subject.events.remove(event.ID)
	for d := range event.deliveries.descending("") {
		subject.deliveries.remove(d.id)
	}
	s.forgetIfEmpty(event.Subject)
	event.Subject = ""
}

// forgetIfEmpty forgets a subject of which there is no event any more.
func (s *Store) forgetIfEmpty(subject string) {
	if of := s.bySubject[subject]; of != nil && of.events.empty() {
		delete(s.bySubject, subject)
	}
}

// Remove implements [alotwebhook.History].
func (s *Store) Remove(ctx context.Context, organizationID string, limit int) (n int, err error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	limit = max(limit, 1)
	org := s.organization(organizationID)
	n = max(
		s.removeEndpoints(org, limit),
		s.removeDeliveries(org, limit),
		s.removeEvents(org, limit),
		s.removeTallies(organizationID, limit),
		s.removeRecoveries(organizationID, limit),
		s.removeOperations(organizationID, limit),
		s.removePauses(organizationID, limit),
	)
	if n < limit {
		delete(s.byOrg, organizationID)
	}
	return n, nil
}

// removeEndpoints deletes up to limit endpoints, and returns how many. The others of these
// functions do the same with what their names say.
func (s *Store) removeEndpoints(org *storedOrganization, limit int) int {
	some := slices.Clone(org.endpoints[:min(len(org.endpoints), limit)])
	for _, e := range some {
		s.deleteEndpoint(e)
	}
	return len(some)
}

func (s *Store) removeDeliveries(org *storedOrganization, limit int) int {
	some := org.deliveries.newest(limit)
	for _, d := range some {
		if d.state == alotwebhook.StatePending {
			s.fail(d, alotwebhook.ReasonEndpointDeleted, s.now())
		}
		s.deleteDelivery(d)
	}
	return len(some)
}

// removeEvents leaves alone the events of which removeDeliveries has left a delivery.
func (s *Store) removeEvents(org *storedOrganization, limit int) (n int) {
	for _, event := range org.events.newest(limit) {
		if event.deliveries.empty() {
			s.deleteEvent(event)
			n++
		}
	}
	return n
}

func (s *Store) removeTallies(organizationID string, limit int) int {
	return s.deleteTallies(limit, func(of string) bool { return of == organizationID }, func(*alotwebhook.Tally) bool { return true })
}

func (s *Store) removeRecoveries(organizationID string, limit int) (n int) {
	for key, r := range s.recoveries {
		if n < limit && r.OrganizationID == organizationID && !overMany(key) {
			delete(s.recoveries, key)
			n++
		}
	}
	return n
}

func (s *Store) removeOperations(organizationID string, limit int) (n int) {
	s.operations = slices.DeleteFunc(s.operations, func(o *storedOperation) bool {
		removed := n < limit && o.OrganizationID == organizationID
		if removed {
			o.Handled = true
			n++
		}
		return removed
	})
	s.unhandled = slices.DeleteFunc(s.unhandled, func(o *storedOperation) bool { return o.Handled })
	return n
}

// removePauses goes by the ids of the endpoints: over shards, an organization that moves has the same
// pauses in several of them.
func (s *Store) removePauses(organizationID string, limit int) int {
	var keys []pauseKey
	for key := range s.pauses {
		if key.organizationID == organizationID {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b pauseKey) int { return strings.Compare(a.endpointID, b.endpointID) })
	keys = keys[:min(len(keys), limit)]
	for _, key := range keys {
		delete(s.pauses, key)
	}
	return len(keys)
}
