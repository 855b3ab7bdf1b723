// Package named holds things by their names.
package named

import (
	"maps"
	"slices"
	"sync"
)

// Things are things by their names. The zero value has none. Its methods may be called from many
// goroutines at once.
type Things[T any] struct {
	mu     sync.RWMutex
	byName map[string]T
}

// Add adds a thing, or returns false if there is one of that name.
func (t *Things[T]) Add(name string, thing T) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.byName[name]; ok {
		return false
	}
	if t.byName == nil {
		t.byName = make(map[string]T)
	}
	t.byName[name] = thing
	return true
}

// Get returns the thing of that name, or the zero T.
func (t *Things[T]) Get(name string) T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// Names returns the names in alphabetical order.
func (t *Things[T]) Names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.byName))
}
