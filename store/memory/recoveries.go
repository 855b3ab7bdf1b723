package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alot/alotwebhook"
)

// PutRecovery implements [alotwebhook.Endpoints].
func (s *Store) PutRecovery(ctx context.Context, r alotwebhook.Recovery, ops ...alotwebhook.Operation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if stored := s.recoveries[r.EndpointID].Version; stored != r.Version {
		return fmt.Errorf("%w: the recovery of %q is at version %d, not %d", alotwebhook.ErrConflict, r.EndpointID, stored, r.Version)
	}
	r.Version++
	inUTC(&r.FailedSince, &r.FailedUntil, &r.Since, &r.Until, &r.Oldest, &r.CreatedAt, &r.UpdatedAt, &r.FinishedAt)
	s.recoveries[r.EndpointID] = r
	s.note(ops)
	return nil
}

// Recoveries implements [alotwebhook.Endpoints]. Each call goes through all
// recoveries. They are few: an endpoint has at most one, and those over many endpoints are begun
// by people.
func (s *Store) Recoveries(ctx context.Context, f alotwebhook.RecoveryFilter) (page []alotwebhook.Recovery, next string, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, "", err
	}
	defer s.mu.Unlock()
	for _, r := range s.recoveries {
		if matchesText(f.EndpointID, r.EndpointID) && matchesText(f.State, r.State) &&
			(!f.Many || overMany(r.EndpointID)) && r.EndpointID > f.Cursor {
			page = append(page, r)
		}
	}
	slices.SortFunc(page, func(a, b alotwebhook.Recovery) int { return cmp.Compare(a.EndpointID, b.EndpointID) })
	if limit := pageSize(f.Limit); len(page) > limit {
		return page[:limit], page[limit-1].EndpointID, nil
	}
	return page, "", nil
}

// overMany reports whether the recovery of that key is one over many endpoints.
func overMany(endpointID string) bool { return strings.HasPrefix(endpointID, "rec_") }
