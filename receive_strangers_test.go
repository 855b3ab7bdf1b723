package alotwebhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// strangers are clients with false signatures. Each sends a part of a body and stops, or
// goes on slowly.
type strangers struct {
	sent     []int         // how many bytes of its body each of them sends at first
	announce int           // the Content-Length; 0 means chunked
	drip     time.Duration // then a byte each time; 0 means nothing more
	pause    time.Duration // from their first bytes to the signed events
}

// Strangers send large bodies slowly, as many and in whatever way they like. The bodies of
// signed events find room, whatever their size up to the sender's limit.
func TestStrangersCannotKeepEventsOut(t *testing.T) {
	t.Parallel()
	const kib = 1 << 10
	each := func(n, size int) []int { return slices.Repeat([]int{size}, n) }
	// 98 clients and 16 MiB in all, which buffers that grow fourfold turn into 64 MiB
	justPast := slices.Concat(each(61, 256*kib+1), each(11, 64*kib+1), each(3, 16*kib+1), each(23, 4*kib+1))
	for name, s := range map[string]strangers{
		"just past each buffer": {sent: justPast, announce: 1 << 20},
		"later":                 {sent: justPast, announce: 1 << 20, pause: 2 * time.Second},
		"the sender's size":     {sent: each(400, 200*kib), announce: 256 * kib},
		"chunked":               {sent: each(400, 200*kib)},
		"almost all":            {sent: each(100, 1<<20-1), announce: 1 << 20},
		"many, and small":       {sent: each(4200, 5*kib), announce: 256 * kib},
		"dripping":              {sent: each(400, 200*kib), announce: 256 * kib, drip: 5 * time.Millisecond, pause: 700 * time.Millisecond},
		"no body at all":        {sent: each(3000, 0), announce: 256 * kib},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, alotwebhook.ReceiverConfig{})
				alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
				p := strangersPipes(t, d)
				s.come(t, p)
				time.Sleep(s.pause)
				for _, size := range []int{300, 8 * kib, 200 * kib, 256 * kib} {
					for range 3 {
						require.Equal(t, 200, s.event(t, p, size), "%d bytes", size)
					}
				}
			})
		})
	}
}

// strangersPipes serves h until the test ends. At the end it lets the faked time go on until
// the server has closed the connections of clients that it refused.
func strangersPipes(t *testing.T, h http.Handler) *pipes {
	t.Helper()
	t.Cleanup(func() { time.Sleep(time.Minute) })
	return servePipes(t, h)
}

// come connects the strangers. It returns once each has sent its part.
func (s *strangers) come(t *testing.T, p *pipes) {
	line := fmt.Sprintf("Content-Length: %d", s.announce)
	if s.announce == 0 {
		line = "Transfer-Encoding: chunked"
	}
	head := "POST / HTTP/1.1\r\nHost: customer.test\r\nX-Alot-Signature: sha256=" + strings.Repeat("0", 64) + "\r\n" + line + "\r\n\r\n"
	if s.announce == 0 {
		head += fmt.Sprintf("%x\r\n", 1<<20)
	}
	for _, n := range s.sent {
		conn, err := p.dial()
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		go s.send(conn, head+strings.Repeat("x", n))
	}
	synctest.Wait() // until the receiver has taken all of it
}

// send sends the beginning of a request, and drips.
func (s *strangers) send(conn net.Conn, beginning string) {
	_, err := io.WriteString(conn, beginning)
	for s.drip > 0 && err == nil {
		time.Sleep(s.drip)
		_, err = conn.Write([]byte("x"))
	}
}

// event sends a signed event of a size, and returns the status of the response.
func (s *strangers) event(t *testing.T, p *pipes, size int) int {
	body := with("data", `"`+strings.Repeat("x", size-len(with("data", `""`)))+`"`)
	require.Len(t, body, size)
	conn, err := p.dial()
	require.NoError(t, err)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, head(body, len(body))+body) }()
	resp, err := responseOn(conn)
	require.NoError(t, err)
	return resp.StatusCode
}

// A signed event that comes over a slow line keeps its room while strangers come and stop:
// they fall behind it.
func TestStrangersFallBehindSlowEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, alotwebhook.ReceiverConfig{})
		alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
		p := strangersPipes(t, d)
		body := with("data", `"`+strings.Repeat("x", 200<<10)+`"`)
		conn, err := p.dial()
		require.NoError(t, err)
		defer conn.Close()
		go func() {
			request := head(body, len(body)) + body
			for len(request) > 0 { // 256 KiB a second, in windows of a tenth of a second
				n := min(len(request), 26<<10)
				if _, err := io.WriteString(conn, request[:n]); err != nil {
					return
				}
				request = request[n:]
				time.Sleep(100 * time.Millisecond)
			}
		}()
		for range 5 { // more each time than there is room for beside those before
			s := strangers{sent: slices.Repeat([]int{300 << 10}, 100), announce: 1 << 20}
			s.come(t, p)
			time.Sleep(150 * time.Millisecond)
		}
		resp, err := responseOn(conn)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	})
}

// Who verifies by himself has the same protection, without any ResponseWriter.
func TestStrangersCannotKeepEventsOutOfParseRequest(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := v.ParseRequest(r)
		w.WriteHeader(alotwebhook.StatusCode(err))
	}), time.Hour, "")
	synctest.Test(t, func(t *testing.T) {
		p := strangersPipes(t, h)
		s := strangers{sent: slices.Repeat([]int{200 << 10}, 400), announce: 256 << 10}
		s.come(t, p)
		for _, size := range []int{300, 8 << 10, 200 << 10} {
			require.Equal(t, 200, s.event(t, p, size))
		}
	})
}

// A body that had to make room gets 503, so that the sender repeats it later, once more of
// it has come.
func TestABodyThatMakesRoomIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 256 << 10, MaxBodyMemory: 1})
		alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted,
			func(context.Context, alotwebhook.Event, json.RawMessage) error { return nil })
		p := strangersPipes(t, d)
		body := with("data", `"`+strings.Repeat("x", 200<<10)+`"`)
		conn, err := p.dial()
		require.NoError(t, err)
		defer conn.Close()
		request := head(body, len(body)) + body
		_, err = io.WriteString(conn, request[:150<<10])
		require.NoError(t, err)
		time.Sleep(time.Second)
		s := strangers{sent: slices.Repeat([]int{200 << 10}, 40), announce: 256 << 10}
		s.come(t, p)
		go func() { _, _ = io.WriteString(conn, request[150<<10:]) }()
		resp, err := responseOn(conn)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.True(t, resp.Close)
		d.mu.Lock()
		defer d.mu.Unlock()
		last := d.failures[len(d.failures)-1]
		require.ErrorIs(t, last.err, alotwebhook.ErrBodyMemory)
		require.ErrorContains(t, last.err, "made room")
	})
}

// Events that arrive as fast as they can are not cut off for each other beyond the room
// that there is.
func TestManyLargeEventsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{BodyTimeout: time.Minute})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	body := with("data", `"`+strings.Repeat("x", 200<<10)+`"`)
	statuses := make(chan int, 64)
	for range cap(statuses) { // two senders at their limit for an endpoint
		go func() {
			r, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(body))
			if err != nil {
				statuses <- -1
				return
			}
			r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(body), receiverSecret))
			resp, err := server.Client().Do(r)
			if err != nil {
				statuses <- -1
				return
			}
			_ = resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	for range cap(statuses) {
		require.Equal(t, 200, <-statuses)
	}
}
