package shards

import "sync"

// memo remembers values by id: the newest, at least most of them and twice as many at most.
// It is a memory of what can be found out again.
type memo[V any] struct {
	most int

	mu         sync.Mutex
	young, old map[string]V
}

func newMemo[V any](most int) *memo[V] {
	return &memo[V]{most: most, young: map[string]V{}, old: map[string]V{}}
}

func (m *memo[V]) get(id string) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(id)
}

// find is get for a caller that holds mu.
func (m *memo[V]) find(id string) (v V, ok bool) {
	if v, ok = m.young[id]; !ok {
		v, ok = m.old[id]
	}
	return v, ok
}

func (m *memo[V]) put(id string, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[id]; !ok && len(m.young) >= m.most {
		m.old, m.young = m.young, map[string]V{}
	}
	m.young[id] = v
}

// drop forgets an id if its value is one that is no longer of use.
func (m *memo[V]) drop(id string, useless func(V) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.find(id); ok && useless(v) {
		delete(m.young, id)
		delete(m.old, id)
	}
}
