package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alot/alotwebhook/internal/adopt"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/paging"
	"github.com/alot/alotwebhook/internal/record"
	"github.com/alot/alotwebhook/internal/selection"
	"github.com/alot/alotwebhook/internal/unwrap"
)

const (
	// recoveryPage is the most deliveries that one step sends again.
	recoveryPage = 100
	// largePage is the most that one step discards, cancels, erases, or removes of a kind.
	largePage = 1000
	// discardAtOnce is the most steps that EnableEndpoint itself takes.
	discardAtOnce = 10
)

// newRecoveries returns the recoveries as jobs that all processes share.
func (d *Dispatcher) newRecoveries() *adopt.Jobs[Recovery] {
	return adopt.New(adopt.Config[Recovery]{
		Status: Recovery.status, Search: d.activeRecoveries, Load: d.storedRecovery,
		Save: d.putRecovery, Conflict: ErrConflict, Do: d.recoverSome, Operation: "recover", Log: d.log,
	})
}

func (r Recovery) status() adopt.Status {
	return adopt.Status{ID: r.EndpointID, Version: r.Version, New: r.Cursor == "", Active: r.State.Active()}
}

// activeRecoveries calls found with all recoveries that are under way and that this store can do.
func (d *Dispatcher) activeRecoveries(ctx context.Context, found func(Recovery)) error {
	states := slices.Collect(maps.Keys(endOf))
	if unwrap.To[backfiller](d.store.Store) == nil { // processes whose store is one do it
		states = slices.DeleteFunc(states, func(s RecoveryState) bool { return s == RecoverySending })
	}
	return paging.Each(states, found, func(state RecoveryState, cursor string) ([]Recovery, string, error) {
		return d.store.Recoveries(ctx, RecoveryFilter{State: state, Cursor: cursor})
	})
}

// recoverSome does the next part of a recovery. It returns how long to wait before the next one, to
// keep to [Config.RecoverPerSecond].
func (d *Dispatcher) recoverSome(ctx context.Context, r *Recovery) (time.Duration, error) {
	n, err := d.recoverPage(ctx, r)
	return time.Duration(n) * (time.Second / time.Duration(d.cfg.RecoverPerSecond)), err
}

// recoverPage does the next part of a recovery, counts it in r and moves its cursor on. It ends r
// after the last part, or if the endpoint was deleted. It returns how many are due now.
func (d *Dispatcher) recoverPage(ctx context.Context, r *Recovery) (due int, err error) {
	var ids []string
	var next string
	sent, skipped := 0, 0
	switch r.State {
	case RecoveryDiscarding:
		if skipped, err = d.store.Discard(ctx, r.EndpointID, r.Until, largePage); skipped >= largePage {
			next = r.EndpointID
		} else if err == nil {
			if _, err = d.enable(ctx, r.EndpointID, 0, ""); errors.Is(err, ErrUnproven) { // it has got another URL meanwhile
				err = nil
			}
		}
	case RecoveryErasing:
		skipped, next, err = d.store.Erase(ctx, *r, largePage)
	case RecoveryRemoving:
		if skipped, err = d.store.Remove(ctx, r.OrganizationID, largePage); skipped >= largePage {
			next = r.EndpointID
		}
	case RecoverySending:
		sent, skipped, next, err = d.backfill(ctx, r)
	case RecoveryCanceling:
		if ids, next, err = d.selected(ctx, r, StateUnfinished, largePage); err == nil {
			skipped, err = d.store.Cancel(ctx, ids)
		}
	default:
		if ids, next, err = d.selected(ctx, r, StateFailed, min(recoveryPage, d.cfg.RecoverPerSecond)); err == nil {
			sent, err = d.redeliver(ctx, ids)
			skipped = len(ids) - sent
		}
	}
	if errors.Is(err, ErrNotFound) { // its endpoint was deleted
		r.end(RecoveryStopped)
		err = nil
	}
	if err != nil || !r.State.Active() {
		return 0, explain(err, "%s not done", r.State)
	}
	r.Recovered += int64(sent)
	r.Skipped += int64(skipped)
	if r.Cursor = next; next == "" {
		r.end(endOf[r.State])
	}
	return max(sent, len(ids)), nil
}

// backfiller is an optional capability of a [Store]: see feed.Backfiller.
type backfiller interface {
	Backfill(ctx context.Context, r Recovery, types []string, limit int) (sent, left int, at time.Time, next string, err error)
}

// backfill sends the next events that an endpoint never got.
func (d *Dispatcher) backfill(ctx context.Context, r *Recovery) (sent, left int, next string, err error) {
	e, err := d.Endpoint(ctx, r.EndpointID)
	var at time.Time
	if err == nil {
		sent, left, at, next, err = unwrap.To[backfiller](d.store.Store).Backfill(ctx, *r, eventtype.Expand(e.EventTypes, d.types), min(recoveryPage, d.cfg.RecoverPerSecond))
		d.emitted()
	}
	if at.After(r.Oldest) {
		r.Oldest = at
	}
	return sent, left, next, err
}

// selected returns the next deliveries in that state that r is about, up to limit, and the cursor
// behind them. It ends r if its endpoint was deleted.
func (d *Dispatcher) selected(ctx context.Context, r *Recovery, state DeliveryState, limit int) (ids []string, next string, err error) {
	f := Filter{
		OrganizationID: r.OrganizationID, EventID: r.EventID, EventType: r.EventType,
		State: state, Since: r.Since, Until: r.Until, Cursor: r.Cursor, Limit: limit,
	}
	if !r.isMany() {
		f.EndpointID = r.EndpointID
		if _, err := d.Endpoint(ctx, r.EndpointID); errors.Is(err, ErrNotFound) {
			r.end(RecoveryStopped)
			return nil, "", nil
		} else if err != nil {
			return nil, "", err
		}
	}
	page, next, err := d.DeliveryPage(ctx, f)
	for i := range page {
		if r.selects(&page[i]) {
			ids = append(ids, page[i].ID)
		}
	}
	return ids, next, err
}

// heal begins a recovery for each endpoint of the batch that was failing and has succeeded now. That
// comes before the successes are stored: if the process is killed in between, they come again.
func (r *run) heal(ctx context.Context, batch []record.Outcome[outcome]) {
	since := map[string]time.Time{} // by endpoint id
	for i := range batch {
		if o := &batch[i].Value; o.State == StateDelivered && !o.claimed.Test {
			r.outages.Succeeded(o.claimed.Endpoint.ID, o.claimed.Endpoint.FailingSince, since)
		}
	}
	for id, began := range since {
		if err := r.d.heal(ctx, id, began); err != nil {
			r.outages.Missed(id, began, errors.Is(err, ErrRecovering))
			r.d.log.Error("alotwebhook: no recovery begun after an outage; begin one by hand", "endpoint", id, "since", began, "error", err)
		}
	}
}

// heal begins a recovery of what has failed at an endpoint since then, unless nothing has or that was
// done before.
func (d *Dispatcher) heal(ctx context.Context, endpointID string, since time.Time) error {
	begun, err := d.manyOf(ctx, Recovery{EndpointID: endpointID, State: RecoveryRunning, FailedSince: since})
	if err != nil {
		return err
	}
	failed, next, err := d.selected(ctx, &begun, StateFailed, recoveryPage)
	if err != nil || len(failed) == 0 && next == "" {
		return err
	}
	_, err = d.recoveries.Change(ctx, endpointID, func(r *Recovery) error {
		switch {
		case r.FailedSince.Equal(since):
			return nil
		case r.State.Active() && (r.State != RecoveryRunning || r.EventID+r.EventType+string(r.Reason) != "" || !r.FailedUntil.IsZero()):
			return fmt.Errorf("%w: %s", ErrRecovering, r.EndpointID)
		case r.State.Active(): // it begins anew, and covers both
			r.Since, r.Oldest = selection.Earlier(r.Since, begun.Since), selection.Earlier(r.Oldest, begun.Oldest)
			r.FailedSince, r.Until, r.Cursor = selection.Earlier(r.FailedSince, since), begun.Until, ""
			return nil
		}
		begun.Version = r.Version
		*r = begun
		return nil
	})
	d.recoveries.Wake()
	return err
}
