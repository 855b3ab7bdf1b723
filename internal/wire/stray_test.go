package wire_test

import (
	"bufio"
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
