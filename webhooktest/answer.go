package webhooktest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is the response of a [Server] to one request. The server reads and keeps the
// request first, unless Early is set. The zero Answer is a 200 without a body. A status of 3xx leads
// nowhere without a Location in Header.
type Answer struct {
	// Status is the HTTP status; 0 stands for 200.
	Status int
	// Header is added to the headers of the response, such as Retry-After.
	Header http.Header
	// Body is the body of the response.
	Body string
	// Delay is how long to wait before the response begins. The wait ends early
	// when the sender hangs up or the server is closed.
	Delay time.Duration
	// Reset closes the connection, after Delay, without a response. The sender
	// does not learn that its request was read.
	Reset bool
	// Drip, if not zero, is the pause before each byte of Body. The headers are
	// sent first, with the Content-Length of all of it.
	Drip time.Duration
	// Early sends the response before the body of the request is read, and closes the connection,
	// as Node, fastify and HAProxy do with 401 and 413. The request is kept without its body, and
	// its Err is [ErrNotRead]. Drip has no effect. With Reset there is no response: so ends a
	// connection that the server has just given up for idle.
	Early bool
	// Broken closes the connection before the body of the response is complete: its header announces
	// one byte more than Body has. Drip has no effect.
	Broken bool
	// Stray, if not empty, is sent behind the response, on a connection that stays open, as gunicorn
	// sends a body behind a 204. A sender must take it for no response to its next request. Drip has
	// no effect.
	Stray string
}

// ErrNotRead is the error of a request that an [Answer] with Early left unread.
var ErrNotRead = errors.New("webhooktest: the body was not read")

// isDefault reports whether it is the zero Answer.
func (a Answer) isDefault() bool {
	return a.Status == 0 && a.Header == nil && a.Body == "" && a.Delay == 0 && !a.Reset && a.Drip == 0 && !a.Early && !a.Broken && a.Stray == ""
}

// write writes the response, or panics with [http.ErrAbortHandler] if there is none.
func (a Answer) write(ctx context.Context, w http.ResponseWriter) {
	if !pause(ctx, a.Delay) {
		panic(http.ErrAbortHandler)
	}
	if a.Reset {
		reset(w)
	}
	if a.Early || a.Broken || a.Stray != "" {
		a.writeRaw(ctx, w)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(status)
	if a.Drip <= 0 {
		_, _ = w.Write([]byte(a.Body))
		return
	}
	a.drip(ctx, w)
}

// writeRaw writes the response by itself, since package http keeps to the rules. It does not return.
func (a Answer) writeRaw(ctx context.Context, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	resp := http.Response{
		StatusCode: cmp.Or(a.Status, http.StatusOK), ProtoMajor: 1, ProtoMinor: 1, Header: a.Header, Close: a.Early,
		ContentLength: int64(len(a.Body)), Body: io.NopCloser(strings.NewReader(a.Body)),
	}
	if a.Broken {
		resp.ContentLength++
	}
	if err := resp.Write(conn); err == nil && a.Stray != "" {
		_, _ = io.WriteString(conn, a.Stray)
		_, _ = io.Copy(io.Discard, conn) // until the sender closes
	}
	panic(http.ErrAbortHandler)
}

// drip writes the body byte by byte.
func (a Answer) drip(ctx context.Context, w http.ResponseWriter) {
	flusher := http.NewResponseController(w)
	_ = flusher.Flush() // sends the headers
	for i := range len(a.Body) {
		if !pause(ctx, a.Drip) {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write([]byte(a.Body[i : i+1])); err != nil {
			return // the sender hung up
		}
		_ = flusher.Flush()
	}
}

// pause waits for d, or until ctx is done. It reports whether d has passed.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset closes the connection. On TCP, the other side reads a reset and not an orderly
// end.
func reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if over, ok := conn.(*tls.Conn); ok {
			conn = over.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}
