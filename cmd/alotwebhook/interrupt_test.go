package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// signalled is an input that nobody writes to. The read of it is told to the test.
type signalled struct{ read chan struct{} }

func (s signalled) Read([]byte) (int, error) {
	s.read <- struct{}{}
	select {}
}

// Ctrl-C ends a command that reads from a terminal, or from a pipe that nobody writes to.
func TestReadingCanBeInterrupted(t *testing.T) {
	t.Parallel()
	env := map[string]string{secretVariable: string(secret), tokenVariable: token}
	for _, args := range [][]string{
		{"sign"}, {"verify", "--signature", "x"}, {"send", "--body", "-", "http://127.0.0.1:1"},
		{"endpoints", "import", "-", "--api", "http://127.0.0.1:1/v1/webhooks", "--map", "m"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		in := signalled{make(chan struct{})}
		go func() { <-in.read; stop() }()
		s := newSession(in, env)
		require.Equal(t, exitFailed, s.app.run(ctx, args), "%v", args)
		require.Equal(t, "alotwebhook: interrupted\n", s.err.String())
	}
	if runtime.GOOS == "windows" {
		return // a pipe has no name there
	}
	pipe, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	name := fmt.Sprintf("/dev/fd/%d", pipe.Fd())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{
		{"sign", name}, {"sign", "--secret-file", name}, {"send", "--data", "@" + name, "http://127.0.0.1:1"},
		{"check", "--data", "@" + name, "http://127.0.0.1:1"}, {"listen", "--secret-file", name},
		{"pull", "--token-file", name, "http://127.0.0.1:1"}, {"pull", "--cursor-file", name, "http://127.0.0.1:1"},
		{"endpoints", "import", name, "--api", "http://127.0.0.1:1/v1/webhooks", "--map", "m"},
		{"endpoints", "export", "--api", "http://127.0.0.1:1/v1/webhooks", "--token-file", name},
	} {
		s := newSession(nil, env)
		require.Equal(t, exitFailed, s.app.run(ctx, args), "%v", args)
		require.Equal(t, "alotwebhook: interrupted\n", s.err.String(), "%v", args)
	}
}

// A command that is interrupted while it waits for a response says so.
func TestAWaitForAResponseCanBeInterrupted(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"send", s.URL}, exitFailed, "no response: interrupted"},
		{[]string{"replay", "--control", s.Listener.Addr().String()}, exitFailed, "alotwebhook: interrupted\n"},
		{[]string{"endpoints", "export", "--api", s.URL + "/v1/webhooks"}, exitFailed, "alotwebhook: interrupted\n"},
		{[]string{"pull", s.URL}, exitFailed, "alotwebhook: interrupted\n"},
		{[]string{"pull", "--follow", "1s", s.URL}, exitOK, ""},
	} {
		ctx, stop := context.WithCancel(t.Context())
		go func() { <-asked; stop() }()
		session := newSession(nil, map[string]string{secretVariable: string(secret), tokenVariable: token})
		require.Equal(t, c.code, session.app.run(ctx, c.args), "%v", c.args)
		require.Contains(t, session.out.String()+session.err.String(), c.says)
	}
}
