package record

import (
	"context"
	"sync"
	"time"

	"github.com/alot/alotwebhook/internal/pace"
)

// Parted is a store of several parts, each of which may be away by itself. Package shards
// has one.
type Parted interface {
	// Parts is how many there are.
	Parts() int
	// PartOf returns the part, from 0 on, of a delivery that was claimed last from it.
	PartOf(deliveryID string) int
}

// Parts are the recorders of a store: one for each of its parts, so that the outcomes of a
// part that is away, or that hangs, hold up no others. Its methods are those of a [Recorder].
type Parts[O any] struct {
	all []*Recorder[O]
	of  func(deliveryID string) int
}

// standing is how long a recorder may make no progress before nobody waits for it.
const standing = time.Second

// NewParts returns the recorders of a store: one alone unless the store, or one that it
// wraps, is [Parted]. most is how many outcomes there can be at once.
func NewParts[O, S any](store S, most int, cfg Config[O]) *Parts[O] {
	p, n := &Parts[O]{of: func(string) int { return 0 }}, 1
	room := cfg.Capacity
	if parted := partedOf(store); parted != nil && parted.Parts() > 1 {
		p.of, n, room = parted.PartOf, parted.Parts(), max(most, room)
	}
	for range n {
		p.all = append(p.all, start(cfg, room))
	}
	return p
}

// partedOf returns the store as Parted, or one that it wraps; nil if none is.
func partedOf[S any](store S) Parted {
	parted, ok := any(store).(Parted)
	if outer, wraps := any(store).(interface{ Unwrap() S }); wraps && !ok {
		return partedOf(outer.Unwrap())
	}
	return parted
}

// Claimed is [Recorder.Claimed]. A delivery that another part's recorder holds was moved
// meanwhile; its attempt must not be made again, either. That recorder stores its outcome.
func (p *Parts[O]) Claimed(c Claim) bool {
	r := p.holder(c.ID, c.Attempt)
	if r == nil {
		r = p.all[p.of(c.ID)]
	}
	return r.Claimed(c)
}

// holder returns the recorder that holds a delivery, or nil.
func (p *Parts[O]) holder(id string, attempt int) *Recorder[O] {
	if len(p.all) == 1 {
		return p.all[0]
	}
	for _, r := range p.all {
		if r.held.has(id, attempt) {
			return r
		}
	}
	return nil
}

// Add is [Recorder.Add]. Whoever adds waits for a recorder that does not keep up, and not
// for one that makes no progress at all.
func (p *Parts[O]) Add(o Outcome[O]) {
	r := p.holder(o.ID, o.Attempt)
	if r == nil { // forgotten, as one of very many that were put aside
		r = p.all[p.of(o.ID)]
	}
	for len(p.all) > 1 && len(r.in) >= r.cfg.Capacity && r.moves() {
		time.Sleep(pace.LeastGather)
	}
	r.Add(o)
}

// moves reports whether the recorder has made progress lately.
func (r *Recorder[O]) moves() bool {
	passed, ok := r.moved.Ago()
	return ok && passed < standing
}

// Away reports whether all parts are.
func (p *Parts[O]) Away() bool {
	for _, r := range p.all {
		if !r.Away() {
			return false
		}
	}
	return true
}

// Held returns how many deliveries were claimed and have no stored outcome.
func (p *Parts[O]) Held() (n int) {
	for _, r := range p.all {
		n += r.held.count()
	}
	return n
}

// AwaitStore is [Recorder.AwaitStore], while all parts are away. The goroutine that claims
// calls it before each claim.
func (p *Parts[O]) AwaitStore(ctx context.Context) bool {
	for _, r := range p.all {
		r.tellLate()
	}
	for _, r := range p.all[1:] {
		if !r.Away() {
			return true
		}
	}
	return p.all[0].AwaitStore(ctx)
}

// GiveUpIn is [Recorder.GiveUpIn] of all parts.
func (p *Parts[O]) GiveUpIn(patience time.Duration) {
	for _, r := range p.all {
		r.GiveUpIn(patience)
	}
}

// Close is [Recorder.Close] of all parts at once.
func (p *Parts[O]) Close() (unwritten int) {
	each := make([]int, len(p.all))
	var all sync.WaitGroup
	for i, r := range p.all {
		all.Go(func() { each[i] = r.Close() })
	}
	all.Wait()
	for _, n := range each {
		unwritten += n
	}
	return unwritten
}
