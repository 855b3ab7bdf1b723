package wire_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/certtest"
	"github.com/alot/alotwebhook/internal/wire"
)

// A header that ends too soon is no malformed one, wherever it ends.
func TestHeaderThatIsCutOff(t *testing.T) {
	t.Parallel()
	const header = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\n"
	for _, secure := range []bool{false, true} {
		for n := range len(header) {
			s := serveRaw(t, secure, func(_ int64, conn net.Conn) {
				if readRequest(bufio.NewReader(conn)) == nil {
					_, _ = io.WriteString(conn, header[:n])
				}
			})
			failure, detail := wire.Explain(post(t, s.transport(t, nil), s.url, 10).err)
			require.Equal(t, wire.ConnectionReset, failure, "%q: %s", header[:n], detail)
		}
	}
}

// A server that ends a header never, or in the middle of a line, is too slow.
func TestHeaderThatHangs(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{"HT", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nSer", "HTTP/1.1 200 OK\r\nServer: x\r\n"} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) {
			in := bufio.NewReader(conn)
			if readRequest(in) == nil {
				_, _ = io.WriteString(conn, begin)
				_, _ = in.ReadByte() // until the sender gives up
			}
		})
		attempt := new(wire.Attempts).Begin(50 * time.Millisecond)
		defer attempt.End()
		failure, detail := wire.Explain(postUnder(t, attempt, s.transport(t, nil), s.url))
		require.Equal(t, wire.Timeout, failure, "%q: %s", begin, detail)
	}
}

// postUnder sends a request under a context, and returns its error.
func postUnder(t testing.TB, ctx context.Context, transport http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("x"))
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

// A request that runs out of time on a kept connection is not made again, even if a wrapper has made the
// context another one, whose end comes a moment after the connection's.
func TestTimeoutOnAKeptConnectionIsNoRepeat(t *testing.T) {
	t.Parallel()
	for range 30 {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) {
			in := bufio.NewReader(conn)
			if readRequest(in) == nil {
				_, _ = io.WriteString(conn, noContent)
				_, _ = io.Copy(io.Discard, in) // the next one gets no response
			}
		})
		transport := s.transport(t, nil)
		requireStatus(t, 204, post(t, transport, s.url, 1))
		attempt := new(wire.Attempts).Begin(20 * time.Millisecond)
		type key struct{}
		failure, detail := wire.Explain(postUnder(t, context.WithValue(attempt, key{}, 1), transport, s.url))
		require.Equal(t, wire.Timeout, failure, detail)
		require.Zero(t, attempt.Repeats())
		attempt.End()
	}
}

// The alert of a server that demands a client certificate counts also if it resets the connection behind it.
func TestAlertBeforeAReset(t *testing.T) {
	t.Parallel()
	root := certtest.Issue(t, "root", nil, certtest.Authority)
	config := certtest.Issue(t, "good", root, nil).Server()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, root.Pool()
	for _, size := range []int{300, 15_000, 200_000} {
		for range 10 {
			s := serveRaw(t, false, func(_ int64, conn net.Conn) {
				_ = tls.Server(conn, config).Handshake()
				_ = conn.(*net.TCPConn).SetLinger(0)
			})
			transport := newTransport(t, func(c *wire.Config) { c.RootCAs = root.Pool() })
			r := post(t, transport, "https"+strings.TrimPrefix(s.url, "http"), size)
			failure, detail := wire.Explain(r.err)
			require.Equal(t, wire.TLS, failure, "%d bytes: %s", size, detail)
		}
	}
}
