package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhookclient"
	"github.com/alot/alotwebhook/webhooktest"
)

// api is a management API of a sender, for the token t0ken.
func api(t *testing.T) (d *alotwebhook.Dispatcher, url string) {
	t.Helper()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	handler, err := settings.NewAPI(d, &settings.Options{Organization: func(r *http.Request) (string, error) {
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			return "", errors.New("nobody")
		}
		return "org_1", nil
	}})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return d, server.URL
}

func emit(t *testing.T, d *alotwebhook.Dispatcher, eventType string) alotwebhook.Event {
	t.Helper()
	e, err := alotwebhook.NewEvent(eventType, "org_1", json.RawMessage("{\n  \"sessionId\": \"sess_1\"\n}"))
	require.NoError(t, err)
	require.NoError(t, d.Emit(t.Context(), e))
	return e
}

// runPull runs pull with a token and a secret in the environment.
func runPull(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	s := newSession(strings.NewReader(""), map[string]string{tokenVariable: "t0ken", secretVariable: string(secret)})
	code = s.app.run(t.Context(), append([]string{"pull"}, args...))
	return code, s.out.String(), s.err.String()
}

func TestPullPrintsLinesAndGoesOn(t *testing.T) {
	t.Parallel()
	d, url := api(t)
	first, second := emit(t, d, alotwebhook.EventCandidateInvited), emit(t, d, alotwebhook.EventCandidateCompleted)
	cursor := filepath.Join(t.TempDir(), "cursor")
	code, out, says := runPull(t, "--cursor-file", cursor, "-since", "1h", url)
	require.Equal(t, exitOK, code, says)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, 2)
	for i, e := range []alotwebhook.Event{first, second} {
		require.JSONEq(t, string(e.Payload()), lines[i])
	}
	code, out, _ = runPull(t, "--cursor-file", cursor, url)
	require.Equal(t, exitOK, code)
	require.Empty(t, out)
	third := emit(t, d, alotwebhook.EventCandidateCompleted)
	_, out, _ = runPull(t, "--cursor-file", cursor, url)
	require.JSONEq(t, string(third.Payload()), out)
	_, out, _ = runPull(t, "--type", "candidate.invited", url)
	require.JSONEq(t, string(first.Payload()), out)
	left, err := os.ReadDir(filepath.Dir(cursor))
	require.NoError(t, err)
	require.Len(t, left, 1)

	code, _, says = runPull(t, "--type", "candidate.invited", "--cursor-file", cursor, url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, says, "cursor is not a nextCursor of your events")
	require.Contains(t, says, "The cursor is in the file "+cursor+": give the same --type as before, or another --cursor-file")
	_, help, _ := runPull(t, "-h")
	require.NotContains(t, help, "default 0s", "which is refused")
}

func TestPullSaysThatATypeIsUnknown(t *testing.T) {
	t.Parallel()
	d, url := api(t)
	first := emit(t, d, alotwebhook.EventCandidateInvited)
	code, out, says := runPull(t, "--type", "candidate.invited,candidate.compleeted", url)
	require.Equal(t, exitOK, code)
	require.JSONEq(t, string(first.Payload()), out)
	require.Contains(t, says, `no event type "candidate.compleeted" now, only candidate.invited, `)
	require.Equal(t, 1, strings.Count(says, "\n"))
	_, _, says = runPull(t, "--type", "candidate.invited", url)
	require.Empty(t, says)
}

func TestPullSendsToAReceiver(t *testing.T) {
	t.Parallel()
	d, url := api(t)
	first, second := emit(t, d, alotwebhook.EventCandidateCompleted), emit(t, d, alotwebhook.EventCandidateInvited)
	receiver := webhooktest.NewServer(t, secret)
	cursor := filepath.Join(t.TempDir(), "cursor")
	receiver.Answer(webhooktest.Answer{Status: http.StatusInternalServerError})
	code, out, _ := runPull(t, "--to", receiver.URL, "--cursor-file", cursor, url)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, first.ID+"  → 500")
	require.NoFileExists(t, cursor)
	receiver.Answer()
	code, out, says := runPull(t, "--to", receiver.URL, "--cursor-file", cursor, url)
	require.Equal(t, exitOK, code, out+says)
	got := receiver.Received()
	require.Len(t, got, 3)
	for i, e := range []alotwebhook.Event{first, first, second} {
		require.NoError(t, got[i].Err)
		require.Equal(t, string(e.Payload()), string(got[i].Body))
	}
	require.FileExists(t, cursor)
}

func TestPullRefuses(t *testing.T) {
	t.Parallel()
	_, url := api(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "give one URL"},
		{[]string{"--since", "yesterday", url}, exitUsage, "--since"},
		{[]string{"--token-file", "/not/there", url}, exitUsage, "cannot read the token"},
		{[]string{"http://app.example.com"}, exitUsage, "give an https URL"},
		{[]string{"--insecure", "https://app.example.com"}, exitUsage, "anybody could take the token"},
		{[]string{"--to", "x", url}, exitUsage, "is not an http or https URL"},
		{[]string{"--follow", "0s", url}, exitUsage, "must be more than 0"},
		{[]string{"--token-file", file(t, "wrong\n"), url}, exitFailed, "not authenticated"},
	} {
		code, _, says := runPull(t, c.args...)
		require.Equal(t, c.code, code, says)
		require.Contains(t, says, c.says)
		require.NotContains(t, says, "t0ken")
	}
	s := newSession(strings.NewReader(""), nil)
	require.Equal(t, exitUsage, s.app.run(t.Context(), []string{"pull", url}))
	require.Contains(t, s.err.String(), tokenVariable)
}

// With --follow, an outage behind the first page is told and waited out; other errors end the command.
func TestPullFollowsOverAnOutage(t *testing.T) {
	t.Parallel()
	var status, served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer served.Add(1)
		if code := int(status.Load()); code != 0 {
			w.Header().Set("Retry-After", "3600") // the client of the API repeats nothing
			w.WriteHeader(code)
			return
		}
		_, _ = io.WriteString(w, `{"events":[],"nextCursor":"c","hasMore":false}`)
	}))
	t.Cleanup(s.Close)
	status.Store(http.StatusServiceUnavailable)
	code, _, says := runPull(t, "--follow", "1ms", s.URL)
	require.Equal(t, exitFailed, code, "before a first page, the API may be the wrong one")
	require.Contains(t, says, "503")

	for end, want := range map[int]int{http.StatusUnauthorized: exitFailed, 0: exitOK} {
		status.Store(0)
		ctx, stop := context.WithCancel(t.Context())
		session := newSession(nil, map[string]string{tokenVariable: "t0ken"})
		ended := make(chan int, 1)
		before := served.Load()
		go func() { ended <- session.app.run(ctx, []string{"pull", "--follow", "1ms", s.URL}) }()
		require.Eventually(t, func() bool { return served.Load() > before+1 }, lastResort, time.Millisecond)
		for _, code := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
			status.Store(int64(code))
			require.Eventually(t, func() bool {
				return strings.Contains(session.err.String(), fmt.Sprint(code)) && strings.Contains(session.err.String(), "; asking again in 1ms\n")
			}, lastResort, time.Millisecond)
		}
		if end == 0 {
			stop()
		}
		status.Store(int64(end))
		require.Equal(t, want, <-ended)
		stop()
	}
	for _, err := range []error{&url.Error{Op: "Get", Err: io.EOF}, io.ErrUnexpectedEOF, &webhookclient.Problem{Status: 500}} {
		require.True(t, isOutage(&apiError{err}))
		require.False(t, isOutage(err))
	}
	require.False(t, isOutage(&apiError{&webhookclient.Problem{Status: 400}}))
	require.False(t, isOutage(&apiError{errors.New("it is none of this API")}))
}

func TestPullKeepsALinkToItsCursor(t *testing.T) {
	t.Parallel()
	d, url := api(t)
	emit(t, d, alotwebhook.EventCandidateInvited)
	target, link := file(t, ""), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	code, _, _ := runPull(t, "--cursor-file", link, url)
	require.Equal(t, exitOK, code)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	kept, err := os.ReadFile(target)
	require.NoError(t, err)
	require.NotEmpty(t, kept)
}

// What the API calls its types comes from outside.
func TestPullEscapesNamesOfTypes(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/event-types") {
			_, _ = io.WriteString(w, `{"eventTypes":[{"name":"\u001b[31m"}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"events":[],"nextCursor":"c"}`)
	}))
	t.Cleanup(s.Close)
	code, _, says := runPull(t, "--type", "x", s.URL)
	require.Equal(t, exitOK, code, says)
	require.Contains(t, says, `only \u001b[31m`)
	require.NotContains(t, says, "\x1b")
}
