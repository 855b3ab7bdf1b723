package shards

import (
	"context"
	"errors"
	"time"

	"github.com/alot/alotwebhook"
)

// Event implements [alotwebhook.History].
func (s *Store) Event(ctx context.Context, id string) (alotwebhook.Event, error) {
	return find(ctx, s, s.shards, func(ctx context.Context, sh *shard) (alotwebhook.Event, error) {
		return sh.store.Event(ctx, id)
	}, func(*shard, alotwebhook.Event) bool { return true })
}

// Delivery implements [alotwebhook.History].
func (s *Store) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if sh, ok := s.seen.get(id); ok {
		d, err := sh.store.Delivery(ctx, id)
		if !errors.Is(err, alotwebhook.ErrNotFound) {
			return d, sh.explain(err)
		}
	}
	return find(ctx, s, s.shards, func(ctx context.Context, sh *shard) (alotwebhook.Delivery, error) {
		return sh.store.Delivery(ctx, id)
	}, func(sh *shard, d alotwebhook.Delivery) bool {
		s.seen.put(id, sh)
		return true
	})
}

// Deliveries implements [alotwebhook.History].
func (s *Store) Deliveries(ctx context.Context, f alotwebhook.Filter) ([]alotwebhook.Delivery, string, error) {
	list, err := s.selected(f.OrganizationID)
	if f.OrganizationID == "" && f.EndpointID != "" {
		list, err = s.placesOfEndpoint(ctx, f.EndpointID)
	}
	if err != nil {
		return nil, "", err
	}
	pages, err := gather(ctx, list, func(ctx context.Context, sh *shard) (page[alotwebhook.Delivery], error) {
		items, next, err := sh.store.Deliveries(ctx, f)
		for i := range items {
			s.seen.put(items[i].ID, sh)
		}
		return page[alotwebhook.Delivery]{items, next, sh}, err
	})
	if err != nil {
		return nil, "", err
	}
	items, next := join(pages, merging[alotwebhook.Delivery]{limit: f.Limit, descending: true, id: func(d *alotwebhook.Delivery) string { return d.ID }})
	return items, next, nil
}

// Redeliver implements [alotwebhook.Queue].
func (s *Store) Redeliver(ctx context.Context, deliveryIDs []string) (int, error) {
	return s.change(ctx, deliveryIDs, func(ctx context.Context, sh *shard, ids []string) (int, error) {
		return sh.store.Redeliver(ctx, ids)
	})
}

// Cancel implements [alotwebhook.Queue].
func (s *Store) Cancel(ctx context.Context, deliveryIDs []string) (int, error) {
	return s.change(ctx, deliveryIDs, func(ctx context.Context, sh *shard, ids []string) (int, error) {
		return sh.store.Cancel(ctx, ids)
	})
}

// change changes deliveries where they are, and returns how many.
func (s *Store) change(ctx context.Context, deliveryIDs []string, change func(context.Context, *shard, []string) (int, error)) (n int, err error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	at := map[*shard][]string{}
	for _, id := range deliveryIDs {
		if sh, ok := s.seen.get(id); ok {
			at[sh] = append(at[sh], id)
			continue
		}
		for _, sh := range s.shards { // those that do not know it leave it alone
			at[sh] = append(at[sh], id)
		}
	}
	counts, err := answersOf(ctx, keys(at), func(ctx context.Context, sh *shard) (int, error) { return change(ctx, sh, at[sh]) })
	for _, changed := range counts {
		n += changed
	}
	return n, err
}

// Stats implements [alotwebhook.History]: it adds up those of all shards. An endpoint of an
// organization that moves counts in each of its shards, as it is there. The error says so if one
// of them does not answer.
func (s *Store) Stats(ctx context.Context) (sum alotwebhook.Stats, err error) {
	all, err := gather(ctx, s.shards, func(ctx context.Context, sh *shard) (alotwebhook.Stats, error) { return sh.store.Stats(ctx) })
	if err != nil {
		return alotwebhook.Stats{}, err
	}
	for _, one := range all {
		sum.Pending += one.Pending
		sum.Parked += one.Parked
		sum.OldestDue = max(sum.OldestDue, one.OldestDue)
		sum.OldestDueFailing = max(sum.OldestDueFailing, one.OldestDueFailing)
		sum.FailingEndpoints += one.FailingEndpoints
		sum.DisabledEndpoints += one.DisabledEndpoints
	}
	return sum, nil
}

// purgeTimeout bounds the purge of one kind of rows in one shard, so that one that hangs
// does not hold up the others for ever.
const purgeTimeout = time.Minute

// Purge implements [alotwebhook.History]. It purges one shard after the other, each kind of
// rows by itself, so that the Limit is that of all of them. A shard that fails is left out,
// and the error says so.
func (s *Store) Purge(ctx context.Context, p alotwebhook.PurgeRequest) (sum alotwebhook.PurgeResult, err error) {
	if p.Limit <= 0 {
		p.Limit = 1000
	}
	if err := ended(ctx); err != nil {
		return sum, err
	}
	var errs []error
	for _, sh := range s.shards {
		if err := purge(ctx, sh, p, &sum); err != nil {
			errs = append(errs, sh.explain(err))
		}
	}
	return sum, joined(errs)
}

// purge purges a shard and adds to sum, which stays within the limit.
func purge(ctx context.Context, sh *shard, p alotwebhook.PurgeRequest, sum *alotwebhook.PurgeResult) error {
	for _, kind := range [...]struct {
		only alotwebhook.PurgeRequest
		done func() int
	}{
		{alotwebhook.PurgeRequest{Parked: p.Parked}, func() int { return sum.Expired }},
		{alotwebhook.PurgeRequest{History: p.History}, func() int { return max(sum.Deliveries, sum.Events, sum.Operations) }},
		{alotwebhook.PurgeRequest{Payloads: p.Payloads}, func() int { return sum.Payloads }},
		{alotwebhook.PurgeRequest{Tallies: p.Tallies}, func() int { return sum.Tallies }},
	} {
		if kind.only == (alotwebhook.PurgeRequest{}) {
			continue
		}
		for more := true; more && kind.done() < p.Limit; {
			kind.only.Limit = p.Limit - kind.done()
			part, err := purgeOnce(ctx, sh, kind.only)
			sum.Expired += part.Expired
			sum.Payloads += part.Payloads
			sum.Deliveries += part.Deliveries
			sum.Events += part.Events
			sum.Tallies += part.Tallies
			sum.Operations += part.Operations
			if err != nil {
				return err
			}
			more = max(part.Expired, part.Payloads, part.Deliveries, part.Events, part.Tallies, part.Operations) >= kind.only.Limit
		}
	}
	return nil
}

func purgeOnce(ctx context.Context, sh *shard, p alotwebhook.PurgeRequest) (alotwebhook.PurgeResult, error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	return sh.store.Purge(ctx, p)
}
