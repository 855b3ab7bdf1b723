package alotwebhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alot/alotwebhook/internal/audit"
	"github.com/alot/alotwebhook/internal/demand"
	"github.com/alot/alotwebhook/internal/selection"
	"github.com/alot/alotwebhook/internal/text"
	"github.com/alot/alotwebhook/internal/unwrap"
)

// Pause holds deliveries back: those of an endpoint, of an organization or of all. They stay as
// they are, are not sent, and go on when the pause is over: see [Dispatcher.Pause].
type Pause struct {
	// OrganizationID is the organization that is paused, or that of the endpoint; "" for all.
	OrganizationID string
	// EndpointID is the endpoint that is paused; "" for more than one.
	EndpointID string
	// Actor is who paused it, see [WithActor], and Note why: at most 256 bytes of plain text.
	Actor, Note string
	// At is when it was paused, by the clock of the dispatcher.
	At time.Time
}

// Pauser is an optional capability of a [Store]. It keeps pauses; dispatchers read them every two
// seconds, and claim nothing of what is paused.
type Pauser interface {
	// PutPause stores a pause. One of the same OrganizationID and EndpointID is replaced. The
	// operations are stored with it, or not at all; so does DeletePause with its own.
	PutPause(ctx context.Context, p Pause, ops ...Operation) error
	// DeletePause removes the pause of that OrganizationID and EndpointID, or returns
	// [ErrNotFound].
	DeletePause(ctx context.Context, organizationID, endpointID string, ops ...Operation) error
	// Pauses returns all pauses, ordered by OrganizationID and then by EndpointID.
	Pauses(ctx context.Context) ([]Pause, error)
}

// Surveyor is an optional capability of a [Store]: it shows operators all organizations at once.
// A call may take as long as counting the queue does, and holds nothing up meanwhile.
type Surveyor interface {
	// Backlogs returns the limit organizations with the most unfinished deliveries, most first,
	// and by their ids where they have as many.
	Backlogs(ctx context.Context, limit int) ([]Backlog, error)
	// Totals returns the tallies of all endpoints together whose Hour is since or later, by the
	// hour, with "" as EndpointID. A store that is no [Tallier] returns none.
	Totals(ctx context.Context, since time.Time) ([]Tally, error)
	// Processes returns the processes that claim, or may still have deliveries under way, ordered
	// by their ids.
	Processes(ctx context.Context) ([]Process, error)
	// Count returns how many deliveries the recovery selects now, of one endpoint if EndpointID is
	// that of an endpoint: unfinished ones if its State is [RecoveryCanceling], when FailedSince and
	// FailedUntil are zero, otherwise failed ones: without a Reason those with any but
	// [ReasonDiscarded] and [ReasonCanceled]. Its Cursor does not matter.
	Count(ctx context.Context, r Recovery) (Count, error)
}

// Backlog counts the unfinished deliveries of an organization.
type Backlog struct {
	OrganizationID string
	// Pending and Parked are as in [Stats]; Due counts the pending ones that are due. What is under
	// way may count as due, here and for OldestDue.
	Pending, Parked, Due int64
	// OldestDue is how long the delivery to an enabled endpoint that is due longest has been due;
	// 0 if none is.
	OldestDue time.Duration
}

// Process is a process that claims from a store.
type Process struct {
	// ID is unique among the processes of the store.
	ID string
	// Seen is how long ago the process last renewed its lease. A negative Left says that the lease
	// has run out, so that others take over what it owned.
	Seen, Left time.Duration
	// Share is the part of the endpoints that the process owns, from 0 to 1.
	Share float64
}

// Count says how many deliveries a recovery selects, and to how many endpoints of how many
// organizations.
type Count struct{ Deliveries, Endpoints, Organizations int64 }

// pauseInterval is how often each process that delivers reads the pauses.
const pauseInterval = 2 * time.Second

// Pause holds back the deliveries of p.EndpointID, or else of p.OrganizationID, or else all. It
// takes the Note from p, and the actor from [WithActor]; a pause of the same is replaced. Nothing
// changes for customers but that they get nothing: retries and their schedules wait, too, and
// nothing expires. This process claims none of it from now on, others within some two seconds.
// What a process has claimed already is still sent.
//
// The error is [ErrNotFound] if there is no such endpoint, a [FieldError] if a field is not valid,
// and an [errors.ErrUnsupported] if the store is no [Pauser].
func (d *Dispatcher) Pause(ctx context.Context, p Pause) (Pause, error) {
	if problem := text.PlainProblem(p.Note, selection.MaxNote); problem != "" {
		return Pause{}, refused("note", problem)
	}
	organizationID, err := d.ownerOf(ctx, p.OrganizationID, p.EndpointID)
	if err != nil {
		return Pause{}, err
	}
	p = Pause{organizationID, p.EndpointID, audit.Actor(ctx), p.Note, storedTime()}
	err = d.changePauses(ctx, func(store Pauser) error {
		return store.PutPause(ctx, p, d.operation(ctx, OpPaused, &Endpoint{ID: p.EndpointID, OrganizationID: p.OrganizationID}, p.Note))
	})
	if err != nil {
		return Pause{}, explain(err, "not paused")
	}
	return p, nil
}

// Resume ends the pause of p.EndpointID, or else of p.OrganizationID, or else of all. Its Note says
// why, for the [Operation]. What another pause covers, too, stays paused. The error is
// [ErrNotFound] if there is no such pause, a [FieldError] if a field is not valid, and an
// [errors.ErrUnsupported] if the store is no [Pauser].
func (d *Dispatcher) Resume(ctx context.Context, p Pause) error {
	if problem := text.PlainProblem(p.Note, selection.MaxNote); problem != "" {
		return refused("note", problem)
	}
	list, err := d.Pauses(ctx)
	if err = cmp.Or(err, invalid(p)); err != nil {
		return err
	}
	for _, of := range list { // an endpoint that is paused may be gone
		if p.EndpointID != "" && of.EndpointID == p.EndpointID {
			if err := refused("organizationId", selection.OwnerProblem(p.OrganizationID, of.OrganizationID, of.EndpointID)); err != nil {
				return err
			}
			p.OrganizationID = of.OrganizationID
		}
	}
	return explain(d.changePauses(ctx, func(store Pauser) error {
		return store.DeletePause(ctx, p.OrganizationID, p.EndpointID, d.operation(ctx, OpResumed, &Endpoint{ID: p.EndpointID, OrganizationID: p.OrganizationID}, p.Note))
	}), "not resumed")
}

// Pauses returns all pauses, ordered by OrganizationID and then by EndpointID; none if the store is
// no [Pauser].
func (d *Dispatcher) Pauses(ctx context.Context) ([]Pause, error) {
	if d.pauser == nil {
		return nil, nil
	}
	list, err := d.pauser.Pauses(ctx)
	return list, explain(err, "pauses not read")
}

// changePauses changes the stored pauses and takes over what is stored then.
func (d *Dispatcher) changePauses(ctx context.Context, change func(Pauser) error) error {
	if d.pauser == nil {
		return fmt.Errorf("the store keeps no pauses: %w", errors.ErrUnsupported)
	}
	err := change(d.pauser)
	d.operations.Wake()
	if err == nil {
		_ = d.paused.Refresh(ctx) // which the loop repeats
		d.emitted()
	}
	return err
}

// readPauses calls add with all that is paused.
func (d *Dispatcher) readPauses(ctx context.Context, add func(organizationID, endpointID string)) error {
	list, err := d.Pauses(ctx)
	for _, p := range list {
		add(p.OrganizationID, p.EndpointID)
	}
	return err
}

// RecoverMany begins to send again the failed deliveries that r selects, of many endpoints, in the
// background, as [Dispatcher.Recover] does of one: all recoveries together may hold more endpoints
// busy, but each sends [Config.RecoverPerSecond]. It takes OrganizationID, EndpointID, EventID,
// EventType, Reason, Since, Until, FailedSince, FailedUntil and Note from r. With an EndpointID it is
// the endpoint's recovery. Without Since, FailedSince stands for all events since eight days before
// it. What somebody has discarded or canceled is left out, unless Reason names that.
//
// A [FieldError] refuses a field that is not valid, and a recovery that selects everything. With an
// EndpointID, the error is [ErrNotFound] if there is no such endpoint, and [ErrRecovering] while a
// recovery of it is running.
func (d *Dispatcher) RecoverMany(ctx context.Context, r Recovery) (Recovery, error) {
	r.State = RecoveryRunning
	return d.beginMany(ctx, r)
}

// CancelMany begins to cancel the unfinished deliveries that r selects, but for tests, in the
// background. They fail with [ReasonCanceled], and are sent no more unless somebody redelivers or
// recovers them. What is being attempted is canceled as well, although its receiver may get it. It
// takes the fields that [Dispatcher.RecoverMany] takes, but for FailedSince and FailedUntil, has its
// errors, and refuses to cancel everything: name an organization, an endpoint, an event or a type.
func (d *Dispatcher) CancelMany(ctx context.Context, r Recovery) (Recovery, error) {
	r.State = RecoveryCanceling
	return d.beginMany(ctx, r)
}

// CountMany counts what [Dispatcher.RecoverMany] or, if the State of r is [RecoveryCanceling],
// [Dispatcher.CancelMany] would select now. It has their errors, and an [errors.ErrUnsupported] if the
// store is no [Surveyor].
func (d *Dispatcher) CountMany(ctx context.Context, r Recovery) (Count, error) {
	if r.State != RecoveryCanceling {
		r.State = RecoveryRunning
	}
	r, err := d.manyOf(ctx, r)
	if err != nil {
		return Count{}, err
	}
	s, err := d.Surveyor()
	if err != nil {
		return Count{}, err
	}
	n, err := s.Count(ctx, r)
	return n, explain(err, "deliveries not counted")
}

// Surveyor returns the survey of all organizations that the store keeps. The error is an
// [errors.ErrUnsupported] if it is no [Surveyor].
func (d *Dispatcher) Surveyor() (Surveyor, error) {
	if s := unwrap.To[Surveyor](d.store.Store); s != nil {
		return checkedSurveyor{s}, nil
	}
	return nil, explain(fmt.Errorf("the store shows none: %w", errors.ErrUnsupported), "no survey")
}

// Recoveries returns a page of the recoveries that f selects, in the order of their EndpointIDs, and
// the cursor of the next page; "" after the last.
func (d *Dispatcher) Recoveries(ctx context.Context, f RecoveryFilter) (page []Recovery, next string, err error) {
	page, next, err = d.store.Recoveries(ctx, f)
	return page, next, explain(err, "list not read")
}

func (d *Dispatcher) beginMany(ctx context.Context, r Recovery) (Recovery, error) {
	r, err := d.manyOf(ctx, r)
	if err == nil && r.EndpointID == "" {
		r.EndpointID, err = demand.ID(ctx, recoveryPrefix)
	}
	if err != nil {
		return Recovery{}, err
	}
	return d.beginRecovery(ctx, r)
}

// manyOf returns a recovery as it begins, with what it takes from r, or refuses r.
func (d *Dispatcher) manyOf(ctx context.Context, r Recovery) (Recovery, error) {
	s := r.selection()
	organizationID, err := d.ownerOf(ctx, r.OrganizationID, r.EndpointID)
	if err = cmp.Or(r.check(), err); err != nil {
		return Recovery{}, err
	}
	now := storedTime()
	begun := Recovery{
		EndpointID: r.EndpointID, OrganizationID: organizationID, State: r.State,
		EventID: r.EventID, EventType: r.EventType, Reason: r.Reason, Subject: r.Subject,
		FailedSince: microsecond(r.FailedSince), FailedUntil: microsecond(r.FailedUntil),
		Actor: audit.Actor(ctx), Note: r.Note, CreatedAt: now, Oldest: s.Bound(now, max(d.cfg.HistoryRetention, day)),
	}
	if begun.Since, begun.Until = s.Since, s.Until; begun.State == RecoveryRunning && begun.FailedSince.IsZero() {
		begun.FailedSince = begun.Oldest // which leaves out what was discarded, of one endpoint, too
	}
	return begun, nil
}

func (r *Recovery) selection() selection.Selection {
	return selection.Selection{
		OrganizationID: r.OrganizationID, EndpointID: r.EndpointID, EventID: r.EventID, EventType: r.EventType, Reason: string(r.Reason), Subject: r.Subject,
		Since: r.Since, Until: r.Until, FailedSince: r.FailedSince, FailedUntil: r.FailedUntil, Note: r.Note,
	}
}

// check refuses a selection that cannot be meant.
func (r *Recovery) check() error {
	purpose := selection.Recover
	switch r.State {
	case RecoveryCanceling:
		purpose = selection.Cancel
	case RecoveryErasing, RecoveryRemoving:
		purpose = selection.Erase
	}
	s := r.selection()
	return refused(s.Problem(purpose, time.Now()))
}

// ownerOf returns the organization of an endpoint, if one is named, or else the given one.
func (d *Dispatcher) ownerOf(ctx context.Context, organizationID, endpointID string) (string, error) {
	if endpointID == "" {
		if err := checkOrganization(organizationID); organizationID != "" && err != nil {
			return "", err
		}
		return organizationID, nil
	}
	e, err := d.Endpoint(ctx, endpointID)
	return e.OrganizationID, cmp.Or(err, refused("organizationId", selection.OwnerProblem(organizationID, e.OrganizationID, e.ID)))
}

// isMany reports whether the recovery is one over many endpoints.
func (r *Recovery) isMany() bool { return strings.HasPrefix(r.EndpointID, recoveryPrefix+"_") }

// selects reports whether a delivery is one that the recovery is about, as far as its Filter leaves
// that open. Recover sends what was discarded, and so an endpoint's own recovery does.
func (r *Recovery) selects(of *Delivery) bool {
	return !of.Test && selection.Takes(string(r.Reason), string(of.LastReason), !r.isMany() && r.FailedSince.IsZero()) &&
		!of.FinishedAt.Before(r.FailedSince) && (r.FailedUntil.IsZero() || of.FinishedAt.Before(r.FailedUntil))
}
