package record

import (
	"context"
	"errors"
)

// trial is one round of storing a batch.
type trial[O any] struct {
	r       *Recorder[O]
	tries   int
	stored  bool         // a call has succeeded
	err     error        // of the last call that failed
	refused []Outcome[O] // could not be stored by themselves
	left    []Outcome[O] // were not tried by themselves
}

// try stores a batch, or what can be stored of it.
func (t *trial[O]) try(batch []Outcome[O]) {
	if len(batch) == 0 || t.isOver() {
		t.left = append(t.left, batch...)
		return
	}
	t.tries++
	err := t.r.call(batch)
	if err == nil {
		t.stored = true
		return
	}
	t.err = err
	if n := len(batch); n > 1 {
		t.try(batch[:n/2])
		t.try(batch[n/2:])
		return
	}
	t.refused = append(t.refused, batch...)
}

// probe stores a batch of which nothing could be stored before. It tries a few outcomes by
// themselves, and the others only if one of those shows that the store is there.
func (t *trial[O]) probe(batch []Outcome[O]) {
	n := min(len(batch), probes)
	for i := 0; i < n && !t.isOver(); i++ {
		t.try(batch[i : i+1])
	}
	if !t.stored && t.r.rounds > 0 && t.r.rounds%lonely == 0 && len(t.refused) > 0 && t.r.strip(&t.refused[0], t.err) {
		t.stored, t.refused = true, t.refused[1:]
	}
	if t.stored {
		t.try(batch[n:])
	} else {
		t.left = append(t.left, batch[n:]...)
	}
}

// isOver reports whether further calls are pointless for now: the store seems to be away,
// or does not reply in time.
func (t *trial[O]) isOver() bool {
	hangs := errors.Is(t.err, context.DeadlineExceeded) && t.r.limit == callTimeout
	return t.tries >= maxTries && !t.stored || hangs || t.r.ctx.Err() != nil
}
