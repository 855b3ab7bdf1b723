package adopt

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// searchInterval is how often a process searches for jobs that other processes stored or
// left behind. A little is taken off at random, so that processes do not search in step.
const searchInterval = 10 * time.Second

// worker is one run of this process. It works on its jobs in turns.
type worker[J comparable] struct {
	*Jobs[J]
	episode pace.Episode
	// mine are the jobs that this process has adopted, by id.
	mine map[string]*adopted[J]
	// others are the versions of all other active jobs, by id, as seen at the last regular
	// search. One whose version is the same at the next has no process any more.
	others     map[string]int64
	nextSearch time.Time // when the next regular search is due
	woken      bool      // set when this process may have stored a new job
}

type adopted[J comparable] struct {
	job    J
	due    time.Time // when its next step is due
	failed bool      // its last step has failed
}

// Run adopts jobs and works on them until ctx is done. After a failure of the store it
// tries again, less and less often.
func (j *Jobs[J]) Run(ctx context.Context) {
	w := &worker[J]{
		Jobs: j, episode: pace.Episode{Log: j.cfg.Log, Operation: j.cfg.Operation},
		mine: map[string]*adopted[J]{}, others: map[string]int64{},
	}
	for ctx.Err() == nil {
		if err := w.round(ctx); err == nil {
			if w.isWell() {
				w.episode.Over()
			}
			w.await(ctx)
		} else if ctx.Err() == nil { // otherwise the end of the run cut it off
			pace.Pause(ctx, w.episode.Failed(err))
		}
	}
}

// await waits until a step or a search is due.
func (w *worker[J]) await(ctx context.Context) {
	next := w.nextSearch
	for _, a := range w.mine {
		if a.due.Before(next) {
			next = a.due
		}
	}
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
		w.woken = true
	case <-t.C:
	}
}

// round searches for jobs, if a search is due, and does the steps that are due.
func (w *worker[J]) round(ctx context.Context) error {
	if err := w.search(ctx); err != nil {
		return err
	}
	for id, a := range w.mine {
		if time.Now().Before(a.due) {
			continue
		}
		err := w.work(ctx, id, a)
		if a.failed = err != nil; a.failed && ctx.Err() == nil { // the others go on: perhaps only this one fails
			a.due = time.Now().Add(w.episode.Failed(err))
		}
	}
	return nil
}

// isWell reports whether the last step of no job has failed.
func (w *worker[J]) isWell() bool {
	for _, a := range w.mine {
		if a.failed {
			return false
		}
	}
	return true
}

// work does a step of an adopted job.
func (w *worker[J]) work(ctx context.Context, id string, a *adopted[J]) error {
	pause, err := w.Step(ctx, &a.job)
	if errors.Is(err, w.cfg.Conflict) {
		return w.leave(ctx, id)
	}
	if err != nil {
		return err
	}
	a.due = time.Now().Add(pause)
	if !w.cfg.Status(a.job).Active {
		delete(w.mine, id)
	}
	return nil
}

// leave ends this process's work on a job that another process has changed.
func (w *worker[J]) leave(ctx context.Context, id string) error {
	delete(w.mine, id)
	job, err := w.cfg.Load(ctx, id)
	if err != nil {
		return err
	}
	if s := w.cfg.Status(job); s.Active {
		w.others[id] = s.Version
	}
	return nil
}

// search adopts jobs without a process: new ones, and those whose version has not changed
// since the last regular search. A search between two regular ones, after a wake-up,
// adopts new ones only.
func (w *worker[J]) search(ctx context.Context) error {
	regular := !time.Now().Before(w.nextSearch)
	if !regular && !w.woken {
		return nil
	}
	others := map[string]int64{}
	err := w.cfg.Search(ctx, func(job J) { w.meet(job, regular, others) })
	if err != nil {
		return err
	}
	w.others, w.woken = others, false
	if regular {
		w.nextSearch = time.Now().Add(searchInterval - rand.N(searchInterval/8))
	}
	return nil
}

// meet adopts an active job that a search has found, or notes it in others.
func (w *worker[J]) meet(job J, regular bool, others map[string]int64) {
	s := w.cfg.Status(job)
	if w.mine[s.ID] != nil {
		return
	}
	version, known := w.others[s.ID]
	abandoned := regular && known && version == s.Version
	switch {
	case s.New || abandoned:
		w.mine[s.ID] = &adopted[J]{job: job}
	case known && !regular:
		others[s.ID] = version // the next regular search compares with it
	default:
		others[s.ID] = s.Version
	}
}
