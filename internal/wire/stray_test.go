package wire_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A server may send more than its response: gunicorn sends the body of a 204, with or without a length.
// Many requests at once, over connections that are kept, are each answered, whenever those bytes arrive.
func TestManyRequestsOverStrayBytes(t *testing.T) {
	t.Parallel()
	const requests, atOnce, longest = 1500, 64, 60_000
	for name, parts := range map[string][]string{
		"a body behind a 204":             {noContent, `{"id":"evt_1"}`},
		"a 204 with the length of a body": {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "hello"},
		"a body that is cut in parts":     {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
		"two bytes more than the length":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ay"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, false, func(_ int64, conn net.Conn) {
				in := bufio.NewReader(conn)
				for readRequest(in) == nil {
					for _, part := range parts { // as different packets
						if _, err := io.WriteString(conn, part); err != nil {
							return
						}
					}
				}
			})
			transport := s.transport(t, nil)
			var sent atomic.Int64
			var open sync.WaitGroup
			failed := make(chan error, requests)
			for range atOnce {
				open.Go(func() {
					for n := sent.Add(1); n <= requests; n = sent.Add(1) {
						if r := post(t, transport, s.url, int(n)*7919%longest); r.err != nil {
							failed <- r.err
						}
					}
				})
			}
			open.Wait()
			close(failed)
			require.NoError(t, <-failed)
		})
	}
}

// Bytes behind a response are none of the next one either where TLS has read them together with it.
func TestStrayBytesBehindTLS(t *testing.T) {
	t.Parallel()
	for name, stray := range map[string]string{
		"a body behind a 204": `{"id":"evt_1"}`,
		"a whole response":    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int64
			s := serveRaw(t, true, func(_ int64, conn net.Conn) {
				in := bufio.NewReader(conn)
				for readRequest(in) == nil {
					handled.Add(1)
					if sendAtOnce(conn, noContent, stray) != nil {
						return
					}
				}
			})
			transport := s.transport(t, nil)
			const requests = 20
			for range requests {
				r := post(t, transport, s.url, 300)
				requireStatus(t, 204, r)
				require.Zero(t, r.repeats)
			}
			require.EqualValues(t, requests, handled.Load(), "no request is made twice")
		})
	}
}

// corked can hold back what is written.
type corked struct {
	net.Conn
	held *bytes.Buffer // nil: it holds nothing back
}

func (c *corked) Write(p []byte) (int, error) {
	if c.held != nil {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// sendAtOnce sends each part as a record of TLS, and all of them in one segment.
func sendAtOnce(conn net.Conn, parts ...string) error {
	below := conn.(*tls.Conn).NetConn().(*corked)
	below.held = &bytes.Buffer{}
	for _, part := range parts {
		if _, err := io.WriteString(conn, part); err != nil {
			return err
		}
	}
	text := below.held.Bytes()
	below.held = nil
	_, err := below.Write(text)
	return err
}
