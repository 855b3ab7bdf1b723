package webhooktest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

func TestNewEvent(t *testing.T) {
	t.Parallel()
	for _, et := range alotwebhook.DefaultEventTypes() {
		e := webhooktest.NewEvent(t, et.Name, nil)
		require.Equal(t, et.Name, e.Type)
		require.Equal(t, et.Example, e.Data)
		require.Equal(t, webhooktest.OrganizationID, e.OrganizationID)
		parsed, err := alotwebhook.ParseEvent(e.Payload())
		require.NoError(t, err)
		require.Equal(t, e, parsed)
	}
	require.Equal(t, json.RawMessage("{}"), webhooktest.NewEvent(t, "candidate.withdrew", nil).Data)
	require.Equal(t, json.RawMessage(`{"score":1}`), webhooktest.NewEvent(t, "candidate.completed", map[string]int{"score": 1}).Data)
}

// A request whose target is a path is for a handler, also behind a mux.
func TestNewRequest(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("POST /alot/webhook", alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)}))
	status := func(r *http.Request) int {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}
	e := webhooktest.NewEvent(t, "candidate.invited", nil)
	require.Equal(t, http.StatusNoContent, status(webhooktest.NewRequest(t, "/alot/webhook?a=b", e, secret)))
	require.Equal(t, http.StatusUnauthorized, status(webhooktest.NewRequest(t, "/alot/webhook", e, "another")))
	require.Equal(t, http.StatusBadRequest, status(webhooktest.NewBodyRequest(t, "/alot/webhook", []byte("{}"), secret)))

	r := webhooktest.NewRequest(t, "/alot/webhook", e, secret)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, e.Payload(), body)
	require.Equal(t, int64(len(body)), r.ContentLength)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, "candidate.invited", r.Header.Get(alotwebhook.EventHeader))
	require.Regexp(t, `^dlv_[0-9a-z]{26}$`, r.Header.Get(alotwebhook.DeliveryHeader))
}

func TestHelpersFailTheTest(t *testing.T) {
	t.Parallel()
	for want, call := range map[string]func(testing.TB){
		"webhooktest: cannot make an event: alotwebhook: data cannot be encoded as JSON: json: unsupported type: chan int": func(t testing.TB) {
			webhooktest.NewEvent(t, "candidate.invited", make(chan int))
		},
		`webhooktest: the target must be a path or a URL: parse "http://[/": missing ']' in host`: func(t testing.TB) {
			webhooktest.NewBodyRequest(t, "http://[/", nil, secret)
		},
	} {
		require.Equal(t, want, fatalOf(t, call))
	}
}

// fatalOf returns the text with which a helper fails its test.
func fatalOf(t *testing.T, call func(testing.TB)) string {
	t.Helper()
	fatal := &fataler{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		call(fatal)
	}()
	<-done
	return fatal.text
}

// A slip in the target fails the test in words, and does not panic or send to nowhere.
func TestNewRequestRefusesItsTarget(t *testing.T) {
	t.Parallel()
	e := webhooktest.NewEvent(t, "candidate.invited", nil)
	for target, says := range map[string]string{
		"":                        `the target "" is neither a path with / in front nor a URL of http or https with a host, such as "/alot/webhook" or "http://127.0.0.1:8080/alot/webhook"`,
		"alot/webhook":            `the target "alot/webhook" is neither`,
		"?a=b":                    `the target "?a=b" is neither`,
		"*":                       `the target "*" is neither`,
		"localhost:3000/x":        `the target "localhost:3000/x" is neither`,
		"ftp://example.test/x":    `the target "ftp://example.test/x" is neither`,
		"http://":                 `the target "http:" is neither`,
		"https:///x":              `the target "https:///x" is neither`,
		"http://:/x":              `the target "http://:/x" is neither`,
		"http:x":                  `the target "http:x" is neither`,
		"ftp://me:hunter2@a.test": `the target "ftp://me:xxxxx@a.test" is neither`,
		"/a b":                    `the target "/a b" has a space; write it as %20`,
		"/x?a=b c":                `the target "/x?a=b c" has a space; write it as %20`,
		"/a\nb":                   "the target must be a path or a URL: parse",
		"/%zz":                    "the target must be a path or a URL: parse",
		"127.0.0.1:3000/x":        "the target must be a path or a URL: parse",
	} {
		text := fatalOf(t, func(t testing.TB) { webhooktest.NewRequest(t, target, e, secret) })
		require.Contains(t, text, "webhooktest: "+says)
	}
	for _, target := range []string{"/", "//x", "/a%20b?c=%20", "/é", "http://127.0.0.1", "HTTPS://[::1]:1/a b", "http://:8080/x"} {
		require.NotNil(t, webhooktest.NewRequest(t, target, e, secret).URL, target)
	}
}

// No endpoint has an empty secret: it is a variable that was not set, and each request would get a 401.
func TestNewRequestRefusesAnEmptySecret(t *testing.T) {
	t.Parallel()
	text := fatalOf(t, func(t testing.TB) { webhooktest.NewBodyRequest(t, "/", []byte("{}"), "") })
	require.Equal(t, "webhooktest: the secret is empty, and no endpoint has such a one; give one of the receiver's", text)
}

// fataler is a testing.TB whose Fatalf ends the calling function, and not the test.
type fataler struct {
	testing.TB
	text string
}

func (f *fataler) Helper() {}
func (f *fataler) Fatalf(format string, a ...any) {
	f.text = fmt.Sprintf(format, a...)
	runtime.Goexit()
}
