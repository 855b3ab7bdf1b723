package alotwebhook

import (
	"context"
	"iter"
	"time"
)

// Deliveries returns the deliveries that f selects, newest first and without
// their attempts; f.Limit is the page that is read at a time. An error ends
// the sequence.
func (d *Dispatcher) Deliveries(ctx context.Context, f Filter) iter.Seq2[Delivery, error] {
	start := f.Cursor
	return pages(func(cursor string) ([]Delivery, string, error) {
		if f.Cursor = cursor; cursor == "" {
			f.Cursor = start
		}
		return d.store.Deliveries(ctx, f)
	})
}

// pages strings pages together; the first has the cursor "".
func pages[T any](page func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := ""; ; {
			items, next, err := page(cursor)
			if err != nil {
				var none T
				yield(none, explain(err, "list not read"))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if cursor = next; cursor == "" {
				return
			}
		}
	}
}

// Delivery returns one delivery with its attempts, or [ErrNotFound].
func (d *Dispatcher) Delivery(ctx context.Context, id string) (Delivery, error) {
	delivery, err := d.store.Delivery(ctx, id)
	if err != nil {
		return Delivery{}, explain(err, "delivery %q", clip(id))
	}
	return delivery, nil
}

// Event returns a stored event, or [ErrNotFound], also when its payload was
// erased after its retention time.
func (d *Dispatcher) Event(ctx context.Context, id string) (Event, error) {
	event, err := d.store.Event(ctx, id)
	if err != nil {
		return Event{}, explain(err, "event %q", clip(id))
	}
	return event, nil
}

// Redeliver sends a delivery again, delivered or failed, with a schedule of its
// own and the same event id; one that waits for its next attempt is attempted
// at once. It reports whether anything was made due: not if it is being
// attempted just now, or if its endpoint or payload is gone.
func (d *Dispatcher) Redeliver(ctx context.Context, deliveryID string) (bool, error) {
	if _, err := d.Delivery(ctx, deliveryID); err != nil {
		return false, err
	}
	n, err := d.redeliver(ctx, []string{deliveryID})
	return n > 0, err
}

func (d *Dispatcher) redeliver(ctx context.Context, ids []string) (int, error) {
	n, err := d.store.Redeliver(ctx, ids)
	if err != nil {
		return n, explain(err, "not redelivered")
	}
	d.emitted()
	return n, nil
}

// Recover redelivers all failed deliveries to an endpoint of events since the
// given time, newest first, and returns how many. After an error it may simply
// be called again: what was recovered is not failed any more.
func (d *Dispatcher) Recover(ctx context.Context, endpointID string, since time.Time) (int, error) {
	if _, err := d.Endpoint(ctx, endpointID); err != nil {
		return 0, err
	}
	recovered := 0
	f := Filter{EndpointID: endpointID, State: StateFailed, Since: since}
	for {
		page, next, err := d.store.Deliveries(ctx, f)
		if err != nil {
			return recovered, explain(err, "list not read")
		}
		ids := make([]string, len(page))
		for i := range page {
			ids[i] = page[i].ID
		}
		n, err := d.redeliver(ctx, ids)
		recovered += n
		if err != nil || next == "" {
			return recovered, err
		}
		f.Cursor = next
	}
}

// Stats counts what waits to be delivered.
func (d *Dispatcher) Stats(ctx context.Context) (Stats, error) {
	s, err := d.store.Stats(ctx)
	if err != nil {
		return Stats{}, explain(err, "queue not counted")
	}
	return s, nil
}
