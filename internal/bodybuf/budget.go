package bodybuf

import (
	"container/heap"
	"fmt"
	"slices"
	"sync"
	"time"
)

// sizes are the sizes of the slices for bodies that landing does not hold, in bytes. A
// body moves to a larger one only as its bytes arrive. Its Content-Length has no
// influence, so that clients that promise large bodies take little memory. Each size has
// its own pool, so that a small body never occupies a large slice. Above the last size,
// slices double and are not pooled.
var (
	sizes = []int{16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20}
	pools = make([]sync.Pool, len(sizes)) // of *[]byte
)

// sizeFor returns the size of the slice for n bytes.
func sizeFor(n int) int {
	size := sizes[0]
	for size < n {
		size *= 2
	}
	return size
}

// newSlice returns an empty slice with that capacity.
func newSlice(size int) []byte {
	if class := slices.Index(sizes, size); class >= 0 {
		if b, ok := pools[class].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, size)
}

// recycle puts a slice of newSlice into its pool.
func recycle(b []byte) {
	if class := slices.Index(sizes, cap(b)); class >= 0 {
		pools[class].Put(&b)
	}
}

// Budget bounds the memory of all bodies that are larger than landing, which nearly no
// event is. While there is room, a body may arrive as slowly as it likes. When there is
// none, the body that is furthest behind makes room for those that are less far behind.
// So whoever wants to keep the room occupied must send all the time, and fast.
type Budget struct {
	limit int64 // bytes

	mu       sync.Mutex
	used     int64
	arriving byPace
}

// leastRate is the pace, in bytes a second, that bodies are compared with.
const leastRate = 256 << 10

// place is where a large body is kept.
type place struct {
	b []byte
	// paidUntil is the time until which the body has kept the pace: each byte puts it off
	// by 1/leastRate seconds, but never past now. An early burst therefore does not count
	// for long, and a byte now and then counts for little.
	paidUntil time.Time
	// index is where Budget.arriving has the place, if arriving is true. The bytes may be
	// taken away then.
	index            int
	arriving, cutOff bool
}

// NewBudget returns a Budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// add adds bytes to a place. With the last ones, the body has arrived, and its bytes are
// not taken away any more. The error is an [ErrMemory].
func (b *Budget) add(p *place, more []byte, last bool) error {
	size, err := b.reserve(p, len(more))
	if err != nil {
		return err
	}
	old := p.b
	if size > 0 {
		p.b = append(newSlice(size), old...)
		recycle(old)
	}
	p.b = append(p.b, more...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if size > 0 {
		b.used -= int64(cap(old))
	}
	if !last {
		heap.Push(&b.arriving, p)
	}
	return nil
}

// reserve takes a place out of those that are arriving, so that its bytes stay. If n more
// bytes need a larger slice, it finds room for that and returns its size, otherwise 0.
func (b *Budget) reserve(p *place, n int) (size int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.cutOff {
		return 0, fmt.Errorf("%w: this one made room, because it arrived more slowly than others", ErrMemory)
	}
	b.withdraw(p)
	p.pay(n)
	if len(p.b)+n <= cap(p.b) {
		return 0, nil
	}
	size = sizeFor(len(p.b) + n)
	for b.used+int64(size) > b.limit {
		if len(b.arriving) == 0 || b.arriving[0].paidUntil.After(p.paidUntil) {
			return 0, fmt.Errorf("%w: they would take more than %d bytes", ErrMemory, b.limit)
		}
		b.cutOff(b.arriving[0])
	}
	b.used += int64(size)
	return size, nil
}

// pay puts off the time until which n more bytes have kept the pace.
func (p *place) pay(n int) {
	now := time.Now()
	p.paidUntil = p.paidUntil.Add(time.Duration(n) * time.Second / leastRate)
	if p.b == nil || p.paidUntil.After(now) {
		p.paidUntil = now
	}
}

// cutOff takes the bytes of a place away. Its reader finds out when more have landed.
func (b *Budget) cutOff(p *place) {
	b.withdraw(p)
	p.cutOff = true
	b.free(p)
}

// leave frees the place of a body that is done with.
func (b *Budget) leave(p *place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.withdraw(p)
	b.free(p)
}

func (b *Budget) withdraw(p *place) {
	if p.arriving {
		heap.Remove(&b.arriving, p.index)
	}
}

func (b *Budget) free(p *place) {
	b.used -= int64(cap(p.b))
	recycle(p.b)
	p.b = nil
}

// byPace is a heap: the place that is furthest behind comes first.
type byPace []*place

func (h byPace) Len() int           { return len(h) }
func (h byPace) Less(i, j int) bool { return h[i].paidUntil.Before(h[j].paidUntil) }
func (h byPace) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *byPace) Push(p any) {
	added := p.(*place)
	added.index, added.arriving = len(*h), true
	*h = append(*h, added)
}

// Pop implements [heap.Interface].
func (h *byPace) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h, p.arriving = (*h)[:last], false
	return p
}
