// Package prepared remembers what was made of things, such as endpoints, until they change.
package prepared

import (
	"sync"
	"time"
)

// Most bounds how many things are remembered. Past it all of them are forgotten, and what is made of
// those still in use is made again.
const Most = 16_384

// Version is that of a thing. Its number alone does not tell: a thing that was deleted may be made
// anew with the same id.
type Version struct {
	Number    int64
	CreatedAt time.Time
}

func (v Version) equal(w Version) bool { return v.Number == w.Number && v.CreatedAt.Equal(w.CreatedAt) }

// Things remembers a T for each id. The zero value is empty. It is safe for concurrent use.
type Things[T any] struct {
	mu   sync.RWMutex
	made map[string]made[T]
}

type made[T any] struct {
	of    Version
	thing *T
}

// Get returns what was made of that version of a thing, or nil.
func (p *Things[T]) Get(id string, of Version) *T {
	p.mu.RLock()
	m := p.made[id]
	p.mu.RUnlock()
	if m.thing == nil || !m.of.equal(of) {
		return nil
	}
	return m.thing
}

// Put remembers what was made of that version of a thing, in the place of any other version.
func (p *Things[T]) Put(id string, of Version, thing *T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made == nil || len(p.made) >= Most {
		p.made = map[string]made[T]{}
	}
	p.made[id] = made[T]{of, thing}
}
