package alotwebhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
	"github.com/alot/alotwebhook/internal/typeid"
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
	at, ok := typeid.Time(deliveryPrefix, r.Cursor)
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
		pace.Wake(d.recovered)
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

// recoveryLook is how often a process looks for recoveries that were begun, or
// left behind, by others. Its own it sees at once.
const recoveryLook = 10 * time.Second

// recoveryPage is how many deliveries are sent again in one go at most.
const recoveryPage = 100

// recoveryTimeout bounds a step, so that one that hangs does not hold up the others.
const recoveryTimeout = 30 * time.Second

// recoverer works on all running recoveries, in turns. Several processes may
// take up the same one: the store lets one of them go on, by its version, and
// the others leave it to that one.
type recoverer struct {
	d       *Dispatcher
	episode pace.Episode
	// jobs are those that this process works on, by endpoint; others are the
	// versions at which those were seen that another process works on.
	jobs   map[string]*recoveryJob
	others map[string]int64
	look   time.Time // when to look for those of others
	woken  bool      // one was begun here
}

type recoveryJob struct {
	Recovery
	due time.Time // of the next step
}

// recoverAll works on recoveries until ctx is done.
func (d *Dispatcher) recoverAll(ctx context.Context) {
	w := &recoverer{
		d: d, episode: pace.Episode{Log: d.log, Operation: "recover"},
		jobs: map[string]*recoveryJob{}, others: map[string]int64{},
	}
	for ctx.Err() == nil {
		if err := w.round(ctx); err != nil {
			pace.Pause(ctx, w.episode.Failed(err))
			continue
		}
		w.episode.Over()
		t := time.NewTimer(w.idle())
		select {
		case <-ctx.Done():
		case <-d.recovered:
			w.woken = true
		case <-t.C:
		}
		t.Stop()
	}
}

// idle returns how long there is nothing to do.
func (w *recoverer) idle() time.Duration {
	next := w.look
	for _, j := range w.jobs {
		if j.due.Before(next) {
			next = j.due
		}
	}
	return time.Until(next)
}

// round looks for recoveries and goes a step on with each, where it is time to.
func (w *recoverer) round(ctx context.Context) error {
	if err := w.find(ctx); err != nil {
		return err
	}
	for id, j := range w.jobs {
		if time.Now().Before(j.due) {
			continue
		}
		err := w.step(ctx, j)
		if errors.Is(err, ErrConflict) {
			err = w.leave(ctx, id)
		}
		if err != nil {
			return err
		}
		if j.State != RecoveryRunning {
			delete(w.jobs, id)
		}
	}
	return nil
}

// find takes up what runs and is nobody's, if it is time to look: new, or not
// gone on with since the last regular look, as those are that a process left
// behind which ended.
func (w *recoverer) find(ctx context.Context) error {
	regular := !time.Now().Before(w.look)
	if !regular && !w.woken {
		return nil
	}
	others := map[string]int64{}
	running := func(cursor string) ([]Recovery, string, error) {
		return w.d.store.Recoveries(ctx, RecoveryFilter{State: RecoveryRunning, Cursor: cursor})
	}
	for r, err := range pages("", running) {
		if err != nil {
			return err
		}
		if w.jobs[r.EndpointID] != nil {
			continue
		}
		version, known := w.others[r.EndpointID]
		stands := regular && known && version == r.Version
		switch {
		case r.Cursor == "" || stands:
			w.jobs[r.EndpointID] = &recoveryJob{Recovery: r}
		case known && !regular:
			others[r.EndpointID] = version
		default:
			others[r.EndpointID] = r.Version
		}
	}
	w.others, w.woken = others, false
	if regular {
		w.look = time.Now().Add(recoveryLook - rand.N(recoveryLook/8))
	}
	return nil
}

// leave leaves a recovery that somebody else changed, to whoever that was.
func (w *recoverer) leave(ctx context.Context, endpointID string) error {
	delete(w.jobs, endpointID)
	r, err := w.d.storedRecovery(ctx, endpointID)
	if err == nil && r.State == RecoveryRunning {
		w.others[endpointID] = r.Version
	}
	return err
}

// step sends a page again. It stores the recovery before, so that nobody else
// does the same, and after: a process that is killed in between has the next one
// repeat the page, which finds little left to do.
func (w *recoverer) step(ctx context.Context, j *recoveryJob) error {
	ctx, cancel := context.WithTimeout(ctx, recoveryTimeout)
	defer cancel()
	if err := w.d.putRecovery(ctx, &j.Recovery); err != nil {
		return err
	}
	r := j.Recovery
	if err := w.d.recoverPage(ctx, &r); err != nil {
		return err
	}
	if err := w.d.putRecovery(ctx, &r); err != nil {
		return err
	}
	n := r.Recovered + r.Skipped - j.Recovered - j.Skipped
	j.Recovery = r
	j.due = time.Now().Add(time.Duration(n) * time.Second / time.Duration(w.d.cfg.RecoverPerSecond))
	return nil
}

// recoverPage sends the next failed deliveries again and moves the cursor on.
func (d *Dispatcher) recoverPage(ctx context.Context, r *Recovery) error {
	_, err := d.Endpoint(ctx, r.EndpointID)
	if errors.Is(err, ErrNotFound) {
		r.end(RecoveryStopped)
		return nil
	}
	if err != nil {
		return err
	}
	page, next, err := d.DeliveryPage(ctx, Filter{
		EndpointID: r.EndpointID, State: StateFailed, Since: r.Since, Until: r.Until, Cursor: r.Cursor,
		Limit: min(recoveryPage, d.cfg.RecoverPerSecond),
	})
	if err != nil {
		return err
	}
	ids := make([]string, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	n, err := d.redeliver(ctx, ids)
	if err != nil {
		return err
	}
	r.Recovered += int64(n)
	r.Skipped += int64(len(ids) - n)
	if r.Cursor = next; next == "" {
		r.end(RecoveryDone)
	}
	return nil
}
