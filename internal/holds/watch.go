package holds

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// Watch knows what is held back, as it was read last. Its methods may be called from many goroutines
// at once; the fields are set before.
type Watch struct {
	// Read calls add with all that is held back: see [Set.Add].
	Read func(ctx context.Context, add func(organizationID, endpointID string)) error
	// Changed is called when what was read is no longer what it was.
	Changed func()

	begun atomic.Int64 // numbers the readings in the order in which they began

	mu    sync.Mutex
	shown int64 // the number of the reading that set is of
	set   atomic.Pointer[Set]
}

// Refresh reads what is held back.
func (w *Watch) Refresh(ctx context.Context) error {
	number, set := w.begun.Add(1), &Set{}
	if err := w.Read(ctx, set.Add); err != nil {
		return err
	}
	if was := w.show(number, set); was != nil && !was.Equal(set) {
		w.Changed()
	}
	return nil
}

// show takes over what a reading has found, and returns what was known before; nil if nothing was. A
// reading that began before the one that is shown may not know of a pause since: it counts for nothing.
func (w *Watch) show(number int64, set *Set) (was *Set) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if number < w.shown {
		return nil
	}
	w.shown = number
	return w.set.Swap(set)
}

// Held returns what is held back. It reads that if nothing was read before.
func (w *Watch) Held(ctx context.Context) (*Set, error) {
	if w.set.Load() == nil {
		if err := w.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return w.set.Load(), nil
}

// Keep reads what is held back again and again until ctx is done.
func (w *Watch) Keep(ctx context.Context, every time.Duration, log *slog.Logger) {
	pace.Keep(ctx, pace.Episode{Log: log, Operation: "read pauses"}, func(well func()) error {
		for pace.Pause(ctx, every) {
			if err := w.Refresh(ctx); err != nil {
				return err
			}
			well()
		}
		return nil
	})
}
