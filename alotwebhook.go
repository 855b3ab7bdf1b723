// Package alotwebhook emits and verifies webhooks, inside the host's process and
// inside the host's transaction, with nothing else to run.
//
// A product tells its customers what happened: it emits an [Event], and every
// [Endpoint] of the organization that subscribes to the event's type gets a
// signed POST request. The customers' services import the same package to
// verify what they receive.
//
// # Emitting
//
// A [Dispatcher] works on a [Store]. [Dispatcher.Emit] returns once the event
// and its deliveries are stored; [Dispatcher.Run], in the same process or in
// others, sends them:
//
//	store, err := sqlite.Open(ctx, "webhooks.db")
//	d, err := alotwebhook.NewDispatcher(store, nil)
//	go d.Run(ctx)
//
//	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", data)
//	err = d.Emit(ctx, event)
//
// With [Dispatcher.EmitTo] an event becomes part of a transaction of the host's
// own: it exists if the business row does.
//
// # Delivery
//
// Deliveries are made at least once, in no promised order. Between two processes
// and across crashes an event can arrive twice, so its ID is the consumer's
// idempotency key. A failed attempt is repeated by the [RetryPolicy], three
// attempts in all by default; then the delivery has failed, which the history
// shows with every attempt and its reason, and can be redelivered, or recovered
// with all that failed since a time. An endpoint that hangs, fails or is disabled
// delays no other. What is meant for a disabled endpoint is parked, not lost.
//
// Requests go to public addresses only, however the customer's URL or its DNS is
// made: see [AllowedAddress].
//
// # Signing
//
// The signature is an HMAC-SHA256 over exactly the bytes of the body: see [Sign].
// The id and the time of the event are inside the body, and so inside the
// signature; the other headers are conveniences that prove nothing. Only those of
// Standard Webhooks, which [Config.StandardWebhooks] adds, are signed: see
// [SignStandard].
//
// # Receiving
//
// A [Receiver] is an [net/http.Handler] that verifies before it parses, and [On]
// adds a typed handler for an event type. A [Deduper] keeps an event that comes
// again from being handled again. [Receiver.Middleware] stands before a handler
// of one's own; [Receiver.Receive], [Verify] and [Verifier] are for what comes
// another way.
//
// # Stores
//
// [MemoryStore] is for tests. Package store/sqlite is the durable default for
// one machine, store/postgres what several share. Both are modules of their own,
// so that whoever only receives imports no database driver. [Store] says what it
// takes to write another; package store/storetest proves it.
//
// # Compatibility
//
// The wire format, that is payload, signature and headers, is published and
// does not change. The Go API follows semantic versioning; while it is at
// version 0, the changelog names every change that breaks a caller. A database
// is migrated forward by opening it with newer code, and refused by older code.
package alotwebhook

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/typeid"
)

// The prefixes of ids.
const (
	eventPrefix    = "evt"
	endpointPrefix = "wh"
	deliveryPrefix = "dlv"
)

// Event is something that happened, told to every [Endpoint] of its
// organization that subscribes to its type.
//
// Make one with [NewEvent], which fills ID and Timestamp. A host that sets ID
// itself gets idempotence: emitting the same ID again changes nothing.
type Event struct {
	// ID is "evt_" and 26 characters of base32 over a UUIDv7 (a TypeID). It is
	// the same over every retry, endpoint and redelivery: the consumer's
	// idempotency key.
	ID string
	// Type is a name of the catalogue, such as "candidate.completed".
	Type string
	// Timestamp is when the event happened, not when it is sent. The payload
	// carries it in UTC with exactly three decimals.
	Timestamp time.Time
	// OrganizationID names the customer whose endpoints hear of the event.
	OrganizationID string
	// Data is the event's own JSON value, passed on byte for byte.
	Data json.RawMessage
}

// Endpoint is where an organization wants to be told of its events.
type Endpoint struct {
	// ID is "wh_" and a TypeID suffix.
	ID string
	// OrganizationID is the owner; it never changes.
	OrganizationID string
	// URL receives the POST requests.
	URL string
	// Description is the customer's own words, at most 256 bytes; may be empty.
	Description string
	// EventTypes are the types subscribed to; never empty, no duplicates.
	EventTypes []string
	// Secret signs what is sent here. It is write-only: [Dispatcher.CreateEndpoint]
	// and [Dispatcher.RotateSecret] return it once, reading an endpoint leaves it empty.
	// A [Store] holds it as the [Sealer] left it.
	Secret Secret
	// NextSecret, when not empty, signs in place of Secret from NextSecretAt on.
	NextSecret   Secret
	NextSecretAt time.Time
	// Disabled endpoints are sent nothing: what is meant for them is parked
	// and goes out once they are enabled again.
	Disabled bool
	// DisabledReason says who or what disabled the endpoint; empty while enabled.
	DisabledReason DisabledReason
	// FailingSince is the first failed attempt since the last successful one;
	// zero while all is well. [Store.Finish] keeps it.
	FailingSince time.Time
	// CreatedAt and UpdatedAt are set by the dispatcher.
	CreatedAt, UpdatedAt time.Time
	// Version counts the changes; an update of an older version is refused with [ErrConflict].
	Version int64
}

// DisabledReason is one stable word for why an endpoint is disabled.
type DisabledReason string

const (
	DisabledByUser  DisabledReason = "user"    // somebody switched it off
	DisabledGone    DisabledReason = "gone"    // it answered 410 Gone
	DisabledFailing DisabledReason = "failing" // nothing but failures for Config.DisableAfter
)

// DeliveryState is where a [Delivery] stands.
type DeliveryState string

const (
	// StatePending is due now, due later, or being attempted.
	StatePending DeliveryState = "pending"
	// StateDelivered was answered with a 2xx status.
	StateDelivered DeliveryState = "delivered"
	// StateFailed ran out of attempts; it can be redelivered.
	StateFailed DeliveryState = "failed"
	// StateParked waits for its disabled endpoint to be enabled.
	StateParked DeliveryState = "parked"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	// ID is [DeliveryID] of the event and the endpoint.
	ID string
	// EventID, EventType, OrganizationID and EndpointID say what goes where.
	EventID, EventType, OrganizationID, EndpointID string
	State                                          DeliveryState
	// CreatedAt is when the delivery was stored, by the store's clock.
	CreatedAt time.Time
	// NextAttemptAt is when a pending delivery is due, or its attempt under
	// way is given up for lost; zero for a finished one.
	NextAttemptAt time.Time
	// FinishedAt is when it was delivered or failed; zero before.
	FinishedAt time.Time
	// AttemptCount is how many attempts are in the history.
	AttemptCount int
	// LastStatusCode and LastReason are those of the newest attempt; zero before the first.
	LastStatusCode int
	LastReason     FailureReason
	// Attempts, oldest first, are filled in by [Dispatcher.Delivery] only, not in lists.
	Attempts []Attempt
}

// Attempt is one HTTP request of a delivery.
type Attempt struct {
	// Number counts from 1 over the delivery's whole life, redeliveries included.
	Number int
	// StartedAt is by the clock of the dispatcher that made the request.
	StartedAt time.Time
	// Duration is from the start to the last byte read or the failure.
	Duration time.Duration
	// StatusCode is the answer's; 0 when there was none.
	StatusCode int
	// Reason is one stable word; empty after a success.
	Reason FailureReason
	// Detail is a sentence for people, at most 256 bytes. It holds no payload, secret or address.
	Detail string
	// ResponseBody is the beginning of the answer, kept only when
	// [Config.KeepResponseBody] asks for it.
	ResponseBody string
}

// FailureReason is one stable word for why an attempt failed.
type FailureReason string

const (
	ReasonTimeout           FailureReason = "timeout"            // no whole answer in time
	ReasonConnectionRefused FailureReason = "connection_refused" // nobody listens there
	ReasonConnectionReset   FailureReason = "connection_reset"   // the connection broke before the answer
	ReasonTLS               FailureReason = "tls"                // no handshake, or a certificate that does not hold
	ReasonDNS               FailureReason = "dns"                // the host name has no address
	ReasonBlockedAddress    FailureReason = "blocked_address"    // the address is not one to be dialled
	ReasonStatus            FailureReason = "status"             // an answer outside 2xx and 3xx
	ReasonRedirect          FailureReason = "redirect"           // a 3xx answer: redirects are not followed
	ReasonResponseTooLarge  FailureReason = "response_too_large" // headers or body past their limits
	ReasonProtocol          FailureReason = "protocol"           // the answer is not HTTP
	ReasonNetwork           FailureReason = "network"            // any other failure to connect, send or read
	ReasonPoison            FailureReason = "poison"             // claimed five times without any outcome
	ReasonEndpointDeleted   FailureReason = "endpoint_deleted"   // the endpoint went away first
	ReasonUnsendable        FailureReason = "unsendable"         // payload erased, or secret or URL not usable
)

func newID(prefix string) (string, error) {
	id, err := typeid.New(prefix)
	if err != nil {
		return "", fmt.Errorf("alotwebhook: %w", err)
	}
	return id, nil
}

// DeliveryID returns the id of the delivery of an event to an endpoint. It depends
// on the two alone: an event that is stored again after an ambiguous commit gets the
// same deliveries. It begins with the event id's millisecond: order by id is order
// by age.
//
// The ids must be well formed, as those in a [Store] are. Other ids give an id
// without meaning.
func DeliveryID(eventID, endpointID string) string {
	delivery, _ := typeid.Parse(eventPrefix, eventID)
	// Both ids have a fixed length, so that no other pair joins to the same text.
	sum := sha256.Sum256([]byte(eventID + endpointID))
	copy(delivery[6:], sum[:])
	typeid.SetV7(&delivery)
	return typeid.Format(deliveryPrefix, delivery)
}
