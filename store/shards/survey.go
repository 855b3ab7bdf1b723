package shards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook"
)

// survey returns what each of the shards answers that is a Surveyor. It needs all of them. The error
// is an [errors.ErrUnsupported] if none is one.
func survey[T any](ctx context.Context, of []*shard, get func(context.Context, *shard) (T, error)) ([]T, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	of = slices.DeleteFunc(slices.Clone(of), func(sh *shard) bool { return sh.surveyor == nil })
	if len(of) == 0 {
		return nil, fmt.Errorf("alotwebhook: shards: no shard shows a survey: %w", errors.ErrUnsupported)
	}
	return gather(ctx, of, get)
}

// Backlogs implements [alotwebhook.Surveyor]. The backlogs that an organization that moves has in
// several shards count together, as far as it is among the first of each.
func (s *Store) Backlogs(ctx context.Context, limit int) ([]alotwebhook.Backlog, error) {
	lists, err := survey(ctx, s.shards, func(ctx context.Context, sh *shard) ([]alotwebhook.Backlog, error) {
		return sh.surveyor.Backlogs(ctx, limit)
	})
	if err != nil {
		return nil, err
	}
	sums := map[string]alotwebhook.Backlog{}
	for _, b := range slices.Concat(lists...) {
		sum := sums[b.OrganizationID]
		b.Pending += sum.Pending
		b.Parked += sum.Parked
		b.Due += sum.Due
		b.OldestDue = max(b.OldestDue, sum.OldestDue)
		sums[b.OrganizationID] = b
	}
	list := slices.SortedFunc(maps.Values(sums), func(a, b alotwebhook.Backlog) int {
		return cmp.Or(cmp.Compare(b.Pending+b.Parked, a.Pending+a.Parked), cmp.Compare(a.OrganizationID, b.OrganizationID))
	})
	return list[:min(len(list), max(limit, 0))], nil
}

// Totals implements [alotwebhook.Surveyor].
func (s *Store) Totals(ctx context.Context, since time.Time) ([]alotwebhook.Tally, error) {
	lists, err := survey(ctx, s.shards, func(ctx context.Context, sh *shard) ([]alotwebhook.Tally, error) {
		return sh.surveyor.Totals(ctx, since)
	})
	if err != nil {
		return nil, err
	}
	return sumTallies(lists), nil
}

// Processes implements [alotwebhook.Surveyor]. A process claims from each shard by itself: there it
// has an id, which comes after the name of the shard and a slash. Its Share is that of the endpoints
// of all shards, if each has as many.
func (s *Store) Processes(ctx context.Context) ([]alotwebhook.Process, error) {
	lists, err := survey(ctx, s.shards, func(ctx context.Context, sh *shard) ([]alotwebhook.Process, error) {
		list, err := sh.surveyor.Processes(ctx)
		for i := range list {
			list[i].ID = sh.name + "/" + list[i].ID
			list[i].Share /= float64(len(s.shards))
		}
		return list, err
	})
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b alotwebhook.Process) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// Count implements [alotwebhook.Surveyor]. The endpoints of an organization that moves count in each
// of its shards where the recovery selects something.
func (s *Store) Count(ctx context.Context, r alotwebhook.Recovery) (sum alotwebhook.Count, err error) {
	list, err := s.selected(r.OrganizationID)
	if r.EndpointID != "" && !isMany(r.EndpointID) {
		list, err = s.placesOfEndpoint(ctx, r.EndpointID)
	}
	if err != nil {
		return sum, err
	}
	counts, err := survey(ctx, list, func(ctx context.Context, sh *shard) (alotwebhook.Count, error) {
		return sh.surveyor.Count(ctx, r)
	})
	if err != nil {
		return sum, err
	}
	for _, n := range counts {
		sum.Deliveries += n.Deliveries
		sum.Endpoints += n.Endpoints
		sum.Organizations += n.Organizations
	}
	return sum, nil
}
