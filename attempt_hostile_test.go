package alotwebhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// hostile is a receiver that misbehaves in one way, with the status and the reason that
// the history must show.
type hostile struct {
	name   string
	scheme string // "http" if empty
	// behave gets the connection after the request was read or, over https, from the
	// first byte on. The connection is closed when it returns.
	behave func(conn net.Conn)
	status int
	reason alotwebhook.FailureReason
}

// ok is the first line of a response.
const ok = "HTTP/1.1 200 OK\r\n"

// say sends a response and closes the connection.
func say(response string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, response) }
}

// sayThen sends the beginning of a response, and leaves the rest to next.
func sayThen(response string, next func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.WriteString(conn, response); err == nil {
			next(conn)
		}
	}
}

// silence sends nothing until the sender closes the connection.
func silence(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// reset makes the connection end with RST instead of FIN.
func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// flood sends a text again and again until the sender closes the connection.
func flood(text string) func(net.Conn) {
	text = strings.Repeat(text, 4096/len(text)+1)
	return func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

// drip sends one byte after another, so fast that no idle timeout is reached, and never
// ends.
func drip(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("a")); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond) // the pace; the loop ends with the connection
	}
}

// bomb returns 1 GiB of zeros in about 1 MiB of gzip: 64 members of 16 MiB each.
var bomb = sync.OnceValue(func() string {
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, _ = w.Write(make([]byte, 16<<20))
	_ = w.Close()
	return strings.Repeat(member.String(), 64)
})

var hostiles = []hostile{
	{name: "endless body", behave: sayThen(ok+"\r\n", flood("x")), status: 200},
	{name: "endless body of a failure", behave: sayThen("HTTP/1.1 500 No\r\n\r\n", flood("x")), status: 500, reason: alotwebhook.ReasonStatus},
	{name: "endless chunks", behave: sayThen(ok+"Transfer-Encoding: chunked\r\n\r\n", flood("10\r\n0123456789abcdef\r\n")), status: 200},
	{name: "gzip bomb", behave: func(conn net.Conn) {
		sayThen(ok+"Content-Encoding: gzip\r\n\r\n"+bomb(), silence)(conn)
	}, status: 200},
	{name: "header flood", behave: sayThen(ok, flood("X-Flood: x\r\n")), reason: alotwebhook.ReasonResponseTooLarge},
	{name: "endless header", behave: sayThen(ok+"X-Flood: ", flood("x")), reason: alotwebhook.ReasonResponseTooLarge},
	{name: "endless status line", behave: sayThen("HTTP/1.1 200 ", flood("x")), reason: alotwebhook.ReasonResponseTooLarge},
	{name: "header drip", behave: sayThen(ok+"X-Drip: ", drip), reason: alotwebhook.ReasonTimeout},
	{name: "body drip", behave: sayThen(ok+"Content-Length: 100000\r\n\r\n", drip), status: 200},
	{name: "1xx flood", behave: flood("HTTP/1.1 100 Continue\r\n\r\n"), reason: alotwebhook.ReasonResponseTooLarge},
	{name: "early hints flood", behave: flood("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), reason: alotwebhook.ReasonResponseTooLarge},
	{name: "silence", behave: silence, reason: alotwebhook.ReasonTimeout},
	{name: "closed without a response", behave: say(""), reason: alotwebhook.ReasonConnectionReset},
	{name: "reset without a response", behave: reset, reason: alotwebhook.ReasonConnectionReset},
	{name: "closed in the headers", behave: say(ok + "X-Half: y\r\n"), reason: alotwebhook.ReasonConnectionReset},
	{name: "closed in the body", behave: say(ok + "Content-Length: 100\r\n\r\nhalf"), status: 200},
	{name: "closed in a chunk", behave: say(ok + "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"), status: 200},
	{name: "reset in the body", behave: sayThen(ok+"Content-Length: 100\r\n\r\nhalf", reset), status: 200},
	{name: "another protocol", behave: say("SSH-2.0-OpenSSH_9.9\r\n"), reason: alotwebhook.ReasonProtocol},
	{name: "broken chunk", behave: say(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), status: 200},
	{name: "two lengths", behave: say(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), reason: alotwebhook.ReasonProtocol},
	{name: "negative length", behave: say(ok + "Content-Length: -1\r\n\r\n"), reason: alotwebhook.ReasonProtocol},
	{name: "unknown coding", behave: say(ok + "Transfer-Encoding: x\r\n\r\n"), reason: alotwebhook.ReasonProtocol},
	{name: "endless trailers", behave: sayThen(ok+"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\n", flood("X: x\r\n")), status: 200},
	{name: "no content", behave: say("HTTP/1.1 204 No Content\r\n\r\n"), status: 204},
	{name: "status out of range", behave: say("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), status: 999, reason: alotwebhook.ReasonStatus},
	{name: "switch of protocols", behave: sayThen("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", flood("x")), status: 101, reason: alotwebhook.ReasonStatus},
	{name: "redirect loop", behave: say("HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), status: 307, reason: alotwebhook.ReasonRedirect},
	{name: "redirect inwards", behave: say("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"), status: 302, reason: alotwebhook.ReasonRedirect},
	{name: "too many requests", behave: say("HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"), status: 429, reason: alotwebhook.ReasonStatus},
	{name: "half a handshake", scheme: "https", behave: halfHandshake, reason: alotwebhook.ReasonTimeout},
	{name: "no handshake", scheme: "https", behave: silence, reason: alotwebhook.ReasonTimeout},
	{name: "handshake reset", scheme: "https", behave: reset, reason: alotwebhook.ReasonConnectionReset},
	{name: "plain response to a handshake", scheme: "https", behave: say("HTTP/1.0 400 Bad Request\r\n\r\n"), reason: alotwebhook.ReasonTLS},
	{name: "old TLS only", scheme: "https", behave: oldTLS, reason: alotwebhook.ReasonTLS},
	{name: "unknown authority", scheme: "https", behave: strangersTLS, reason: alotwebhook.ReasonTLS},
}

func halfHandshake(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1024))
	sayThen("\x16\x03\x03\x00\x7a\x02", silence)(conn) // announces a record of 122 bytes, and sends one
}

var strangersCertificate = sync.OnceValue(func() tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS.Certificates[0]
})

func strangersTLS(conn net.Conn) {
	_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{strangersCertificate()}}).Handshake()
}

func oldTLS(conn net.Conn) {
	config := &tls.Config{Certificates: []tls.Certificate{strangersCertificate()}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	_ = tls.Server(conn, config).Handshake()
}

// hostileServer serves one hostile receiver on a loopback port.
type hostileServer struct {
	hostile
	url      string
	requests atomic.Int32
	listener net.Listener
	serving  sync.WaitGroup
}

func (h hostile) start(t testing.TB) *hostileServer {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	s := &hostileServer{hostile: h, listener: listener, url: "http://" + listener.Addr().String() + "/"}
	if h.scheme != "" {
		s.url = h.scheme + "://" + listener.Addr().String() + "/"
	}
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return s
}

func (s *hostileServer) serve(conn net.Conn) {
	defer conn.Close()
	// The test must end even if the sender never closes the connection.
	_ = conn.SetDeadline(time.Now().Add(patience))
	if s.scheme == "" {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return // the sender opened the connection ahead, and did not use it
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}
	s.requests.Add(1)
	s.behave(conn)
}

func (s *hostileServer) close() {
	_ = s.listener.Close()
	s.serving.Wait()
}

const (
	hostileRounds  = 2
	hostileTimeout = 15 * time.Second // a thousand times what a good response takes
)

// Receivers misbehave in every way. Still, each attempt must end with the right reason,
// the healthy receivers must get their events, and the dispatcher must not keep memory or
// goroutines.
func TestHostileReceivers(t *testing.T) {
	if !alone(t) { // it counts the goroutines and the memory of the whole process
		return
	}
	_, _ = bomb(), strangersCertificate()
	runtime.GC()
	goroutines, memory := runtime.NumGoroutine(), heapInUse()
	peak := newPeak()

	attempts := attackDispatcher(t)

	t.Logf("%d attempts, heap %d KiB before, %d KiB at most", attempts, memory>>10, peak.stop()>>10)
	require.Less(t, int64(peak.most.Load())-int64(memory), int64(64<<20), "bytes of memory at most")
	requireGoroutines(t, goroutines)
}

// requireGoroutines requires that no more goroutines run than before. It waits for those
// that are about to end, and polls, since nothing tells when a goroutine ends.
func requireGoroutines(t *testing.T, atMost int) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if runtime.NumGoroutine() <= atMost {
			return
		}
	}
	stacks := make([]byte, 1<<20)
	require.FailNow(t, "goroutines stay behind", "%s", stacks[:runtime.Stack(stacks, true)])
}

// attackDispatcher delivers to every hostile receiver and to healthy ones, and returns
// the number of attempts.
func attackDispatcher(t *testing.T) (attempts int) {
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || alotwebhook.Sign(body, "a healthy receiver") != r.Header.Get(alotwebhook.SignatureHeader) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "thanks")
	}))
	defer healthy.Close()

	results := make(chan alotwebhook.AttemptInfo, hostileRounds*(len(hostiles)+1))
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Logger: slog.New(slog.DiscardHandler),
		Timeout: hostileTimeout, ConnectTimeout: hostileTimeout, TLSTimeout: hostileTimeout, Retry: alotwebhook.Schedule(), InFlightPerEndpoint: 2, KeepResponseBody: 16,
		Observer: observeAttempts(func(a alotwebhook.AttemptInfo) { results <- a }),
	})
	require.NoError(t, err)

	servers := map[string]*hostileServer{} // keyed by endpoint id
	for _, h := range hostiles {
		s := h.start(t)
		defer s.close()
		servers[register(t, d, s.url).ID] = s
	}
	thankful := register(t, d, healthy.URL)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	for range hostileRounds {
		require.NoError(t, d.Emit(ctx, newEvent(t)))
	}
	got := map[string][]alotwebhook.AttemptInfo{} // keyed by endpoint id
	for range cap(results) {
		a := <-results
		got[a.EndpointID] = append(got[a.EndpointID], a)
	}
	stop()
	require.NoError(t, <-ended)

	for _, a := range got[thankful.ID] {
		require.Empty(t, a.Attempt.Reason, a.Attempt.Detail)
		require.Equal(t, "thanks", a.Attempt.ResponseBody)
	}
	for id, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			require.Len(t, got[id], hostileRounds)
			require.EqualValues(t, hostileRounds, s.requests.Load(), "a request for each attempt")
			for _, a := range got[id] {
				requireOutcome(t, &s.hostile, &a)
			}
		})
	}
	return cap(results)
}

// A byte that not every store can hold is replaced, so that one customer's response
// cannot stop the recording of all.
func TestKeptBodiesAreStorable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			resp := status(http.StatusOK)
			resp.ContentLength, resp.Body = -1, io.NopCloser(strings.NewReader("a\x00b\xffc"))
			return resp, nil
		}}
		w := newWorld(t, alotwebhook.Config{KeepResponseBody: 100}, net)
		endpoint := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Second)
		require.Equal(t, "a\uFFFDb\uFFFDc", w.delivery(t, event, endpoint).Attempts[0].ResponseBody)
	})
}

func register(t *testing.T, d *alotwebhook.Dispatcher, url string) alotwebhook.Endpoint {
	e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_1", URL: url, EventTypes: []string{"candidate.completed"}, Secret: "a healthy receiver",
	})
	require.NoError(t, err)
	return e
}

func requireOutcome(t *testing.T, h *hostile, a *alotwebhook.AttemptInfo) {
	t.Helper()
	require.Equal(t, h.reason, a.Attempt.Reason, a.Attempt.Detail)
	require.Equal(t, h.status, a.Attempt.StatusCode)
	require.LessOrEqual(t, len(a.Attempt.ResponseBody), 16*len("\uFFFD"))
	require.NotContains(t, a.Attempt.Detail, "127.0.0.1")
	require.True(t, h.reason == "" || a.Attempt.Detail != "", "a failure is explained")
	state := alotwebhook.StateDelivered
	if h.reason != "" {
		state = alotwebhook.StateFailed
	}
	require.Equal(t, state, a.State)
	if h.name == "gzip bomb" {
		require.True(t, strings.HasPrefix(a.Attempt.ResponseBody, "\x1f"), "inflated")
	}
}

// peak measures the largest amount of memory that is in use, in bytes.
type peak struct {
	most atomic.Uint64
	done chan struct{}
	ends sync.WaitGroup
}

func newPeak() *peak {
	p := &peak{done: make(chan struct{})}
	p.ends.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			p.most.Store(max(p.most.Load(), heapInUse()))
			select {
			case <-tick.C:
			case <-p.done:
				tick.Stop()
				return
			}
		}
	})
	return p
}

func (p *peak) stop() uint64 {
	close(p.done)
	p.ends.Wait()
	return p.most.Load()
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// How long a name of the host's own network took to be looked up says something about that
// network. It is shown nowhere.
func TestABlockedAddressShowsNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		var told []alotwebhook.AttemptInfo
		w := newWorld(t, alotwebhook.Config{
			Retry:    alotwebhook.Schedule(),
			Logger:   slog.New(slog.NewJSONHandler(&log, nil)),
			Observer: observeAttempts(func(a alotwebhook.AttemptInfo) { told = append(told, a) }),
		}, &receivers{respond: func(*http.Request, int) (*http.Response, error) {
			time.Sleep(1234 * time.Millisecond)
			return nil, fmt.Errorf("dial tcp: %w", alotwebhook.ErrBlockedAddress)
		}})
		delivery := deliverOne(t, w)
		require.Equal(t, alotwebhook.ReasonBlockedAddress, delivery.LastReason)
		delivery, err := w.Delivery(t.Context(), delivery.ID)
		require.NoError(t, err)
		require.Len(t, delivery.Attempts, 1)
		require.Zero(t, delivery.Attempts[0].Duration)
		require.Len(t, told, 1)
		require.Zero(t, told[0].Attempt.Duration)
		require.Contains(t, log.String(), `"ms":0`)
		require.NotContains(t, log.String(), "1234")
		tallies, err := w.Tallies(t.Context(), time.Time{}, delivery.EndpointID)
		require.NoError(t, err)
		require.Len(t, tallies, 1)
		require.EqualValues(t, 1, tallies[0].Failed())
		require.Zero(t, tallies[0].Duration+tallies[0].Slowest)
	})
}

// A resolver says different things of a name that is not there, of one whose server does
// not know it, and of one whose server is not reached. The history does not pass that on.
func TestFailedLookupsLookAlike(t *testing.T) {
	t.Parallel()
	details := map[string]bool{}
	for _, lookup := range []*net.DNSError{
		{Err: "no such host", Name: "db.example.com", IsNotFound: true},
		{Err: "server misbehaving", Name: "db.example.com", Server: "10.0.0.53:53", IsTemporary: true},
		{Err: "i/o timeout", Name: "db.example.com", Server: "10.0.0.53:53", IsTimeout: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, alotwebhook.Config{Retry: alotwebhook.Schedule()}, &receivers{
				respond: func(*http.Request, int) (*http.Response, error) { return nil, fmt.Errorf("dial tcp: %w", lookup) },
			})
			delivery, err := w.Delivery(t.Context(), deliverOne(t, w).ID)
			require.NoError(t, err)
			require.Equal(t, alotwebhook.ReasonDNS, delivery.Attempts[0].Reason)
			require.NotContains(t, delivery.Attempts[0].Detail, "10.0.0.53")
			details[delivery.Attempts[0].Detail] = true
		})
	}
	require.Len(t, details, 1)
}
