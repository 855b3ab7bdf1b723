package shards

import (
	"context"
	"errors"
	"fmt"

	"github.com/alot/alotwebhook"
)

// ErrUnfinished is returned by [Store.Leave] while the shard has deliveries of the
// organization that are not finished.
var ErrUnfinished = errors.New("alotwebhook: shards: the shard has unfinished deliveries of the organization")

// Mirror copies an organization's endpoints, with their secrets, from its home to its other
// shards, and its pauses to where they are missing. It returns how many endpoints it has. With ""
// it does so for all organizations.
// It can be repeated at any time; it changes only what differs. An endpoint that is at home
// no more is deleted from the others if it is deleted while Mirror runs, and otherwise stays
// there: a shard that an organization moves away from is left by [Store.Leave].
func (s *Store) Mirror(ctx context.Context, organizationID string) (n int, err error) {
	if err := s.mirrorPauses(ctx, organizationID); err != nil {
		return 0, err
	}
	for f := (alotwebhook.EndpointFilter{OrganizationID: organizationID}); ; {
		page, next, err := s.Endpoints(ctx, f)
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := s.mirrorOne(ctx, &page[i]); err != nil {
				return n, err
			}
			n++
		}
		if f.Cursor = next; next == "" {
			return n, nil
		}
	}
}

func (s *Store) mirrorOne(ctx context.Context, e *alotwebhook.Endpoint) error {
	list, err := s.placesOf(e.OrganizationID)
	if err != nil || len(list) == 1 {
		return err
	}
	if _, err := list[0].store.Endpoint(ctx, e.ID); err != nil {
		return list[0].explain(err)
	}
	return mirror(ctx, list[0], list[1:], e.ID)
}

// Leave deletes an organization's endpoints and pauses from a shard that is not its home, and
// returns how many endpoints there were. It is the end of a move: then take the shard out of [Config.Places].
// The history stays in the shard until it is purged, and is not shown any more from then on;
// so leave it when the retention of the history has passed.
//
// The error is [ErrUnfinished], and nothing is deleted, while the shard has deliveries of the
// organization that are not finished.
func (s *Store) Leave(ctx context.Context, organizationID, shard string) (n int, err error) {
	list, err := s.placesOf(organizationID)
	if err != nil {
		return 0, err
	}
	sh := s.byName[shard]
	if sh == nil || sh == list[0] {
		return 0, fmt.Errorf("alotwebhook: shards: %q is no shard, or the home of the organization %q: it can leave the others only", shard, organizationID)
	}
	for _, state := range []alotwebhook.DeliveryState{alotwebhook.StatePending, alotwebhook.StateParked} {
		some, err := sh.hasAny(ctx, alotwebhook.Filter{OrganizationID: organizationID, State: state, Limit: 1})
		if err != nil {
			return 0, sh.explain(err)
		}
		if some {
			return 0, fmt.Errorf("%w: %q in %q, %s", ErrUnfinished, organizationID, shard, state)
		}
	}
	if n, err = sh.deleteEndpoints(ctx, organizationID); err == nil {
		err = sh.deletePauses(ctx, organizationID)
	}
	return n, sh.explain(err)
}

// hasAny reports whether a shard has a delivery that f selects.
func (sh *shard) hasAny(ctx context.Context, f alotwebhook.Filter) (bool, error) {
	for {
		some, next, err := sh.store.Deliveries(ctx, f)
		if err != nil || len(some) > 0 || next == "" {
			return len(some) > 0, err
		}
		f.Cursor = next
	}
}

// deleteEndpoints deletes an organization's endpoints from a shard.
func (sh *shard) deleteEndpoints(ctx context.Context, organizationID string) (n int, err error) {
	for f := (alotwebhook.EndpointFilter{OrganizationID: organizationID}); ; {
		page, next, err := sh.store.Endpoints(ctx, f)
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := sh.store.DeleteEndpoint(ctx, page[i].ID); err != nil && !errors.Is(err, alotwebhook.ErrNotFound) {
				return n, err
			}
			n++
		}
		if f.Cursor = next; next == "" {
			return n, nil
		}
	}
}
