package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

const secret alotwebhook.Secret = "your-signing-secret"

func open(t *testing.T, path string) *results {
	t.Helper()
	r, err := openResults(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	return r
}

func handler(t *testing.T, r *results, secrets ...alotwebhook.Secret) http.Handler {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secrets...)
	require.NoError(t, err)
	return routes(v, r, slog.New(slog.DiscardHandler))
}

func (r *results) times(t *testing.T, eventID string) (n int) {
	t.Helper()
	all, err := r.all(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	for _, one := range all {
		if one.EventID == eventID {
			n++
		}
	}
	return n
}

func send(t *testing.T, h http.Handler, e alotwebhook.Event, secret alotwebhook.Secret) int {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, webhooktest.NewRequest(t, "/alot/webhook", e, secret))
	return w.Code
}

// The service gets good and bad requests of every kind.
func TestBattery(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "receiver.db"))
	webhooktest.Battery{
		Secret:  secret,
		Handled: func(eventID string) int { return r.times(t, eventID) },
	}.CheckReceiver(t, handler(t, r, secret))
}

// Two processes share one database, and a third one starts later. Together they handle the
// event once.
func TestEachEventOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "receiver.db")
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	var processes [2]http.Handler
	for i := range processes {
		processes[i] = handler(t, open(t, path), secret)
	}
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if code := send(t, processes[i%2], e, secret); code != 200 && code != 409 { // 409: another request is handling it
				t.Errorf("the status is %d", code)
			}
		})
	}
	group.Wait()
	later := open(t, path)
	require.Equal(t, 200, send(t, handler(t, later, secret), e, secret))
	require.Equal(t, 1, later.times(t, e.ID))
}

// A handler that fails stores nothing, and the event is handled when it comes again.
func TestAFailureStoresNothing(t *testing.T) {
	t.Parallel()
	r := open(t, filepath.Join(t.TempDir(), "receiver.db"))
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	_, err := r.db.Exec("ALTER TABLE results RENAME TO moved")
	require.NoError(t, err)
	require.Equal(t, 500, send(t, handler(t, r, secret), e, secret))
	_, err = r.db.Exec("ALTER TABLE moved RENAME TO results")
	require.NoError(t, err)
	require.Zero(t, r.times(t, e.ID))
	require.Equal(t, 200, send(t, handler(t, r, secret), e, secret))
	require.Equal(t, 1, r.times(t, e.ID))
}

func TestRotation(t *testing.T) {
	t.Parallel()
	h := handler(t, open(t, filepath.Join(t.TempDir(), "receiver.db")), "the new one", secret)
	for signedWith, want := range map[alotwebhook.Secret]int{secret: 200, "the new one": 200, "another": 401} {
		require.Equal(t, want, send(t, h, webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil), signedWith))
	}
}

// listening is the standard output of the program. It sends the URL on which the program
// listens.
type listening struct {
	bytes.Buffer
	url chan string
}

func (l *listening) Write(p []byte) (int, error) {
	if _, url, ok := strings.Cut(string(p), "listening on "); ok {
		l.url <- strings.TrimSpace(url)
	}
	return l.Buffer.Write(p)
}

// The whole program listens and receives. When it is told to end, it finishes the request
// that it has begun.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "receiver.db")
	stdout, stderr := &listening{url: make(chan string, 1)}, new(bytes.Buffer)
	getenv := func(name string) string { return map[string]string{"ALOT_WEBHOOK_SECRET": string(secret)}[name] }
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-addr", "127.0.0.1:0", "-db", path}, getenv, stdout, stderr)
	}()
	url := <-stdout.url

	// The body of this request is still incomplete when the program is told to end.
	e := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
	body, rest := io.Pipe()
	r := webhooktest.NewRequest(t, url+"/alot/webhook", e, secret)
	r.Body = body
	r.Header.Set("Expect", "100-continue") // the body is sent once the handler reads it
	statuses := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			statuses <- 0
			return
		}
		statuses <- resp.StatusCode
		_ = resp.Body.Close()
	}()
	_, err := rest.Write(e.Payload()[:10])
	require.NoError(t, err)
	require.Empty(t, list(t, url))
	stop()
	_, err = rest.Write(e.Payload()[10:])
	require.NoError(t, err)
	require.NoError(t, rest.Close())
	require.Equal(t, 200, <-statuses)
	require.Equal(t, 0, <-code, stderr)
	require.Equal(t, 1, open(t, path).times(t, e.ID))
}

func list(t *testing.T, url string) (all []result) {
	t.Helper()
	resp, err := http.Get(url + "/results")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&all))
	return all
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		args   []string
		secret string
		code   int
	}{
		"Usage of receiver":                 {[]string{"-h"}, "", 0},
		"flag provided but not defined":     {[]string{"-x"}, "", 2},
		"ALOT_WEBHOOK_SECRET: alotwebhook:": {nil, "", 1},
		"has white space around it":         {nil, "secret\n", 1},
		"open /nowhere/receiver.db: ":       {[]string{"-db", "/nowhere/receiver.db"}, "secret", 1},
	} {
		var stderr bytes.Buffer
		getenv := func(name string) string {
			if name == "ALOT_WEBHOOK_SECRET" {
				return c.secret
			}
			return ""
		}
		require.Equal(t, c.code, run(t.Context(), c.args, getenv, io.Discard, &stderr))
		require.Contains(t, stderr.String(), want)
	}
	require.NoFileExists(t, "receiver.db")
}
