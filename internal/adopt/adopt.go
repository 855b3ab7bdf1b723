// Package adopt works on jobs that several processes share, one process at a time.
//
// A job is stored, with a version that every change raises by one. Each process searches
// for jobs and adopts those that nobody works on: new ones, and those whose version has
// stood still, because their process has ended. Two processes may adopt the same job. The
// store refuses all but one of their changes, by the version, and a process that was
// refused leaves the job to the other.
package adopt

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// stepTimeout bounds a step, so that one job that hangs does not hold up the others.
const stepTimeout = 30 * time.Second

// Status says how a job stands.
type Status struct {
	ID      string
	Version int64
	// New says that nobody has worked on the job yet.
	New bool
	// Active says that there is work left.
	Active bool
}

// Config says how [Jobs] reads, stores and does jobs. All fields are needed.
type Config[J comparable] struct {
	Status func(J) Status
	// Search calls found with every active job of the store.
	Search func(ctx context.Context, found func(J)) error
	// Load returns a job by its id: the zero J, which is not active, if there is none.
	Load func(ctx context.Context, id string) (J, error)
	// Save stores a job and raises its version by one. The error is Conflict if the store
	// has another version of it.
	Save     func(ctx context.Context, job *J) error
	Conflict error
	// Do does the next part of a job. It returns how long to wait before the one after: a
	// few seconds at most, or other processes take the job for one that nobody works on.
	Do func(ctx context.Context, job *J) (pause time.Duration, err error)
	// Operation names the work in the log, such as "recover".
	Operation string
	Log       *slog.Logger
}

// Jobs are the jobs of a store. Its methods may be called from many goroutines at once.
type Jobs[J comparable] struct {
	cfg  Config[J]
	wake chan struct{}
}

// New returns the jobs of a store.
func New[J comparable](cfg Config[J]) *Jobs[J] {
	return &Jobs[J]{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Wake has Run search for new jobs now. Call it when this process has stored one.
func (j *Jobs[J]) Wake() { pace.Wake(j.wake) }

// Change loads a job, has change alter it and saves it, unless change left it as it was.
// If somebody else saved it meanwhile, it starts again with what they saved. An error of
// change ends it.
func (j *Jobs[J]) Change(ctx context.Context, id string, change func(*J) error) (J, error) {
	for {
		before, err := j.cfg.Load(ctx, id)
		job := before
		if err == nil {
			err = change(&job)
		}
		if err == nil && job != before {
			if err = j.cfg.Save(ctx, &job); errors.Is(err, j.cfg.Conflict) {
				continue
			}
		}
		if err != nil {
			var none J
			return none, err
		}
		return job, nil
	}
}

// Step does the next part of a job, and returns how long to wait before the one after. It
// saves the job before that part, so that no other process does the same one, and after
// it. If the process is killed in between, its successor does that part again.
func (j *Jobs[J]) Step(ctx context.Context, job *J) (pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := j.cfg.Save(ctx, job); err != nil {
		return 0, err
	}
	changed := *job
	if pause, err = j.cfg.Do(ctx, &changed); err != nil {
		return 0, err
	}
	if err := j.cfg.Save(ctx, &changed); err != nil {
		return 0, err
	}
	*job = changed
	return pause, nil
}
