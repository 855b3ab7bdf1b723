package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// PutRecovery implements [alotwebhook.Endpoints].
func (s *Store) PutRecovery(ctx context.Context, r alotwebhook.Recovery) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if stored := s.recoveries[r.EndpointID].Version; stored != r.Version {
		return fmt.Errorf("%w: the recovery of %q is at version %d, not %d", alotwebhook.ErrConflict, r.EndpointID, stored, r.Version)
	}
	r.Version++
	s.recoveries[r.EndpointID] = r
	return nil
}

// Recoveries implements [alotwebhook.Endpoints]. It looks at all of them: one for each
// endpoint that ever had one.
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (page []alotwebhook.Recovery, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	for _, r := range s.recoveries {
		if matchesText(f.EndpointID, r.EndpointID) && matchesText(f.State, r.State) && r.EndpointID > f.Cursor {
			page = append(page, r)
		}
	}
	slices.SortFunc(page, func(a, b alotwebhook.Recovery) int { return cmp.Compare(a.EndpointID, b.EndpointID) })
	if limit := cmp.Or(f.Limit, defaultPage); len(page) > limit {
		return page[:limit], page[limit-1].EndpointID, nil
	}
	return page, "", nil
}

// purgeRecoveries deletes what deleted endpoints left behind.
func (s *Store) purgeRecoveries(until time.Duration) {
	for id, r := range s.recoveries {
		if r.State != alotwebhook.RecoveryRunning && s.endpoints[id] == nil && !r.UpdatedAt.After(s.instant(until)) {
			delete(s.recoveries, id)
		}
	}
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
			of = map[int64]*alotwebhook.Tally{}
			s.tallies[t.EndpointID] = of
		}
		if sum := of[t.Hour.Unix()]; sum != nil {
			sum.Add(t)
		} else {
			of[t.Hour.Unix()] = clone(t)
		}
	}
	return nil
}

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

// purgeTallies deletes the tallies of hours that began until then.
func (s *Store) purgeTallies(until time.Duration, limit int, r *alotwebhook.PurgeResult) {
	for id, of := range s.tallies {
		for hour, t := range of {
			if r.Tallies == limit {
				return
			}
			if !t.Hour.After(s.instant(until)) {
				delete(of, hour)
				r.Tallies++
			}
		}
		if len(of) == 0 {
			delete(s.tallies, id)
		}
	}
}
