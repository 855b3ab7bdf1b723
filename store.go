package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// Errors that a [Store] returns, wrapped or not; callers test with [errors.Is].
var (
	// ErrNotFound says that no endpoint, delivery, event or recovery has that id.
	ErrNotFound = errors.New("alotwebhook: not found")
	// ErrConflict says that the endpoint or the recovery was changed since it was read.
	// Read it again and decide anew.
	ErrConflict = errors.New("alotwebhook: changed meanwhile")
)

// Store keeps events, endpoints, deliveries, their history and operations. It has four roles, small
// enough to implement for a database of one's own: see docs/writing-a-store.md. [Notifier],
// [Tallier], [Pauser] and [Surveyor] are optional capabilities. A store that wraps another has a method
// Unwrap() Store, so that a dispatcher finds those of the inner one.
//
// # Rules for implementers
//
// All methods may be called from many goroutines at once and, where the database is
// shared, from many processes. A method stores the whole of its batch or nothing; once it
// has returned nil, the batch is durable. After an error it may be called again.
//
// Slices and maps of the arguments belong to the caller once the method has returned. The
// results belong to the caller, too, except that the Payload and the Endpoint of a
// [Claimed] are read-only and may be shared.
//
// Times are judged by the store's own clock alone, which is the database's if there is
// one. So durations go in and out, not instants. Times are kept to the microsecond or
// better, and returned in UTC.
//
// Texts are UTF-8 without NUL, kept as they are, and compared byte by byte: another case,
// accent or blank at the end makes another organization. Event types have at most 128
// bytes, payload versions 64, sealed secrets 1,024, [Endpoint.Credentials] 64 KiB, payloads and response
// bodies 16 MiB, traceparents 55, subjects 128.
// No secret is logged, and no error quotes more than the beginning of a long text.
type Store interface {
	Queue
	Endpoints
	History
	Operations
}

// Enqueuer stores events with their deliveries. A [Store] is one. The Tx method of a
// store returns another, for a transaction of the host's own: after an error nothing of the
// batch is there, even if the host commits. While it is open it holds up no call of the
// store, if the database has several writers.
//
// One for a transaction has a method Erase, too, as [History] does: see [Dispatcher.EraseIn]. With a
// method Place() string that names its tables' database, as its store has, that of another store is refused.
type Enqueuer interface {
	// Enqueue stores the events and, for each, one delivery to every endpoint of the
	// organization that subscribes to the type: see [Subscriptions]. The delivery is pending and due at once,
	// or parked while the endpoint is disabled, and failed if that is deleted meanwhile. Its
	// id is [DeliveryID]. An event without subscribers is stored as well.
	//
	// An event whose id is stored already changes nothing, even if the subscriptions or
	// the event are different now. The same id twice in one call counts once. The events
	// are valid: the dispatcher has checked them. The TraceParent of each is kept as long as its
	// payload, and given back by [Claimed] and Event; its Subject is kept as long as the event.
	Enqueue(ctx context.Context, events []Event) error
}

// KeptAttempts is how many attempts of a delivery a [Store] keeps at least. A delivery
// can be redelivered without end, and its history must not grow with that.
const KeptAttempts = 50

// Queue is the role that moves deliveries on.
type Queue interface {
	Enqueuer

	// EnqueueTo stores the event with one delivery, to that endpoint alone, whether it
	// subscribes to the type or not. An event that is stored already, for whomever, changes
	// nothing. The error is [ErrNotFound] if there is no such endpoint.
	// It alone stores tests: events with Test, which Event gives back. A test is pending, and
	// claimed, although the endpoint is disabled; it has no part in the order of an Ordered one, in
	// FailingSince, in [Stats], in a [Backlog] or in a [Count], and Discard leaves it alone.
	EnqueueTo(ctx context.Context, endpointID string, event Event) error

	// Claim leases due deliveries of enabled endpoints and returns them with their
	// payload and endpoint.
	//
	//   - It returns what is due: at most Limit, and of each endpoint [ClaimRequest.Free] and,
	//     if that is more than 0, one test besides. It may miss what other processes have just stored if it returns anything at all.
	//   - Of an endpoint's deliveries, those that are due longest come first.
	//   - Of an endpoint that is Ordered, it returns one at most, and none while one is leased:
	//     the one that has the place, see [Outcome.HoldsUp], or else the one due longest, of a
	//     batch of events the first. Who has the place keeps it when its lease runs out.
	//   - Endpoints take turns. If several have due deliveries and free slots, each gets
	//     its turn before any backlog is served further, and those that did not fit into
	//     this claim come first in the next.
	//   - Each delivery is leased: it is not due again before Lease has passed. When that
	//     passes without a Finish, the delivery is due again by itself. While the process
	//     lives, a store may keep it for that process; then others get it soon after.
	//   - Each carries a Token that no other claim of the same delivery had or will have.
	//   - The cost depends on the size of the batch. It does not depend on the backlog,
	//     on the history or on the deliveries of disabled and busy endpoints.
	Claim(ctx context.Context, c ClaimRequest) (ClaimResult, error)

	// Finish records outcomes, all in one transaction: the attempt goes into the history
	// and the delivery takes its next state. It is fenced: an outcome whose Token is not
	// that of the delivery's newest claim changes nothing, and Finish returns the
	// delivery's id in lost. The other outcomes of the batch count. A claim whose lease
	// has run out stays the newest until the delivery is claimed again, or all that the
	// Store had is taken over. Finish is called on the Store whose Claim it was.
	//
	//   - [StateDelivered] and [StateFailed] end the delivery.
	//   - [StatePending] makes it due again in NextAttemptIn, and at once if that is zero
	//     or less.
	//   - An outcome without an attempt (Attempt.Number 0) adds nothing to the history, but
	//     its Reason to a delivery that it ends. With StatePending it is a release: as if
	//     the delivery had not been claimed, but behind all that is due.
	//   - With Held it extends the lease: the delivery stays leased under its Token for
	//     NextAttemptIn from now, and the next claim counts as its first.
	//
	// Should a store not take an outcome, it refuses the whole batch with an error; a
	// dispatcher then finds that outcome and stores the others.
	//
	// A delivery keeps its newest attempts, at least [KeptAttempts], and older ones only up
	// to twice as many in all. Their numbers and AttemptCount go on counting all.
	//
	// Finish also keeps [Endpoint.FailingSince]: an attempt clears it with StateDelivered,
	// and otherwise sets it to the attempt's StartedAt if it is zero, unless the outcome is
	// Blameless. None changes the endpoint's Version.
	Finish(ctx context.Context, outcomes []Outcome) (lost []string, err error)

	// Redeliver makes deliveries due at once and returns how many. A finished one becomes
	// pending again; it keeps its attempts and begins its schedule anew. Redeliver leaves a
	// delivery alone that is due, leased or unknown, or whose endpoint or payload is gone.
	Redeliver(ctx context.Context, deliveryIDs []string) (int, error)

	// Cancel fails deliveries that are not finished, parked ones included, with
	// [ReasonCanceled] and without an attempt, and returns how many. One that is leased fails as
	// well: the outcome of its attempt is lost. Until then, a store may give neither it, should it be
	// redelivered, nor the next of an ordered endpoint. Cancel leaves finished and unknown ones alone.
	Cancel(ctx context.Context, deliveryIDs []string) (int, error)
}

// ClaimRequest says how many deliveries a dispatcher has room for.
type ClaimRequest struct {
	// Limit is the most deliveries to return. With 0 or less, this process claims no more for now,
	// because it ends or is full: others get at once all that it does not have under way.
	Limit int
	// PerEndpoint is how many slots each endpoint has; at least 1.
	PerEndpoint int
	// Lease is how long no other claim returns the claimed deliveries.
	Lease time.Duration
	// Busy holds, by endpoint id, how many of the endpoint's slots are in use or
	// withheld. One with PerEndpoint or more has none free.
	Busy map[string]int
	// Unlisted is how many slots are free of an endpoint that Busy lacks. 0 stands for
	// PerEndpoint, a negative number for none.
	Unlisted int
	// Withheld holds the ids of organizations whose endpoints have no slot free.
	Withheld map[string]bool
}

// Free returns how many deliveries of an endpoint the claim may return. A store that
// learns an endpoint's organization only by claiming may pass "" before.
func (c ClaimRequest) Free(endpointID, organizationID string) int {
	if c.Withheld[organizationID] {
		return 0
	}
	if busy, ok := c.Busy[endpointID]; ok {
		return max(c.PerEndpoint-busy, 0)
	}
	return max(cmp.Or(c.Unlisted, c.PerEndpoint), 0)
}

// ClaimResult is the result of a claim.
type ClaimResult struct {
	Deliveries []Claimed
	// NextIn counts if Deliveries is empty: it is how long until the next delivery of an
	// enabled endpoint falls due, the end of a lease included; 0 if none will. Deliveries
	// that are due already, but had no free slot, do not count.
	NextIn time.Duration
}

// Claimed is a leased delivery with everything that an attempt needs.
type Claimed struct {
	DeliveryID string
	// Token names this claim. [Outcome] gives it back, so that Finish can tell whether the
	// delivery was claimed again meanwhile. It is never 0.
	Token int64
	// Attempt is the number of the attempt to come, from 1.
	Attempt int
	// Try is the attempt's number since the last redelivery, from 1. The schedule of the
	// retries goes by it.
	Try int
	// Claims is how often the delivery may have been under way since its last outcome or
	// release, this claim included.
	Claims int
	// EventID, EventType and TraceParent are the event's.
	EventID, EventType, TraceParent string
	Test                            bool
	// Payload is the result of [Event.Payload]; nil if it was erased. It is read-only.
	Payload []byte
	// Endpoint is read-only: all claims of the batch may share it.
	Endpoint *Endpoint
}

// Outcome says how a claimed delivery goes on.
type Outcome struct {
	DeliveryID string
	// Token is that of [Claimed].
	Token int64
	// Attempt is the attempt that was made; its Number is 0 if none was.
	Attempt Attempt
	// URLs is that of the endpoint as claimed. Delivery fills in the attempt's URL by it.
	URLs int
	// State is the delivery's next state: pending, delivered or failed.
	State DeliveryState
	// NextAttemptIn is how long until a pending delivery is due again.
	NextAttemptIn time.Duration
	// HoldsUp is more than 0 in every outcome of an endpoint that was Ordered when claimed. A
	// release, and Held, then give the delivery the first place: all others wait until it is
	// claimed again. So does a failed attempt, if the delivery is due again no later than HoldsUp
	// after the attempt of its first Try. Every other outcome takes the place away.
	HoldsUp time.Duration
	// Held is set, with StatePending and without an attempt, while an attempt was made
	// whose outcome cannot be stored yet.
	Held bool
	// Blameless says that the receiver has no part in the failure of the attempt.
	Blameless bool
	// Operation, if not nil, is stored with the outcome; an outcome that is lost stores none.
	Operation *Operation
}

// Endpoints is the role of a [Store] that keeps endpoints and their recoveries.
type Endpoints interface {
	// PutEndpoint stores a new endpoint (Version 0), or replaces the stored one if its
	// version is still e.Version. The stored version is then e.Version + 1. All other
	// fields are stored as given. The error is [ErrConflict] if the versions differ, and
	// [ErrNotFound] if the endpoint to replace is gone.
	//
	// The FailingSince of a stored endpoint is Finish's: PutEndpoint leaves it as it is, and
	// clears it when it enables the endpoint. If e.FailingSince is not zero, the error is
	// [ErrConflict] unless it equals the stored one, judged in the statement that writes.
	//
	// DisabledAt is the store's: it notes by its own clock when it disables the endpoint,
	// or stores a new one that is disabled, and clears it when it enables it.
	//
	// Where it changes URLs, the URL that it replaces is kept for Delivery, with the 99 before it,
	// until the endpoint is deleted.
	//
	// Disabling parks the endpoint's pending deliveries. Enabling makes the parked ones
	// pending again, with the due times that they have. Both take effect at once, however
	// many deliveries there are.
	//
	// The operations are stored with the endpoint, or not at all; so do DeleteEndpoint and
	// PutRecovery with theirs.
	PutEndpoint(ctx context.Context, e Endpoint, ops ...Operation) error

	// Endpoint returns an endpoint, or [ErrNotFound].
	Endpoint(ctx context.Context, id string) (Endpoint, error)

	// Endpoints returns a page of the endpoints that f selects, in the order of their ids,
	// and the cursor of the next page; "" after the last.
	Endpoints(ctx context.Context, f EndpointFilter) (page []Endpoint, next string, err error)

	// DeleteEndpoint removes the endpoint for good, or returns [ErrNotFound]. Its
	// unfinished deliveries fail with [ReasonEndpointDeleted], without an attempt. Their
	// history stays readable.
	DeleteEndpoint(ctx context.Context, id string, ops ...Operation) error

	// Discard fails up to limit parked deliveries of the endpoint, of events before the time
	// given (in whole milliseconds, as in the event's id), with [ReasonDiscarded] and without
	// an attempt. It returns how many it failed, fewer than limit once none is left; none if limit is 0 or less. It leaves
	// alone a delivery that is leased, and every one while the endpoint is enabled. The error
	// is [ErrNotFound] if there is no such endpoint.
	Discard(ctx context.Context, endpointID string, before time.Time, limit int) (int, error)

	// PutRecovery stores the first recovery of an endpoint (Version 0), or replaces the
	// stored one if its version is still r.Version; otherwise the error is [ErrConflict].
	// The stored version is r.Version + 1. All other fields are stored as given. The
	// endpoint need not exist, and deleting it does not change its recovery.
	PutRecovery(ctx context.Context, r Recovery, ops ...Operation) error

	// Recoveries returns a page of the recoveries that f selects, in the order of their
	// endpoints' ids, and the cursor of the next page; "" after the last. It finds the one
	// of an endpoint, and those that are running, quickly among many others: every
	// process searches for running ones every few seconds.
	Recoveries(ctx context.Context, f RecoveryFilter) (page []Recovery, next string, err error)
}

// RecoveryFilter selects recoveries. A zero field selects all.
type RecoveryFilter struct {
	EndpointID string
	State      RecoveryState
	// Many selects those over many endpoints: see [Dispatcher.RecoverMany].
	Many bool
	// Cursor is an EndpointID: the page begins after its recovery.
	Cursor string
	// Limit is the size of a page; 0 or less stands for 100.
	Limit int
}

// History is the role of a [Store] that shows events and deliveries, and purges old ones.
type History interface {
	// Event returns an event with the payload's Timestamp, or [ErrNotFound], also if its
	// payload was erased.
	Event(ctx context.Context, id string) (Event, error)

	// Deliveries returns a page of the deliveries that f selects, without their attempts,
	// in descending order of their ids (newest first), and the cursor of the next page; ""
	// after the last.
	//
	// A store may end a page early, even an empty one, once it has passed over more than
	// 100 deliveries that do not match. So every page is quick, however few are selected.
	Deliveries(ctx context.Context, f Filter) (page []Delivery, next string, err error)

	// Delivery returns a delivery with its attempts, or [ErrNotFound].
	Delivery(ctx context.Context, id string) (Delivery, error)

	// Erase erases the next events that r selects, up to limit: those of EventID, and of Subject,
	// and of OrganizationID, each as far as it is not "", whose ids are within Since and Until.
	// It goes in descending order of the events' ids, below the event whose id is r.Cursor, and
	// returns how many events it passed and the cursor of the next call; "" after the last.
	//
	//   - Payload, Subject and TraceParent of the event go. Its id, type, organization and times
	//     stay, and so do its deliveries and their attempts.
	//   - Detail and ResponseBody of all attempts go.
	//   - Unfinished deliveries fail with [ReasonErased], as with Cancel.
	//
	// Nothing of that can be read afterwards, by any method. What an operating process has claimed
	// already may still be sent.
	Erase(ctx context.Context, r Recovery, limit int) (n int, next string, err error)

	// Remove deletes up to limit rows of each kind of what belongs to the organization, endpoints with
	// their secrets first: events, deliveries, finished or not, attempts, recoveries of its endpoints,
	// tallies, operations and pauses. It returns the largest of these numbers, less than limit once
	// nothing is left. What is emitted meanwhile may stay.
	Remove(ctx context.Context, organizationID string, limit int) (n int, err error)

	// Purge erases payloads and deletes history older than p allows, at most p.Limit rows
	// of each kind, and returns how many. It passes over unfinished deliveries and their
	// events, however many, but for what was parked for longer than p.Parked. It also
	// deletes, uncounted, a recovery that has ended if its endpoint is gone, or it is over many, and
	// p.History has passed since its UpdatedAt. Operations go p.History after their At, handled or not.
	Purge(ctx context.Context, p PurgeRequest) (PurgeResult, error)

	// Stats counts the unfinished deliveries, and the endpoints that fail or are disabled.
	Stats(ctx context.Context) (Stats, error)
}

// Filter selects deliveries. A zero field selects all.
type Filter struct {
	OrganizationID string
	EndpointID     string
	EventID        string
	EventType      string
	// Subject is the event's. A store finds the deliveries of one quickly among many others.
	Subject string
	// State is one of the four states, or [StateUnfinished].
	State DeliveryState
	// OnlyTests selects deliveries of tests, NoTests those of all other events; both, none.
	OnlyTests, NoTests bool
	// Since (inclusive) and Until (exclusive), cut to milliseconds, bound the time in the
	// event's id.
	Since, Until time.Time
	// Cursor is a delivery id: the page begins below it. It is the last delivery of the
	// page before or, if that page was cut short, the last one that was passed over.
	Cursor string
	// Limit is the size of a page; 0 or less stands for 100.
	Limit int
}

// Stats describes the queue at one moment.
type Stats struct {
	// Pending counts the unfinished deliveries to enabled endpoints: due, waiting for
	// their next attempt, or under way.
	Pending int64
	// Parked counts the unfinished deliveries to disabled endpoints.
	Parked int64
	// OldestDue is how long the delivery that is due longest has been due, of enabled endpoints
	// that are neither failing nor held back by a [Pause]; 0 if none is. What other processes have
	// under way may count.
	OldestDue time.Duration
	// OldestDueFailing is the same of enabled endpoints that are failing: their FailingSince is
	// not zero.
	OldestDueFailing time.Duration
	// FailingEndpoints counts the enabled endpoints that are failing, and DisabledEndpoints those
	// that are disabled, with deliveries or without.
	FailingEndpoints, DisabledEndpoints int64
}

// storedTime returns the current time, and microsecond a time, with the precision that every store keeps.
func storedTime() time.Time { return microsecond(time.Now()) }

func microsecond(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
