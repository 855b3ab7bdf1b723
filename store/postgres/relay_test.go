package postgres_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// relay forwards connections to a server that can be exchanged, as a load balancer or a
// virtual address does. A connection stays with the server that it began with.
type relay struct {
	listener net.Listener

	mu     sync.Mutex
	target int // a port on 127.0.0.1
	conns  []net.Conn
}

func newRelay(t *testing.T, to *postgrestest.Cluster) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{listener: l, target: to.Port()}
	go r.accept()
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
	})
	return r
}

func (r *relay) dsn() string {
	return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", r.listener.Addr())
}

// lead makes new connections lead to another server.
func (r *relay) lead(to *postgrestest.Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = to.Port()
}

// cut closes all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.conns = append(r.conns, client)
		target := r.target
		r.mu.Unlock()
		go forward(client, target)
	}
}

func forward(client net.Conn, target int) {
	defer client.Close()
	server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", target))
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}
