package alotwebhook_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Bodies of about the sizes of the buffers arrive in pieces of several sizes.
func TestReceiverReadsEverySize(t *testing.T) {
	t.Parallel()
	const limit = 256 << 10
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: limit})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, limit} {
		for _, more := range []int{-1, 0, 1} {
			body := with("data", `"`+strings.Repeat("x", size+more-len(with("data", `""`)))+`"`)
			require.Len(t, body, size+more)
			for _, pieces := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.DataErrReader, iotest.HalfReader,
			} {
				r := signed(body)
				r.ContentLength, r.Body = -1, io.NopCloser(pieces(strings.NewReader(body)))
				status := responseOf(d, r).StatusCode
				if len(body) > limit {
					require.Equal(t, 413, status)
					continue
				}
				require.Equal(t, 200, status)
				require.Equal(t, body, string(d.handled[len(d.handled)-1].Payload()))
			}
		}
	}
}

// A body may be larger than the largest pooled buffer.
func TestReceiverReadsLargeBodies(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 3 << 20})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	body := with("data", `"`+strings.Repeat("x", 5<<19)+`"`)
	require.Equal(t, 200, statusOf(d, body))
	require.Equal(t, body, string(d.handled[0].Payload()))
	require.Equal(t, 413, statusOf(d, body+strings.Repeat(" ", 1<<19)))
}

// Large bodies that arrive slowly take no more memory than MaxBodyMemory: the one that is
// furthest behind makes room for the next. Small bodies get through all the same.
func TestReceiverBodyMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const room = 8 // bodies in buffers of 32 KiB; a ninth needs 48 KiB while it grows
		d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 36 << 10, MaxBodyMemory: (room + 1) * (32 << 10)})
		alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
		large := with("data", `"`+strings.Repeat("x", 30<<10)+`"`)
		begin := func() (rest *io.PipeWriter, status chan int) {
			r := signed(large)
			body, rest := io.Pipe()
			r.Body, status = body, make(chan int, 1)
			go func() {
				defer body.Close() // as a server does
				status <- responseOf(d, r).StatusCode
			}()
			_, _ = io.WriteString(rest, large[:20<<10]) // returns once the receiver has read it
			time.Sleep(time.Millisecond)
			return rest, status
		}
		var rests []*io.PipeWriter
		var stalled []chan int
		for len(stalled) < room {
			rest, status := begin()
			rests, stalled = append(rests, rest), append(stalled, status)
		}
		require.Equal(t, 200, responseOf(d, signed(payload)).StatusCode, "a small body always gets through")
		require.Equal(t, 200, responseOf(d, signed(large)).StatusCode, "a body that arrives at once has precedence")
		for i, rest := range rests {
			go func() {
				_, _ = io.WriteString(rest, large[20<<10:])
				_ = rest.Close()
			}()
			want := 200
			if i == 0 {
				want = 503
			}
			require.Equal(t, want, <-stalled[i])
		}
		require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrBodyMemory)
		require.Contains(t, d.log.String(), `"cause":"body_memory"`)
		for range 100 {
			require.Equal(t, 200, responseOf(d, signed(large)).StatusCode, "the memory was given back")
		}
	})
}

func TestReceiverBodyTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   time.Duration
		after time.Duration // 0 means never
	}{
		"default": {0, 15 * time.Second},
		"set":     {time.Second, time.Second},
		"none":    {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, alotwebhook.ReceiverConfig{BodyTimeout: c.cfg})
				alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
				conn, err := servePipes(t, d).dial()
				require.NoError(t, err)
				defer conn.Close()
				start := time.Now()
				_, err = io.WriteString(conn, head(payload, len(payload))+payload[:10])
				require.NoError(t, err)
				if c.after == 0 {
					time.Sleep(24 * time.Hour)
					_, err = io.WriteString(conn, payload[10:])
					require.NoError(t, err)
					resp, err := responseOn(conn)
					require.NoError(t, err)
					require.Equal(t, 200, resp.StatusCode)
					return
				}
				resp, err := responseOn(conn)
				require.NoError(t, err)
				require.Equal(t, c.after, time.Since(start))
				require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
				require.True(t, resp.Close)
				require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrBodyTimeout)
			})
		})
	}
}

// BodyTimeout ends with the body: the handler may take longer.
func TestReceiverBodyTimeoutSparesTheHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := deskWith(t, alotwebhook.ReceiverConfig{BodyTimeout: time.Second, Lease: time.Hour}, nil)
		alotwebhook.On(d.Receiver, "a.slow.one", d.keepSlowly(time.Minute))
		conn, err := servePipes(t, d).dial()
		require.NoError(t, err)
		defer conn.Close()
		body := with("type", `"a.slow.one"`)
		for range 2 { // the second request uses the same connection
			_, err = io.WriteString(conn, head(body, len(body))+body)
			require.NoError(t, err)
			resp, err := responseOn(conn)
			require.NoError(t, err)
			require.Equal(t, 200, resp.StatusCode)
			time.Sleep(time.Minute)
		}
		require.Len(t, d.handled, 1)
	})
}

// A client whose request is refused before its body is read cannot hold the connection by
// sending the body slowly.
func TestReceiverClosesConnectionsOfSlowClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, alotwebhook.ReceiverConfig{BodyTimeout: time.Second})
		conn, err := servePipes(t, d).dial()
		require.NoError(t, err)
		defer conn.Close()
		start := time.Now()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: customer.test\r\nContent-Length: 1000\r\n\r\n")
		require.NoError(t, err)
		resp, err := responseOn(conn)
		require.NoError(t, err)
		require.Equal(t, 401, resp.StatusCode)
		_, err = io.Copy(io.Discard, conn) // until the server closes the connection
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
	})
}

// A client with "Expect: 100-continue" waits to be asked for the body. A request that is
// refused by its headers gets its status without being asked.
func TestReceiverDoesNotAskForWhatItRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 1000})
	p := servePipes(t, d)
	for want, request := range map[string]string{
		"HTTP/1.1 100": head(payload, len(payload), "Expect: 100-continue"), // a good request is asked for its body
		"HTTP/1.1 401": "POST / HTTP/1.1\r\nHost: customer.test\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
		"HTTP/1.1 405": strings.Replace(head(payload, len(payload), "Expect: 100-continue"), "POST", "PUT", 1),
		"HTTP/1.1 413": head(payload, 1001, "Expect: 100-continue"),
		"HTTP/1.1 415": head(payload, len(payload), "Expect: 100-continue", "Content-Encoding: gzip"),
	} {
		conn, err := p.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(line, want), "%s, not %s", want, line)
		require.NoError(t, conn.Close())
	}
}

// endlessBody is a body without an end. The test fails if more than most bytes are read.
type endlessBody struct {
	t    *testing.T
	most int
}

func (b *endlessBody) Read(p []byte) (int, error) {
	if b.most -= len(p); b.most < 0 {
		b.t.Error("read too much")
		return 0, io.EOF
	}
	return len(p), nil
}

func (b *endlessBody) Close() error { return nil }
