//go:build unix

package wire

import (
	"net"
	"syscall"
)

// isQuiet reports whether the other side has neither ended an idle connection nor sent
// anything on it. It reads nothing and does not wait. A connection that cannot be asked
// counts as quiet: its end shows itself to the next request.
func isQuiet(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	})
	return err == nil && quiet
}
