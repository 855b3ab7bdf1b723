package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/paging"
	"github.com/alot/alotwebhook/internal/tally"
	"github.com/alot/alotwebhook/internal/wire"
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
	delivery.Attempts = slices.Clone(delivery.Attempts)
	for i, a := range delivery.Attempts {
		delivery.Attempts[i].ResponseHeaders, delivery.Attempts[i].ResponseBody = wire.SplitAnswer(a.ResponseBody)
	}
	return delivery, err
}

// RequestHeader returns the headers that the request of an attempt has, but for those that sign it or
// belong to a trace: nobody keeps these.
func (d *Dispatcher) RequestHeader(of Delivery, attempt int) http.Header {
	return d.sender.head(of.EventID, of.EventType, of.ID, attempt, of.Test, "").Header(nil)
}

// Event returns a stored event, or [ErrNotFound]. An event whose payload was erased after
// its retention time is not found, either.
func (d *Dispatcher) Event(ctx context.Context, id string) (Event, error) {
	return d.store.Event(ctx, id)
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

// PurgeRequest says how long things are kept. The time counts from when a delivery, or the
// last one of an event, was finished; for an event without deliveries, from when it was
// stored. 0 means for ever.
type PurgeRequest struct {
	// Parked is how long a delivery may be parked, counted from when it fell due or, if
	// that was later, from when its endpoint was disabled. Then it fails with
	// [ReasonExpired], without an attempt.
	Parked time.Duration
	// Payloads is how long the payload of an event is kept once all its deliveries are
	// finished.
	Payloads time.Duration
	// History is how long finished deliveries, their attempts and their events are kept.
	History time.Duration
	// Tallies is how long the tallies of an hour are kept, from the hour's beginning. A
	// store that is no [Tallier] ignores it.
	Tallies time.Duration
	// Limit bounds the rows of each kind in one call, so that no call takes long; 0 or less
	// stands for 1,000.
	Limit int
}

// PurgeResult counts what a purge erased or deleted. While any count reaches the Limit,
// there may be more.
type PurgeResult struct {
	Expired, Payloads, Deliveries, Events, Tallies, Operations int
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
		sum = PurgeResult{sum.Expired + part.Expired, sum.Payloads + part.Payloads, sum.Deliveries + part.Deliveries, sum.Events + part.Events, sum.Tallies + part.Tallies, sum.Operations + part.Operations}
		if max(part.Expired, part.Payloads, part.Deliveries, part.Events, part.Tallies, part.Operations) >= rows {
			continue // also after an error: a store may purge one kind although another one fails
		}
		tell(d.observer, d.observer.Purged, PurgeReport{since(began, err), sum})
		return sum, explain(err, "history not purged")
	}
}

// Erase begins to erase, in the background, what r selects: the events of EventID, of Subject, of
// OrganizationID, each as far as it is not "", and of the time from Since to Until. Payloads go, and
// subjects, and what the attempts keep of responses and details; unfinished deliveries fail with
// [ReasonErased]. What is left are rows without content: ids, types, organizations, times, states
// and counts. [Dispatcher.Recovery] tells how far it is, by the EndpointID of the result; it goes on
// after a restart. An attempt under way may still go out. What a database keeps of erased rows for
// a while, and backups, are beyond the library: see docs/operating.md.
//
// A [FieldError] refuses a field that is not valid, any other that is not empty but Note, and an r
// that selects everything.
func (d *Dispatcher) Erase(ctx context.Context, r Recovery) (Recovery, error) {
	r.State = RecoveryErasing
	return d.beginMany(ctx, r)
}

// EraseIn is [Dispatcher.Erase] of one subject inside a transaction of the host's own: q is
// store.Tx(tx) for the host's tx. It has erased when it returns, if the transaction commits. A
// subject is erased of one organization, or of all if organizationID is "". It returns how many
// events that were. After an error, roll back: some may be erased. A [FieldError] refuses what
// [Dispatcher.EmitTo] refuses of q, and the error is an [errors.ErrUnsupported] if q cannot erase.
func (d *Dispatcher) EraseIn(ctx context.Context, q Enqueuer, organizationID, subject string) (events int, err error) {
	r := Recovery{OrganizationID: organizationID, Subject: subject, State: RecoveryErasing}
	if subject == "" {
		return 0, refused("subject", "is empty; name whose data is to be erased")
	}
	_, err = d.ownerOf(ctx, organizationID, "")
	if err = cmp.Or(d.checkTransaction(q, "Erase"), r.check(), err); err != nil {
		return 0, err
	}
	eraser, ok := q.(interface {
		Erase(ctx context.Context, r Recovery, limit int) (int, string, error)
	})
	if !ok {
		return 0, fmt.Errorf("alotwebhook: this transaction erases nothing; its store has no Erase there: %w", errors.ErrUnsupported)
	}
	for {
		n, next, err := eraser.Erase(ctx, r, largePage)
		if events += n; err != nil || next == "" {
			return events, explain(err, "not erased")
		}
		r.Cursor = next
	}
}

// Remove begins to delete, in the background, all that belongs to an organization that has left:
// its endpoints with their secrets, and its whole history. [Dispatcher.Recovery] tells how far it
// is, by the EndpointID of the result. Emit no more for the organization before. The note says why,
// for the [Operation]. A [FieldError] refuses an organizationID or a note that is not valid.
func (d *Dispatcher) Remove(ctx context.Context, organizationID, note string) (Recovery, error) {
	if err := checkOrganization(organizationID); err != nil {
		return Recovery{}, err
	}
	return d.beginMany(ctx, Recovery{OrganizationID: organizationID, Note: note, State: RecoveryRemoving})
}

// Tally counts the attempts that were made to an endpoint in an hour.
type Tally struct {
	EndpointID string
	// Hour is the whole hour in UTC. An attempt belongs to the hour in which it was
	// started, by the clock of the dispatcher that made it.
	Hour time.Time
	// Succeeded counts the attempts that got a 2xx response.
	Succeeded int64
	// Reasons counts the failed attempts by their reason; nil if there were none.
	Reasons map[FailureReason]int64
	// Duration is the time of all attempts together, Slowest that of the longest.
	Duration, Slowest time.Duration
}

// Failed counts the attempts that failed.
func (t Tally) Failed() int64 {
	var n int64
	for _, of := range t.Reasons {
		n += of
	}
	return n
}

// Average returns how long an attempt took on average; 0 if there was none.
func (t Tally) Average() time.Duration {
	return t.Duration / time.Duration(max(t.Succeeded+t.Failed(), 1))
}

// Add adds the attempts of other to t. The endpoint and the hour of other do not matter.
func (t *Tally) Add(other Tally) {
	t.Succeeded += other.Succeeded
	t.Duration += other.Duration
	t.Slowest = max(t.Slowest, other.Slowest)
	if t.Reasons == nil && len(other.Reasons) > 0 {
		t.Reasons = make(map[FailureReason]int64, len(other.Reasons))
	}
	for reason, n := range other.Reasons {
		t.Reasons[reason] += n
	}
}

// Tallier is an optional capability of a [Store]. It keeps tallies, so that success,
// latency and failure reasons can be shown without counting the history. A dispatcher
// tallies its attempts if its store is a Tallier; nothing else depends on it.
//
// Purge deletes tallies older than PurgeRequest.Tallies.
type Tallier interface {
	// AddTallies adds the batch to the stored tallies of each endpoint and hour: all of it
	// or, with an error, nothing. An error that leaves open whether it was stored, such as
	// a lost connection, may make some attempts count twice or not at all. Several
	// processes may add to the same hours at once, in batches of any order, and must not
	// deadlock. The endpoints need not exist.
	AddTallies(ctx context.Context, tallies []Tally) error
	// Tallies returns the tallies of the endpoints whose Hour is since or later, ordered
	// by endpoint and then by hour. An hour without attempts has no tally.
	Tallies(ctx context.Context, endpointIDs []string, since time.Time) ([]Tally, error)
}

// tallyRetention is how long tallies are kept: enough for a week in every time zone.
const tallyRetention = 8 * day

// Tallies returns the tallies of the endpoints from the hour of since on, ordered by
// endpoint and then by hour. Attempts of this process count at once, those of other
// processes within a few seconds. Tallies are kept for eight days. A process that is
// killed loses those of its last seconds: they are for charts, the history is exact.
//
// The error is an [errors.ErrUnsupported] if the store is no [Tallier].
func (d *Dispatcher) Tallies(ctx context.Context, since time.Time, endpointIDs ...string) ([]Tally, error) {
	if err := invalid(struct{ Since time.Time }{since}); err != nil {
		return nil, err
	}
	since = since.UTC().Truncate(time.Hour)
	list, err := d.tallies.Read(func() ([]Tally, error) {
		if d.tallier == nil {
			return nil, fmt.Errorf("the store keeps none: %w", errors.ErrUnsupported)
		}
		return d.tallier.Tallies(ctx, endpointIDs, since)
	}, func(t Tally) bool { return slices.Contains(endpointIDs, t.EndpointID) && !t.Hour.Before(since) })
	return list, explain(err, "tallies not read")
}

// hour is what an attempt is tallied by.
type hour struct {
	endpointID string
	begins     int64 // Unix time
}

func (d *Dispatcher) newTallies() *tally.Sums[hour, Tally] {
	return tally.New(tally.Config[hour, Tally]{
		Key: func(t Tally) hour { return hour{t.EndpointID, t.Hour.Unix()} },
		New: func(h hour) Tally { return Tally{EndpointID: h.endpointID, Hour: time.Unix(h.begins, 0).UTC()} },
		Add: (*Tally).Add,
		Order: func(a, b Tally) int {
			return cmp.Or(cmp.Compare(a.EndpointID, b.EndpointID), a.Hour.Compare(b.Hour))
		},
		Store: func(ctx context.Context, batch []Tally) error { return d.tallier.AddTallies(ctx, batch) },
		Log:   d.log,
	})
}

// tally counts an attempt, if the store is a [Tallier]. A released delivery has none.
func (d *Dispatcher) tally(endpointID string, a *Attempt) {
	if d.tallier == nil || a.Number == 0 || a.Reason == ReasonConversion {
		return
	}
	d.tallies.Count(hour{endpointID, a.StartedAt.Truncate(time.Hour).Unix()}, func(t *Tally) {
		one := Tally{Duration: a.Duration, Slowest: a.Duration}
		if a.Reason == "" {
			one.Succeeded = 1
		} else {
			one.Reasons = map[FailureReason]int64{a.Reason: 1}
		}
		t.Add(one)
	})
}
