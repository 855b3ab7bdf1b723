package alotwebhook

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/paging"
)

// Deliveries returns the deliveries that f selects, newest first and without their
// attempts. The sequence reads f.Limit deliveries at a time and ends with the first error.
//
// A filter that selects few deliveries out of very many can take long to come to the next
// one. Use [Dispatcher.DeliveryPage] to show them to people.
func (d *Dispatcher) Deliveries(ctx context.Context, f Filter) iter.Seq2[Delivery, error] {
	return paging.All(f.Cursor, func(cursor string) ([]Delivery, string, error) {
		f.Cursor = cursor
		return d.store.Deliveries(ctx, f)
	})
}

// DeliveryPage returns a page of the deliveries that f selects, newest first and without
// their attempts, and the cursor of the next page; "" after the last.
//
// A page may hold fewer deliveries than f.Limit, even none, although others follow: the
// store stops after it has passed over many that do not match. So every page is quick,
// and somebody who waits can be shown how far the search has come.
func (d *Dispatcher) DeliveryPage(ctx context.Context, f Filter) (page []Delivery, next string, err error) {
	page, next, err = d.store.Deliveries(ctx, f)
	return page, next, explain(err, "list not read")
}

// Delivery returns one delivery with its attempts, or [ErrNotFound].
func (d *Dispatcher) Delivery(ctx context.Context, id string) (Delivery, error) {
	delivery, err := d.store.Delivery(ctx, id)
	return delivery, explain(err, "delivery %q", clip(id))
}

// Event returns a stored event, or [ErrNotFound]. An event whose payload was erased after
// its retention time is not found, either.
func (d *Dispatcher) Event(ctx context.Context, id string) (Event, error) {
	event, err := d.store.Event(ctx, id)
	return event, explain(err, "event %q", clip(id))
}

// Redeliver sends a delivered or failed delivery again, with a new schedule and the same
// event id. A pending delivery that waits for its next attempt is attempted at once. It
// returns false if it made nothing due: the delivery is due already or being attempted, or
// its endpoint was deleted, or its payload erased. The error is [ErrNotFound] if there is no
// such delivery, and a [LimitError] beyond [Config.RedeliveriesPerMinute]; to send many
// again, use [Dispatcher.Recover].
func (d *Dispatcher) Redeliver(ctx context.Context, deliveryID string) (bool, error) {
	delivery, err := d.Delivery(ctx, deliveryID)
	if err == nil {
		err = once(d.redeliveries, delivery.OrganizationID)
	}
	if err != nil {
		return false, err
	}
	n, err := d.redeliver(ctx, []string{deliveryID})
	return n > 0, err
}

// redeliver makes deliveries due again and returns how many it made due.
func (d *Dispatcher) redeliver(ctx context.Context, ids []string) (int, error) {
	n, err := d.store.Redeliver(ctx, ids)
	d.emitted() // also after an error: it leaves open whether any is due
	return n, explain(err, "not redelivered")
}

// Stats counts the deliveries that are not finished.
func (d *Dispatcher) Stats(ctx context.Context) (Stats, error) {
	s, err := d.store.Stats(ctx)
	return s, explain(err, "queue not counted")
}

// purgeInterval is how often each process purges, on average.
const purgeInterval = time.Hour

// purge calls Purge about every hour until ctx is done.
func (d *Dispatcher) purge(ctx context.Context) {
	for pace.Pause(ctx, purgeInterval/2+rand.N(purgeInterval)) {
		if result, err := d.Purge(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("alotwebhook: history not purged; trying again within the hour", "error", err)
		} else if result != (PurgeResult{}) {
			d.log.Info("alotwebhook: history purged", "expired", result.Expired, "payloads", result.Payloads, "deliveries", result.Deliveries, "events", result.Events, "tallies", result.Tallies, "operations", result.Operations)
		}
	}
}

// Purge fails parked deliveries after [Config.ParkedRetention], erases payloads after
// [Config.PayloadRetention], and deletes history and operations after
// [Config.HistoryRetention] and tallies after eight days. It returns how much that was, up to the error if there is
// one. Run does it about every hour.
func (d *Dispatcher) Purge(ctx context.Context) (PurgeResult, error) {
	const rows = 1000 // of each kind in one call, so that no call takes long
	request := PurgeRequest{
		Parked: max(0, d.cfg.ParkedRetention), Payloads: max(0, d.cfg.PayloadRetention), History: max(0, d.cfg.HistoryRetention),
		Tallies: tallyRetention, Limit: rows,
	}
	began, sum := time.Now(), PurgeResult{}
	for {
		part, err := d.store.Purge(ctx, request)
		sum.Expired += part.Expired
		sum.Payloads += part.Payloads
		sum.Deliveries += part.Deliveries
		sum.Events += part.Events
		sum.Tallies += part.Tallies
		sum.Operations += part.Operations
		if max(part.Expired, part.Payloads, part.Deliveries, part.Events, part.Tallies, part.Operations) >= rows {
			continue // also after an error: a store may purge one kind although another one fails
		}
		tell(d.observer, d.observer.Purged, PurgeReport{since(began, err), sum})
		return sum, explain(err, "history not purged")
	}
}
