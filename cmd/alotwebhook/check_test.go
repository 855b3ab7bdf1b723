package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// rightReceiver starts a receiver that is built with the library.
func rightReceiver(t *testing.T) *httptest.Server {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, alotwebhook.CandidateCompleted) error { return nil })
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return s
}

func TestCheckRightReceiver(t *testing.T) {
	t.Parallel()
	s := rightReceiver(t)
	code, out, says := run(t, "", "check", "--proves", "--timeout", lastResort.String(), s.URL)
	require.Equal(t, exitOK, code, "%s", out)
	require.Contains(t, out, "✓ unsigned  A request without a signature is refused")
	require.Contains(t, out, "– too-old  not made: --max-age is not given")
	require.Contains(t, out, "\nNo fault was found.\n")
	require.Empty(t, says)
	require.NotContains(t, out, string(secret))

	code, out, _ = run(t, "", "check", "--timeout", lastResort.String(), "--json", "--skip", "gzip,oversized", "--type", "candidate.invited", "--data", `{"a":1}`, s.URL)
	require.Equal(t, exitOK, code)
	var names []string
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var line struct {
			Check, Skipped string
			OK             bool
		}
		require.NoError(t, d.Decode(&line))
		require.NotEqual(t, line.OK, line.Skipped != "")
		names = append(names, line.Check)
	}
	require.Equal(t, webhooktest.Battery{}.Checks(), names)
}

// TestCheckSpeaksOfFlags looks for the names of Go's fields in all that is said of a receiver that
// accepts anything, one that accepts nothing, and settings that cannot be.
func TestCheckSpeaksOfFlags(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		for _, flags := range [][]string{
			{}, {"--json"}, {"--max-age", "1h"}, {"--max-age", "-1h"}, {"--timeout", "-1s"}, {"--max-body", "0"},
			{"--skip", "no-such"}, {"--type", "no such"}, {"--data", "{"}, {"--organization", ""},
		} {
			args := append([]string{"check", "--timeout", lastResort.String()}, flags...)
			_, out, says := run(t, "", append(args, s.URL)...)
			said.WriteString(out + says)
		}
	}
	require.Contains(t, said.String(), "--max-age is not given")
	require.Contains(t, said.String(), "--max-body is 0; give ")
	fields := regexp.MustCompile(`\b(MaxAge|MaxBodyBytes|Timeout|Proves|Handled|EventType|OrganizationID|StandardWebhooks|Skip|Finding)\b`)
	require.Empty(t, fields.FindAllString(said.String(), -1))
}

func TestCheckStandardWebhooks(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	s := httptest.NewServer(alotwebhook.NewReceiver(v.AcceptStandard(&alotwebhook.StandardConfig{Only: true}),
		&alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)}))
	defer s.Close()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), "--standard", s.URL)
	require.Equal(t, exitOK, code, "%s", out)
	require.Contains(t, out, "✓ standard-stale")
}

func TestCheckWrongReceiver(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), s.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "✗ any-request\n    found:  sent an unsigned text that is no JSON: the response was 200 OK; the status must be 4xx\n"+
		"    right:  What is no event at all is refused with 4xx.\n    change: Respond by the result of the verification")
	require.Regexp(t, `\nA fault found by 1 of \d+ checks\.\n`, out)

	code, out, _ = run(t, "", "check", "--json", s.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, `"ok":false,"problem":"sent an unsigned text that is no JSON: the response was 200 OK; the status must be 4xx"`)
	require.Equal(t, 1, strings.Count(out, `"problem"`))
}

// A body parser in front fails every request. It is one finding, and says what to change.
func TestCheckBodyParser(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusInternalServerError // the handler has an object in place of bytes
		if body, err := io.ReadAll(r.Body); err != nil || !json.Valid(body) {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), s.URL)
	require.Equal(t, exitFailed, code)
	require.Equal(t, 1, strings.Count(out, "✗"), out)
	require.Contains(t, out, "✗ raw-body\n    found:  the response was 500 Internal Server Error to a good event, and to one with a wrong signature")
	require.Contains(t, out, "Most often a body parser stands in front")
	require.Contains(t, out, "checks  not made: the handler does not have the raw body, see raw-body\n")
}

// A limit of requests is one finding, and what was not judged behind it is not shown as right.
func TestCheckBehindALimit(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	right := rightReceiver(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 30 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		right.Config.Handler.ServeHTTP(w, r)
	}))
	defer s.Close()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), s.URL)
	require.Equal(t, exitFailed, code)
	require.Equal(t, 1, strings.Count(out, "✗"), out)
	require.Contains(t, out, "✗ keeps-up\n    found:  good events are not accepted any more since the check ")
	require.Contains(t, out, "Lift the limit of requests for this test")
	require.Contains(t, out, "checks  not made: the receiver limits requests (429), see keeps-up\n")
	require.NotContains(t, out, "✓ leaks-nothing")
}

// A right receiver may close each connection after its response without saying so in a header.
func TestCheckAReceiverThatHangsUp(t *testing.T) {
	t.Parallel()
	right := rightReceiver(t)
	on, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = on.Close() })
	go func() {
		for {
			conn, err := on.Accept()
			if err != nil {
				return
			}
			go respondOnce(conn, right.Config.Handler)
		}
	}()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), "http://"+on.Addr().String())
	require.Equal(t, exitOK, code, "%s", out)
}

// respondOnce serves one request on the connection, and closes it a moment later.
func respondOnce(conn net.Conn, h http.Handler) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	_, _ = io.Copy(io.Discard, r.Body)
	resp := w.Result()
	resp.ContentLength = int64(w.Body.Len())
	_ = resp.Write(conn)
	time.Sleep(time.Millisecond)
}

func TestCheckNobody(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	code, out, _ := run(t, "", "check", "--timeout", lastResort.String(), s.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "✗ signed\n    found:  sent a good event: there was no response: dial tcp ")
	require.Contains(t, out, "Does the receiver run at this URL")
	require.Contains(t, out, fmt.Sprintf("\n– %d checks  not made: the receiver does not respond\n", len(webhooktest.Battery{}.Checks())-1), "one line, under which the fault does not get lost")
	require.NotContains(t, out, "– unsigned")
}

// Ctrl-C in the middle must not look like a success.
func TestCheckCutShort(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	right := rightReceiver(t)
	var count atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == 4 { // another request of the same check follows
			cancel()
		}
		right.Config.Handler.ServeHTTP(w, r)
	}))
	defer s.Close()
	run := newSession(strings.NewReader(""), withSecret)
	require.Equal(t, exitFailed, run.app.run(ctx, []string{"check", s.URL}))
	require.Contains(t, run.out.String(), "not made: the battery was stopped")
	require.Contains(t, run.out.String(), "found:  the battery was stopped in the middle of this check: context canceled")
	require.NotContains(t, run.out.String(), "Verify the raw bytes", "what is no fault of the receiver")
	require.Contains(t, run.err.String(), "interrupted before all checks were made")
}
