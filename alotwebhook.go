// Package alotwebhook emits and verifies webhooks, inside the host's process and inside
// the host's transaction, with nothing else to run.
//
// A product tells its customers what happened: it emits an [Event], and every [Endpoint]
// of the customer that subscribes to the event's type gets a signed POST request. The
// customers' services import the same package to verify the requests.
//
// # Emitting
//
// A [Dispatcher] works on a [Store]. [Dispatcher.Emit] returns once the event and its
// deliveries are stored. [Dispatcher.Run], in the same process or in others, sends them.
// A program that emits and delivers, in short:
//
//	store, err := sqlite.Open(ctx, "webhooks.db")
//	dispatcher, err := alotwebhook.NewDispatcher(store, nil)
//	done := make(chan error, 1)
//	go func() { done <- dispatcher.Run(ctx) }()
//
//	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", data)
//	err = dispatcher.Emit(ctx, event)
//
//	err = <-done // once ctx is done, Run lets the attempts in flight finish
//
// [Dispatcher.EmitTo] makes an event part of a transaction of the host's own: the event
// exists if the business row does.
//
// # Delivery
//
// Every delivery is made at least once, in no promised order unless [Endpoint.Ordered] asks
// for one. A crash, or a response that gets lost, can make an event arrive twice: its ID is
// the consumer's idempotency key.
//
// The [RetryPolicy] says when a failed attempt is repeated; by default there are three
// attempts. Then the delivery has failed. The history shows it with every attempt and its
// reason. [Dispatcher.Redeliver] sends it again, and [Dispatcher.Recover] all that failed
// since a time.
//
// An endpoint that hangs, fails or is disabled delays no other. Deliveries to a disabled
// endpoint are parked until it is enabled, not lost.
//
// Requests go to public addresses only, wherever the customer's URL or its DNS points: see
// [AllowedAddress].
//
// # Signing
//
// The signature is an HMAC-SHA256 of exactly the bytes of the body: see [Sign]. The id and
// the time of the event are inside the body, and so they are signed. All other headers are
// conveniences that prove nothing, except those of Standard Webhooks, which
// [Config.StandardWebhooks] adds: see [SignStandard].
//
// # Receiving
//
// A [Receiver] is an [net/http.Handler] that verifies before it parses. [On] adds a typed
// handler for an event type. A [Deduper] keeps an event that arrives again from being
// handled again. [Receiver.Middleware] stands in front of a handler of one's own.
// [Receiver.Receive], [Verify] and [Verifier] are for events that do not come by HTTP.
//
// # Stores
//
// Package store/memory is for tests: it forgets everything when the process ends. Package
// store/sqlite is the durable default for one machine, and store/postgres is for several
// machines that share a database. The last two are modules of their own, so that somebody
// who only receives imports no database driver. [Store] has the rules for a store of one's
// own, and package store/storetest tests them.
//
// # Compatibility
//
// The wire format is published and does not change: the payload, the signature and the
// headers. The Go API follows semantic versioning; while it is at version 0, the changelog
// names every change that breaks a caller. Newer code migrates a database forward when it
// opens it; from then on, older code refuses the database.
package alotwebhook

import (
	"encoding/json"
	"time"

	"github.com/alot/alotwebhook/internal/typeid"
)

// The prefixes of ids, without the "_" behind them.
const (
	eventPrefix     = "evt"
	endpointPrefix  = "wh"
	deliveryPrefix  = "dlv"
	operationPrefix = "op"
	recoveryPrefix  = "rec"
)

// Event is something that happened. Every [Endpoint] of its organization that subscribes
// to its type is told of it.
//
// Make one with [NewEvent], which fills in ID and Timestamp. A host may set an ID of its
// own making instead: emitting an ID again changes nothing.
type Event struct {
	// ID is a TypeID: "evt_" and 26 characters of base32 over a UUIDv7 (RFC 9562). It is
	// the same in every attempt, to every endpoint and in every redelivery: the
	// consumer's idempotency key.
	ID string
	// Type is a name of the catalogue, such as "candidate.completed".
	Type string
	// Timestamp is when the event happened, not when it is sent: in the years 0 to 9999
	// and not zero. The payload has it in UTC, cut to milliseconds.
	Timestamp time.Time
	// OrganizationID names the customer whose endpoints are told: 1 to 255 bytes of UTF-8
	// without control characters.
	OrganizationID string
	// Data is the event's own JSON value, in UTF-8. It is sent byte for byte.
	Data json.RawMessage
	// TraceParent is the W3C traceparent of the span that emitted the event, in version 00, such as
	// "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"; "" for none. It is stored for the
	// sender's own traces, and is no part of the payload: [ParseEvent] leaves it empty.
	// See https://www.w3.org/TR/trace-context/#traceparent-header.
	TraceParent string
	// Subject is whom the event is about, as a key that says nothing to others: the id of a
	// candidate, at most 128 bytes of plain text; "" for nobody. It is stored, so that
	// [Dispatcher.Erase] and a [Filter] find the event by it, and never sent.
	Subject string
	// Test is set by [Dispatcher.SendTest], and by a [Receiver] after [TestHeader]. It is stored,
	// and no part of the payload.
	Test bool
}

// Endpoint is a URL at which an organization wants to be told of its events.
type Endpoint struct {
	// ID is a TypeID: "wh_" and 26 characters of base32.
	ID string
	// OrganizationID is the owner, as in [Event]. It never changes.
	OrganizationID string
	// URL receives the POST requests: at most 2,048 bytes of printable ASCII, https, on
	// port 443 or from 1024 on, with a public host and without user, password or fragment.
	// [Config.AllowHTTP] and [Config.AllowNets] allow more.
	URL string
	// URLs is how many other URLs the endpoint had before this one.
	URLs int
	// Description is the customer's own text: at most 256 bytes of UTF-8 without control
	// characters; may be empty.
	Description string
	// EventTypes are the types that the endpoint subscribes to: at least one, each in the
	// catalogue, none twice. [Config.Wildcards] allows "*", and "candidate.*".
	EventTypes []string
	// Rate is the most requests a second that the endpoint gets, from 0.01 to 10,000; 0 stands
	// for [Config.Rate]. They are spread evenly: at once come those of a tenth of a second, or one.
	// Each attempt counts. The rate holds for all processes together if the store has one at a time
	// send to an endpoint, as those of this module do. When another takes over, one more may come.
	Rate float64
	// Ordered has the endpoint get one delivery at a time, in the order in which the events were
	// emitted. While one waits for its next attempt, those behind it wait as well. If that comes
	// later than [Config.OrderedWait] after the first failed one, they overtake it at once. A
	// finished delivery that is redelivered or recovered comes behind what is due.
	Ordered bool
	// PayloadVersion is the one of [Config.PayloadVersions] that it gets; "" stands for the first.
	PayloadVersion string
	// Secret signs the requests: 16 to 256 bytes of UTF-8 without control characters, and
	// without white space at its ends. It is write-only: [Dispatcher.CreateEndpoint]
	// returns it once, and no method that reads endpoints does. A [Store] holds it as the
	// [Sealer] left it.
	Secret Secret
	// NextSecret, if not empty, signs in place of Secret from NextSecretAt on: see
	// [Dispatcher.RotateSecret].
	NextSecret   Secret
	NextSecretAt time.Time
	// Headers go out with each request, beside ours: up to 10, none twice, at most 4 KiB together. An
	// update keeps them if this is nil, and otherwise has these and no others; one without a Value
	// keeps that of its name. No value is kept if the URL changes: give it again.
	Headers []Header
	// ClientCertificate is sent to a server that demands one, over connections that no other endpoint
	// uses. An update keeps it if this is nil or as it was read, and removes it if it is zero. It is
	// not kept if the URL changes. Nil is none: [Config.ClientCertificate] then holds.
	ClientCertificate *ClientCertificate
	// Credentials is for a [Store], which keeps it in the place of Headers and ClientCertificate: a
	// text with their values as the [Sealer] left them.
	Credentials Secret
	// Disabled stops all requests to the endpoint. Its deliveries are parked, and sent
	// once it is enabled again: see [Dispatcher.EnableEndpoint].
	Disabled bool
	// DisabledReason says who or what disabled the endpoint; empty while it is enabled.
	DisabledReason DisabledReason
	// DisabledAt is when it was disabled, by the store's clock; zero while it is enabled.
	DisabledAt time.Time
	// FailingSince is when the first failed attempt since the last successful one was
	// started; zero if the last one succeeded. [Queue.Finish] keeps it.
	FailingSince time.Time
	// Warned is how often [OpEndpointFailing] has told of these failures: 0, 1 or 2.
	Warned int
	// CreatedAt and UpdatedAt are by the clock of the dispatcher that made the change.
	CreatedAt, UpdatedAt time.Time
	// Version counts the changes, from 1. An update of an older version is refused with
	// [ErrConflict].
	Version int64
}

// DisabledReason is one stable word for the reason why an endpoint is disabled.
type DisabledReason string

const (
	DisabledByUser   DisabledReason = "user"     // somebody disabled it
	DisabledGone     DisabledReason = "gone"     // its response was 410 Gone
	DisabledFailing  DisabledReason = "failing"  // all attempts failed for Config.DisableAfter
	DisabledUnproven DisabledReason = "unproven" // its URL is still to be proven: see Config.ProveURLs
)

// DeliveryState is the state of a [Delivery]. docs/architecture.md shows how they follow
// on one another.
type DeliveryState string

const (
	// StatePending says that the delivery is due, waits for its next attempt, or is being
	// attempted.
	StatePending DeliveryState = "pending"
	// StateDelivered says that the delivery got a 2xx response.
	StateDelivered DeliveryState = "delivered"
	// StateFailed says that the delivery has no attempt left. It can be redelivered while
	// its endpoint and its payload exist.
	StateFailed DeliveryState = "failed"
	// StateParked says that the delivery waits until its disabled endpoint is enabled, for
	// [Config.ParkedRetention] at most.
	StateParked DeliveryState = "parked"
	// StateUnfinished selects pending and parked deliveries in a [Filter]. None is in it.
	StateUnfinished DeliveryState = "unfinished"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	// ID is the [DeliveryID] of the event and the endpoint.
	ID string
	// EventID, EventType and OrganizationID are those of the event, EndpointID is that of
	// the endpoint.
	EventID, EventType, OrganizationID, EndpointID string
	// Test is the event's.
	Test  bool
	State DeliveryState
	// CreatedAt is when the delivery was stored, by the store's clock.
	CreatedAt time.Time
	// NextAttemptAt is when an unfinished delivery is due. While it is being attempted, that
	// is when it fell due, or when its lease runs out. It is zero for a finished one.
	NextAttemptAt time.Time
	// WaitsFor is the id of the delivery that this one waits for, although it is due, because the
	// endpoint is ordered; otherwise "". WaitsUntil is when that one is overtaken at the latest;
	// it is zero until an attempt of that one has failed.
	WaitsFor   string
	WaitsUntil time.Time
	// FinishedAt is when the delivery was delivered or failed; zero before.
	FinishedAt time.Time
	// AttemptCount is the number of attempts, those included that are not kept any more.
	AttemptCount int
	// LastStatusCode and LastReason are those of the newest attempt; zero before the first.
	// LastReason is that of the delivery's end if no attempt ended it, as [ReasonExpired].
	LastStatusCode int
	LastReason     FailureReason
	// Attempts are filled in by [Dispatcher.Delivery] only, oldest first. In lists they
	// are nil. Of many, the newest are kept: see [KeptAttempts].
	Attempts []Attempt
}

// Attempt is one attempt of a delivery: an HTTP request, or the reason why none could be
// made.
type Attempt struct {
	// Number counts from 1 over the delivery's whole life, redeliveries included.
	Number int
	// StartedAt is by the clock of the dispatcher that made the attempt.
	StartedAt time.Time
	// URL is what the endpoint had as its URL when the delivery was claimed, also if it was changed since;
	// "" once that was over 100 times or it is deleted, and until [Dispatcher.Delivery] fills it in.
	URL string
	// Duration is the time from StartedAt to the last byte that was read, or to the failure;
	// always 0 with [ReasonBlockedAddress].
	Duration time.Duration
	// StatusCode is that of the response; 0 if there was none.
	StatusCode int
	// Reason says why the attempt failed; empty after a success.
	Reason FailureReason
	// Detail is a sentence for people, at most 256 bytes. It holds no payload, no secret
	// and no address.
	Detail string
	// ResponseHeaders are those of the response, one a line, up to [Config.KeepResponseHeaders].
	// A [Store] does not know them: it keeps them as a part of ResponseBody.
	ResponseHeaders string
	// ResponseBody is the first [Config.KeepResponseBody] bytes of the response's body,
	// made valid UTF-8.
	ResponseBody string
}

// FailureReason is one stable word for the reason why an attempt or a delivery failed.
type FailureReason string

const (
	ReasonTimeout           FailureReason = "timeout"            // no complete header of a response in time: Config.Timeout, ConnectTimeout, TLSTimeout
	ReasonConnectionRefused FailureReason = "connection_refused" // nothing listens at that host and port
	ReasonConnectionReset   FailureReason = "connection_reset"   // the connection ended before the header of a response was complete
	ReasonTLS               FailureReason = "tls"                // the TLS handshake failed, or the certificate is not valid
	ReasonDNS               FailureReason = "dns"                // the host name has no address, or could not be looked up
	ReasonBlockedAddress    FailureReason = "blocked_address"    // the address is not public: see AllowedAddress
	ReasonStatus            FailureReason = "status"             // the status is neither 2xx nor 3xx
	ReasonRedirect          FailureReason = "redirect"           // the status is 3xx; redirects are not followed
	ReasonResponseTooLarge  FailureReason = "response_too_large" // the headers exceed Config.MaxResponseHeader
	ReasonProtocol          FailureReason = "protocol"           // the response is not HTTP
	ReasonNetwork           FailureReason = "network"            // any other failure to connect, send or read
	ReasonNoRoute           FailureReason = "no_route"           // this machine has no way to the address, such as no IPv6; no request was made
	ReasonProxyRefused      FailureReason = "proxy_refused"      // the host's own proxy lets nothing through to that host: see Config.Proxy
	ReasonPoison            FailureReason = "poison"             // claimed five times without an outcome; no request was made
	ReasonEndpointDeleted   FailureReason = "endpoint_deleted"   // the endpoint was deleted; no further attempt was made
	ReasonExpired           FailureReason = "expired"            // parked for longer than Config.ParkedRetention; no further attempt was made
	ReasonDiscarded         FailureReason = "discarded"          // discarded by Dispatcher.EnableEndpoint; no further attempt was made
	ReasonCanceled          FailureReason = "canceled"           // by Dispatcher.CancelMany; no further attempt was made
	ReasonErased            FailureReason = "erased"             // erased by Dispatcher.Erase; no further attempt was made
	ReasonConversion        FailureReason = "conversion"         // the payload version could not be made, which is not the receiver's fault
	ReasonUnsendable        FailureReason = "unsendable"         // the payload was erased, or the secret or the URL is not usable
)

// The faults of [Config.Proxy] that [Health] tells of. No attempt has one: none is counted.
const (
	ReasonProxyUnreachable    FailureReason = "proxy_unreachable"    // it does not answer, or not as a proxy does
	ReasonProxyAuthentication FailureReason = "proxy_authentication" // it does not take the credentials
)

// blameless reports whether the host is the cause, and the receiver has no part in it.
func (r FailureReason) blameless() bool {
	return r == ReasonProxyRefused || r == ReasonConversion || r == ReasonNoRoute || r == ReasonUnsendable
}

// DeliveryID returns the id of the delivery of an event to an endpoint: "dlv_" and 26
// characters of base32 over a UUIDv7 (RFC 9562). It depends on the two ids alone, so that
// an event that is stored again after an ambiguous commit gets the same deliveries. It
// begins with the time in the event's id, so that the order of ids is the order by age.
//
// The ids must be well formed, as those in a [Store] are. Other ids give an id without
// meaning.
func DeliveryID(eventID, endpointID string) string {
	return typeid.Derived(deliveryPrefix, eventPrefix, eventID, endpointID)
}
