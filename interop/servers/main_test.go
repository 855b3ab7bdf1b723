package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serve makes a running server of a handler.
func serve(t *testing.T, idle time.Duration, handler func(r *running, w http.ResponseWriter, req *http.Request)) *running {
	t.Helper()
	r := &running{place: place{Log: filepath.Join(t.TempDir(), "received")}}
	require.NoError(t, os.WriteFile(r.Log, nil, 0o600))
	var err error
	r.backend, err = newBackend(r.Log)
	require.NoError(t, err)
	t.Cleanup(r.backend.stop)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { handler(r, w, req) }))
	s.Config.IdleTimeout = idle
	s.Start()
	t.Cleanup(s.Close)
	r.Port = s.Listener.Addr().(*net.TCPAddr).Port
	return r
}

// good hands requests on to the receiver.
func good(r *running, w http.ResponseWriter, req *http.Request) { r.backend.ServeHTTP(w, req) }

// What a server loses, repeats or refuses is counted.
func TestTrialsCount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler func(r *running, w http.ResponseWriter, req *http.Request)
		is      func(o *outcome) bool
	}{
		"good": {good, func(o *outcome) bool { return !o.isBad() && o.attempts == o.sent }},
		"loses": {func(_ *running, w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.WriteHeader(http.StatusNoContent)
		}, func(o *outcome) bool { return o.lost == o.sent && o.delivered == o.sent && o.early == 0 }},
		"cuts": {func(r *running, w http.ResponseWriter, req *http.Request) {
			req.Body = io.NopCloser(io.LimitReader(req.Body, 100))
			good(r, w, req)
		}, func(o *outcome) bool { return o.lost == o.sent && o.delivered == o.sent }},
		"repeats": {func(r *running, w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			req.Body = io.NopCloser(strings.NewReader(string(body)))
			if req.URL.Path == "/" {
				good(r, httptest.NewRecorder(), req)
				req.Body = io.NopCloser(strings.NewReader(string(body)))
			}
			good(r, w, req)
		}, func(o *outcome) bool { return o.twice == o.sent && o.lost == 0 }},
		"fails": {func(_ *running, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		}, func(o *outcome) bool {
			answered := 0
			for what, n := range o.failures { // where a kept connection ended just then, it says so, too
				if strings.HasPrefix(what, "status, answered 500 Internal Server Error") {
					answered += n
				}
			}
			return o.delivered == 0 && o.attempts == 3*o.sent && answered == o.attempts
		}},
	} {
		for _, delay := range []time.Duration{0, time.Millisecond} {
			t.Run(name+" over "+delay.String(), func(t *testing.T) {
				t.Parallel()
				r := serve(t, 200*time.Millisecond, c.handler)
				o, err := r.trial(t.Context(), 20, 10, delay)
				require.NoError(t, err)
				require.Equal(t, 20, o.sent)
				require.GreaterOrEqual(t, o.idle, time.Duration(0)) // on a slow machine it looks as if it ended at once
				require.True(t, c.is(&o), "%+v", o)
			})
		}
	}
}

// However slow the machine is, the middle one of five probes notices the answer within some seconds.
func TestIdleTimeIsMeasured(t *testing.T) {
	t.Parallel()
	const idle = 10 * time.Second
	r := serve(t, idle, good)
	got, err := r.idleTime(t.Context(), r.address())
	require.NoError(t, err)
	require.Positive(t, got)
	require.Less(t, got, patience)
}

// The program runs a real server, which CI has, and ends it.
func TestServers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var out, log strings.Builder
	lost, err := run(t.Context(), []string{"-only", "Node", "-deliveries", "10", "-burst", "5", "-line", "0"}, &out, &log)
	require.NoError(t, err, log.String())
	require.False(t, lost, out.String())
	require.Contains(t, out.String(), "| 10 of 10 | 0 | 0 | 10 |")
	require.Contains(t, out.String(), "| Node ")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "iis"}, {"-deliveries", "0"}, {"-line", "slow"}} {
		_, err := run(t.Context(), args, io.Discard, io.Discard)
		require.Error(t, err, args)
	}
	missing := server{name: "none", commands: [][]string{{"alot-no-such-server"}}}
	_, err := start(t.Context(), missing)
	require.ErrorIs(t, err, errMissing)
	require.False(t, row{server: missing, err: err}.isBad(), "what is not installed is no loss")
}
