package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/selection"
	"github.com/alot/alotwebhook/internal/unwrap"
)

// ErrRecovering is returned by [Dispatcher.Recover] while a recovery of the
// endpoint is running. Wait for its end, or stop it with [Dispatcher.StopRecovery].
var ErrRecovering = errors.New("alotwebhook: a recovery of the endpoint is running")

// RecoveryState is where a [Recovery] stands.
type RecoveryState string

const (
	RecoveryRunning RecoveryState = "running" // under way, or waiting for a process that runs
	RecoveryDone    RecoveryState = "done"    // every failed delivery was sent again or skipped
	RecoveryStopped RecoveryState = "stopped" // ended by [Dispatcher.StopRecovery], or because the endpoint was deleted

	// In the place of running and done, when parked deliveries are discarded:
	RecoveryDiscarding RecoveryState = "discarding" // under way; the endpoint is enabled at its end
	RecoveryDiscarded  RecoveryState = "discarded"  // all were discarded

	// In the place of running and done, when unfinished deliveries are canceled:
	RecoveryCanceling RecoveryState = "canceling" // under way
	RecoveryCanceled  RecoveryState = "canceled"  // all were canceled

	// In the place of running and done, when events that the endpoint never got are sent to it:
	RecoverySending RecoveryState = "sending" // under way
	RecoverySent    RecoveryState = "sent"    // all were sent or skipped

	// In the place of running and done, when personal data is erased:
	RecoveryErasing  RecoveryState = "erasing"  // under way
	RecoveryErased   RecoveryState = "erased"   // all was erased
	RecoveryRemoving RecoveryState = "removing" // all of an organization is being removed
	RecoveryRemoved  RecoveryState = "removed"  // all of it was
)

// endOf has the states of a recovery that is under way, each with that of one that has done all.
var endOf = map[RecoveryState]RecoveryState{
	RecoveryRunning: RecoveryDone, RecoveryDiscarding: RecoveryDiscarded, RecoveryCanceling: RecoveryCanceled,
	RecoverySending: RecoverySent, RecoveryErasing: RecoveryErased, RecoveryRemoving: RecoveryRemoved,
}

// Active reports whether the work is under way.
func (s RecoveryState) Active() bool { return endOf[s] != "" }

// Recovery sends the failed deliveries of an endpoint again, in the background: see
// [Dispatcher.Recover]. Or it discards parked ones: see [Dispatcher.EnableEndpoint]. An
// endpoint has one recovery at a time; a new one takes the place of the last. A recovery over
// many endpoints sends failed deliveries of all of them, cancels unfinished ones, erases events or
// removes an organization: see [Dispatcher.RecoverMany], [Dispatcher.CancelMany],
// [Dispatcher.Erase] and [Dispatcher.Remove]. Any number of those can be under way.
type Recovery struct {
	// EndpointID and OrganizationID are those of the endpoint. Over many endpoints, EndpointID
	// is the recovery's own id, "rec_" and 26 characters, and OrganizationID is the only one
	// whose deliveries are selected; "" for all.
	EndpointID, OrganizationID string
	State                      RecoveryState
	// EventID, EventType and Reason select deliveries of that event, of that type, and with that
	// [Delivery.LastReason]; "" for all.
	EventID, EventType string
	Reason             FailureReason
	// Subject selects what is erased of that [Event.Subject]. It is "" again once that is done.
	Subject string
	// FailedSince (inclusive) and FailedUntil (exclusive) bound the time when the deliveries
	// failed, [Delivery.FinishedAt]. Zero is no bound.
	FailedSince, FailedUntil time.Time
	// Actor is who began it, see [WithActor], and Note why: at most 256 bytes of plain text.
	Actor, Note string
	// Since (inclusive) and Until (exclusive) bound the time in the ids of the events,
	// in whole milliseconds. A zero Since is no bound; Until is when the recovery began.
	Since, Until time.Time
	// Oldest is the later of Since and the time when the endpoint was created: before it
	// there is nothing to recover; or what sending has come to. It is for [Recovery.Progress] alone.
	Oldest time.Time
	// Recovered counts the deliveries that were sent again. Skipped counts those that
	// could not be: their payload was erased, or they were no longer failed. While deliveries
	// are discarded or canceled, Skipped counts these, and events while these are erased or removed.
	Recovered, Skipped int64
	// Cursor is the id of the delivery, or of the event that is erased, below which the recovery
	// goes on, or a place in a feed; "" before its first page.
	Cursor string
	// CreatedAt is when the recovery began, UpdatedAt when it last went on, FinishedAt
	// when it ended, zero while it runs. All are by the clocks of the dispatchers.
	CreatedAt, UpdatedAt, FinishedAt time.Time
	// Version counts the changes since the endpoint's first recovery. A store refuses a
	// change of an older version with [ErrConflict].
	Version int64
}

// Progress returns how much is done, from 0 to 1. Deliveries and events are gone through newest first,
// and Progress is the share of the time from Until back to Oldest that the recovery has
// passed. It is a good measure of the work where failures are spread evenly over that
// time. It needs no count of them.
func (r Recovery) Progress() float64 {
	if !r.State.Active() && r.State != RecoveryStopped {
		return 1
	}
	if r.State == RecoverySending {
		return selection.Share(r.Since, r.Oldest, r.Until)
	}
	return selection.Progress(r.Cursor, r.Until, r.Oldest)
}

// Recover begins to send again the failed deliveries of an endpoint, of all events since
// the given time; a zero time means all that there are. It stores the recovery and
// returns at once. Any process that runs does the work, newest deliveries first,
// [Config.RecoverPerSecond] at a time. If that process ends or is killed, another one, or
// the next that runs, goes on within about 20 seconds. [Dispatcher.Recovery] returns how
// far it is.
//
// Each delivery that is failed when the recovery comes to it is sent again once, with a new
// schedule; if it fails again, it stays failed. What was canceled is left out. Deliveries of a
// disabled endpoint are parked, and sent when it is enabled. A recovery stops when its endpoint is
// deleted.
//
// The error is [ErrRecovering] while a recovery of the endpoint is running,
// [ErrNotFound] if there is no such endpoint, a [FieldError] if since is not in the past,
// and a [LimitError] beyond [Config.ChangesPerMinute].
func (d *Dispatcher) Recover(ctx context.Context, endpointID string, since time.Time) (Recovery, error) {
	return d.recoverSince(ctx, endpointID, since, RecoveryRunning)
}

// SendMissed begins to send to an endpoint, in the background as [Dispatcher.Recover] does, the events
// since the given time that it never got, oldest first, of the types that it subscribes to now. It skips
// an event of which the endpoint has a delivery, whatever became of that, and leaves out those without a
// payload. It is the endpoint's recovery, with the errors of Recover, and an [errors.ErrUnsupported] if
// the store does not do that.
func (d *Dispatcher) SendMissed(ctx context.Context, endpointID string, since time.Time) (Recovery, error) {
	if unwrap.To[backfiller](d.store.Store) == nil {
		return Recovery{}, explain(errors.ErrUnsupported, "the store sends no missed events")
	}
	return d.recoverSince(ctx, endpointID, since, RecoverySending)
}

// recoverSince begins a recovery of one endpoint.
func (d *Dispatcher) recoverSince(ctx context.Context, endpointID string, since time.Time, state RecoveryState) (Recovery, error) {
	endpoint, err := d.Endpoint(ctx, endpointID)
	if err = cmp.Or(err, invalid(struct{ Since time.Time }{since})); err != nil {
		return Recovery{}, err
	}
	now := storedTime()
	// Ids have whole milliseconds. An event of the current one is recovered, too.
	until := now.Truncate(time.Millisecond).Add(time.Millisecond)
	if !since.Before(until) {
		return Recovery{}, &FieldError{Field: "since", Problem: "is not in the past; give the time since which deliveries are to be recovered"}
	}
	begun := Recovery{
		EndpointID: endpointID, OrganizationID: endpoint.OrganizationID, State: state,
		Since: since.UTC().Truncate(time.Millisecond), Until: until, Oldest: endpoint.CreatedAt,
		CreatedAt: now,
	}
	if since.IsZero() {
		begun.Since = time.Time{}
	} else if since.After(begun.Oldest) || state == RecoverySending {
		begun.Oldest = begun.Since
	}
	if err := once(d.changes, endpoint.OrganizationID); err != nil {
		return Recovery{}, err
	}
	return d.beginRecovery(ctx, begun)
}

// beginRecovery stores a recovery in the place of the endpoint's last one.
func (d *Dispatcher) beginRecovery(ctx context.Context, begun Recovery) (Recovery, error) {
	defer d.recoveries.Wake()
	return d.recoveries.Change(ctx, begun.EndpointID, func(r *Recovery) error {
		if r.State.Active() || r.isMany() { // one over many endpoints begins once
			return fmt.Errorf("%w: %s, begun at %s", ErrRecovering, r.EndpointID, r.CreatedAt.Format(time.RFC3339))
		}
		begun.Version = r.Version
		*r = begun
		return nil
	})
}

// EnableOptions says what becomes of the parked deliveries of an endpoint that is enabled.
// The zero value sends all of them.
type EnableOptions struct {
	// Since, if not zero, discards those of events before it, by the time in the event's id.
	// It must not be in the future.
	Since time.Time
	// Discard discards all of them.
	Discard bool
	// Version, if not 0, is that of the endpoint as it was read: the error is [ErrConflict]
	// if the endpoint was changed since.
	Version int64
}

// EnableEndpoint enables an endpoint and returns it without its secrets. Parked deliveries
// that it discards fail with [ReasonDiscarded] and are not sent, unless somebody redelivers
// or recovers them. One whose attempt is under way is not discarded.
//
// The endpoint stays disabled until all are discarded. Up to 10,000 are during the call; if
// there are more, the returned endpoint is disabled still, and any process that runs does
// the rest and enables it. [Dispatcher.Recovery] returns how far
// that is, and [Dispatcher.StopRecovery] stops it, with the endpoint disabled.
//
// The error is [ErrNotFound] if there is no such endpoint, [ErrUnproven] if its URL is not proven, [ErrRecovering]
// while a recovery of it is running, if there is something to discard, and a [FieldError] if Since is in the
// future. An endpoint that is enabled is returned as it is.
func (d *Dispatcher) EnableEndpoint(ctx context.Context, endpointID string, o EnableOptions) (Endpoint, error) {
	e, err := d.Endpoint(ctx, endpointID)
	err = cmp.Or(err, d.cfg.unproven(&e), invalid(o))
	switch now := time.Now(); {
	case err != nil:
		return Endpoint{}, err
	case o.Since.After(now):
		return Endpoint{}, &FieldError{Field: "since", Problem: "is in the future; give the time since which parked deliveries are to be sent"}
	case o.Discard:
		o.Since = now.Truncate(time.Millisecond).Add(time.Millisecond) // ids have whole milliseconds
	}
	if !e.Disabled || o.Since.IsZero() || o.Version != 0 && o.Version != e.Version {
		return d.enable(ctx, endpointID, o.Version, "")
	}
	now := storedTime()
	begun, err := d.beginRecovery(ctx, Recovery{
		EndpointID: endpointID, OrganizationID: e.OrganizationID, State: RecoveryDiscarding,
		Until: o.Since.UTC().Truncate(time.Millisecond), Oldest: e.CreatedAt, Cursor: endpointID, CreatedAt: now,
	})
	if err != nil {
		return Endpoint{}, err
	}
	for range discardAtOnce {
		if _, err := d.recoveries.Step(ctx, &begun); err != nil || !begun.State.Active() {
			break // another process goes on if this one fails
		}
	}
	if begun.State.Active() {
		begun.Cursor = "" // as that of a new recovery, which a process adopts at once
		_ = d.putRecovery(ctx, &begun)
		d.recoveries.Wake()
	}
	return d.Endpoint(ctx, endpointID)
}

// enable enables an endpoint if it is disabled and, unless version is 0, at that version; if a URL was proven,
// only one that was to prove that.
func (d *Dispatcher) enable(ctx context.Context, endpointID string, version int64, proven string) (Endpoint, error) {
	e, err := d.changeEndpoint(ctx, endpointID, false, func(e *Endpoint) error {
		switch {
		case version != 0 && version != e.Version:
			return fmt.Errorf("%w: %s is at version %d, not %d", ErrConflict, e.ID, e.Version, version)
		case !e.Disabled, proven != "" && e.DisabledReason != DisabledUnproven:
			return errNotDue
		case d.cfg.unproven(e) != nil && e.URL != proven:
			return ErrUnproven
		}
		e.setDisabled(false, "")
		return nil
	})
	if errors.Is(err, errNotDue) {
		return d.Endpoint(ctx, endpointID)
	}
	return e, err
}

// ProveEndpoint sends a challenge to an endpoint that is [DisabledUnproven], as docs/receiving.md describes. If
// the answer proves that the receiver has the secret, it enables the endpoint, and what was parked is sent. The
// request is made at once, whatever is paused, like that of an attempt; no history keeps it. Any other endpoint
// is returned as it is.
//
// The error is an [ErrUnproven] that says what came back instead, or that the URL was changed meanwhile,
// [ErrNotFound] if there is no such endpoint, and a [LimitError] beyond [Config.ChangesPerMinute].
func (d *Dispatcher) ProveEndpoint(ctx context.Context, endpointID string) (Endpoint, error) {
	asked, err := d.store.Endpoint(ctx, endpointID)
	switch {
	case err != nil:
		return Endpoint{}, err
	case asked.DisabledReason != DisabledUnproven:
		return asked.withoutSecrets(), nil
	}
	if err = once(d.changes, asked.OrganizationID); err == nil {
		err = d.sender.challenge(ctx, &asked)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return d.enable(audit.WithNote(ctx, "proven"), endpointID, 0, asked.URL)
}

// Recovery returns the endpoint's recovery that is running, or else its last one, or
// [ErrNotFound] if there was none.
func (d *Dispatcher) Recovery(ctx context.Context, endpointID string) (Recovery, error) {
	r, err := d.storedRecovery(ctx, endpointID)
	if err == nil && r.Version == 0 {
		err = explain(ErrNotFound, "recovery of endpoint %.40q", endpointID)
	}
	return r, err
}

// StopRecovery ends an endpoint's recovery and returns it. Deliveries that it has made
// due already are still sent. A recovery that has ended is returned as it is. The error
// is [ErrNotFound] if there was none.
func (d *Dispatcher) StopRecovery(ctx context.Context, endpointID string) (Recovery, error) {
	return d.recoveries.Change(ctx, endpointID, func(r *Recovery) error {
		if r.Version == 0 {
			return explain(ErrNotFound, "recovery of endpoint %.40q", endpointID)
		}
		r.end(RecoveryStopped)
		return nil
	})
}

// end ends the recovery in that state, if it is active.
func (r *Recovery) end(state RecoveryState) {
	if r.State.Active() {
		r.State, r.FinishedAt, r.Subject = state, storedTime(), "" // whose data it was is personal data, too
	}
}

// storedRecovery reads an endpoint's recovery. It returns the zero Recovery, whose Version
// is 0, if there is none.
func (d *Dispatcher) storedRecovery(ctx context.Context, endpointID string) (Recovery, error) {
	if endpointID == "" { // which selects those of all endpoints
		return Recovery{}, nil
	}
	found, _, err := d.store.Recoveries(ctx, RecoveryFilter{EndpointID: endpointID, Limit: 1})
	if errors.Is(err, ErrInvalid) || err == nil && len(found) == 0 { // the first if no endpoint has such an id
		return Recovery{}, nil
	} else if err != nil {
		return Recovery{}, explain(err, "recovery of endpoint %.40q", endpointID)
	}
	return found[0], nil
}

// putRecovery stores r and raises its Version by one, as the store does with its copy. An
// operation tells of its beginning, before which r.UpdatedAt is zero, and of its end.
func (d *Dispatcher) putRecovery(ctx context.Context, r *Recovery) error {
	var ops []Operation
	begins := r.UpdatedAt.IsZero()
	of := &Endpoint{ID: r.EndpointID, OrganizationID: r.OrganizationID}
	if !r.State.Active() {
		ops = append(ops, d.operation(ctx, OpRecoveryEnded, of, audit.Ended(ctx, r.audited(), r.Recovered, r.Skipped)))
	} else if begins {
		ops = append(ops, d.operation(ctx, OpRecoveryBegun, of, audit.Begun(ctx, r.audited(), r.Until)))
	}
	r.UpdatedAt = storedTime()
	if err := d.store.PutRecovery(ctx, *r, ops...); err != nil {
		return explain(err, "recovery not stored")
	}
	r.Version++
	if begins || !r.State.Active() {
		tell(d.observer, d.observer.Recovery, *r)
	}
	d.operations.Wake()
	return nil
}

func (r *Recovery) audited() audit.Recovery {
	return audit.Recovery{Many: r.isMany(), Actor: r.Actor, State: string(r.State), EventID: r.EventID, EventType: r.EventType, Last: string(r.Reason), Note: r.Note}
}
