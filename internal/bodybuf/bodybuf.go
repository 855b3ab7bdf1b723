// Package bodybuf reads request bodies into pooled buffers, and bounds the memory of
// all bodies that are read at the same time.
package bodybuf

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"sync"
)

// These are the errors of [Read].
var (
	// ErrTooLarge means that the body exceeds its limit. It wraps an
	// [*http.MaxBytesError] that has the limit.
	ErrTooLarge = errors.New("alotwebhook: body too large")
	// ErrMemory means that the budget has no room for the body, or that the body had to
	// make room for others, because it arrived more slowly than they did.
	ErrMemory = errors.New("alotwebhook: too many large bodies at once")
	// ErrTimeout means that the read deadline passed before the end of the body.
	ErrTimeout = errors.New("alotwebhook: body did not arrive in time")
	// ErrUnreadable means that reading failed for any other reason.
	ErrUnreadable = errors.New("alotwebhook: cannot read the body")
)

// landingSize is the size of the buffer in which all bytes arrive. A body that fits is not
// counted by the budget. Of a larger body, landing holds the last bytes, and the budget
// holds those before: it can then take them away while a call of Read waits for more.
const landingSize = 4 << 10

var buffers = sync.Pool{New: func() any { return &Buffer{landing: make([]byte, landingSize)} }}

// Buffer holds a body while it is verified and parsed.
type Buffer struct {
	landing []byte
	landed  int // bytes in landing
	stowed  int // bytes before those, in place
	place   place
	budget  *Budget
}

// Bytes returns the body. It must not be used after [Buffer.Free].
func (buf *Buffer) Bytes() []byte {
	if buf.stowed > 0 {
		return buf.place.b
	}
	return buf.landing[:buf.landed]
}

// Free returns the memory to the budget, and the buffer to its pool.
func (buf *Buffer) Free() {
	if buf.stowed > 0 {
		buf.budget.leave(&buf.place)
	}
	*buf = Buffer{landing: buf.landing}
	buffers.Put(buf)
}

// Read reads a body of at most maxBytes to its end; a nil body is empty. If it cannot
// read all of the body, it returns an error and never a part: the signature of a part
// would look forged. The caller frees the buffer. The errors are those of this package.
func Read(body io.Reader, maxBytes int64, budget *Budget) (*Buffer, error) {
	buf := buffers.Get().(*Buffer)
	buf.budget = budget
	if body == nil {
		return buf, nil
	}
	whole := false
	defer func() {
		if !whole { // also if body.Read panics
			buf.Free()
		}
	}()
	for {
		err := buf.readMore(body, maxBytes)
		last := err == io.EOF
		if last || err == nil {
			err = buf.stow(last)
		}
		if err != nil {
			return nil, err
		}
		if last {
			whole = true
			return buf, nil
		}
	}
}

// readMore calls body.Read once. Its error is io.EOF at the end of a body that is
// within the limit.
func (buf *Buffer) readMore(body io.Reader, maxBytes int64) error {
	n, err := body.Read(buf.landing[buf.landed:])
	buf.landed += n
	limit := (*http.MaxBytesError)(nil)
	switch {
	case int64(buf.stowed+buf.landed) > maxBytes:
		return TooLarge(maxBytes)
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &limit):
		return TooLarge(limit.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, unquoted(err))
}

// unquoted returns the error of reading a body without what the client wrote: the error of
// a malformed trailer quotes its line.
func unquoted(err error) error {
	if quoting := textproto.ProtocolError(""); errors.As(err, &quoting) {
		return errTrailer
	}
	return err
}

var errTrailer = errors.New("malformed trailer after a chunked body")

// stow moves what has landed to the body's place, if landing is full, or if it is the last
// part of a body that has a place.
func (buf *Buffer) stow(last bool) error {
	if last && buf.stowed == 0 || !last && buf.landed < len(buf.landing) {
		return nil
	}
	if err := buf.budget.add(&buf.place, buf.landing[:buf.landed], last); err != nil {
		return err
	}
	buf.stowed += buf.landed
	buf.landed = 0
	return nil
}

// TooLarge returns an [ErrTooLarge] for a body with more than limit bytes.
func TooLarge(limit int64) error {
	return fmt.Errorf("%w: more than %d bytes: %w", ErrTooLarge, limit, &http.MaxBytesError{Limit: limit})
}
