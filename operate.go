package alotwebhook

import (
	"context"
	"time"
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
	// that of an endpoint: unfinished ones if its State is [RecoveryCanceling], otherwise failed
	// ones. Its Cursor does not matter.
	Count(ctx context.Context, r Recovery) (Count, error)
}

// Backlog counts the unfinished deliveries of an organization.
type Backlog struct {
	OrganizationID string
	// Pending and Parked are as in [Stats]; Due counts the pending ones that are due.
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
