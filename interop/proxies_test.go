package interop_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// realProxy is a forward proxy that others have written, on loopback.
type realProxy struct {
	scheme string
	port   int
	// args are those of a program that stays in the foreground, and lets the user "alot" with the
	// password "s3cret" connect to these ports, if it can tell ports apart.
	program string
	args    func(t *testing.T, p *realProxy, ports []int) []string
	refuses bool                      // it tells ports apart
	nobody  alotwebhook.FailureReason // the reason if nothing listens at the target

	cmd *exec.Cmd
}

var realProxies = map[string]realProxy{
	"squid":      {scheme: "http", program: "squid", args: squidArgs, refuses: true, nobody: alotwebhook.ReasonConnectionRefused},
	"tinyproxy":  {scheme: "http", program: "tinyproxy", args: tinyproxyArgs, refuses: true, nobody: alotwebhook.ReasonNetwork},
	"microsocks": {scheme: "socks5", program: "microsocks", args: microsocksArgs, nobody: alotwebhook.ReasonConnectionRefused},
}

// find returns the path of the program, which Debian keeps where only root looks.
func (p *realProxy) find(t *testing.T) string {
	t.Helper()
	path := filepath.Join("/usr/sbin", p.program)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	return program(t, p.program)
}

// proxyFolder is a folder that a proxy can use that gives up the rights of root.
func proxyFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "alot-proxy-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func squidArgs(t *testing.T, p *realProxy, ports []int) []string {
	helper := "/usr/lib/squid/basic_ncsa_auth"
	if _, err := os.Stat(helper); err != nil {
		missing(t, "the helper of squid is not installed: %v", err)
	}
	dir := proxyFolder(t)
	password := writeFile(t, dir, "passwords", "alot:$apr1$alotsalt$Tz6nD0jB94Oh8kdbwdkzA.\n") // openssl passwd -apr1 s3cret
	hosts := writeFile(t, dir, "hosts", "127.0.0.1 receiver.test\n")
	return []string{"-N", "-f", writeFile(t, dir, "squid.conf", fmt.Sprintf(`
http_port 127.0.0.1:%d
pid_filename %[2]s/pid
cache_log %[2]s/log
access_log none
coredump_dir %[2]s
hosts_file %[3]s
dns_nameservers 127.0.0.1
dns_timeout 1 second
dns_retransmit_interval 200 milliseconds
cache deny all
shutdown_lifetime 0 seconds
auth_param basic program %[4]s %[5]s
auth_param basic children 1 startup=1
acl us proxy_auth REQUIRED
acl CONNECT method CONNECT
acl receivers port%[6]s
http_access deny !us
http_access allow CONNECT receivers
http_access deny all
`, p.port, dir, hosts, helper, password, spaced(ports)))}
}

func spaced(ports []int) (text string) {
	for _, port := range ports {
		text += fmt.Sprintf(" %d", port)
	}
	return text
}

func tinyproxyArgs(t *testing.T, p *realProxy, ports []int) []string {
	dir := proxyFolder(t)
	text := fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 60\nLogFile \"%s/log\"\nLogLevel Error\nMaxClients 50\nAllow 127.0.0.1\nBasicAuth alot s3cret\n", p.port, dir)
	for _, port := range ports {
		text += fmt.Sprintf("ConnectPort %d\n", port)
	}
	return []string{"-d", "-c", writeFile(t, dir, "tinyproxy.conf", text)}
}

func microsocksArgs(_ *testing.T, p *realProxy, _ []int) []string {
	return []string{"-i", "127.0.0.1", "-p", fmt.Sprint(p.port), "-u", "alot", "-P", "s3cret"}
}

// start starts the program and waits until it listens. Its port stays the same.
func (p *realProxy) start(t *testing.T, args []string) {
	t.Helper()
	p.cmd = exec.Command(p.find(t), args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp4", p.address())
		if err == nil {
			_ = conn.Close()
			return
		}
		require.True(t, time.Now().Before(until), "%s does not listen", p.program)
	}
}

func (p *realProxy) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// kill ends the program with its helpers.
func (p *realProxy) kill() {
	if p.cmd.ProcessState == nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait()
	}
}

func (p *realProxy) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(-p.cmd.Process.Pid, s))
}

// stop stops the program, and returns once none of its threads runs: that takes a moment.
func (p *realProxy) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		require.NoError(t, err)
		if strings.Contains(string(stat), ") T ") {
			return
		}
		require.True(t, time.Now().Before(until), "%s does not stop", p.program)
	}
}

// freePort returns a port that nothing listens at.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// sending is a dispatcher that sends through a real proxy.
type sending struct {
	*alotwebhook.Dispatcher
	attempts chan alotwebhook.AttemptInfo
	password atomic.Value
	known    map[string]bool // the URLs that have an endpoint
}

func newSending(t *testing.T, p *realProxy, resolves bool, roots *x509.CertPool) *sending {
	t.Helper()
	s := &sending{attempts: make(chan alotwebhook.AttemptInfo, 100), known: map[string]bool{}}
	s.password.Store("s3cret")
	var err error
	s.Dispatcher, err = alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		Proxy: &alotwebhook.Proxy{
			URL: &url.URL{Scheme: p.scheme, Host: p.address()}, Resolves: resolves,
			Credentials: func(context.Context) (string, string, error) { return "alot", s.password.Load().(string), nil },
		},
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: roots,
		ConnectTimeout: 5 * time.Second, Timeout: 10 * time.Second, Retry: alotwebhook.Schedule(), Logger: slog.New(slog.DiscardHandler),
		Observer: &alotwebhook.Observer{Finished: func(r alotwebhook.FinishReport) {
			for _, a := range r.Attempts {
				s.attempts <- a
			}
		}},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	return s
}

// emit sends one event to a URL alone, an endpoint of an organization of its own.
func (s *sending) emit(t *testing.T, to string) {
	t.Helper()
	organization := "org of " + to
	if !s.known[to] {
		s.known[to] = true
		_, err := s.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
			OrganizationID: organization, URL: to, EventTypes: []string{alotwebhook.EventCandidateCompleted},
		})
		require.NoError(t, err)
	}
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]int{"score": 82})
	require.NoError(t, err)
	require.NoError(t, s.Emit(t.Context(), event))
}

func (s *sending) next(t *testing.T) alotwebhook.AttemptInfo {
	t.Helper()
	select {
	case a := <-s.attempts:
		return a
	case <-time.After(patience):
		require.FailNow(t, "there was no attempt")
		return alotwebhook.AttemptInfo{}
	}
}

// awaitFault waits until the dispatcher knows what is wrong with the proxy.
func (s *sending) awaitFault(t *testing.T, reason alotwebhook.FailureReason) {
	t.Helper()
	for until := time.Now().Add(patience); s.Health().ProxyReason != reason; time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(until), "%q is not known", reason)
	}
	require.Empty(t, s.attempts)
}

// delivers requires that what is sent arrives, with its first attempt.
func (s *sending) delivers(t *testing.T) {
	t.Helper()
	a := s.next(t)
	require.Equal(t, alotwebhook.StateDelivered, a.State, "%s %s", a.Attempt.Reason, a.Attempt.Detail)
	require.Equal(t, 1, a.Attempt.Number)
}

// Deliveries go through proxies that are in use, and what these do is told apart.
func TestRealProxies(t *testing.T) {
	t.Parallel()
	for name, proxy := range realProxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy.find(t)
			var requests atomic.Int64
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				requests.Add(1)
				w.WriteHeader(http.StatusNoContent)
			})
			plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
			t.Cleanup(plain.Close)
			t.Cleanup(secure.Close)
			roots := x509.NewCertPool()
			roots.AddCert(secure.Certificate())
			forbidden, nobody := freePort(t), freePort(t)

			p := proxy
			p.port = freePort(t)
			args := p.args(t, &p, []int{portOf(plain), portOf(secure), nobody})
			p.start(t, args)
			s := newSending(t, &p, false, roots)

			for range 3 {
				s.emit(t, secure.URL)
				s.delivers(t)
				s.emit(t, plain.URL)
				s.delivers(t)
			}
			require.EqualValues(t, 6, requests.Load())

			if p.refuses {
				s.emit(t, fmt.Sprintf("https://127.0.0.1:%d/", forbidden))
				require.Equal(t, alotwebhook.ReasonProxyRefused, s.next(t).Attempt.Reason)
			}
			s.emit(t, fmt.Sprintf("https://127.0.0.1:%d/", nobody))
			a := s.next(t)
			require.Equal(t, p.nobody, a.Attempt.Reason, a.Attempt.Detail)
			require.Zero(t, a.Attempt.StatusCode, "the proxy's status is not the receiver's")
			require.Empty(t, s.Health().ProxyReason, "the proxy is well")

			p.kill()
			s.emit(t, secure.URL)
			s.awaitFault(t, alotwebhook.ReasonProxyUnreachable)
			p.start(t, args)
			s.delivers(t)

			p.kill() // its tunnels, too
			s.password.Store("wrong")
			p.start(t, args)
			s.emit(t, secure.URL)
			s.awaitFault(t, alotwebhook.ReasonProxyAuthentication)
			s.password.Store("s3cret")
			s.delivers(t)

			p.stop(t) // while a tunnel is kept
			s.emit(t, secure.URL)
			s.awaitFault(t, alotwebhook.ReasonProxyUnreachable)
			p.signal(t, syscall.SIGCONT)
			s.delivers(t)
		})
	}
}

func portOf(s *httptest.Server) int { return s.Listener.Addr().(*net.TCPAddr).Port }

// Squid looks up the names. Of one that it cannot find, version 5.7 says after a CONNECT only that it
// could not connect.
func TestSquidResolves(t *testing.T) {
	t.Parallel()
	p := realProxies["squid"]
	p.find(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(receiver.Close)
	p.port = freePort(t)
	p.start(t, p.args(t, &p, []int{portOf(receiver)}))
	s := newSending(t, &p, true, nil)
	s.emit(t, fmt.Sprintf("http://receiver.test:%d/", portOf(receiver)))
	s.delivers(t)
	s.emit(t, fmt.Sprintf("http://unknown.test:%d/", portOf(receiver)))
	a := s.next(t)
	require.Equal(t, alotwebhook.ReasonNetwork, a.Attempt.Reason, a.Attempt.Detail)
	require.Empty(t, s.Health().ProxyReason)
}

// The configuration of squid in docs/sending.md lets out what is public, and refuses the rest.
func TestSquidByTheDocs(t *testing.T) {
	t.Parallel()
	p := realProxies["squid"]
	p.find(t)
	guide, err := os.ReadFile("../docs/sending.md")
	require.NoError(t, err)
	_, config, ok := strings.Cut(string(guide), "```conf\n")
	require.True(t, ok)
	config, _, _ = strings.Cut(config, "```")
	require.Contains(t, config, "10.0.0.5:3128")
	require.Contains(t, config, "10.0.1.0/24")
	start := func(config string) *sending {
		p := p
		p.port = freePort(t)
		dir := proxyFolder(t)
		config = strings.NewReplacer("10.0.0.5:3128", p.address(), "10.0.1.0/24", "127.0.0.1").Replace(config)
		config += fmt.Sprintf("pid_filename %[1]s/pid\ncache_log %[1]s/log\naccess_log none\ncoredump_dir %[1]s\n", dir)
		p.start(t, []string{"-N", "-f", writeFile(t, dir, "squid.conf", config)})
		return newSending(t, &p, false, nil)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(receiver.Close)

	s := start(config)
	s.emit(t, receiver.URL)
	require.Equal(t, alotwebhook.ReasonProxyRefused, s.next(t).Attempt.Reason)
	s = start(strings.Replace(config, "127.0.0.0/8 ", "", 1)) // as if the receiver were public
	s.emit(t, receiver.URL)
	s.delivers(t)
	s = start(strings.NewReplacer("127.0.0.0/8 ", "", "443 1024-65535", "443").Replace(config))
	s.emit(t, receiver.URL)
	require.Equal(t, alotwebhook.ReasonProxyRefused, s.next(t).Attempt.Reason)
}
