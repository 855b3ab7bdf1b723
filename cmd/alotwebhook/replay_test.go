package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	behind := webhooktest.NewServer(t, secret)
	l := listen(t, "--forward", behind.URL, "--keep", "2")
	code, _, says := run(t, "", "replay", "--control", l.control)
	require.Equal(t, exitFailed, code)
	require.Contains(t, says, "no event is kept yet")

	var events []alotwebhook.Event
	for range 3 {
		events = append(events, webhooktest.NewEvent(t, alotwebhook.EventAssessmentPublished, nil))
		do(t, webhooktest.NewRequest(t, l.url, events[len(events)-1], secret))
	}
	for i, c := range []struct {
		args []string
		want alotwebhook.Event
	}{
		{nil, events[2]},
		{[]string{"last"}, events[2]},
		{[]string{"2"}, events[1]},
		{[]string{"#2"}, events[1]},
		{[]string{events[1].ID}, events[1]},
	} {
		code, out, _ := run(t, "", append([]string{"replay", "--control", l.control}, c.args...)...)
		require.Equal(t, exitOK, code)
		require.Contains(t, out, c.want.ID+"  → 200 OK in ")
		got := behind.Received()[3+i]
		require.NoError(t, got.Err)
		require.Equal(t, c.want, got.Event)
	}
	code, out, _ := run(t, "", "replay", "--list", "--control", l.control)
	require.Equal(t, exitOK, code)
	require.NotContains(t, out, events[0].ID)
	require.Regexp(t, `^#2 .*`+events[1].ID+`\n#3 .*`+events[2].ID+`\n$`, out)

	behind.Answer(webhooktest.Answer{Status: http.StatusInternalServerError})
	code, out, _ = run(t, "", "replay", "--control", l.control)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "→ 500 Internal Server Error")
	for _, which := range []string{"1", events[0].ID, "a/../b"} {
		code, _, says = run(t, "", "replay", "--control", l.control, which)
		require.Equal(t, exitFailed, code)
		require.Contains(t, says, "is kept; the oldest one kept has number 2")
	}
}

func TestReplayNeedsListenAndReceiver(t *testing.T) {
	t.Parallel()
	l := listen(t)
	do(t, webhooktest.NewBodyRequest(t, l.url, []byte(payload), secret))
	code, _, says := run(t, "", "replay", "--control", l.control)
	require.Equal(t, exitFailed, code)
	require.Contains(t, says, "start listen with --forward URL")
	l.types("q")
	require.Equal(t, exitOK, <-l.ended)
	l.ended <- exitOK
	code, _, says = run(t, "", "replay", "--control", l.control)
	require.Equal(t, exitFailed, code)
	require.Contains(t, says, "`alotwebhook listen` is not running at http://127.0.0.1:")
}

// A web page can send requests that need no permission, or give a name of its own
// the address of loopback. The controls refuse both.
func TestControlRefusesWebPages(t *testing.T) {
	t.Parallel()
	l := listen(t)
	for name, change := range map[string]func(*http.Request){
		"no header":    func(r *http.Request) { r.Header.Del(controlHeader) },
		"another name": func(r *http.Request) { r.Host = "attacker.test:4281" },
		"a public one": func(r *http.Request) { r.Host = "192.0.2.1:4281" },
	} {
		r, err := http.NewRequest(http.MethodGet, "http://"+l.control+"/events", nil)
		require.NoError(t, err)
		r.Header.Set(controlHeader, "1")
		status, _, _ := do(t, r)
		require.Equal(t, http.StatusOK, status)
		change(r)
		status, _, body := do(t, r)
		require.Equal(t, http.StatusForbidden, status, name)
		require.NotContains(t, body, "[")
	}
}
