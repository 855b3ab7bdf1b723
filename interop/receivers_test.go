package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// receivers are the receivers of examples/receiver in other languages.
var receivers = map[string]struct{ interpreter, file, cases string }{
	"JavaScript": {"node", "javascript/receiver.mjs", "scripts/cases.mjs"},
	"Python":     {"python3", "python/receiver.py", "scripts/cases.py"},
}

func TestReceiversVerifyTheCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../testdata/signatures.json")
	require.NoError(t, err)
	var file struct {
		Cases []struct {
			Name   string
			Accept bool
		}
	}
	require.NoError(t, json.Unmarshal(text, &file))
	require.Greater(t, len(file.Cases), 100)
	for name, r := range receivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var accepted []bool
			ask(t, json.RawMessage(text), &accepted, ".", program(t, r.interpreter), r.cases, example(t, r.file))
			require.Len(t, accepted, len(file.Cases))
			for i, c := range file.Cases {
				require.Equal(t, c.Accept, accepted[i], c.Name)
			}
		})
	}
}

func TestReceiversRespondWithTheRightStatus(t *testing.T) {
	t.Parallel()
	const secret = "пароль"
	body := bodies["an event"]
	noID := strings.Replace(body, `"id":`, `"ID":`, 1)
	noData := strings.Replace(body, `"data":`, `"Data":`, 1)
	badType := strings.Replace(body, `"type":"candidate.completed"`, `"type":["candidate.completed"]`, 1)
	sign := func(body string) string { return alotwebhook.Sign([]byte(body), secret) }
	for name, r := range receivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, output := start(t, program(t, r.interpreter), example(t, r.file), secret)
			for _, c := range []struct {
				name, method, body string
				header             http.Header
				statuses           []int
			}{
				{"good", "POST", body, http.Header{"X-Alot-Signature": {sign(body)}}, []int{200, 204}},
				{"again", "POST", body, http.Header{"X-Alot-Signature": {sign(body)}}, []int{200, 204}},
				{"not signed", "POST", body, nil, []int{401}},
				{"tampered", "POST", body + " ", http.Header{"X-Alot-Signature": {sign(body)}}, []int{401}},
				{"wrong secret", "POST", body, http.Header{"X-Alot-Signature": {alotwebhook.Sign([]byte(body), "another")}}, []int{401}},
				{"doubled", "POST", body, http.Header{"X-Alot-Signature": {sign(body), sign(body)}}, []int{401}},
				{"not ASCII", "POST", body, http.Header{"X-Alot-Signature": {sign(body)[:70] + "é"}}, []int{401}},
				{"gzip", "POST", body, http.Header{"X-Alot-Signature": {sign(body)}, "Content-Encoding": {"gzip"}}, []int{415}},
				{"not JSON", "POST", "{", http.Header{"X-Alot-Signature": {sign("{")}}, []int{400}},
				{"no event", "POST", "null", http.Header{"X-Alot-Signature": {sign("null")}}, []int{400}},
				{"a list", "POST", "[" + body + "]", http.Header{"X-Alot-Signature": {sign("[" + body + "]")}}, []int{400}},
				{"no id", "POST", noID, http.Header{"X-Alot-Signature": {sign(noID)}}, []int{400}},
				{"no data", "POST", noData, http.Header{"X-Alot-Signature": {sign(noData)}}, []int{400}},
				{"no text", "POST", badType, http.Header{"X-Alot-Signature": {sign(badType)}}, []int{400}},
				{"with a byte order mark", "POST", "\ufeff" + body, http.Header{"X-Alot-Signature": {sign("\ufeff" + body)}}, []int{400}},
				{"GET", "GET", "", nil, []int{405, 501}},
				{"good again", "POST", body, http.Header{"X-Alot-Signature": {sign(body)}}, []int{200, 204}},
			} {
				require.Contains(t, c.statuses, send(t, c.method, url, c.body, c.header), c.name)
			}
			require.Equal(t, 413, promise(t, url, 1<<20+1))
			require.Equal(t, "received candidate.completed "+eventID, <-output)
			select {
			case line := <-output:
				t.Fatalf("handled more than once: %s", line)
			default:
			}
		})
	}
}

// The receivers pass the battery, and handle no event twice, even if it comes several times
// at once.
func TestReceiversPassTheBattery(t *testing.T) {
	t.Parallel()
	const secret = "your-signing-secret"
	for name, r := range receivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, output := start(t, program(t, r.interpreter), example(t, r.file), secret)
			battery := webhooktest.Battery{
				Proves: true,
				Secret: secret, URL: url, MaxBodyBytes: 1 << 20, Timeout: patience,
				Skip: []string{"duplicate-keys"}, // the JSON parsers of both languages cannot tell
			}
			findings := battery.Check(t.Context(), client.Do)
			for _, f := range findings {
				require.True(t, f.OK(), f)
			}
			last := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
			body := string(last.Payload())
			require.Contains(t, []int{200, 204}, send(t, "POST", url, body, http.Header{"X-Alot-Signature": {alotwebhook.Sign([]byte(body), secret)}}))
			seen := map[string]bool{}
			for line := range output {
				require.False(t, seen[line], "handled twice: %s", line)
				seen[line] = true
				if strings.HasSuffix(line, last.ID) {
					return
				}
			}
			t.Fatal("the receiver has ended")
		})
	}
}

// client has connections of its own. The end of an httptest.Server closes the idle ones of the default
// client, one of which a test beside it may just be using.
var client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}

func send(t *testing.T, method, url, body string, h http.Header) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if h != nil {
		r.Header = h
	}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// promise sends the headers of a request with a Content-Length of n, and no body. It returns
// the status.
func promise(t *testing.T, url string, n int) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), patience)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s: %s\r\n\r\n",
		n, alotwebhook.SignatureHeader, alotwebhook.Sign(nil, "secret"))
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// start runs a receiver until the test ends, and returns its URL and the lines
// that it prints.
func start(t *testing.T, interpreter, file, secret string) (url string, output <-chan string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), interpreter, file)
	cmd.Env = append(os.Environ(), "ALOT_WEBHOOK_SECRET="+secret, "PORT=0", "PYTHONUTF8=1")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test ends the process
	lines := make(chan string, 256)      // more lines than a test prints
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return listensAt(t, lines), lines
}

// listensAt reads lines up to the one in which a receiver says its URL. A framework may have something to say before.
func listensAt(t *testing.T, lines <-chan string) (url string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, more := <-lines:
			require.True(t, more, "the receiver has ended")
			if url, ok := strings.CutPrefix(line, "listening on "); ok {
				return url
			}
		case <-late:
			t.Fatal("the receiver does not listen")
		}
	}
}

func TestReceiversSayWhatStopsThem(t *testing.T) {
	t.Parallel()
	for name, r := range receivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer taken.Close()
			_, port, err := net.SplitHostPort(taken.Addr().String())
			require.NoError(t, err)
			for _, c := range []struct{ secret, port, says string }{
				{"", "0", "ALOT_WEBHOOK_SECRET is not set"},
				{"s3cret", port, port},
				{"s3cret", "70000", "70000"},
				{"s3cret", "http", ""},
			} {
				cmd := exec.CommandContext(t.Context(), program(t, r.interpreter), example(t, r.file))
				cmd.Env = append(os.Environ(), "ALOT_WEBHOOK_SECRET="+c.secret, "PORT="+c.port)
				output, err := cmd.CombinedOutput()
				require.Error(t, err)
				require.Contains(t, string(output), c.says)
				require.Len(t, strings.Split(strings.TrimSpace(string(output)), "\n"), 1, "%s", output)
			}
		})
	}
}
