package alotwebhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

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
	episode episode
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
		d: d, episode: episode{log: d.log, what: "recover"},
		jobs: map[string]*recoveryJob{}, others: map[string]int64{},
	}
	for ctx.Err() == nil {
		if err := w.round(ctx); err != nil {
			pause(ctx, w.episode.failed(err))
			continue
		}
		w.episode.over()
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
