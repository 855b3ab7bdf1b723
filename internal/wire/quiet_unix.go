//go:build unix

package wire

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// quiet asks a connection whether it is quiet. It is made once for each connection, since
// each request asks.
type quiet struct {
	conn net.Conn
	raw  syscall.RawConn // nil if the connection cannot be asked
	ask  func(fd uintptr) bool
	said bool // the answer to ask
}

func newQuiet(c net.Conn) *quiet {
	q := &quiet{conn: c}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return q
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return q
	}
	q.raw, q.ask = raw, q.peek
	return q
}

// is reports whether the other side has neither ended an idle connection nor sent
// anything on it. It reads nothing and does not wait. A connection that cannot be asked
// counts as quiet: its end shows itself to the next request. One goroutine asks at a time.
func (q *quiet) is() bool {
	if q.raw == nil {
		return true
	}
	err := q.raw.Read(q.ask)
	if errors.Is(err, os.ErrDeadlineExceeded) { // that of the request before
		_ = q.conn.SetReadDeadline(time.Time{})
		err = q.raw.Read(q.ask)
	}
	return err == nil && q.said
}

func (q *quiet) peek(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	q.said = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
	return true
}
