package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/alot/alotwebhook"
)

var _ alotwebhook.Pauser = (*Store)(nil)

// pauseKey names what is paused.
type pauseKey struct{ organizationID, endpointID string }

// PutPause implements [alotwebhook.Pauser].
func (s *Store) PutPause(ctx context.Context, p alotwebhook.Pause, ops ...alotwebhook.Operation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	inUTC(&p.At)
	s.pauses[pauseKey{p.OrganizationID, p.EndpointID}] = p
	s.note(ops)
	return nil
}

// DeletePause implements [alotwebhook.Pauser].
func (s *Store) DeletePause(ctx context.Context, organizationID, endpointID string, ops ...alotwebhook.Operation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	key := pauseKey{organizationID, endpointID}
	if _, paused := s.pauses[key]; !paused {
		return fmt.Errorf("%w: pause of organization %.40q, endpoint %.40q", alotwebhook.ErrNotFound, organizationID, endpointID)
	}
	delete(s.pauses, key)
	s.note(ops)
	return nil
}

// Pauses implements [alotwebhook.Pauser].
func (s *Store) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.pauses), func(a, b alotwebhook.Pause) int {
		return cmp.Or(cmp.Compare(a.OrganizationID, b.OrganizationID), cmp.Compare(a.EndpointID, b.EndpointID))
	}), nil
}

// paused reports whether a pause holds the endpoint back.
func (s *Store) paused(e *storedEndpoint) bool {
	for _, key := range [...]pauseKey{{}, {e.OrganizationID, ""}, {e.OrganizationID, e.ID}} {
		if _, paused := s.pauses[key]; paused {
			return true
		}
	}
	return false
}
