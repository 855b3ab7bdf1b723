package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"time"
)

// conn is a connection. One request uses it at a time.
type conn struct {
	net.Conn          // for reading and writing: TLS, if the host has it
	raw      net.Conn // beneath TLS
	quiet    *quiet   // of raw
	idle     *idleConn
	tls      *tls.ConnectionState
	host     host
	born     time.Time
	kept     bool  // it was used before
	demands  bool  // the server has asked for a client certificate
	shows    bool  // it was sent one
	broke    error // of the last read
	behind   [1]byte

	// in is there while a response is read.
	in *bufio.Reader
	// left is how many bytes may still be read as a header; negative for any number.
	left int
	// writing is open while a large request is being written beside the reading.
	writing chan struct{}
}

// readers holds buffers for responses.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// Read reads for c.in, within the bounds of a header.
func (c *conn) Read(p []byte) (n int, err error) {
	defer func() { c.broke = err }()
	switch {
	case c.left == 0:
		return 0, ErrHeaderTooLarge
	case c.left > 0:
		p = p[:min(len(p), c.left)]
	}
	n, err = c.Conn.Read(p)
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

// longAgo is a deadline that ends what is under way.
var longAgo = time.Unix(1, 0)

// exchange sends a request over a connection and reads the header of its response. It
// keeps, or closes, the connection and frees the request in the end.
func (t *Transport) exchange(c *conn, r *request) (*http.Response, error) {
	trace := httptrace.ContextClientTrace(r.ctx)
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.Conn, Reused: c.kept})
	}
	deadline, _ := r.ctx.Deadline() // zero for none
	_ = c.SetDeadline(deadline)
	stop := afterEnd(r.ctx, func() { _ = c.SetDeadline(longAgo) })
	b := &body{transport: t, conn: c, request: r, stop: stop}

	written := c.send(r)
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: written})
	}
	if c.demands && !c.shows {
		noteDemand(r.ctx)
	}
	resp, err := c.receive(r.Request, t.MaxHeaderBytes, trace)
	if err != nil {
		stale := c.kept && errors.As(err, new(noResponse)) && !errors.Is(err, os.ErrDeadlineExceeded)
		b.repeat = stale
		b.end(false)
		return nil, c.failure(err, written, stale)
	}
	if c.kept && resp.StatusCode == http.StatusRequestTimeout {
		b.repeat = true
		b.end(false)
		return nil, staleError{errIdleTooLong}
	}
	b.keep = written == nil && c.mayBeKept(resp)
	if resp.Body == http.NoBody {
		b.end(b.keep)
		return resp, nil
	}
	b.ReadCloser, resp.Body = resp.Body, b
	return resp, nil
}

// errIdleTooLong is a 408 on a kept connection: the server has given it up for idle as the request
// arrived, and has not handled it. Puma 5 answers so to a request that did not arrive in one piece. Source:
// RFC 9110, section 15.5.9.
var errIdleTooLong = errors.New("the server closed a connection that was idle for too long")

// blame names the cause of an alert that follows a demand for a client certificate. TLS
// 1.2 has no alert of its own for it, and in TLS 1.3 it comes behind the handshake.
func (c *conn) blame(err error) error {
	_, ok := alertOf(err)
	switch {
	case !c.demands || !ok:
		return err
	case c.shows:
		return fmt.Errorf("%w: %w", ErrRefusedCertificate, err)
	}
	return fmt.Errorf("%w: %w", ErrClientCertificate, err)
}

// failure chooses the error that says most.
func (c *conn) failure(read, written error, stale bool) error {
	err := read
	if _, alert := alertOf(read); written != nil && !alert && errors.As(read, new(noResponse)) {
		err = written
	}
	if stale {
		return staleError{err}
	}
	return c.blame(err)
}

// atOnce is the size of a request that any connection takes without waiting for the
// server to read.
const atOnce = 16 << 10

// send writes a request. An error is no reason not to read: the server may have
// responded and closed the connection before it had read everything. A large request is
// written beside the reading, since a server that does not read on may have responded.
func (c *conn) send(r *request) error {
	if r.bytes.Len() <= atOnce {
		_, err := c.Conn.Write(r.bytes.Bytes())
		return err
	}
	c.writing = make(chan struct{})
	done, text := c.writing, r.bytes.Bytes()
	go func() {
		defer close(done)
		_, _ = c.Conn.Write(text) // an error shows itself to the reader
	}()
	return nil
}

// sent reports whether the whole request was written. It leaves the writer a moment to
// say so: the response may be here before it.
func (c *conn) sent() bool {
	if c.writing == nil {
		return true
	}
	select {
	case <-c.writing:
		return true
	case <-time.After(writerPatience):
		return false
	}
}

const writerPatience = 100 * time.Millisecond

// noResponse is an error before any byte of a response.
type noResponse struct{ error }

func (e noResponse) Unwrap() error { return e.error }

// receive reads the header of the response, behind any informational ones.
func (c *conn) receive(r *http.Request, maxHeader int, trace *httptrace.ClientTrace) (*http.Response, error) {
	c.in, c.left = readers.Get().(*bufio.Reader), maxHeader
	c.in.Reset(c)
	if _, err := c.in.Peek(1); err != nil {
		if err == io.EOF {
			err = errNoResponse
		}
		return nil, noResponse{err}
	}
	if trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	if c.kept && !c.beginsResponse() {
		// The server sent it behind the response before: it is none to this request.
		return nil, noResponse{errors.New("malformed HTTP response: the server sent more than its response before")}
	}
	if err := c.otherProtocol(); err != nil {
		return nil, err
	}
	begins := c.beginsResponse()
	for {
		resp, err := http.ReadResponse(c.in, r)
		switch { // package bufio gives the part of a line before an error for a whole one, so err may be about that
		case err != nil && c.broke == io.EOF && begins:
			return nil, errNoResponse
		case err != nil && c.broke != nil && c.broke != io.EOF:
			return nil, c.broke
		case err != nil:
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			c.left = -1
			resp.TLS = c.tls
			return resp, nil
		}
	}
}

// beginsResponse reports whether the next bytes can be a status line, as far as they
// are there.
func (c *conn) beginsResponse() bool {
	const begin = "HTTP/"
	n := min(c.in.Buffered(), len(begin))
	there, _ := c.in.Peek(n)
	return string(there) == begin[:n]
}

var (
	errSpeaksTLS   = errors.New("malformed HTTP response: it is of TLS")
	errSpeaksHTTP2 = errors.New("malformed HTTP response: it is of HTTP/2")
)

// otherProtocol tells an alert of TLS, as OpenSSL sends for a request in plain text, and the first frame
// of a server that speaks HTTP/2 alone. It is nil for all else. Sources: RFC 8446, section 5.1, and RFC
// 9113, section 3.4.
func (c *conn) otherProtocol() error {
	const tlsAlert, settings = "\x15\x03", "\x04"
	there, _ := c.in.Peek(min(c.in.Buffered(), 4))
	switch begin := string(there); {
	case strings.HasPrefix(begin, tlsAlert):
		return errSpeaksTLS
	case strings.HasPrefix(begin, "\x00\x00") && strings.HasSuffix(begin, settings):
		return errSpeaksHTTP2
	}
	return nil
}

// mayBeKept reports whether a further request may follow once the body was read.
func (c *conn) mayBeKept(resp *http.Response) bool {
	if resp.Close || resp.StatusCode == http.StatusSwitchingProtocols {
		return false
	}
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		// These have no body, yet some servers announce one and send it.
		length := resp.Header.Get("Content-Length")
		return (length == "" || length == "0") && len(resp.TransferEncoding) == 0 && resp.Header.Get("Transfer-Encoding") == ""
	}
	return true
}

// body is a response's body. Its end keeps the connection, or closes it.
type body struct {
	io.ReadCloser
	transport *Transport
	conn      *conn
	request   *request
	stop      func() bool // ends the watch over the request's context
	keep      bool        // the connection may be kept after the end of the body
	repeat    bool        // the request is still needed
	ended     bool
}

// Read reads the body. Its end ends the use of the connection.
func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		ctx := b.request.ctx
		b.end(err == io.EOF && b.keep)
		if err != io.EOF && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	return n, err
}

// Close gives up what was not read yet.
func (b *body) Close() error {
	b.end(false)
	return nil
}

// end gives the connection back, or closes it. It acts once.
func (b *body) end(keep bool) {
	if b.ended {
		return
	}
	b.ended = true
	c := b.conn
	// Once the context has ended, its deadline is on the connection.
	keep = b.stop() && keep && c.in.Buffered() == 0 && c.sent() && c.drained()
	if c.in != nil {
		c.in.Reset(nil)
		readers.Put(c.in)
		c.in = nil
	}
	if keep {
		c.writing = nil
		c.kept = true
		b.transport.idle.put(c, b.transport.MaxAge)
	} else {
		_ = c.Close()
		if c.writing != nil {
			<-c.writing
		}
	}
	if !b.repeat {
		b.request.free()
	}
}

// drained reports whether TLS holds nothing that came behind the response. quiet does not see what TLS has read
// from the socket already.
func (c *conn) drained() bool {
	if c.tls == nil {
		return true
	}
	_ = c.Conn.SetReadDeadline(longAgo) // so that nothing is read from the socket
	n, err := c.Conn.Read(c.behind[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}
