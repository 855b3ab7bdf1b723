package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrRecovering is returned by [Dispatcher.Recover] while a recovery of the
// endpoint is running. Wait for its end, or stop it with [Dispatcher.StopRecovery].
var ErrRecovering = errors.New("alotwebhook: a recovery of the endpoint is running")

// RecoveryState is where a [Recovery] stands.
type RecoveryState string

const (
	RecoveryRunning RecoveryState = "running" // under way, or waiting for a process that runs
	RecoveryDone    RecoveryState = "done"    // all was looked at
	RecoveryStopped RecoveryState = "stopped" // by [Dispatcher.StopRecovery], or because the endpoint was deleted
)

// Recovery sends again, in the background, all that has failed of an endpoint:
// see [Dispatcher.Recover]. An endpoint has one at a time; a new one takes the
// place of the last.
type Recovery struct {
	// EndpointID and OrganizationID say whose it is.
	EndpointID, OrganizationID string
	State                      RecoveryState
	// Since (inclusive) and Until (exclusive) bound the creation time of the
	// events. Since may be zero; Until is when the recovery was begun.
	Since, Until time.Time
	// Oldest is how far back there can be anything: Since, or when the endpoint
	// was created if that is later. It is for [Recovery.Progress] alone.
	Oldest time.Time
	// Recovered counts the deliveries that were sent again, Skipped those that
	// could not be: their payload was erased, or they are under way already.
	Recovered, Skipped int64
	// Cursor is where the recovery goes on, downwards; "" at the beginning.
	Cursor string
	// CreatedAt is when it was begun, UpdatedAt when it last went on, FinishedAt
	// when it ended, zero while it runs; by the dispatchers' clocks.
	CreatedAt, UpdatedAt, FinishedAt time.Time
	// Version counts the changes, those of the endpoint's earlier recoveries included.
	Version int64
}

// Progress returns how much is done, from 0 to 1. Deliveries are recovered
// newest first, and it is the share of the time between Oldest and Until that
// was gone through: true to the work where failures are spread evenly, and
// without a count of them in any case.
func (r Recovery) Progress() float64 {
	if r.State == RecoveryDone {
		return 1
	}
	at, ok := idTime(deliveryPrefix, r.Cursor)
	span := r.Until.Sub(r.Oldest)
	if !ok || span <= 0 {
		return 0
	}
	return min(max(float64(r.Until.Sub(at))/float64(span), 0), 1)
}

// Recover begins to send again all failed deliveries to an endpoint of events
// since the given time, all that there are if it is zero. It stores that and
// returns at once: whichever process runs does it, newest first and
// [Config.RecoverPerSecond] at a time. What a process leaves behind that ends or
// is killed, another one goes on with, or the next, within some 20 seconds.
// [Dispatcher.Recovery] says how far it is.
//
// What has failed when the recovery comes to it is sent again, once: what fails
// again stays failed. Deliveries of a disabled endpoint are parked, and go out
// when it is enabled; those of an endpoint that is deleted meanwhile are left.
//
// [ErrRecovering] while one of the endpoint is running, [ErrNotFound] when there
// is no such endpoint, a [FieldError] when since is not in the past.
func (d *Dispatcher) Recover(ctx context.Context, endpointID string, since time.Time) (Recovery, error) {
	endpoint, err := d.Endpoint(ctx, endpointID)
	if err != nil {
		return Recovery{}, err
	}
	now := recoveryTime()
	// In whole milliseconds, which ids have: this one's are recovered, too.
	until := now.Truncate(time.Millisecond).Add(time.Millisecond)
	if !since.Before(until) {
		return Recovery{}, &FieldError{Field: "since", Problem: "is not in the past; give the time since which deliveries are to be recovered"}
	}
	begun := Recovery{
		EndpointID: endpointID, OrganizationID: endpoint.OrganizationID, State: RecoveryRunning,
		Since: since.UTC().Truncate(time.Millisecond), Until: until, Oldest: endpoint.CreatedAt,
		CreatedAt: now, UpdatedAt: now,
	}
	if since.IsZero() {
		begun.Since = time.Time{}
	} else if since.After(begun.Oldest) {
		begun.Oldest = begun.Since
	}
	stored, err := d.changeRecovery(ctx, endpointID, func(r *Recovery) error {
		if r.State == RecoveryRunning {
			return fmt.Errorf("%w: %s, begun at %s", ErrRecovering, endpointID, r.CreatedAt.Format(time.RFC3339))
		}
		begun.Version = r.Version
		*r = begun
		return nil
	})
	if err == nil {
		wakeUp(d.recovered)
	}
	return stored, err
}

// Recovery returns an endpoint's recovery: the one that is running, or else the
// last. [ErrNotFound] when there was none.
func (d *Dispatcher) Recovery(ctx context.Context, endpointID string) (Recovery, error) {
	r, err := d.storedRecovery(ctx, endpointID)
	if err == nil && r.Version == 0 {
		err = explain(ErrNotFound, "recovery of endpoint %q", clip(endpointID))
	}
	return r, err
}

// StopRecovery ends an endpoint's recovery; what it has sent again stays so. One
// that has ended already is returned as it is. [ErrNotFound] when there was none.
func (d *Dispatcher) StopRecovery(ctx context.Context, endpointID string) (Recovery, error) {
	return d.changeRecovery(ctx, endpointID, func(r *Recovery) error {
		if r.Version == 0 {
			return explain(ErrNotFound, "recovery of endpoint %q", clip(endpointID))
		}
		r.end(RecoveryStopped)
		return nil
	})
}

// end ends a recovery that runs.
func (r *Recovery) end(state RecoveryState) {
	if r.State == RecoveryRunning {
		r.State, r.FinishedAt = state, recoveryTime()
	}
}

// recoveryTime is now as every store keeps it.
func recoveryTime() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// storedRecovery returns a zero one, but for the endpoint, when there is none.
func (d *Dispatcher) storedRecovery(ctx context.Context, endpointID string) (Recovery, error) {
	found, _, err := d.store.Recoveries(ctx, RecoveryFilter{EndpointID: endpointID, Limit: 1})
	if err != nil {
		return Recovery{}, explain(err, "recovery of endpoint %q", clip(endpointID))
	}
	if len(found) == 0 {
		return Recovery{}, nil
	}
	return found[0], nil
}

// changeRecovery reads, changes and writes an endpoint's recovery, again if
// somebody was faster and change does not object. Nothing is written if nothing
// was changed.
func (d *Dispatcher) changeRecovery(ctx context.Context, endpointID string, change func(*Recovery) error) (Recovery, error) {
	for {
		r, err := d.storedRecovery(ctx, endpointID)
		if err != nil {
			return Recovery{}, err
		}
		before := r
		if err := change(&r); err != nil {
			return Recovery{}, err
		}
		if r == before {
			return r, nil
		}
		err = d.putRecovery(ctx, &r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Recovery{}, err
		}
	}
}

// putRecovery stores r and counts its version up, as the store does.
func (d *Dispatcher) putRecovery(ctx context.Context, r *Recovery) error {
	r.UpdatedAt = recoveryTime()
	if err := d.store.PutRecovery(ctx, *r); err != nil {
		return explain(err, "recovery not stored")
	}
	r.Version++
	return nil
}
