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

// AddTallies implements [alotwebhook.Tallier].
func (s *Store) AddTallies(ctx context.Context, list []alotwebhook.Tally) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, t := range list {
		hours := s.tallies[t.EndpointID]
		if hours == nil {
			hours = map[int64]*alotwebhook.Tally{}
			s.tallies[t.EndpointID] = hours
		}
		if sum := hours[t.Hour.Unix()]; sum != nil {
			sum.Add(t)
		} else {
			hours[t.Hour.Unix()] = clone(t)
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
		for _, t := range s.tallies[id] {
			if !t.Hour.Before(since) {
				list = append(list, *clone(*t))
			}
		}
	}
	slices.SortFunc(list, byEndpointAndHour)
	return list, nil
}
