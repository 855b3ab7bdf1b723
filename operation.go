package alotwebhook

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/credential"
	"github.com/alot/alotwebhook/internal/handover"
	"github.com/alot/alotwebhook/internal/typeid"
)

// OperationType is one stable word for what has happened.
type OperationType string

const (
	OpEndpointCreated   OperationType = "endpoint.created"   // it was registered
	OpEndpointChanged   OperationType = "endpoint.changed"   // Note names the fields
	OpEndpointRotated   OperationType = "endpoint.rotated"   // it has a new secret; Note says from when on, if that is later
	OpEndpointDeleted   OperationType = "endpoint.deleted"   // it is gone for good
	OpEndpointFailing   OperationType = "endpoint.failing"   // nothing but failures for Config.WarnFailing, or for half of DisableAfter
	OpEndpointDisabled  OperationType = "endpoint.disabled"  // Note is the DisabledReason
	OpEndpointEnabled   OperationType = "endpoint.enabled"   // what was parked is sent; Note is "proven" after a proof of the URL
	OpEndpointRecovered OperationType = "endpoint.recovered" // a success after endpoint.failing
	OpDeliveryExhausted OperationType = "delivery.exhausted" // no attempt is left; Note is the reason of the last: see Config.ExhaustedOperations
	OpRecoveryBegun     OperationType = "recovery.begun"     // Note says what it is to do
	OpRecoveryEnded     OperationType = "recovery.ended"     // Note says what it has done
	OpPaused            OperationType = "deliveries.paused"  // by Dispatcher.Pause; Note says why
	OpResumed           OperationType = "deliveries.resumed" // by Dispatcher.Resume; Note says why
)

// Operation is something that happened to an endpoint, a delivery or a recovery, stored in the
// transaction of that: the audit trail. It is kept for [Config.HistoryRetention].
// [Dispatcher.Operations] lists operations, and [Config.OnOperation] hears of each.
type Operation struct {
	// ID is "op_" and 26 characters of base32 over a UUIDv7. At is the millisecond in it, by
	// the clock of the dispatcher.
	ID   string        `json:"id"`
	Type OperationType `json:"type"`
	At   time.Time     `json:"at"`
	// OrganizationID and EndpointID are those of the endpoint, of the [Pause] or of the
	// [Recovery], so that both may be "". DeliveryID is that of an exhausted delivery, otherwise "".
	OrganizationID string `json:"organizationId"`
	EndpointID     string `json:"endpointId"`
	DeliveryID     string `json:"deliveryId,omitzero"`
	// Actor is who did it, as [WithActor] says; "" for the dispatcher itself.
	Actor string `json:"actor,omitzero"`
	// Note is for people: at most 512 bytes without a secret, or a URL's path or query.
	Note string `json:"note,omitzero"`
	// Handled says that nobody is to be told any more.
	Handled bool `json:"-"`
	// Claims is how often it was claimed to be handled, this time included; lists may have 0.
	Claims int `json:"-"`
}

// Operations is the role of a [Store] that keeps operations as they are given, but for Claims:
// see [Endpoints] and [Outcome]. One whose id is stored already changes nothing.
type Operations interface {
	// Operations returns a page of the operations that f selects, in descending order of
	// their ids (newest first), and the cursor of the next page; "" after the last. A store
	// may end a page early, as in [History], once it has passed over more than 100 that do
	// not match.
	Operations(ctx context.Context, f OperationFilter) (page []Operation, next string, err error)

	// ClaimOperations leases up to limit operations that are not handled, and returns them in
	// the order of their ids: no other claim returns them before the lease has passed. Those
	// come first that are due longest: since they were stored, their lease has run out, or the
	// time of FinishOperations. Without any it costs next to nothing, however many are stored.
	ClaimOperations(ctx context.Context, limit int, lease time.Duration) ([]Operation, error)

	// FinishOperations has these operations handled for good, or, if again is more than 0,
	// claimed again in that time at the earliest. It leaves alone those that are handled or
	// unknown.
	FinishOperations(ctx context.Context, ids []string, again time.Duration) error
}

// OperationFilter selects operations. A zero field selects all.
type OperationFilter struct {
	OrganizationID, EndpointID string
	Type                       OperationType
	// Since (inclusive) and Until (exclusive), cut to milliseconds, bound At.
	Since, Until time.Time
	// Cursor is an operation id: the page begins below it.
	Cursor string
	// Limit is the size of a page; 0 or less stands for 100.
	Limit int
}

// Operations returns a page of the operations that f selects, newest first, and the cursor of
// the next page; "" after the last. A page may hold fewer than f.Limit although others follow.
func (d *Dispatcher) Operations(ctx context.Context, f OperationFilter) (page []Operation, next string, err error) {
	page, next, err = d.store.Operations(ctx, f)
	return page, next, explain(err, "list not read")
}

// WithActor returns a context that says who does what is done with it: see [Operation]. The
// name is cut to 128 bytes, and each character that is no plain text is replaced.
func WithActor(ctx context.Context, actor string) context.Context { return audit.WithActor(ctx, actor) }

// operation returns an operation that tells of an endpoint.
func (d *Dispatcher) operation(ctx context.Context, kind OperationType, e *Endpoint, note string) Operation {
	id, _ := typeid.New(operationPrefix) // crypto/rand ends the process instead of failing
	at, _ := typeid.Time(operationPrefix, id)
	return Operation{
		ID: id, Type: kind, At: at, OrganizationID: e.OrganizationID, EndpointID: e.ID,
		Actor: audit.Actor(ctx), Note: audit.Note(ctx, note), Handled: d.operations == nil,
	}
}

// told returns the operations that tell of a change of an endpoint.
func (d *Dispatcher) told(ctx context.Context, was, is *Endpoint, rotated bool) (ops []Operation) {
	for _, c := range audit.Changes(was.audited(), is.audited(), rotated) {
		ops = append(ops, d.operation(ctx, OperationType(c.Type), is, c.Note))
	}
	return ops
}

func (e *Endpoint) audited() audit.Endpoint {
	return audit.Endpoint{Credentials: credential.Read(string(e.Credentials)), URL: e.URL, Events: e.EventTypes, Description: e.Description, Rate: e.Rate, Ordered: e.Ordered, PayloadVersion: e.PayloadVersion,
		NextSecretAt: e.NextSecretAt, Disabled: string(e.DisabledReason), FailingSince: e.FailingSince, Warned: e.Warned}
}

// exhausted returns the operation that tells of a delivery that has failed for good, or nil. A
// delivery that carries an operation itself gets none: otherwise they would multiply.
func (d *Dispatcher) exhausted(c *Claimed, o *Outcome) *Operation {
	if !d.cfg.ExhaustedOperations || o.State != StateFailed || c.Test || audit.IsType(c.EventType) {
		return nil
	}
	op := d.operation(context.Background(), OpDeliveryExhausted, c.Endpoint, string(o.Attempt.Reason))
	op.DeliveryID = c.DeliveryID
	return &op
}

// newOperations returns the loop that hands operations over; nil if nobody is to be told.
func (d *Dispatcher) newOperations() *handover.Loop[Operation] {
	if d.cfg.OnOperation == nil && d.cfg.HostOrganization == "" && !d.cfg.CustomerOperations {
		return nil
	}
	return handover.New(handover.Config[Operation]{
		Describe: func(o Operation) handover.Thing { return handover.Thing{ID: o.ID, Claims: o.Claims} },
		Claim:    d.store.ClaimOperations, Finish: d.store.FinishOperations, Call: d.handOver, Log: d.log,
	})
}

// handOver forwards an operation as events, and tells OnOperation. Customers do not hear why the
// host has paused, recovered or canceled something, nor who of its people did.
func (d *Dispatcher) handOver(ctx context.Context, o Operation) (err error) {
	var events []Event
	for _, to := range audit.Told(d.cfg.HostOrganization, d.cfg.CustomerOperations, o.OrganizationID, string(o.Type), o.Note) {
		told := o
		if to != d.cfg.HostOrganization {
			told.EndpointID, told.Actor, told.Note = audit.ForCustomer(string(o.Type), o.EndpointID, o.Actor, o.Note)
		}
		data, err := json.Marshal(told)
		if err != nil {
			return err
		}
		events = append(events, Event{ID: audit.EventID(o.ID, to), Type: string(o.Type), Timestamp: o.At, OrganizationID: to, Data: data})
	}
	if len(events) > 0 {
		err = d.Emit(ctx, events...)
	}
	if err == nil && d.cfg.OnOperation != nil {
		err = d.cfg.OnOperation(d.life.Within(ctx), o)
	}
	return err
}

// withOperations returns the catalogue. If the types of operations are wanted, it has them, too.
func withOperations(types []EventType, wanted bool) []EventType {
	types = slices.Clip(types)
	for _, t := range audit.Types() {
		if wanted && !slices.ContainsFunc(types, func(own EventType) bool { return own.Name == t.Name }) {
			types = append(types, EventType{Name: t.Name, Description: t.Description, Example: t.Example})
		}
	}
	return types
}
