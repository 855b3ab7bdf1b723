// Package bodybuf reads request bodies into pooled buffers, and bounds the memory of
// all bodies that are read at the same time.
package bodybuf

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// These are the errors of [Read].
var (
	// ErrTooLarge means that the body exceeds its limit. It wraps an
	// [*http.MaxBytesError] that has the limit.
	ErrTooLarge = errors.New("alotwebhook: body too large")
	// ErrMemory means that the budget has no room for the body.
	ErrMemory = errors.New("alotwebhook: too many large bodies at once")
	// ErrTimeout means that the read deadline passed before the end of the body.
	ErrTimeout = errors.New("alotwebhook: body did not arrive in time")
	// ErrUnreadable means that reading failed for any other reason.
	ErrUnreadable = errors.New("alotwebhook: cannot read the body")
)

// sizes are the sizes of pooled buffers, in bytes. A body starts in the smallest
// buffer and moves to a larger one only as its bytes arrive. Its Content-Length has no
// influence, so that many slow clients that promise large bodies take little memory.
// Each size has its own pool, so that a small body never occupies a large buffer.
// Above the last size, buffers double and are not pooled.
var (
	sizes = []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}
	pools = make([]sync.Pool, len(sizes))
)

// Budget bounds the memory of all bodies that have outgrown the smallest buffer of
// 4 KiB. Nearly all events are smaller. They are not counted and always have room, so
// that large bodies that arrive slowly cannot keep them out.
type Budget struct {
	limit int64 // bytes
	used  atomic.Int64
}

// NewBudget returns a Budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// take reserves size bytes, or returns false if there is no room for them.
func (b *Budget) take(size int) bool {
	if size <= sizes[0] {
		return true
	}
	if b.used.Add(int64(size)) > b.limit {
		b.give(size)
		return false
	}
	return true
}

// give returns size bytes that take reserved.
func (b *Budget) give(size int) {
	if size > sizes[0] {
		b.used.Add(-int64(size))
	}
}

// Buffer holds a body while it is verified and parsed.
type Buffer struct {
	b      []byte
	budget *Budget
}

// Bytes returns the body. It must not be used after [Buffer.Free].
func (buf *Buffer) Bytes() []byte { return buf.b }

// Free returns the memory to the budget, and the buffer to its pool.
func (buf *Buffer) Free() {
	buf.budget.give(cap(buf.b))
	if class := slices.Index(sizes, cap(buf.b)); class >= 0 {
		buf.b, buf.budget = buf.b[:0], nil
		pools[class].Put(buf)
	}
}

// newBuffer returns an empty buffer of size bytes. The error is [ErrMemory].
func newBuffer(size int, budget *Budget) (*Buffer, error) {
	if !budget.take(size) {
		return nil, fmt.Errorf("%w: they would take more than %d bytes", ErrMemory, budget.limit)
	}
	if class := slices.Index(sizes, size); class >= 0 {
		if buf, ok := pools[class].Get().(*Buffer); ok {
			buf.budget = budget
			return buf, nil
		}
	}
	return &Buffer{b: make([]byte, 0, size), budget: budget}, nil
}

// grown returns a larger buffer with the same content, and frees buf. If it cannot, it
// returns buf itself and an [ErrMemory].
func (buf *Buffer) grown() (*Buffer, error) {
	size := 2 * cap(buf.b)
	if class := slices.Index(sizes, cap(buf.b)) + 1; class > 0 && class < len(sizes) {
		size = sizes[class]
	}
	larger, err := newBuffer(size, buf.budget)
	if err != nil {
		return buf, err
	}
	larger.b = append(larger.b, buf.b...)
	buf.Free()
	return larger, nil
}

// Read reads a body of at most maxBytes to its end; a nil body is empty. If it cannot
// read all of the body, it returns an error and never a part: the signature of a part
// would look forged. The caller frees the buffer. The errors are those of this package.
func Read(body io.Reader, maxBytes int64, budget *Budget) (*Buffer, error) {
	buf, err := newBuffer(sizes[0], budget)
	if err != nil || body == nil {
		return buf, err
	}
	whole := false
	defer func() {
		if !whole { // also if body.Read panics
			buf.Free()
		}
	}()
	for err == nil {
		err = buf.readMore(body, maxBytes)
		if err == nil && len(buf.b) == cap(buf.b) {
			buf, err = buf.grown()
		}
	}
	if whole = err == io.EOF; whole {
		return buf, nil
	}
	return nil, err
}

// readMore calls body.Read once. Its error is io.EOF at the end of a body that is
// within the limit.
func (buf *Buffer) readMore(body io.Reader, maxBytes int64) error {
	n, err := body.Read(buf.b[len(buf.b):cap(buf.b)])
	buf.b = buf.b[:len(buf.b)+n]
	limit := (*http.MaxBytesError)(nil)
	switch {
	case int64(len(buf.b)) > maxBytes:
		return TooLarge(maxBytes)
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &limit):
		return TooLarge(limit.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// TooLarge returns an [ErrTooLarge] for a body with more than limit bytes.
func TooLarge(limit int64) error {
	return fmt.Errorf("%w: more than %d bytes: %w", ErrTooLarge, limit, &http.MaxBytesError{Limit: limit})
}
