package alotwebhook

import (
	"context"
	"errors"
	"time"
)

// Errors that a [Store] returns, wrapped or not; callers test with [errors.Is].
var (
	// ErrNotFound: no endpoint, delivery, event or recovery has that id.
	ErrNotFound = errors.New("alotwebhook: not found")
	// ErrConflict: the endpoint or the recovery was changed since it was read; read it again.
	ErrConflict = errors.New("alotwebhook: changed meanwhile")
)

// Store keeps events, endpoints, deliveries and their history. Three roles
// make it up, each small enough to implement for a database of one's own in
// an afternoon; package storetest proves the result.
//
// # Rules for implementers
//
// All methods may be called from many goroutines at once, and, where the
// database is shared, from many processes. A method that returned nil has
// stored what it says durably and atomically: all of its batch or nothing.
// A method that returned an error may be called again with the same
// arguments without harm. The arguments' slices and maps are the caller's
// once the method returned; what a method returns is the caller's too,
// except that a Payload and an Endpoint of [Claimed] are read-only and may be
// shared.
//
// Time: due times, leases and creation times are judged by the store's own
// clock alone (the database's, where there is one), never by the caller's.
// That is why durations go in and out, not instants. Times are kept to the
// microsecond or better.
//
// Secrets are opaque text to the store: kept as they are, never logged.
type Store interface {
	Queue
	Endpoints
	History
}

// Enqueuer stores events with their deliveries. A [Store] is one; so is what
// a store's Tx method gives for a transaction of the host's own.
type Enqueuer interface {
	// Enqueue stores the events and, for each, one delivery per endpoint of
	// the organization that subscribes to the type: pending and due at once,
	// or parked while the endpoint is disabled. The delivery's id is
	// [DeliveryID]. An event id that is stored already changes nothing, even
	// if the subscriptions or the event are different now; the same id twice
	// in one call counts once. An event that nobody subscribes to is stored
	// all the same.
	//
	// The events are valid: the dispatcher checked them.
	Enqueue(ctx context.Context, events []Event) error
}

// Queue is the role that moves deliveries on.
type Queue interface {
	Enqueuer

	// EnqueueTo stores the event with one delivery, to that endpoint alone,
	// whatever it subscribes to: how a test event is sent. [ErrNotFound] when
	// there is no such endpoint.
	EnqueueTo(ctx context.Context, endpointID string, event Event) error

	// Claim leases due deliveries of endpoints that are not disabled and
	// returns them with payload and endpoint.
	//
	//   - Never more than Limit in all, and of one endpoint never more than
	//     PerEndpoint − Busy[its id].
	//   - Within an endpoint, those due longest first.
	//   - Endpoints take turns: with several that have due deliveries and
	//     free slots, no endpoint's backlog goes before another's turn, and
	//     whoever did not fit into this claim comes first in the next.
	//   - Each is leased: not due again before Lease has passed. When it has
	//     passed without a Finish, the delivery is due again by itself.
	//   - Each carries a fencing Token that no other claim of the same delivery
	//     carried.
	//   - The cost depends on the batch, not on the backlog, on the history or
	//     on what disabled and busy endpoints have waiting.
	Claim(ctx context.Context, c ClaimRequest) (ClaimResult, error)

	// Finish records outcomes: the attempt goes into the history and the
	// delivery takes its next state, all in one transaction. An outcome whose
	// Token is not that of the delivery's newest claim changes nothing, and the
	// delivery's id is returned in lost; the others of the batch count. A claim
	// whose lease ran out is still the newest until somebody else claims.
	//
	//   - [StateDelivered] and [StateFailed] end the delivery.
	//   - [StatePending] makes it due again in NextAttemptIn, and visible for
	//     claims at once when that is zero or less.
	//   - An outcome without an attempt (Attempt.Number 0) adds nothing to the
	//     history. With StatePending it is a release: the delivery is as if it
	//     had not been claimed.
	//
	// Finish also keeps [Endpoint.FailingSince]: a failed attempt sets it to
	// the attempt's StartedAt if it is zero, a successful one clears it. That
	// does not count as a change of Version.
	Finish(ctx context.Context, outcomes []Outcome) (lost []string, err error)

	// Redeliver makes deliveries due at once: finished ones become pending
	// again with their attempts kept and their schedule begun anew; a pending
	// one that waits for its time waits no longer. One that is leased just
	// now, one that is unknown, one whose endpoint or payload is gone is left
	// alone. It returns how many were made due.
	Redeliver(ctx context.Context, deliveryIDs []string) (int, error)
}

// ClaimRequest is what a dispatcher has room for.
type ClaimRequest struct {
	// Limit is the most deliveries to return; at least 1.
	Limit int
	// PerEndpoint is how many slots each endpoint has; at least 1.
	PerEndpoint int
	// Lease is how long the claimed deliveries stay out of others' sight.
	Lease time.Duration
	// Busy holds, by endpoint id, how many of its slots are in use or
	// withheld; absent is none. A value of PerEndpoint or more excludes it.
	Busy map[string]int
}

// ClaimResult is what a claim got.
type ClaimResult struct {
	Deliveries []Claimed
	// NextIn is how long until the next delivery of an enabled endpoint falls
	// due that is not due yet, leased ones included; 0 when there is none.
	// Deliveries that are due but were left for want of a slot do not count.
	NextIn time.Duration
}

// Claimed is a delivery under lease, with all that an attempt needs.
type Claimed struct {
	DeliveryID string
	// Token fences: it is given back in [Outcome]. It is never 0.
	Token int64
	// Attempt is the number that the attempt to come will bear, from 1.
	Attempt int
	// Try is the same counted from the last redelivery: what the schedule goes by.
	Try int
	// Claims is how often the delivery was claimed since its last outcome or
	// release, this claim included.
	Claims int
	// EventID and EventType are the event's.
	EventID, EventType string
	// Payload is what [Event.Payload] gave; nil if it was erased.
	Payload []byte
	// Endpoint may be shared by all claims of the batch. Read-only.
	Endpoint *Endpoint
}

// Outcome is how a claimed delivery goes on.
type Outcome struct {
	DeliveryID string
	// Token is that of [Claimed].
	Token int64
	// Attempt is what was tried; Number 0 if nothing was.
	Attempt Attempt
	// State is the delivery's next one: pending, delivered or failed.
	State DeliveryState
	// NextAttemptIn is when a pending delivery falls due again.
	NextAttemptIn time.Duration
}

// Endpoints is the role that keeps who wants to hear of what.
type Endpoints interface {
	// PutEndpoint stores a new endpoint (Version 0) or replaces the stored one
	// if its version is still e.Version; otherwise [ErrConflict], or
	// [ErrNotFound] when it is gone. The stored version is e.Version + 1. All
	// fields are stored as given. Disabling parks the endpoint's pending
	// deliveries, enabling frees the parked ones with the due times that they have.
	// Both take effect at once, whatever the backlog.
	PutEndpoint(ctx context.Context, e Endpoint) error

	// Endpoint returns one, or [ErrNotFound].
	Endpoint(ctx context.Context, id string) (Endpoint, error)

	// Endpoints returns a page of the matching ones, in the order of their
	// ids, and the cursor of the next page; "" after the last.
	Endpoints(ctx context.Context, f EndpointFilter) (page []Endpoint, next string, err error)

	// DeleteEndpoint removes the endpoint for good, or returns [ErrNotFound].
	// Its unfinished deliveries are failed with [ReasonEndpointDeleted], which is
	// not an attempt; their history stays readable.
	DeleteEndpoint(ctx context.Context, id string) error

	// PutRecovery stores an endpoint's recovery: the first that the endpoint
	// has (Version 0), or in place of the stored one if that is still at
	// r.Version; otherwise [ErrConflict]. The stored version is r.Version + 1.
	// All fields are stored as given. Deleting the endpoint changes nothing
	// in its recovery.
	PutRecovery(ctx context.Context, r Recovery) error

	// Recoveries returns a page of the matching ones, in the order of their
	// endpoints' ids, and the cursor of the next page; "" after the last. That
	// of one endpoint, and those that run, are found quickly among many others:
	// every process looks for the latter every few seconds.
	Recoveries(ctx context.Context, f RecoveryFilter) (page []Recovery, next string, err error)
}

// EndpointFilter selects endpoints; zero fields select all.
type EndpointFilter struct {
	// OrganizationID is the owner.
	OrganizationID string
	// Cursor continues a listing behind that endpoint id.
	Cursor string
	// Limit is the page's size, 100 when it is 0.
	Limit int
}

// RecoveryFilter selects recoveries; zero fields select all.
type RecoveryFilter struct {
	EndpointID string
	State      RecoveryState
	// Cursor continues a listing behind that endpoint id.
	Cursor string
	// Limit is the page's size, 100 when it is 0.
	Limit int
}

// History is the role that people read.
type History interface {
	// Event returns a stored event, or [ErrNotFound], also when its payload was erased.
	Event(ctx context.Context, id string) (Event, error)

	// Deliveries returns a page of the matching ones, without their attempts,
	// in descending order of their ids (newest first), and the cursor of the
	// next page; "" after the last.
	//
	// A page may hold fewer than Limit, even none, although others follow: where
	// a store would have to pass over more than 100 deliveries that do not
	// match, it may give what it has found. So every page is quick, whatever is
	// selected out of however much.
	Deliveries(ctx context.Context, f Filter) (page []Delivery, next string, err error)

	// Delivery returns one with its attempts, or [ErrNotFound].
	Delivery(ctx context.Context, id string) (Delivery, error)

	// Purge erases and deletes what has passed its time, at most Limit rows
	// of each kind, and says how much that was. Nothing unfinished is touched.
	// Recoveries that do not run any more go, uncounted, when their endpoint is
	// gone and History has passed since their UpdatedAt.
	Purge(ctx context.Context, p PurgeRequest) (PurgeResult, error)

	// Stats counts the queue.
	Stats(ctx context.Context) (Stats, error)
}

// Filter selects deliveries; zero fields select all.
type Filter struct {
	OrganizationID string
	EndpointID     string
	EventID        string
	EventType      string
	State          DeliveryState
	// Since and Until bound the creation time of the event id, from Since
	// (inclusive) to Until (exclusive), in whole milliseconds.
	Since, Until time.Time
	// Cursor continues a listing below that delivery id: the last one of the
	// page before or, if that was cut short, the last one looked at.
	Cursor string
	// Limit is the page's size, 100 when it is 0.
	Limit int
}

// PurgeRequest says how long things are kept, counted from when a delivery
// was finished, or an event without one was stored. 0 keeps for ever.
type PurgeRequest struct {
	// Payloads is how long the payload of an event with only finished deliveries is kept.
	Payloads time.Duration
	// History is how long finished deliveries, their attempts and their events are kept.
	History time.Duration
	// Tallies is how long an hour's tallies are kept, counted from its beginning;
	// nothing to a store that is no [Tallier].
	Tallies time.Duration
	// Limit bounds the rows of one call, so that none takes long; 1,000 when it is 0.
	Limit int
}

// PurgeResult counts what a purge did. A host calls again while any reached Limit.
type PurgeResult struct {
	Payloads, Deliveries, Events, Tallies int
}

// Stats describes the queue at one moment.
type Stats struct {
	// Pending counts unfinished deliveries to enabled endpoints: due, waiting and under way.
	Pending int64
	// Parked counts those that wait for a disabled endpoint.
	Parked int64
	// OldestDue is how long the delivery due longest has been due; 0 when none is.
	OldestDue time.Duration
}

// Notifier is an optional capability of a [Store] that several processes
// share: word from one to the others that something was emitted, faster than
// their polling. A dispatcher that finds it uses it; nothing depends on it, so
// it may lose a word.
type Notifier interface {
	// Notify sends word soon and returns at once. Calls in quick succession
	// may be put together, so long as word is sent after the last one.
	Notify()
	// Listen calls heard once it listens and for each word from any process,
	// in the goroutine that called it, until ctx is done. It returns when it
	// cannot go on; the dispatcher calls it again.
	Listen(ctx context.Context, heard func()) error
}

// notifier finds the capability, or returns nil.
func notifier(s Store) Notifier {
	n, _ := s.(Notifier)
	return n
}
