package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Tallier = (*Store)(nil)

// storedTallies are the tallies of an endpoint.
type storedTallies struct {
	organizationID string                       // whose endpoint it is, or was; "" if that is unknown
	hours          map[int64]*alotwebhook.Tally // by the hour's Unix time in seconds
}

// ownerOf returns the organization of an endpoint, or of one that was deleted and has deliveries;
// otherwise "".
func (s *Store) ownerOf(endpointID string) string {
	if e := s.endpoints[endpointID]; e != nil {
		return e.OrganizationID
	}
	if of := s.byEndpoint[endpointID]; of != nil {
		return of.newest(1)[0].endpoint.OrganizationID
	}
	return ""
}

// AddTallies implements [alotwebhook.Tallier].
func (s *Store) AddTallies(ctx context.Context, list []alotwebhook.Tally) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, t := range list {
		of := s.tallies[t.EndpointID]
		if of == nil {
			of = &storedTallies{s.ownerOf(t.EndpointID), map[int64]*alotwebhook.Tally{}}
			s.tallies[t.EndpointID] = of
		}
		if sum := of.hours[t.Hour.Unix()]; sum != nil {
			sum.Add(t)
		} else {
			of.hours[t.Hour.Unix()] = clone(t)
		}
	}
	return nil
}

// clone returns a copy of t that shares no map with it.
func clone(t alotwebhook.Tally) *alotwebhook.Tally {
	t.Reasons = maps.Clone(t.Reasons)
	return &t
}

func byEndpointAndHour(a, b alotwebhook.Tally) int {
	return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
}

// Tallies implements [alotwebhook.Tallier].
func (s *Store) Tallies(ctx context.Context, endpointIDs []string, since time.Time) (list []alotwebhook.Tally, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(endpointIDs))) {
		for _, t := range s.hoursOf(id) {
			if !t.Hour.Before(since) {
				list = append(list, *clone(*t))
			}
		}
	}
	slices.SortFunc(list, byEndpointAndHour)
	return list, nil
}

func (s *Store) hoursOf(endpointID string) map[int64]*alotwebhook.Tally {
	if of := s.tallies[endpointID]; of != nil {
		return of.hours
	}
	return nil
}
