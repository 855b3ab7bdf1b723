package memory

import (
	"container/heap"
	"time"
)

// dueHeap is a heap ordered by due time, the earliest in front. Each member
// knows its own index in it, so that it can be moved or removed without a search.
type dueHeap[T dueMember] []T

// dueMember is a member of a dueHeap: a delivery in its endpoint's heap waiting, or an
// endpoint in the store's heap alarms.
type dueMember interface {
	comparable
	due() time.Duration
	place() *int // the member's index; -1 while it is outside the heap
}

// Len implements [sort.Interface].
func (h dueHeap[T]) Len() int { return len(h) }

// Less implements [sort.Interface].
func (h dueHeap[T]) Less(i, j int) bool { return h[i].due() < h[j].due() }

// Swap implements [sort.Interface].
func (h dueHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

// Push implements [heap.Interface].
func (h *dueHeap[T]) Push(x any) {
	*x.(T).place() = len(*h)
	*h = append(*h, x.(T))
}

// Pop implements [heap.Interface].
func (h *dueHeap[T]) Pop() any {
	var none T
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = none
	*h = (*h)[:last]
	*x.place() = -1
	return x
}

// set brings the heap up to date for x: with in it adds x, or moves it after its
// due time changed; without in it removes x if it is there.
func (h *dueHeap[T]) set(x T, in bool) {
	switch i := *x.place(); {
	case in && i < 0:
		heap.Push(h, x)
	case in:
		heap.Fix(h, i)
	case i >= 0:
		heap.Remove(h, i)
	}
}

func (d *storedDelivery) due() time.Duration { return d.dueAt }
func (d *storedDelivery) place() *int        { return &d.waiting }

// due is when the first of the endpoint's waiting deliveries falls due for which a claim
// waits; it must have one that waits.
func (e *storedEndpoint) due() time.Duration {
	if d := e.first.holder; e.Ordered && d != nil && d.waiting >= 0 {
		return d.dueAt
	}
	return e.waiting[0].dueAt
}
func (e *storedEndpoint) place() *int { return &e.alarm }
