// Package proxytest has forward proxies on loopback, for tests: they do what a test says, and remember
// what they were asked.
package proxytest

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ask is what a proxy was asked: a tunnel to Target.
type Ask struct {
	Target string // host and port
	Header http.Header
	User   string // of SOCKS5
}

// Answer is what it does. The zero Answer is a tunnel to the target.
type Answer struct {
	// Dial is where the tunnel leads instead.
	Dial string
	// Status is that of an HTTP answer, or the reply of SOCKS5, other than success.
	Status int
	Header http.Header
	// Raw is sent in place of an answer, and the connection is closed.
	Raw string
	// Drop closes the connection without a word. Hang says nothing.
	Drop, Hang bool
}

// Proxy is a proxy. Set Do before the first request, or by [Proxy.Set].
type Proxy struct {
	URL *url.URL

	t        testing.TB
	listener net.Listener
	serve    func(net.Conn)
	quit     chan struct{}
	once     sync.Once
	password string // of SOCKS5; "": none is asked for

	mu    sync.Mutex
	do    func(Ask) Answer
	asked []Ask
	conns map[net.Conn]bool
	count int
}

// HTTP starts a proxy that speaks HTTP, behind TLS if cfg is not nil.
func HTTP(t testing.TB, cfg *tls.Config, do func(Ask) Answer) *Proxy {
	p := listen(t, "http", do)
	if cfg != nil {
		p.URL.Scheme, p.listener = "https", tls.NewListener(p.listener, cfg)
	}
	p.serve = p.serveHTTP
	p.start()
	return p
}

// SOCKS starts a proxy that speaks SOCKS5. Unless the password is "", it asks for it.
func SOCKS(t testing.TB, password string, do func(Ask) Answer) *Proxy {
	p := listen(t, "socks5", do)
	p.password, p.serve = password, p.serveSOCKS
	p.start()
	return p
}

func listen(t testing.TB, scheme string, do func(Ask) Answer) *Proxy {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	return &Proxy{URL: &url.URL{Scheme: scheme, Host: l.Addr().String()}, t: t, listener: l, do: do, conns: map[net.Conn]bool{}, quit: make(chan struct{})}
}

func (p *Proxy) start() {
	p.t.Cleanup(p.Close)
	go func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[conn] = true
			p.count++
			p.mu.Unlock()
			go func() {
				defer p.forget(conn)
				p.serve(conn)
			}()
		}
	}()
}

func (p *Proxy) forget(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// Close ends the proxy and all tunnels.
func (p *Proxy) Close() {
	p.once.Do(func() { close(p.quit) })
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Set changes what the proxy does from now on.
func (p *Proxy) Set(do func(Ask) Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.do = do
}

// Do returns what the proxy does.
func (p *Proxy) Do() func(Ask) Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.do
}

// Asked returns what the proxy was asked, in order.
func (p *Proxy) Asked() []Ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Targets returns the targets of Asked.
func (p *Proxy) Targets() (list []string) {
	for _, a := range p.Asked() {
		list = append(list, a.Target)
	}
	return list
}

// Connections returns how many connections the proxy has had.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *Proxy) ask(a Ask) Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, a)
	if p.do == nil {
		return Answer{}
	}
	return p.do(a)
}

func (p *Proxy) serveHTTP(conn net.Conn) {
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	if r.Method != http.MethodConnect {
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return
	}
	a := p.ask(Ask{Target: r.Host, Header: r.Header})
	p.answer(conn, a, r.Host, func(status int) string {
		if status == 0 {
			return "HTTP/1.1 200 Connection established\r\n\r\n"
		}
		text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n", status, http.StatusText(status))
		for name, values := range a.Header {
			text += name + ": " + values[0] + "\r\n"
		}
		return text + "\r\n"
	}, http.StatusBadGateway)
}

// answer does what a says. word words a status, of which 0 is success.
func (p *Proxy) answer(conn net.Conn, a Answer, target string, word func(int) string, failure int) {
	switch {
	case a.Hang:
		<-p.quit
		return
	case a.Drop:
		return
	case a.Raw != "":
		_, _ = io.WriteString(conn, a.Raw)
		return
	case a.Status != 0:
		_, _ = io.WriteString(conn, word(a.Status))
		return
	}
	if a.Dial != "" {
		target = a.Dial
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		_, _ = io.WriteString(conn, word(failure))
		return
	}
	defer far.Close()
	_, _ = io.WriteString(conn, word(0))
	go func() {
		_, _ = io.Copy(far, conn)
		_ = far.Close()
	}()
	_, _ = io.Copy(conn, far)
}

func (p *Proxy) serveSOCKS(conn net.Conn) {
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil || head[0] != 5 {
		return
	}
	methods := make([]byte, head[1])
	_, _ = io.ReadFull(conn, methods)
	user := ""
	switch {
	case p.password == "":
		_, _ = conn.Write([]byte{5, 0})
	case !slices.Contains(methods, 2):
		_, _ = conn.Write([]byte{5, 0xff})
		return
	default:
		_, _ = conn.Write([]byte{5, 2})
		var ok bool
		if user, ok = p.logIn(conn); !ok {
			_, _ = conn.Write([]byte{1, 1})
			return
		}
		_, _ = conn.Write([]byte{1, 0})
	}
	target := readTarget(conn)
	if target == "" {
		return
	}
	p.answer(conn, p.ask(Ask{Target: target, User: user}), target, func(status int) string {
		return string([]byte{5, byte(status), 0, 1, 127, 0, 0, 1, 0, 80})
	}, 5)
}

func (p *Proxy) logIn(conn net.Conn) (user string, ok bool) {
	read := func() string {
		var n [1]byte
		_, _ = io.ReadFull(conn, n[:])
		text := make([]byte, n[0])
		_, _ = io.ReadFull(conn, text)
		return string(text)
	}
	var version [1]byte
	_, _ = io.ReadFull(conn, version[:])
	user = read()
	return user, version[0] == 1 && read() == p.password
}

// readTarget reads the request of a tunnel; "" if it is none.
func readTarget(conn net.Conn) string {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil || head[1] != 1 {
		return ""
	}
	var host string
	switch head[3] {
	case 1, 4:
		ip := make(net.IP, map[byte]int{1: 4, 4: 16}[head[3]])
		_, _ = io.ReadFull(conn, ip)
		host = ip.String()
	case 3:
		var n [1]byte
		_, _ = io.ReadFull(conn, n[:])
		name := make([]byte, n[0])
		_, _ = io.ReadFull(conn, name)
		host = string(name)
	}
	var port [2]byte
	if _, err := io.ReadFull(conn, port[:]); err != nil {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:]))))
}
