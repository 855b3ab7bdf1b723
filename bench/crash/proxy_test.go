package crash

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a process and PostgreSQL. It can swallow the answer to a
// commit, and lead to another server.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	conns  []net.Conn // of clients

	// cutEvery'th answer to a commit is swallowed and its connection cut; 0: none.
	cutEvery atomic.Int64
	commits  atomic.Int64
	cuts     atomic.Int64
}

// newProxy returns a proxy to the server of dsn, and the connection string through it.
func newProxy(t *testing.T, dsn string) (*proxy, string) {
	through, err := url.Parse(dsn)
	require.NoError(t, err)
	p := &proxy{target: through.Host}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go p.accept()
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.lead("")
	})
	through.Host = p.listener.Addr().String()
	return p, through.String()
}

// lead leads to another server from now on, and cuts what there is.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client)
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.conns = append(p.conns, client)
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	p.answer(client, bufio.NewReader(server))
}

// answer hands on what the server says, an answer at a time: up to the message
// that says ready for the next query, Z. The one that ends a transaction, explicit
// or implicit, is a commit; by then PostgreSQL has it on disk.
func (p *proxy) answer(client io.Writer, server *bufio.Reader) {
	var answer bytes.Buffer
	done := false // a statement was executed since the last Z
	for {
		kind, body, err := readMessage(server, &answer)
		if err != nil {
			return
		}
		switch kind {
		case 'C':
			done = !bytes.HasPrefix(body, []byte("ROLLBACK"))
		case 'E':
			done = false
		case 'Z':
			if done && body[0] == 'I' && p.cut() {
				return
			}
			done = false
		}
		if kind == 'Z' || kind == 'R' { // the client waits for it
			if _, err := answer.WriteTo(client); err != nil {
				return
			}
		}
	}
}

// cut decides on one commit.
func (p *proxy) cut() bool {
	every := p.cutEvery.Load()
	if every == 0 || p.commits.Add(1)%every != 0 {
		return false
	}
	p.cuts.Add(1)
	return true
}

// readMessage reads a message of the server: its kind, its length, its body.
// It adds all of them to the answer.
func readMessage(r *bufio.Reader, answer *bytes.Buffer) (kind byte, body []byte, err error) {
	start := answer.Len()
	if _, err := io.CopyN(answer, r, 5); err != nil {
		return 0, nil, err
	}
	head := answer.Bytes()[start:]
	kind = head[0]
	if _, err := io.CopyN(answer, r, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
		return 0, nil, err
	}
	return kind, answer.Bytes()[start+5:], nil
}
