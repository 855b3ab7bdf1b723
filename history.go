package alotwebhook

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// Deliveries returns the deliveries that f selects, newest first and without
// their attempts; f.Limit is the page that is read at a time. An error ends
// the sequence.
//
// A filter that selects few out of very many can take long to come to the next
// one; [Dispatcher.DeliveryPage] is for showing them to people.
func (d *Dispatcher) Deliveries(ctx context.Context, f Filter) iter.Seq2[Delivery, error] {
	return pages(f.Cursor, func(cursor string) ([]Delivery, string, error) {
		f.Cursor = cursor
		return d.store.Deliveries(ctx, f)
	})
}

// DeliveryPage returns a page of the deliveries that f selects, newest first
// and without their attempts, and the cursor of the next; "" after the last.
//
// A page may hold fewer than f.Limit, even none, although others follow: with a
// filter that selects few out of very many, it holds what was found in a stretch
// of them. So it is quick whatever is selected, and somebody who waits can be
// shown how far the search has come.
func (d *Dispatcher) DeliveryPage(ctx context.Context, f Filter) (page []Delivery, next string, err error) {
	page, next, err = d.store.Deliveries(ctx, f)
	if err != nil {
		return nil, "", explain(err, "list not read")
	}
	return page, next, nil
}

// pages strings pages together, beginning at the cursor.
func pages[T any](cursor string, page func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := cursor; ; {
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

// Stats counts what waits to be delivered.
func (d *Dispatcher) Stats(ctx context.Context) (Stats, error) {
	s, err := d.store.Stats(ctx)
	if err != nil {
		return Stats{}, explain(err, "queue not counted")
	}
	return s, nil
}

// purgeInterval is how often each process looks for what has passed its time.
const purgeInterval = time.Hour

// purge erases and deletes until ctx is done.
func (d *Dispatcher) purge(ctx context.Context) {
	if d.cfg.PayloadRetention < 0 && d.cfg.HistoryRetention < 0 && d.tallies.store == nil {
		return
	}
	for pace.Pause(ctx, purgeInterval/2+rand.N(purgeInterval)) {
		if result, err := d.Purge(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("alotwebhook: history not purged; trying again within the hour", "error", err)
		} else if result != (PurgeResult{}) {
			d.log.Info("alotwebhook: history purged", "payloads", result.Payloads, "deliveries", result.Deliveries, "events", result.Events, "tallies", result.Tallies)
		}
	}
}

// Purge erases payloads and deletes history past Config.PayloadRetention and
// HistoryRetention, and tallies after eight days, and says how much that was.
// Run does it every hour or so.
func (d *Dispatcher) Purge(ctx context.Context) (PurgeResult, error) {
	const rows = 1000
	request := PurgeRequest{
		Payloads: max(0, d.cfg.PayloadRetention), History: max(0, d.cfg.HistoryRetention), Tallies: tallyRetention, Limit: rows,
	}
	var sum PurgeResult
	for {
		part, err := d.store.Purge(ctx, request)
		sum.Payloads += part.Payloads
		sum.Deliveries += part.Deliveries
		sum.Events += part.Events
		sum.Tallies += part.Tallies
		if err != nil {
			return sum, explain(err, "history not purged")
		}
		if max(part.Payloads, part.Deliveries, part.Events, part.Tallies) < rows {
			return sum, nil
		}
	}
}
