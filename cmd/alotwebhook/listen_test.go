package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// ownClient has connections of its own. The end of an httptest.Server closes the idle ones of the
// default client, one of which a test beside it may just be using.
var ownClient = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}

// listening is a running command listen in this process.
type listening struct {
	*session
	t            *testing.T
	url, control string
	keys         *io.PipeWriter
	stop         context.CancelFunc
	ended        chan int
}

// listen starts the command on free ports; it must end well by the test's end.
func listen(t *testing.T, args ...string) *listening {
	t.Helper()
	return listenWith(t, withSecret, args...)
}

func listenWith(t *testing.T, env map[string]string, args ...string) *listening {
	t.Helper()
	in, keys := io.Pipe()
	l := &listening{session: newSession(in, env), t: t, keys: keys, ended: make(chan int, 1)}
	l.app.isTerminal = func(f any) bool { return f == io.Reader(in) }
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() {
		l.ended <- l.app.run(ctx, append([]string{"listen", "--addr", "127.0.0.1:0", "--control", "127.0.0.1:0"}, args...))
	}()
	t.Cleanup(func() {
		stop()
		require.Equal(t, exitOK, <-l.ended)
		l.ended <- exitOK
		_ = keys.Close()
	})
	l.url = l.sees(l.err, `Receiving at (http://\S+)/`)
	l.control = strings.TrimPrefix(l.sees(l.err, `Replaying at (http://\S+)/`), "http://")
	l.sees(l.err, `(Keys: )`)
	return l
}

// lastResort ends a wait that hangs; no machine needs so long.
const lastResort = 10 * time.Minute

// sees waits until a screen matches the expression, and returns its group.
func (l *listening) sees(s *screen, expression string) string {
	l.t.Helper()
	re := regexp.MustCompile(expression)
	var found []string
	require.Eventually(l.t, func() bool {
		found = re.FindStringSubmatch(s.String())
		return found != nil
	}, lastResort, 5*time.Millisecond, "%s in %s", expression, s)
	return found[1]
}

func (l *listening) types(line string) {
	l.t.Helper()
	_, err := io.WriteString(l.keys, line+"\n")
	require.NoError(l.t, err)
}

// do sends a request and returns the response.
func do(t *testing.T, r *http.Request) (status int, header http.Header, body string) {
	t.Helper()
	resp, err := ownClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(b)
}

func TestListenPrints(t *testing.T) {
	t.Parallel()
	l := listen(t)
	event := webhooktest.NewEvent(t, alotwebhook.EventCandidateInvited, map[string]string{"candidateName": "Jane \u009b31m"})
	status, _, _ := do(t, webhooktest.NewRequest(t, l.url+"/any/path", event, secret))
	require.Equal(t, http.StatusOK, status)
	l.sees(l.out, `(?m)^\d\d:\d\d:\d\d  #1  candidate.invited  (`+event.ID+`)  verified\n  \{\n    "id"`)
	require.Contains(t, l.out.String(), `"candidateName": "Jane \u009b31m"`)

	wrong := webhooktest.NewRequest(t, l.url, event, secret+"\n")
	status, _, body := do(t, wrong)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "Unauthorized\n", body)
	l.sees(l.out, `(signature does not match the body and the secret\n  - It was made with this secret and white space around it)`)

	status, _, _ = do(t, webhooktest.NewBodyRequest(t, l.url, []byte("Hello"), secret))
	require.Equal(t, http.StatusBadRequest, status)
	l.sees(l.out, `(#2  POST /, 5 bytes  verified\n  - malformed event: the body is not a JSON object\n  Hello\n)`)
}

// Without --forward, listen is a right receiver itself.
func TestListenIsRightReceiver(t *testing.T) {
	t.Parallel()
	l := listen(t)
	code, out, _ := run(t, "", "check", "--proves", "--max-body", "1048576", "--timeout", lastResort.String(), l.url)
	require.Equal(t, exitOK, code, "%s", out)
}

func TestListenForwards(t *testing.T) {
	t.Parallel()
	behind := webhooktest.NewServer(t, secret)
	behind.Answer(webhooktest.Answer{
		Status: http.StatusServiceUnavailable, Body: `{"error":"busy"}`, Header: http.Header{"Retry-After": {"7"}, "Content-Type": {"application/json"}},
	})
	l := listen(t, "-forward", behind.URL+"/alot?a=b")
	body := []byte("{\n" + payload[1:] + "\n")
	r := webhooktest.NewBodyRequest(t, l.url+"/x", body, secret)
	r.Header["X-Twice"] = []string{"one", "two"}
	r.Header.Set("User-Agent", "alotwebhook/1")
	r.Header.Set("Connection", "x-hop, x-other")
	r.Header.Set("X-Hop", "1")
	status, header, text := do(t, r)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "7", header.Get("Retry-After"))
	require.Equal(t, `{"error":"busy"}`, text)
	l.sees(l.out, `(→ 503 Service Unavailable in )`)
	l.sees(l.out, `(the receiver said:\n  \{\n    "error": "busy")`)

	got := behind.Received()[0]
	require.NoError(t, got.Err)
	require.Equal(t, body, got.Body)
	require.Equal(t, "/alot?a=b", got.URI)
	require.Equal(t, []string{"one", "two"}, got.Header["X-Twice"])
	require.Equal(t, "alotwebhook/1", got.Header.Get("User-Agent"))
	require.Empty(t, got.Header.Get("Connection"))
	require.Empty(t, got.Header.Get("X-Hop"))

	// A request that is not verified is not passed on, except with --skip-verify.
	unsigned := webhooktest.NewBodyRequest(t, l.url, body, "another")
	status, _, _ = do(t, unsigned)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Len(t, behind.Received(), 1)
	lax := listen(t, "--skip-verify", "--forward", behind.URL)
	do(t, webhooktest.NewBodyRequest(t, lax.url, body, "another"))
	require.ErrorIs(t, behind.Received()[1].Err, alotwebhook.ErrSignatureMismatch)
	lax.sees(lax.out, `(#1  .*  signature does not match the body and the secret  → 401)`)
}

// A status that net/http does not write is no panic in the log, and no response of ours.
func TestListenForwardsToNonsense(t *testing.T) {
	t.Parallel()
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = behind.Close() })
	go func() {
		for {
			conn, err := behind.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 099 Nonsense\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
		}
	}()
	l := listen(t, "--forward", "http://"+behind.Addr().String())
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	require.Equal(t, http.StatusBadGateway, status)
}

// With --skip-verify, listen shows requests without any secret.
func TestListenWithoutSecret(t *testing.T) {
	t.Parallel()
	l := listenWith(t, nil, "--skip-verify")
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	require.Equal(t, http.StatusOK, status)
	l.sees(l.out, `(#1  candidate.completed  evt_01jcc7wjz3e4qv8x5k2m9n6p0r  not verified: there is no secret\n)`)
}

func TestListenForwardsToNobody(t *testing.T) {
	t.Parallel()
	nobody := webhooktest.NewServer(t)
	nobody.Close()
	l := listen(t, "--forward", nobody.URL)
	status, _, _ := do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	require.Equal(t, http.StatusBadGateway, status)
	l.sees(l.out, `(→ no response: dial tcp )`)
	code, out, _ := run(t, "", "replay", "--control", l.control)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "→ no response: dial tcp ")
}

func TestListenKeys(t *testing.T) {
	t.Parallel()
	behind := webhooktest.NewServer(t, secret)
	l := listen(t, "--forward", behind.URL)
	l.types("r")
	l.sees(l.err, `(no event is kept yet)`)
	do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	for i, line := range []string{"r", "r 1", " r  #1 ", "r evt_01jcc7wjz3e4qv8x5k2m9n6p0r"} {
		l.types(line)
		got, err := behind.Wait(t.Context(), 2+i)
		require.NoError(t, err)
		require.Equal(t, payload, string(got[1+i].Body))
	}
	l.types("r 9")
	l.sees(l.err, `(no event "9" is kept; the oldest one kept has number 1)`)
	l.types("")
	l.types("l")
	l.sees(l.err, `#1  (candidate.completed)  evt_01jcc7wjz3e4qv8x5k2m9n6p0r\n`)
	l.types("what?")
	l.sees(l.err, `(r replays the last event, r 3 )`)
	l.types("q")
	require.Equal(t, exitOK, <-l.ended)
	l.ended <- exitOK
}

func TestListenJSON(t *testing.T) {
	t.Parallel()
	behind := webhooktest.NewServer(t, secret)
	l := listen(t, "--json", "--forward", behind.URL)
	do(t, webhooktest.NewBodyRequest(t, l.url+"/a", []byte(payload), secret))
	do(t, webhooktest.NewBodyRequest(t, l.url, []byte("\xff\x00"), "another"))
	l.sees(l.out, `(?s)(\n.*\n)`)
	var lines []map[string]any
	for d := json.NewDecoder(strings.NewReader(l.out.String())); d.More(); {
		var line map[string]any
		require.NoError(t, d.Decode(&line))
		lines = append(lines, line)
	}
	require.Len(t, lines, 2)
	require.Equal(t, true, lines[0]["verified"])
	require.Equal(t, 1.0, lines[0]["number"])
	require.Equal(t, payload, lines[0]["body"])
	require.Equal(t, "candidate.completed", lines[0]["type"])
	require.Equal(t, "evt_01jcc7wjz3e4qv8x5k2m9n6p0r", lines[0]["id"])
	require.Equal(t, "/a", lines[0]["uri"])
	require.Equal(t, 200.0, lines[0]["forward"].(map[string]any)["status"])
	require.Equal(t, false, lines[1]["verified"])
	require.Equal(t, "signature does not match the body and the secret", lines[1]["problem"])
	require.NotEmpty(t, lines[1]["hints"])
	require.Equal(t, "/wA=", lines[1]["bodyBase64"])
	require.NotContains(t, lines[1], "forward")
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	l := listen(t, "--max-body", "1000")
	get, err := http.NewRequest(http.MethodGet, l.url, nil)
	require.NoError(t, err)
	status, header, _ := do(t, get)
	require.Equal(t, http.StatusMethodNotAllowed, status)
	require.Equal(t, "POST", header.Get("Allow"))
	l.sees(l.err, `(GET / got the response 405)`)
	status, _, _ = do(t, webhooktest.NewBodyRequest(t, l.url, make([]byte, 1001), secret))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	l.sees(l.err, `(A body of more than 1000 bytes got the response 413)`)
	doubled := webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret)
	doubled.Header.Add(alotwebhook.SignatureHeader, doubled.Header.Get(alotwebhook.SignatureHeader))
	status, _, _ = do(t, doubled)
	require.Equal(t, http.StatusUnauthorized, status)
	l.sees(l.out, `(The request has several signature headers)`)
}

func TestListenAtAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	code, _, says := run(t, "", "listen", "--addr", taken.Addr().String())
	require.Equal(t, exitUsage, code)
	require.Contains(t, says, "cannot receive at "+taken.Addr().String())
	code, _, says = run(t, "", "listen", "--addr", "127.0.0.1:0", "--control", taken.Addr().String())
	require.Equal(t, exitUsage, code)
	require.Contains(t, says, "if another listen runs there, give --control another port")
	s := newSession(nil, nil)
	require.Equal(t, exitUsage, s.app.run(t.Context(), []string{"listen", "--addr", "127.0.0.1:0"}))
	require.Contains(t, s.err.String(), "no signing secret")
}

func TestListenDoesNotForwardToItself(t *testing.T) {
	t.Parallel()
	at, port, says := &net.TCPAddr{}, "", "cannot receive"
	for code := 0; strings.Contains(says, "cannot receive"); { // another test has taken the port meanwhile
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		at = free.Addr().(*net.TCPAddr)
		require.NoError(t, free.Close())
		port = ":" + strconv.Itoa(at.Port)
		code, _, says = run(t, "", "listen", "--addr", at.String(), "--control", "", "--forward", "http://localhost"+port+"/x")
		require.Equal(t, exitUsage, code)
	}
	require.Contains(t, says, "where listen itself receives")
	for to, on := range map[string]bool{
		"http://127.0.0.1" + port: true, "http://[::1]" + port: false, "http://127.0.0.1:1": false, "http://a.test" + port: false, "http://127.0.0.1/": false,
	} {
		require.Equal(t, on, leadsTo(to, at), to)
	}
	require.True(t, leadsTo("http://127.0.0.1/", &net.TCPAddr{IP: net.IPv6unspecified, Port: 80}))
	require.True(t, leadsTo("https://localhost/", &net.TCPAddr{IP: net.IPv6loopback, Port: 443}))
}
