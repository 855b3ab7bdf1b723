package alotwebhook

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

// DefaultMaxBodyMemory is how much memory large bodies take at once, in bytes: 64 MiB.
const DefaultMaxBodyMemory = 64 << 20

// bodySizes are the sizes of the buffers. A body starts in the smallest and
// moves on with what really comes, never by what Content-Length promises: many
// slow clients cost little. Each size has a pool of its own, so that a small
// body never sits in a large buffer. Beyond the last, sizes double, unpooled.
var (
	bodySizes = []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}
	bodyPools = make([]sync.Pool, len(bodySizes))
)

// bodyBudget bounds the memory of all bodies that have outgrown the smallest
// buffer. Those that have not always fit: nearly all events are small, and must
// not wait behind those who send large bodies slowly.
type bodyBudget struct {
	limit int64
	used  atomic.Int64
}

func newBodyBudget(limit int64) *bodyBudget {
	if limit <= 0 {
		limit = DefaultMaxBodyMemory
	}
	return &bodyBudget{limit: limit}
}

func (b *bodyBudget) take(size int) bool {
	if size <= bodySizes[0] {
		return true
	}
	if b.used.Add(int64(size)) > b.limit {
		b.give(size)
		return false
	}
	return true
}

func (b *bodyBudget) give(size int) {
	if size > bodySizes[0] {
		b.used.Add(-int64(size))
	}
}

// bodyBuffer holds a body while it is verified and parsed.
type bodyBuffer struct {
	b      []byte
	budget *bodyBudget
}

// newBodyBuffer returns an empty buffer of a size that the budget allows.
func newBodyBuffer(size int, budget *bodyBudget) (*bodyBuffer, error) {
	if !budget.take(size) {
		return nil, fmt.Errorf("%w: they would take more than %d bytes", ErrBodyMemory, budget.limit)
	}
	if class := slices.Index(bodySizes, size); class >= 0 {
		if buf, ok := bodyPools[class].Get().(*bodyBuffer); ok {
			buf.budget = budget
			return buf, nil
		}
	}
	return &bodyBuffer{b: make([]byte, 0, size), budget: budget}, nil
}

// free gives the memory back; nothing may alias it any more.
func (buf *bodyBuffer) free() {
	buf.budget.give(cap(buf.b))
	if class := slices.Index(bodySizes, cap(buf.b)); class >= 0 {
		buf.b, buf.budget = buf.b[:0], nil
		bodyPools[class].Put(buf)
	}
}

// grown returns a larger buffer with the same content in place of buf.
func (buf *bodyBuffer) grown() (*bodyBuffer, error) {
	size := 2 * cap(buf.b)
	if class := slices.Index(bodySizes, cap(buf.b)) + 1; class > 0 && class < len(bodySizes) {
		size = bodySizes[class]
	}
	larger, err := newBodyBuffer(size, buf.budget)
	if err != nil {
		return buf, err
	}
	larger.b = append(larger.b, buf.b...)
	buf.free()
	return larger, nil
}

// readBody reads the whole body: never a part of it, which would pass for forged.
// The caller frees the buffer, if there is no error.
func readBody(body io.Reader, maxBytes int64, budget *bodyBudget) (*bodyBuffer, error) {
	buf, err := newBodyBuffer(bodySizes[0], budget)
	if err != nil || body == nil {
		return buf, err
	}
	whole := false
	defer func() {
		if !whole { // a body that panics costs no memory either
			buf.free()
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

// readMore reads once. The error is io.EOF at the end of a body within the limit.
func (buf *bodyBuffer) readMore(body io.Reader, maxBytes int64) error {
	n, err := body.Read(buf.b[len(buf.b):cap(buf.b)])
	buf.b = buf.b[:len(buf.b)+n]
	limit := (*http.MaxBytesError)(nil)
	switch {
	case int64(len(buf.b)) > maxBytes:
		return tooLarge(&http.MaxBytesError{Limit: maxBytes})
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &limit):
		return tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrBodyTimeout, err)
	}
	return fmt.Errorf("%w: %w", errUnreadable, err)
}

func tooLarge(err *http.MaxBytesError) error {
	return fmt.Errorf("%w: more than %d bytes: %w", ErrBodyTooLarge, err.Limit, err)
}
