// Package quota keeps how many things of one kind each of many owners has within a limit,
// although several processes add to one store and the store knows no limit.
package quota

import (
	"context"
	"errors"
	"time"

	"github.com/alot/alotwebhook/internal/keylock"
)

// ErrFull says that the owner has as many as it may have.
var ErrFull = errors.New("as many as there may be")

// undoTimeout bounds how long taking back may take.
const undoTimeout = 10 * time.Second

// Quota is a limit. It is safe for concurrent use.
type Quota struct {
	// Most is how many an owner may have; negative for any number.
	Most  int
	locks keylock.Locks // by owner
}

// Addition is how a thing is added.
type Addition struct {
	// Count returns how many the owner has; it need not count beyond the limit.
	Count func(ctx context.Context, limit int) (int, error)
	// Add adds the thing, and Undo takes it back.
	Add, Undo func(ctx context.Context) error
}

// Add adds a thing, or returns ErrFull, or an error of a.
//
// This process adds one thing of an owner after the other. Another process may add one
// meanwhile; so Add counts again once the thing is there, and takes it back if there are
// too many. Of two processes that add the last one at the same moment, both may be
// refused; never are there more than the limit for longer than that moment.
func (q *Quota) Add(ctx context.Context, owner string, a Addition) error {
	if q.Most < 0 {
		return a.Add(ctx)
	}
	unlock, err := q.locks.Lock(ctx, owner)
	if err != nil {
		return err
	}
	defer unlock()
	if n, err := a.Count(ctx, q.Most); err != nil {
		return err
	} else if n >= q.Most {
		return ErrFull
	}
	if err := a.Add(ctx); err != nil {
		return err
	}
	if n, err := a.Count(ctx, q.Most+1); err != nil || n <= q.Most {
		return nil // it is there, even if the second count failed
	}
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := a.Undo(undoing); err != nil {
		return err
	}
	return ErrFull
}
