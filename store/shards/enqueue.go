package shards

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/internal/fault"
	"github.com/alot/alotwebhook/internal/place"
)

// batch is what goes to one shard of the events of a call.
type batch struct {
	home   *shard
	events []alotwebhook.Event
	former [][]*shard // of each event: the shards that its organization has left; nil if no organization has any
}

// Enqueue implements [alotwebhook.Enqueuer]. Each shard stores its part of the events, all
// of it or nothing, and all parts at once: an error of one shard holds up no other. The
// error names the shards that failed. The others have stored their part then; to call
// Enqueue again with the same events stores what is missing and changes nothing else.
//
// The events of an organization that moves need all shards of it: each is asked whether it
// has the event already.
func (s *Store) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if home := s.soleHome(events); home != nil {
		return home.explain(home.store.Enqueue(ctx, events))
	}
	batches, err := s.parts(events)
	switch {
	case err != nil:
		return err
	case len(batches) == 0:
		return ended(ctx)
	case len(batches) == 1:
		b := batches[0]
		return b.home.explain(b.enqueue(ctx, b.home.store))
	}
	return s.enqueueAll(ctx, batches)
}

// soleHome returns the shard that is the only place of all the events' organizations, or nil.
func (s *Store) soleHome(events []alotwebhook.Event) (home *shard) {
	for i := range events {
		if i > 0 && events[i].OrganizationID == events[i-1].OrganizationID {
			continue
		}
		list, err := s.placesOf(events[i].OrganizationID)
		if err != nil || len(list) > 1 || home != nil && home != list[0] {
			return nil
		}
		home = list[0]
	}
	return home
}

// enqueueAll stores several batches at once. It waits for all of them, since they share the
// caller's data.
func (s *Store) enqueueAll(ctx context.Context, batches []*batch) error {
	of := make(map[*shard]*batch, len(batches))
	for _, b := range batches {
		of[b.home] = b
	}
	answers := ask(ctx, keys(of), func(ctx context.Context, sh *shard) (struct{}, error) {
		return struct{}{}, of[sh].enqueue(ctx, sh.store)
	})
	var errs []error
	for range of {
		if a := <-answers; a.err != nil {
			errs = append(errs, a.shard.explain(a.err))
		}
	}
	return joined(errs)
}

// parts returns the events by their organizations' homes, in the order in which they came.
func (s *Store) parts(events []alotwebhook.Event) (batches []*batch, err error) {
	var places []*shard
	for i := range events {
		if i == 0 || events[i].OrganizationID != events[i-1].OrganizationID {
			if places, err = s.placesOf(events[i].OrganizationID); err != nil {
				return nil, err
			}
		}
		at := slices.IndexFunc(batches, func(b *batch) bool { return b.home == places[0] })
		if at < 0 {
			at, batches = len(batches), append(batches, &batch{home: places[0]})
		}
		batches[at].add(events[i], places[1:])
	}
	return batches, nil
}

func (b *batch) add(event alotwebhook.Event, former []*shard) {
	if len(former) > 0 && b.former == nil {
		b.former = make([][]*shard, len(b.events))
	}
	if b.former != nil {
		b.former = append(b.former, former)
	}
	b.events = append(b.events, event)
}

// enqueue stores the events that no former shard has.
func (b *batch) enqueue(ctx context.Context, q alotwebhook.Enqueuer) error {
	if b.former == nil {
		return q.Enqueue(ctx, b.events)
	}
	stored := make([]bool, len(b.events))
	if err := parallel(len(b.events), func(i int) (err error) {
		stored[i], err = isStored(ctx, b.former[i], b.events[i].ID)
		return err
	}); err != nil {
		return err
	}
	fresh := make([]alotwebhook.Event, 0, len(b.events))
	for i, event := range b.events {
		if !stored[i] {
			fresh = append(fresh, event)
		}
	}
	return q.Enqueue(ctx, fresh)
}

// parallel calls do with 0 to n-1, a few at once, and returns the first error.
func parallel(n int, do func(i int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, 8)
	for range min(n, cap(errs)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					next.Add(int64(n))
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// isStored reports whether one of the shards has an event of that id, with its payload or
// with deliveries.
func isStored(ctx context.Context, in []*shard, id string) (bool, error) {
	for _, sh := range in {
		_, err := sh.store.Event(ctx, id)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, alotwebhook.ErrNotFound) {
			return false, sh.explain(err)
		}
		some, next, err := sh.store.Deliveries(ctx, alotwebhook.Filter{EventID: id, Limit: 1})
		if err != nil || len(some) > 0 || next != "" {
			return err == nil, sh.explain(err)
		}
	}
	return false, nil
}

// EnqueueTo implements [alotwebhook.Queue].
func (s *Store) EnqueueTo(ctx context.Context, endpointID string, event alotwebhook.Event) error {
	list, err := s.placesOfEndpoint(ctx, endpointID)
	if err != nil {
		return err
	}
	if _, known := s.organizations.get(endpointID); !known {
		return fmt.Errorf("%w: endpoint %.40q", alotwebhook.ErrNotFound, endpointID)
	}
	stored, err := isStored(ctx, list[1:], event.ID)
	if err != nil || stored {
		return err
	}
	return list[0].explain(list[0].store.EnqueueTo(ctx, endpointID, event))
}

// Within returns q for the events of the organizations whose home is that shard, and q is
// what the shard's own store returns for a transaction of the host:
//
//	q := store.Within("a", a.Tx(tx))
//	err := dispatcher.EmitTo(ctx, q, event)
//
// A transaction is of one database. So the host's own rows for an organization must be in the
// database of its shard if they are to be stored together with the events. An event of
// another organization is refused, and nothing is stored then. So is erasing of more than one
// organization's data, and of one that is in several shards.
func (s *Store) Within(shard string, q alotwebhook.Enqueuer) alotwebhook.Enqueuer {
	return &within{s, shard, q}
}

type within struct {
	s     *Store
	shard string
	q     alotwebhook.Enqueuer
}

// Enqueue implements [alotwebhook.Enqueuer].
func (w *within) Enqueue(ctx context.Context, events []alotwebhook.Event) error {
	if err := w.check(); err != nil {
		return err
	}
	batches, err := w.s.parts(events)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if b.home.name != w.shard {
			return fmt.Errorf("alotwebhook: shards: the home of the organization %q is the shard %q, and the transaction is of %q: emit its events in a transaction there, or with Emit",
				b.events[0].OrganizationID, b.home.name, w.shard)
		}
	}
	for _, b := range batches {
		if err := b.enqueue(ctx, w.q); err != nil {
			return err
		}
	}
	return nil
}

// Place is that of the store.
func (w *within) Place() string { return w.s.Place() }

// check refuses a transaction of no shard, and one of another shard.
func (w *within) check() error {
	sh := w.s.byName[w.shard]
	if fault.IsNil(w.q) || sh == nil {
		return &alotwebhook.FieldError{Field: "q", Problem: fmt.Sprintf("is nil, or %q is no shard; there are %q", w.shard, namesOf(w.s.shards))}
	}
	if problem := place.Problem(w.q, fmt.Sprintf("the shard %q", w.shard), sh.store); problem != "" {
		return &alotwebhook.FieldError{Field: "q", Problem: problem}
	}
	return nil
}

// keys returns the shards of a map in the order of their names.
func keys[V any](m map[*shard]V) []*shard {
	list := make([]*shard, 0, len(m))
	for sh := range m {
		list = append(list, sh)
	}
	slices.SortFunc(list, func(a, b *shard) int { return a.index - b.index })
	return list
}
