package alotwebhook_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// pipes is a listener in memory. It needs no ports and no open files, and works with the
// faked time of synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// servePipes serves h until the test ends.
func servePipes(t testing.TB, h http.Handler) *pipes {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(p) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial returns a connection to the server. The caller closes it.
func (p *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, errors.New("the server is closed")
	}
}

// head returns the head of a request, with the signature of body, a Content-Length and
// further header lines.
func head(body string, length int, lines ...string) string {
	lines = append([]string{
		"POST /alot/webhook HTTP/1.1", "Host: customer.test",
		alotwebhook.SignatureHeader + ": " + alotwebhook.Sign([]byte(body), receiverSecret),
		fmt.Sprintf("Content-Length: %d", length),
	}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// responseOn reads one response from a connection.
func responseOn(conn net.Conn) (*http.Response, error) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}
