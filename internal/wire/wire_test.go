package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/wire"
)

// patience is the bound of last resort.
const patience = 5 * time.Minute

// newTransport makes a transport over loopback; change adjusts its configuration.
func newTransport(t testing.TB, change func(*wire.Config)) *wire.Transport {
	c := wire.Config{
		Dial: new(net.Dialer).DialContext, TLSTimeout: patience, MaxHeaderBytes: 32 << 10,
		MaxIdle: 64, IdleTimeout: patience, MaxAge: patience,
	}
	if change != nil {
		change(&c)
	}
	transport := wire.New(c)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// result is what came of a request.
type result struct {
	status  int
	body    string
	repeats int
	err     error
}

// post sends a request of a size and reads its response to the end.
func post(t testing.TB, transport http.RoundTripper, url string, size int) (r result) {
	t.Helper()
	attempt := new(wire.Attempts).Begin(patience)
	defer func() {
		r.repeats = attempt.Repeats()
		attempt.End()
	}()
	req, err := http.NewRequestWithContext(attempt, http.MethodPost, url, strings.NewReader(strings.Repeat("x", size)))
	require.NoError(t, err)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		r.err = err
		return r
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.status, r.body, r.err = resp.StatusCode, string(body), err
	return r
}

func requireStatus(t testing.TB, want int, r result) {
	t.Helper()
	require.NoError(t, r.err)
	require.Equal(t, want, r.status)
}

// scripted is a server on raw connections: serve has each of them, with its number
// from 1.
type scripted struct {
	url         string
	roots       *x509.CertPool
	connections atomic.Int64
}

func serveRaw(t testing.TB, secure bool, serve func(n int64, conn net.Conn)) *scripted {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &scripted{url: "http://" + listener.Addr().String() + "/hook"}
	var config *tls.Config
	if secure {
		model := httptest.NewTLSServer(nil)
		model.Close()
		config = &tls.Config{Certificates: model.TLS.Certificates}
		s.roots = x509.NewCertPool()
		s.roots.AddCert(model.Certificate())
		s.url = "https" + s.url[len("http"):]
	}
	var open sync.WaitGroup
	t.Cleanup(open.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n := s.connections.Add(1)
			open.Go(func() {
				defer conn.Close()
				if secure {
					conn = tls.Server(&corked{Conn: conn}, config)
				}
				serve(n, conn)
			})
		}
	})
	return s
}

func (s *scripted) transport(t testing.TB, change func(*wire.Config)) *wire.Transport {
	return newTransport(t, func(c *wire.Config) {
		c.RootCAs = s.roots
		if change != nil {
			change(c)
		}
	})
}

// readRequest reads a request with its body.
func readRequest(in *bufio.Reader) error {
	r, err := http.ReadRequest(in)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err
}

// respond reads requests and answers each with the next text, or the last one.
func respond(conn net.Conn, texts ...string) {
	in := bufio.NewReader(conn)
	for i := 0; readRequest(in) == nil; i++ {
		if _, err := io.WriteString(conn, texts[min(i, len(texts)-1)]); err != nil {
			return
		}
	}
}

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

func TestARequestOnTheWire(t *testing.T) {
	t.Parallel()
	var head string
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		text := make([]byte, 64<<10)
		n, _ := conn.Read(text)
		head = string(text[:n])
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"?a=b%20c", strings.NewReader("the body"))
	require.NoError(t, err)
	req.Header.Set("X-Alot-Attempt", "1")
	req.Header.Set("User-Agent", "test")
	resp, err := s.transport(t, nil).RoundTrip(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "ok", string(body))
	require.Equal(t, "POST /hook?a=b%20c HTTP/1.1\r\nHost: "+req.URL.Host+"\r\nUser-Agent: test\r\nContent-Length: 8\r\nX-Alot-Attempt: 1\r\n\r\nthe body", head,
		"one write, even of a body whose kind net/http does not know")
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	for _, response := range []string{
		noContent, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + noContent,
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno",
	} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) { respond(conn, response) })
		transport := s.transport(t, nil)
		for range 5 {
			require.NoError(t, post(t, transport, s.url, 300).err)
		}
		require.EqualValues(t, 1, s.connections.Load(), response)
	}
}

func TestConnectionsThatAreNotKept(t *testing.T) {
	t.Parallel()
	for _, response := range []string{
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", noContent + "stray",
	} {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) { respond(conn, response) })
		transport := s.transport(t, nil)
		for range 3 {
			require.NoError(t, post(t, transport, s.url, 300).err, response)
		}
		require.EqualValues(t, 3, s.connections.Load(), response)
	}
}

// endingServer answers one request on each connection, and ends the second one when
// its first bytes are there, unread: the kernel resets the connection then.
func endingServer(t testing.TB, secure bool) *scripted {
	return serveRaw(t, secure, func(n int64, conn net.Conn) {
		in := bufio.NewReaderSize(conn, 1)
		if readRequest(in) != nil {
			return
		}
		if _, err := io.WriteString(conn, noContent); err != nil || n > 1 {
			respond(conn, noContent)
			return
		}
		_, _ = conn.Read(make([]byte, 1))
	})
}

// A kept connection that ends without a response costs no request, whatever its size.
func TestARequestIsRepeatedOnAFreshConnection(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, size := range []int{300, 7_000, 9_000, 20_000, 60_000, 200_000, 1 << 20} {
			t.Run(fmt.Sprint(secure, size), func(t *testing.T) {
				t.Parallel()
				s := endingServer(t, secure)
				transport := s.transport(t, nil)
				requireStatus(t, 204, post(t, transport, s.url, size))
				r := post(t, transport, s.url, size)
				requireStatus(t, 204, r)
				require.Equal(t, 1, r.repeats)
				require.EqualValues(t, 2, s.connections.Load())
			})
		}
	}
}

// A server may answer 408 as it gives up an idle connection on which a request is arriving. On a fresh
// connection 408 is its answer.
func TestARequestTimeOutOfAKeptConnectionIsRepeated(t *testing.T) {
	t.Parallel()
	const timeOut = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
	for _, size := range []int{300, 200_000} {
		s := serveRaw(t, false, func(n int64, conn net.Conn) {
			if n > 1 {
				respond(conn, noContent)
				return
			}
			in := bufio.NewReader(conn)
			for _, text := range []string{noContent, timeOut} {
				if readRequest(in) == nil {
					_, _ = io.WriteString(conn, text)
				}
			}
		})
		transport := s.transport(t, nil)
		requireStatus(t, 204, post(t, transport, s.url, size))
		r := post(t, transport, s.url, size)
		requireStatus(t, 204, r)
		require.Equal(t, 1, r.repeats)
		require.EqualValues(t, 2, s.connections.Load())
	}
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		if readRequest(bufio.NewReader(conn)) == nil {
			_, _ = io.WriteString(conn, timeOut)
		}
	})
	r := post(t, s.transport(t, nil), s.url, 300)
	requireStatus(t, 408, r)
	require.Zero(t, r.repeats)
}

// A server that dies on one request gets it once more, not once for each kept
// connection.
func TestARequestIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	const kept = 33
	var ready sync.WaitGroup
	ready.Add(kept)
	var poisoned atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) == 1000 {
			poisoned.Add(1)
			panic(http.ErrAbortHandler)
		}
		ready.Done()
		ready.Wait() // all of them at once
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	transport := newTransport(t, nil)
	var all sync.WaitGroup
	for range kept {
		all.Go(func() { requireStatus(t, 204, post(t, transport, server.URL, 300)) })
	}
	all.Wait()
	r := post(t, transport, server.URL, 1000)
	require.Error(t, r.err)
	require.Equal(t, 1, r.repeats)
	require.EqualValues(t, 2, poisoned.Load())
}

func TestAFreshConnectionIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(_ int64, conn net.Conn) { _ = readRequest(bufio.NewReader(conn)) })
	r := post(t, s.transport(t, nil), s.url, 300)
	require.ErrorIs(t, r.err, io.ErrUnexpectedEOF)
	require.Zero(t, r.repeats)
	require.EqualValues(t, 1, s.connections.Load())
}

// Once a byte of the response is there, the server has the request.
func TestABegunResponseIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, begun := range []string{"H", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 100 Continue\r\n\r\n"} {
		s := serveRaw(t, false, func(n int64, conn net.Conn) {
			in := bufio.NewReader(conn)
			if readRequest(in) == nil {
				_, _ = io.WriteString(conn, noContent)
			}
			if readRequest(in) == nil {
				_, _ = io.WriteString(conn, begun)
			}
		})
		transport := s.transport(t, nil)
		requireStatus(t, 204, post(t, transport, s.url, 300))
		r := post(t, transport, s.url, 300)
		require.Error(t, r.err, begun)
		require.Zero(t, r.repeats, begun)
		require.EqualValues(t, 1, s.connections.Load(), begun)
	}
}

// Bytes behind a response are not the next response, whether they come before the next
// request or together with it.
func TestStrayBytesCountAsNoResponse(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(n int64, conn net.Conn) {
		in := bufio.NewReader(conn)
		if readRequest(in) != nil {
			return
		}
		_, _ = io.WriteString(conn, noContent)
		if n > 1 {
			respond(conn, noContent)
			return
		}
		if _, err := in.Peek(1); err == nil { // the next request is on its way
			_, _ = io.WriteString(conn, `{"id":"evt_1"}`+noContent)
		}
	})
	transport := s.transport(t, nil)
	requireStatus(t, 204, post(t, transport, s.url, 300))
	r := post(t, transport, s.url, 300)
	requireStatus(t, 204, r)
	require.Equal(t, 1, r.repeats)
}

// A server that restarts, or closes what is idle, costs no request and no repeat: the
// end of a connection is seen before it is used.
func TestClosedIdleConnectionsAreSeen(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 64)
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		if readRequest(bufio.NewReader(conn)) == nil {
			_, _ = io.WriteString(conn, noContent)
		}
		_ = conn.Close()
		closed <- struct{}{}
	})
	transport := s.transport(t, nil)
	for i := range 5 {
		r := post(t, transport, s.url, 300)
		requireStatus(t, 204, r)
		require.Zero(t, r.repeats)
		<-closed
		require.EqualValues(t, i+1, s.connections.Load())
	}
}

// A response that comes before the server has read the request is the response.
func TestAnEarlyResponseIsRead(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, size := range []int{300, 20_000, 200_000, 8 << 20} {
			t.Run(fmt.Sprint(secure, size), func(t *testing.T) {
				t.Parallel()
				s := serveRaw(t, secure, func(_ int64, conn net.Conn) {
					_, _ = conn.Read(make([]byte, 100))
					_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
					_, _ = io.Copy(io.Discard, conn) // so that no reset takes the response away
				})
				r := post(t, s.transport(t, nil), s.url, size)
				requireStatus(t, 401, r)
				require.Equal(t, "no", r.body)
			})
		}
	}
}

// A server that answers and closes, with a part of the request unread, resets the connection. What it
// said is read all the same: its status may disable the endpoint, or say when to come again.
func TestAnEarlyResponseOutlivesItsReset(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, status := range []int{401, 410, 413, 429} {
			t.Run(fmt.Sprint(secure, status), func(t *testing.T) {
				t.Parallel()
				s := serveRaw(t, secure, func(_ int64, conn net.Conn) {
					_, _ = conn.Read(make([]byte, 100))
					_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno", status)
				})
				transport := s.transport(t, nil)
				for range 30 {
					for _, size := range []int{300, 20_000, 200_000, 1 << 20} {
						r := post(t, transport, s.url, size)
						requireStatus(t, status, r)
						require.Equal(t, "no", r.body)
					}
				}
			})
		}
	}
}

func TestConnectionsGrowOld(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(_ int64, conn net.Conn) { respond(conn, noContent) })
	transport := s.transport(t, func(c *wire.Config) { c.MaxAge = time.Nanosecond })
	for range 3 {
		requireStatus(t, 204, post(t, transport, s.url, 300))
	}
	require.EqualValues(t, 3, s.connections.Load())
}

// An idle connection is closed after its time, with no request that asks for one.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	s := serveRaw(t, false, func(_ int64, conn net.Conn) { respond(conn, noContent); close(ended) })
	transport := s.transport(t, func(c *wire.Config) { c.IdleTimeout = time.Millisecond })
	requireStatus(t, 204, post(t, transport, s.url, 300))
	<-ended
}

// A connection that a request has left idle is there when the time of that request is over.
func TestIdleConnectionsOutliveRequests(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		s := serveRaw(t, secure, func(_ int64, conn net.Conn) { respond(conn, noContent) })
		transport := s.transport(t, nil)
		for limit, done := 200*time.Millisecond, false; !done; limit *= 2 { // enough on any machine
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader("x"))
			require.NoError(t, err)
			_, err = transport.RoundTrip(req)
			done = err == nil
			<-ctx.Done()
			cancel()
		}
		before := s.connections.Load()
		requireStatus(t, 204, post(t, transport, s.url, 300))
		require.Equal(t, before, s.connections.Load())
	}
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	ended := make(chan int64, 8)
	transport := newTransport(t, func(c *wire.Config) { c.MaxIdle = 2 })
	for range 4 {
		s := serveRaw(t, false, func(_ int64, conn net.Conn) { respond(conn, noContent); ended <- 1 })
		requireStatus(t, 204, post(t, transport, s.url, 300))
	}
	<-ended // the two that were idle for longest
	<-ended
	transport.CloseIdleConnections()
	<-ended
	<-ended
}

func TestHeaderIsBounded(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]string{
		"fields":      "X: " + strings.Repeat("x", 100) + "\r\n",
		"one line":    strings.Repeat("x", 100),
		"information": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, false, func(_ int64, conn net.Conn) {
				if name != "information" {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				}
				for err := error(nil); err == nil; {
					_, err = io.WriteString(conn, flood)
				}
			})
			r := post(t, s.transport(t, nil), s.url, 300)
			require.ErrorIs(t, r.err, wire.ErrHeaderTooLarge)
		})
	}
}

// The body of a response has its own bound, which is the caller's.
func TestALongBodyIsNoHeader(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		respond(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1_000_000))
	})
	r := post(t, s.transport(t, nil), s.url, 300)
	requireStatus(t, 200, r)
	require.Len(t, r.body, 1_000_000)
}

// Whoever stops reading a body, or is told to stop, leaves no connection behind.
func TestAnAbandonedBodyClosesItsConnection(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	s := serveRaw(t, false, func(_ int64, conn net.Conn) {
		respond(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		close(ended)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, nil)
	require.NoError(t, err)
	resp, err := s.transport(t, nil).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, resp.Body.Close())
	<-ended
	_, err = resp.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestTheContextEndsARequest(t *testing.T) {
	t.Parallel()
	reason := errors.New("given up")
	for name, serve := range map[string]func(net.Conn, context.CancelCauseFunc){
		"before the response": func(conn net.Conn, cancel context.CancelCauseFunc) {
			_ = readRequest(bufio.NewReader(conn))
			cancel(reason)
		},
		"in the body": func(conn net.Conn, cancel context.CancelCauseFunc) {
			_ = readRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			cancel(reason)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			s := serveRaw(t, false, func(_ int64, conn net.Conn) {
				serve(conn, cancel)
				_, _ = io.Copy(io.Discard, conn) // until the client closes
			})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader("x"))
			require.NoError(t, err)
			resp, err := s.transport(t, nil).RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			require.ErrorIs(t, err, reason)
		})
	}
}

func TestTheDeadlineEndsARequest(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, false, func(_ int64, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader("x"))
	require.NoError(t, err)
	_, err = s.transport(t, nil).RoundTrip(req)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

// A dial that fails, and a handshake that fails, are the caller's errors as they are.
func TestFailuresToConnect(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused by the guard")
	transport := newTransport(t, func(c *wire.Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	})
	require.ErrorIs(t, post(t, transport, "http://example.com/", 300).err, refused)

	s := serveRaw(t, true, func(_ int64, conn net.Conn) { respond(conn, noContent) })
	var authority x509.UnknownAuthorityError
	require.ErrorAs(t, post(t, newTransport(t, nil), s.url, 300).err, &authority)
}

func TestAddressesAreDialled(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"http://example.com/": "example.com:80", "https://example.com/": "example.com:443", "https://example.com:8443/": "example.com:8443",
		"https://[2606:4700::1]/": "[2606:4700::1]:443", "http://[2606:4700::1]:8080/": "[2606:4700::1]:8080",
	} {
		dialled := ""
		transport := newTransport(t, func(c *wire.Config) {
			c.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = address
				return nil, os.ErrPermission
			}
		})
		require.ErrorIs(t, post(t, transport, url, 1).err, os.ErrPermission)
		require.Equal(t, want, dialled)
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	transport := newTransport(t, func(c *wire.Config) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled")
			return nil, os.ErrPermission
		}
	})
	broken := errors.New("broken body")
	for name, r := range map[string]*http.Request{
		"no host":     httptest.NewRequest(http.MethodPost, "/path", nil),
		"a scheme":    httptest.NewRequest(http.MethodPost, "ftp://example.com/", nil),
		"broken body": httptest.NewRequest(http.MethodPost, "http://example.com/", io.MultiReader(bytes.NewReader(nil), errReader{broken})),
	} {
		r.RequestURI = ""
		_, err := transport.RoundTrip(r)
		require.Error(t, err, name)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
