package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// The numbers of RFC 1928 and RFC 1929.
const (
	socksVersion    = 5
	noCredentials   = 0
	userAndPassword = 2
	noneAcceptable  = 0xff
	passwordVersion = 1

	connectCommand = 1
	ipv4           = 1
	domainName     = 3
	ipv6           = 4
)

// socks asks a SOCKS5 proxy for a tunnel. Until it is asked for one, its silence is its own.
func (d *Dialer) socks(ctx context.Context, conn net.Conn, to target) error {
	user, password, given, err := d.credentials(ctx)
	if err != nil {
		return err
	}
	methods := []byte{socksVersion, 1, noCredentials}
	if given {
		methods = []byte{socksVersion, 2, noCredentials, userAndPassword}
	}
	var answer [2]byte
	if err := ask(conn, methods, answer[:]); err != nil {
		return err
	}
	switch {
	case answer[0] != socksVersion:
		return unreachable("does not speak SOCKS5", nil)
	case answer[1] == userAndPassword && given:
		if err := logIn(conn, user, password); err != nil {
			return err
		}
	case answer[1] == userAndPassword, answer[1] == noneAcceptable:
		return unauthenticated("wants other credentials than Config.Proxy has")
	case answer[1] != noCredentials:
		return unreachable("chooses a method that was not offered", nil)
	}
	if _, err := conn.Write(socksRequest(to)); err != nil {
		return noAnswer{err}
	}
	return d.readReply(conn, to)
}

// ask sends something and reads an answer of a fixed size.
func ask(conn net.Conn, question, answer []byte) error {
	if _, err := conn.Write(question); err != nil {
		return unreachable("ended the connection", err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		return unreachable("does not answer as a SOCKS5 proxy does", err)
	}
	return nil
}

// logIn gives user and password (RFC 1929).
func logIn(conn net.Conn, user, password string) error {
	question := append([]byte{passwordVersion, byte(len(user))}, user...)
	question = append(append(question, byte(len(password))), password...)
	var answer [2]byte
	if err := ask(conn, question, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return unauthenticated("refuses the user or the password of Config.Proxy")
	}
	return nil
}

func socksRequest(to target) []byte {
	request := []byte{socksVersion, connectCommand, 0}
	switch {
	case to.addr.Is4():
		request = append(append(request, ipv4), to.addr.AsSlice()...)
	case to.addr.Is6():
		request = append(append(request, ipv6), to.addr.AsSlice()...)
	default: // the guard allows no name of more than 253 bytes
		request = append(append(request, domainName, byte(len(to.host))), to.host...)
	}
	return binary.BigEndian.AppendUint16(request, to.port)
}

// readReply reads the reply to a request, and not a byte more.
func (d *Dialer) readReply(conn net.Conn, to target) error {
	var head [5]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return d.explainReply(head[1], to) // some end the connection in the middle of a refusal
		}
		return noAnswer{err}
	}
	if head[0] != socksVersion {
		return unreachable("does not speak SOCKS5", nil)
	}
	if head[1] != 0 {
		return d.explainReply(head[1], to)
	}
	length := map[byte]int{ipv4: 4, ipv6: 16, domainName: 1 + int(head[4])}[head[3]]
	if length == 0 {
		return unreachable("answers with an address of no kind", nil)
	}
	rest := make([]byte, length-1+2) // one byte of the address is read, and the port follows
	if _, err := io.ReadFull(conn, rest); err != nil {
		return noAnswer{err}
	}
	return nil
}

// explainReply returns the error that a reply of SOCKS5 stands for (RFC 1928, section 6).
func (d *Dialer) explainReply(code byte, to target) error {
	status := fmt.Sprintf("answers %d", code)
	switch code {
	case 2:
		d.Watch.refuses(to, int(code), "")
		return refused(status)
	case 5:
		return fmt.Errorf("the proxy could not connect: %w", syscall.ECONNREFUSED)
	case 6:
		return context.DeadlineExceeded
	case 1, 3, 4, 8:
		return fmt.Errorf("the proxy could not connect: it %s", status)
	default:
		return unreachable(status+", which is no reply to a request for a tunnel", nil)
	}
}
