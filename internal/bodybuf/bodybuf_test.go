package bodybuf_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/bodybuf"
)

const mib = 1 << 20

// Bodies of exactly the size of each buffer, and of one byte less and more, arrive in
// pieces of several sizes.
func TestReadReturnsTheWholeBody(t *testing.T) {
	t.Parallel()
	budget := bodybuf.NewBudget(64 * mib)
	for _, size := range []int{0, 4 << 10, 16 << 10, 64 << 10, 256 << 10, mib, 5 * mib} {
		for _, more := range []int{-1, 0, 1} {
			body := strings.Repeat("x", max(0, size+more))
			for _, pieces := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.DataErrReader, iotest.HalfReader,
			} {
				buf, err := bodybuf.Read(pieces(strings.NewReader(body)), int64(len(body)), budget)
				require.NoError(t, err)
				require.Equal(t, body, string(buf.Bytes()))
				buf.Free()
			}
		}
	}
	buf, err := bodybuf.Read(nil, 0, budget)
	require.NoError(t, err)
	require.Empty(t, buf.Bytes())
}

func TestReadBoundsTheBody(t *testing.T) {
	t.Parallel()
	_, err := bodybuf.Read(strings.NewReader("12345"), 4, bodybuf.NewBudget(mib))
	require.ErrorIs(t, err, bodybuf.ErrTooLarge)
	var limit *http.MaxBytesError
	require.ErrorAs(t, err, &limit)
	require.EqualValues(t, 4, limit.Limit)

	// An http.MaxBytesReader that the caller put around the body counts as well.
	outer := http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("12345")), 3)
	_, err = bodybuf.Read(outer, 4, bodybuf.NewBudget(mib))
	require.ErrorAs(t, err, &limit)
	require.EqualValues(t, 3, limit.Limit)
}

func TestReadNamesTheFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for cause, want := range map[error]error{
		os.ErrDeadlineExceeded: bodybuf.ErrTimeout,
		io.ErrUnexpectedEOF:    bodybuf.ErrUnreadable,
		broken:                 bodybuf.ErrUnreadable,
	} {
		body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(cause))
		_, err := bodybuf.Read(body, mib, bodybuf.NewBudget(mib))
		require.ErrorIs(t, err, want)
		require.ErrorIs(t, err, cause)
	}
}

// A budget with room for one large body refuses a second one until the first is freed.
// It never refuses a small one.
func TestBudget(t *testing.T) {
	t.Parallel()
	budget := bodybuf.NewBudget(20 << 10)
	large, small := strings.Repeat("x", 10<<10), strings.Repeat("x", 3<<10)
	read := func(body string) (*bodybuf.Buffer, error) {
		return bodybuf.Read(strings.NewReader(body), mib, budget)
	}
	first, err := read(large)
	require.NoError(t, err)
	_, err = read(large)
	require.ErrorIs(t, err, bodybuf.ErrMemory)
	for range 100 {
		_, err := read(small)
		require.NoError(t, err)
	}
	first.Free()
	for range 100 {
		buf, err := read(large)
		require.NoError(t, err)
		buf.Free()
	}
}

// A read that ends early, by an error, the limit or a panic, must give its memory back:
// otherwise failing requests would use up the budget.
func TestFailedReadsGiveTheirMemoryBack(t *testing.T) {
	t.Parallel()
	budget := bodybuf.NewBudget(20 << 10)
	large := strings.Repeat("x", 10<<10)
	for range 100 {
		_, err := bodybuf.Read(io.MultiReader(strings.NewReader(large), iotest.ErrReader(io.ErrUnexpectedEOF)), mib, budget)
		require.ErrorIs(t, err, bodybuf.ErrUnreadable)
		_, err = bodybuf.Read(strings.NewReader(large), 9<<10, budget)
		require.ErrorIs(t, err, bodybuf.ErrTooLarge)
		require.Panics(t, func() {
			_, _ = bodybuf.Read(io.MultiReader(strings.NewReader(large), panicReader{}), mib, budget)
		})
	}
	buf, err := bodybuf.Read(strings.NewReader(large), mib, budget)
	require.NoError(t, err)
	buf.Free()
}

// While nothing else needs the room, a body may take as long as it likes.
func TestSlowBodiesAreLeftAloneWhileThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := bodybuf.NewBudget(mib)
		slow := start(budget, 100<<10)
		for range 10 {
			time.Sleep(24 * time.Hour)
			slow.send(1 << 10)
			buf, err := bodybuf.Read(strings.NewReader(strings.Repeat("x", 100<<10)), mib, budget)
			require.NoError(t, err)
			buf.Free()
		}
		require.NoError(t, slow.end())
	})
}

// The body that is furthest behind the pace makes room first. A burst at the beginning does
// not help for long, nor does a byte now and then.
func TestTheSlowestBodyMakesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := bodybuf.NewBudget(448 << 10) // three bodies in slices of 128 KiB; a fourth needs 192 KiB while it grows
		burst := start(budget, 100<<10)
		dripping, steady := start(budget, 70<<10), start(budget, 70<<10)
		for range 10 {
			time.Sleep(10 * time.Millisecond)
			dripping.send(1)
			steady.send(5 << 10) // 500 KiB a second
		}
		require.NoError(t, start(budget, 100<<10).end())
		require.ErrorIs(t, burst.end(), bodybuf.ErrMemory)
		burst, third := start(budget, 100<<10), start(budget, 100<<10)
		require.ErrorIs(t, dripping.end(), bodybuf.ErrMemory)
		require.NoError(t, steady.end())
		require.NoError(t, burst.end())
		require.NoError(t, third.end())
	})
}

// The memory of a body that made room is given back at once, although its reader still
// waits, and it is not given back a second time later.
func TestABodyThatMadeRoomGivesItsMemoryBackOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		budget := bodybuf.NewBudget(200 << 10)
		var waiting []*body
		for range 100 {
			waiting = append(waiting, start(budget, 100<<10))
			time.Sleep(time.Millisecond)
		}
		last := len(waiting) - 1
		for _, b := range waiting[:last] {
			require.ErrorIs(t, b.end(), bodybuf.ErrMemory)
		}
		require.NoError(t, waiting[last].end())
		first, err := bodybuf.Read(strings.NewReader(strings.Repeat("x", 100<<10)), mib, budget)
		require.NoError(t, err)
		_, err = bodybuf.Read(strings.NewReader(strings.Repeat("x", 100<<10)), mib, budget)
		require.ErrorIs(t, err, bodybuf.ErrMemory, "what has arrived whole does not make room")
		first.Free()
	})
}

// Bodies of all sizes and paces come and go at the same time. Each that is read is whole.
func TestReadUnderConcurrency(t *testing.T) {
	t.Parallel()
	budget := bodybuf.NewBudget(mib)
	var group sync.WaitGroup
	var read, refused atomic.Int64
	for g := range 16 {
		group.Go(func() {
			for i := range 20 {
				want := strings.Repeat(string(rune('a'+g)), 1+(i*7919+g*104729)%(300<<10))
				buf, err := bodybuf.Read(yieldingReader{strings.NewReader(want)}, mib, budget)
				if err != nil {
					refused.Add(1)
					continue
				}
				read.Add(1)
				if string(buf.Bytes()) != want {
					t.Error("a body was changed")
				}
				buf.Free()
			}
		})
	}
	group.Wait()
	t.Logf("%d read, %d refused", read.Load(), refused.Load())
	require.Positive(t, read.Load())
	buf, err := bodybuf.Read(strings.NewReader(strings.Repeat("x", 512<<10)), mib, budget)
	require.NoError(t, err, "all memory was given back")
	buf.Free()
}

// yieldingReader lets other goroutines run between its pieces.
type yieldingReader struct{ io.Reader }

func (r yieldingReader) Read(p []byte) (int, error) {
	runtime.Gosched()
	return r.Reader.Read(p)
}

// body is a body that arrives bit by bit.
type body struct {
	*io.PipeWriter
	done chan error
}

// start begins a body with n bytes.
func start(budget *bodybuf.Budget, n int) *body {
	r, w := io.Pipe()
	b := &body{w, make(chan error, 1)}
	go func() {
		buf, err := bodybuf.Read(r, mib, budget)
		if err == nil {
			buf.Free()
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		b.done <- err
	}()
	b.send(n)
	return b
}

// send sends n more bytes, and returns once they were read or refused.
func (b *body) send(n int) {
	_, _ = io.WriteString(b, strings.Repeat("x", n))
	synctest.Wait()
}

// end sends the last bytes, and returns the error of Read.
func (b *body) end() error {
	b.send(4 << 10)
	_ = b.Close()
	return <-b.done
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("broken body") }
