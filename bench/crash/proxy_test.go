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

// proxy forwards the connections of a process to PostgreSQL. It can cut a connection after a
// commit, before the server's answer arrives, and can lead to another server.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	conns  []net.Conn // from clients

	// cutEvery is n if the connection is cut after every nth commit; 0 for none.
	cutEvery atomic.Int64
	commits  atomic.Int64
	cuts     atomic.Int64
}

// newProxy returns a proxy to the server of dsn, and the connection string of the proxy.
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

// lead makes new connections lead to another server, and cuts the old ones.
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

// answer forwards the server's messages, up to each Z (ready for the next query) at once. A Z
// after the end of a transaction, explicit or implicit, means that PostgreSQL has committed
// it to disk. There answer may cut the connection instead.
func (p *proxy) answer(client io.Writer, server *bufio.Reader) {
	var answer bytes.Buffer
	done := false // whether a statement was executed since the last Z
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
		if kind == 'Z' || kind == 'R' { // the client waits for these messages
			if _, err := answer.WriteTo(client); err != nil {
				return
			}
		}
	}
}

// cut reports whether to cut the connection after this commit.
func (p *proxy) cut() bool {
	every := p.cutEvery.Load()
	if every == 0 || p.commits.Add(1)%every != 0 {
		return false
	}
	p.cuts.Add(1)
	return true
}

// readMessage reads a message of the server: kind, length and body. It appends all of it to
// answer.
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
