package shards

import (
	"cmp"
	"math"
	"slices"
)

// page is a page of one shard's list. Without an answer it is zero.
type page[T any] struct {
	items []T
	next  string // "" if no more follow
	of    *shard
}

// merging says how the pages of several shards become one.
type merging[T any] struct {
	limit      int // 0 stands for 100
	id         func(*T) string
	descending bool
	// better says that of two items with the same id this one is to be taken; it may be nil.
	better func(*shard, *T) bool
}

const defaultPage = 100

// pageSize returns how many entries a page holds whose filter sets this limit.
func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, math.MaxInt32)
}

// join makes one page of one page of each shard, in the order of the ids, and returns its
// cursor. A shard's page tells of all its items up to its cursor. So the common page ends at
// the first of the cursors, if it is not full before.
func join[T any](pages []page[T], m merging[T]) (items []T, next string) {
	if len(pages) == 1 {
		return pages[0].items, pages[0].next
	}
	kept, end := m.gather(pages)
	before := func(a, b string) int {
		if m.descending {
			a, b = b, a
		}
		return cmp.Compare(a, b)
	}
	ids := make([]string, 0, len(kept))
	for id := range kept {
		if end == "" || before(id, end) <= 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, before)
	if limit := pageSize(m.limit); len(ids) > limit {
		ids = ids[:limit]
		end = ids[limit-1]
	}
	for _, id := range ids {
		items = append(items, *kept[id])
	}
	return items, end
}

// gather returns the items of all pages by their ids, and the first of the cursors.
func (m *merging[T]) gather(pages []page[T]) (items map[string]*T, first string) {
	items = map[string]*T{}
	for _, p := range pages {
		for i := range p.items {
			id := m.id(&p.items[i])
			if items[id] == nil || m.better != nil && m.better(p.of, &p.items[i]) {
				items[id] = &p.items[i]
			}
		}
		if p.next != "" && (first == "" || p.next < first != m.descending) {
			first = p.next
		}
	}
	return items, first
}
