package webhooktest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Answer is what [Server] does with a request that it has read and kept. The
// zero Answer is a plain 200.
type Answer struct {
	// Status is the HTTP status; 0 is 200.
	Status int
	// Header is added to the answer: Retry-After, Location.
	Header http.Header
	// Body is the answer's body.
	Body string
	// Delay is how long to wait before the answer begins. It ends early when
	// the sender hangs up or the server closes.
	Delay time.Duration
	// Reset cuts the connection, after Delay, in place of an answer: the sender
	// does not learn that its request was read.
	Reset bool
	// Drip sends Body a byte at a time, with this pause before each, behind
	// headers that promise all of it.
	Drip time.Duration
}

func (a Answer) write(ctx context.Context, w http.ResponseWriter) {
	if !pause(ctx, a.Delay) {
		panic(http.ErrAbortHandler)
	}
	if a.Reset {
		reset(w)
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

func (a Answer) drip(ctx context.Context, w http.ResponseWriter) {
	flusher := http.NewResponseController(w)
	_ = flusher.Flush() // the headers first
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

// pause reports whether it lasted for all of d.
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

// reset closes the connection so that the other side reads a reset, where TCP
// allows, and not an orderly end.
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
