package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/webhooktest"
)

// says is a server that responds to each request with these bytes, and leaves the connection open or closes it.
func says(t *testing.T, response string, open bool) (url string) {
	t.Helper()
	on, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = on.Close() })
	go func() {
		for {
			conn, err := on.Accept()
			if err != nil {
				return
			}
			go func() {
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				_, _ = io.WriteString(conn, response)
				if open {
					<-t.Context().Done()
				}
				_ = conn.Close()
			}()
		}
	}()
	return "http://" + on.Addr().String()
}

const (
	switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	isCutOff  = "200 OK, but the response's body was cut off or did not end in time"
)

// A response of 101 has no body that ends: no command waits for one.
func TestNoCommandHangsOnSwitchingProtocols(t *testing.T) {
	t.Parallel()
	url := says(t, switching, true)
	code, out, _ := run(t, "", "send", url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "\n101 Switching Protocols in ")

	code, out, _ = run(t, "", "check", url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "101 Switching Protocols")

	code, _, said := endpoints(t, "export", "--api", url+"/v1/webhooks")
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "/v1/webhooks: 101 Switching Protocols")

	code, _, said = run(t, "", "replay", "--control", url[len("http://"):])
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "the response was 101 Switching Protocols")

	l := listen(t, "--forward", url)
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	require.Equal(t, http.StatusBadGateway, status)
	l.sees(l.out, `(→ 101 Switching Protocols in )`)
}

func TestAResponseThatIsCutOffIsTold(t *testing.T) {
	t.Parallel()
	url := says(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", false)
	code, out, _ := run(t, "", "send", url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "\n"+isCutOff+" after ")

	code, _, said := endpoints(t, "export", "--api", url+"/v1/webhooks")
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "/v1/webhooks: "+isCutOff)

	code, _, said = run(t, "", "replay", "--control", url[len("http://"):])
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "the response was "+isCutOff)

	l := listen(t, "--forward", url)
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	require.Equal(t, http.StatusBadGateway, status)
	l.sees(l.out, `(→ 200 OK, but the response's body was cut off)`)
	_, out, _ = run(t, "", "replay", "--control", l.control)
	require.Contains(t, out, "→ "+isCutOff)
}

// Whatever is at the address of the controls, replay says that it is no listen.
func TestReplayAtAnotherServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		says   string
	}{
		{200, "{}", "200 OK"}, {200, "<!doctype html>", "200 OK"}, {200, `{"response":{}}`, "no event"}, {404, "", "404 Not Found"}, {204, "", "204 No Content"}, {404, "404 page not found\n", "404 Not Found"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		t.Cleanup(s.Close)
		for _, more := range []string{"1", "--list"} {
			code, out, said := run(t, "", "replay", "--control", s.Listener.Addr().String(), more)
			require.Equal(t, exitFailed, code)
			require.Empty(t, out)
			require.Contains(t, said, s.URL+" is not what `alotwebhook listen` answers as: ")
			require.NotContains(t, said, "json")
			if more == "1" && c.body != "{}" {
				require.Contains(t, said, c.says)
			}
		}
	}
	for _, id := range []string{"", ".", "..", "#"} {
		code, _, said := run(t, "", "replay", "--control", "127.0.0.1:1", id)
		require.Equal(t, exitUsage, code)
		require.Contains(t, said, "is no id of an event")
	}
}

// A request whose body listen could not read was not received, and must not count as delivered.
func TestListenRefusesABodyThatIsNotWhole(t *testing.T) {
	t.Parallel()
	l := listen(t)
	conn, err := net.Dial("tcp", l.url[len("http://"):])
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.True(t, resp.Close)
	l.sees(l.err, `(body was not complete got the response 400)`)

	for err, status := range map[error]int{os.ErrDeadlineExceeded: http.StatusRequestTimeout, io.ErrUnexpectedEOF: http.StatusBadRequest} {
		l := &listener{app: newSession(nil, nil).app, flags: &listenFlags{maxBody: 100}}
		w := httptest.NewRecorder()
		l.receive(w, httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(err)))
		require.Equal(t, status, w.Code)
		require.Equal(t, "close", w.Header().Get("Connection"))
	}
}

// An API that asks for a wait for ever is given up, and said to ask.
func TestAnInterruptedWaitIsSaidToBe(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 9)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
		asked <- struct{}{}
	}))
	t.Cleanup(s.Close)
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-asked; stop() }()
	session := newSession(strings.NewReader(""), map[string]string{tokenVariable: token})
	code := session.app.run(ctx, []string{"endpoints", "import", exportOf(t, one("1", "https://a.example.com/", "")), "--api", s.URL + "/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map")})
	require.Equal(t, exitFailed, code)
	require.Contains(t, session.err.String(), "alotwebhook: interrupted")
}
