// Package chain has a doubly linked list whose nodes are part of what they link. Unlike
// container/list it allocates nothing, so it suits what enters and leaves a list for each
// attempt.
package chain

// Node is the place of a value in a [List]. A value has one node for each list that it may
// be in, and must not be copied while it is in one.
type Node[T any] struct {
	Value      T
	list       *List[T] // nil outside of a list
	prev, next *Node[T]
}

// In reports whether the node is in a list.
func (n *Node[T]) In() bool { return n.list != nil }

// List is a list of nodes. The zero List is empty. It must not be copied after its first use.
type List[T any] struct {
	first, last *Node[T]
	n           int
}

// Len returns how many nodes there are.
func (l *List[T]) Len() int { return l.n }

// Front returns the first node; nil if there is none.
func (l *List[T]) Front() *Node[T] { return l.first }

// PushBack adds a node, which must be in no list, at the end.
func (l *List[T]) PushBack(n *Node[T]) {
	if n.In() {
		panic("chain: the node is in a list already; remove it first")
	}
	n.list, n.prev, n.next = l, l.last, nil
	if l.last == nil {
		l.first = n
	} else {
		l.last.next = n
	}
	l.last = n
	l.n++
}

// Remove takes a node out of the list, if it is in it.
func (l *List[T]) Remove(n *Node[T]) {
	if n.list != l {
		return
	}
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
	l.n--
}
