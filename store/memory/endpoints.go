package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/typeid"
)

// PutEndpoint implements [alotwebhook.Endpoints].
func (s *Store) PutEndpoint(ctx context.Context, next alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[next.ID]
	switch {
	case e == nil && next.Version != 0:
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, next.ID)
	case e != nil && next.Version != e.Version:
		return fmt.Errorf("%w: endpoint %q is at version %d, not %d", alotwebhook.ErrConflict, next.ID, e.Version, next.Version)
	case e != nil && !next.FailingSince.IsZero() && !next.FailingSince.Equal(e.FailingSince):
		return fmt.Errorf("%w: endpoint %q has been failing since %v, not %v", alotwebhook.ErrConflict, next.ID, e.FailingSince, next.FailingSince)
	}
	next.EventTypes = slices.Clone(next.EventTypes)
	inUTC(&next.NextSecretAt, &next.FailingSince, &next.CreatedAt, &next.UpdatedAt)
	next.Version++
	if e == nil {
		e = newEndpoint()
		s.endpoints[next.ID] = e
		org := s.organization(next.OrganizationID)
		i, _ := slices.BinarySearchFunc(org.endpoints, next.ID, byEndpointID)
		org.endpoints = slices.Insert(org.endpoints, i, e)
	} else if next.FailingSince = e.FailingSince; e.Disabled && !next.Disabled {
		next.FailingSince = time.Time{}
	}
	switch disabledAlready := e.Endpoint != nil && e.Disabled; {
	case !next.Disabled:
		next.DisabledAt = time.Time{}
	case disabledAlready:
		next.DisabledAt = e.DisabledAt
	default:
		next.DisabledAt = s.instant(s.now())
	}
	e.keepURL(&next)
	e.replace(&next)
	s.reschedule(e)
	s.note(ops)
	return nil
}

// inUTC turns times into UTC, as they are returned.
func inUTC(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC()
	}
}

func byEndpointID(e *storedEndpoint, id string) int { return cmp.Compare(e.ID, id) }

// Endpoint implements [alotwebhook.Endpoints].
func (s *Store) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if err := s.lock(ctx); err != nil {
		return alotwebhook.Endpoint{}, err
	}
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		return alotwebhook.Endpoint{}, fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, id)
	}
	return e.copy(), nil
}

// copy returns the endpoint for a caller to keep and to change.
func (e *storedEndpoint) copy() alotwebhook.Endpoint {
	c := *e.Endpoint
	c.EventTypes = slices.Clone(c.EventTypes)
	return c
}

// Endpoints implements [alotwebhook.Endpoints].
func (s *Store) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) (page []alotwebhook.Endpoint, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	matching := s.endpointsOf(f.OrganizationID)
	if len(f.IDs) > 0 {
		matching = s.endpointsByID(f.IDs, f.OrganizationID)
	}
	i, found := slices.BinarySearchFunc(matching, f.Cursor, byEndpointID)
	if found {
		i++
	}
	limit := pageSize(f.Limit)
	for _, e := range matching[i:] {
		if !e.matches(f) {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].ID, nil
		}
		page = append(page, e.copy())
	}
	return page, "", nil
}

// matches reports whether f selects e by how it fares and by its URL.
func (e *storedEndpoint) matches(f alotwebhook.EndpointFilter) bool {
	failing := !e.Disabled && !e.FailingSince.IsZero()
	asked := !f.Failing && !f.Disabled || f.Failing && failing || f.Disabled && e.Disabled
	return asked && strings.Contains(lowerASCII(e.URL), lowerASCII(f.URLPart))
}

// lowerASCII is [strings.ToLower] for the ASCII letters alone: a Kelvin sign is no k.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// endpointsOf returns an organization's endpoints in the order of their ids, or
// those of all organizations when organizationID is "". The store keeps no such
// list of all endpoints, so it sorts one at each call: only operators' tools ask
// for it.
func (s *Store) endpointsOf(organizationID string) []*storedEndpoint {
	if organizationID != "" {
		if org := s.byOrg[organizationID]; org != nil {
			return org.endpoints
		}
		return nil
	}
	all := make([]*storedEndpoint, 0, len(s.endpoints))
	for _, e := range s.endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *storedEndpoint) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// endpointsByID returns those of these endpoints that there are, in the order of their
// ids; if organizationID is not "", only the organization's.
func (s *Store) endpointsByID(ids []string, organizationID string) (found []*storedEndpoint) {
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if e := s.endpoints[id]; e != nil && matchesText(organizationID, e.OrganizationID) {
			found = append(found, e)
		}
	}
	return found
}

// DeleteEndpoint implements [alotwebhook.Endpoints].
func (s *Store) DeleteEndpoint(ctx context.Context, id string, ops ...alotwebhook.Operation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	e := s.endpoints[id]
	if e == nil {
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, id)
	}
	s.deleteEndpoint(e)
	s.note(ops)
	return nil
}

func (s *Store) deleteEndpoint(e *storedEndpoint) {
	delete(s.endpoints, e.ID)
	if s.tallies[e.ID] == nil { // whose those are that are still added
		s.tallies[e.ID] = &storedTallies{e.OrganizationID, map[int64]*alotwebhook.Tally{}}
	}
	org := s.byOrg[e.OrganizationID]
	org.endpoints = slices.DeleteFunc(org.endpoints, func(other *storedEndpoint) bool { return other == e })
	s.failAll(e)
	if e.tests != nil {
		s.failAll(e.tests)
	}
}

// failAll fails the unfinished deliveries of an endpoint that is deleted.
func (s *Store) failAll(e *storedEndpoint) {
	e.deleted, e.former = true, nil
	for now := s.now(); e.unfinished > 0; {
		s.fail(e.anyUnfinished(), alotwebhook.ReasonEndpointDeleted, now)
	}
	s.reschedule(e)
}

// Discard implements [alotwebhook.Endpoints].
func (s *Store) Discard(ctx context.Context, endpointID string, before time.Time, limit int) (n int, err error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	e := s.endpoints[endpointID]
	if e == nil {
		return 0, fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, endpointID)
	}
	if !e.Disabled {
		return 0, nil
	}
	now := s.now()
	e.moveDue(now)
	for _, d := range e.parkedBefore(typeid.First("dlv", before), limit) {
		s.fail(d, alotwebhook.ReasonDiscarded, now)
		n++
	}
	return n, nil
}

// parkedBefore returns up to limit unfinished deliveries of e with an id below before. It
// leaves out those with a lease that has not run out.
func (e *storedEndpoint) parkedBefore(before string, limit int) (found []*storedDelivery) {
	for elem := e.dueNow.Front(); elem != nil && len(found) < limit; elem = elem.Next() {
		if d := elem.Value.(*storedDelivery); d.id < before {
			found = append(found, d)
		}
	}
	for _, d := range e.waiting {
		if len(found) < limit && d.token == 0 && d.id < before {
			found = append(found, d)
		}
	}
	return found
}

// anyUnfinished returns one of the unfinished deliveries of e, which must have some.
func (e *storedEndpoint) anyUnfinished() *storedDelivery {
	if front := e.dueNow.Front(); front != nil {
		return front.Value.(*storedDelivery)
	}
	return e.waiting[len(e.waiting)-1] // the last member of a heap is the cheapest to remove
}
