//go:build unix

package wire

import (
	"net"
	"syscall"
)

// quiet asks a connection whether it is quiet. It is made once for each connection, since
// each request asks.
type quiet struct {
	raw  syscall.RawConn // nil if the connection cannot be asked
	ask  func(fd uintptr) bool
	said bool // the answer to ask
}

func newQuiet(c net.Conn) *quiet {
	q := new(quiet)
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
	return q.raw == nil || q.raw.Read(q.ask) == nil && q.said
}

func (q *quiet) peek(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	q.said = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
	return true
}
