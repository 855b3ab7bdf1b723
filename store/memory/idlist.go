package memory

import (
	"cmp"
	"iter"
	"slices"
)

// idList holds events or deliveries in the order of their ids, cut into chunks. Nearly all
// ids come in ascending order and are appended. To insert or remove anywhere else
// moves the entries of one chunk, however long the list is.
type idList[T identified] struct{ chunks [][]T } // no chunk is empty

// identified is a member of an idList.
type identified interface{ key() string }

func (d *storedDelivery) key() string { return d.id }
func (e *storedEvent) key() string    { return e.ID }

// maxChunk is how many entries a chunk holds at most.
const maxChunk = 512

func (l *idList[T]) empty() bool { return len(l.chunks) == 0 }

// find returns the place of id in the list, or the place where it belongs: the
// chunk's index and the index in the chunk. An id behind all others belongs to
// a chunk that does not exist yet.
func (l *idList[T]) find(id string) (chunk, i int) {
	if last := len(l.chunks) - 1; last < 0 || l.chunks[last][len(l.chunks[last])-1].key() < id {
		return last + 1, 0
	}
	chunk, _ = slices.BinarySearchFunc(l.chunks, id, func(c []T, id string) int {
		return cmp.Compare(c[len(c)-1].key(), id)
	})
	i, _ = slices.BinarySearchFunc(l.chunks[chunk], id, func(x T, id string) int {
		return cmp.Compare(x.key(), id)
	})
	return chunk, i
}

// insert adds a member that is not in the list. A chunk that grows too long is
// cut in halves.
func (l *idList[T]) insert(x T) {
	chunk, i := l.find(x.key())
	if chunk == len(l.chunks) { // behind all others
		if last := chunk - 1; last >= 0 && len(l.chunks[last]) < maxChunk {
			l.chunks[last] = append(l.chunks[last], x)
		} else {
			l.chunks = append(l.chunks, []T{x})
		}
		return
	}
	c := slices.Insert(l.chunks[chunk], i, x)
	l.chunks[chunk] = c
	if len(c) > maxChunk {
		half := len(c) / 2
		l.chunks[chunk] = c[:half:half]
		l.chunks = slices.Insert(l.chunks, chunk+1, slices.Clone(c[half:]))
	}
}

// remove takes out the member with that id, which must be in the list.
func (l *idList[T]) remove(id string) {
	chunk, i := l.find(id)
	if c := slices.Delete(l.chunks[chunk], i, i+1); len(c) > 0 {
		l.chunks[chunk] = c
	} else {
		l.chunks = slices.Delete(l.chunks, chunk, chunk+1)
	}
}

// descending yields the members whose ids are below before, the highest id
// first; all of them when before is "".
func (l *idList[T]) descending(before string) iter.Seq[T] {
	return func(yield func(T) bool) {
		chunk, i := len(l.chunks), 0
		if before != "" {
			chunk, i = l.find(before)
		}
		for {
			if i--; i < 0 {
				if chunk--; chunk < 0 {
					return
				}
				i = len(l.chunks[chunk])
				continue
			}
			if !yield(l.chunks[chunk][i]) {
				return
			}
		}
	}
}

// newest returns up to n members with the highest ids.
func (l *idList[T]) newest(n int) (found []T) {
	for x := range l.descending("") {
		if len(found) >= n {
			break
		}
		found = append(found, x)
	}
	return found
}
