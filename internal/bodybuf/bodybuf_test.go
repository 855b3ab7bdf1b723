package bodybuf_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"

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

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("broken body") }
