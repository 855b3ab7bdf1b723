package alotwebhook_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// answersWith is a receiver that fails with this body, and gives a cookie.
func answersWith(body string) *receivers {
	return &receivers{respond: func(*http.Request, int) (*http.Response, error) {
		r := status(http.StatusInternalServerError, "Server", "nginx", "Set-Cookie", "session=hunter2")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return r, nil
	}}
}

// By choice, what came back is kept with its headers, and goes with the rest when somebody is erased.
// A receiver that knows how a store keeps both changes nothing by that.
func TestResponseHeadersAreKept(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "no", "\x01Server: other\n\nno"} {
		for keep, want := range map[int]string{0: "", 20: "Server: nginx\n", 4096: "Server: nginx\nSet-Cookie: [REDACTED]\n"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, alotwebhook.Config{KeepResponseHeaders: keep, KeepResponseBody: 100, Retry: alotwebhook.Schedule()}, answersWith(body))
				e := w.endpoint(t, "a.example.com")
				defer w.run(t)()
				event := w.emit(t)
				time.Sleep(time.Second)
				a := w.delivery(t, event, e).Attempts[0]
				require.Equal(t, []string{want, body}, []string{a.ResponseHeaders, a.ResponseBody})
				require.Equal(t, "https://a.example.com/hook", a.URL)
				erased, err := w.Erase(t.Context(), alotwebhook.Recovery{EventID: event.ID})
				require.NoError(t, err)
				require.Equal(t, alotwebhook.RecoveryErased, w.ended(t, erased).State)
				a = w.delivery(t, event, e).Attempts[0]
				require.Empty(t, a.ResponseHeaders+a.ResponseBody)
			})
		}
	}
	field := &alotwebhook.FieldError{}
	_, err := alotwebhook.NewDispatcher(newWorld(t, alotwebhook.Config{}, &receivers{}).store, &alotwebhook.Config{KeepResponseHeaders: 32<<10 + 1})
	require.ErrorAs(t, err, &field)
	require.Equal(t, "KeepResponseHeaders", field.Field)
}

// What is shown of a request is what was sent, but for the signature.
func TestRequestHeader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{StandardWebhooks: true, UserAgent: "acme/2"}, &receivers{})
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event, err := w.SendTest(t.Context(), e.ID, "candidate.completed")
		require.NoError(t, err)
		time.Sleep(time.Second)
		sent := w.net.requests()[0].head.Clone()
		for _, name := range []string{alotwebhook.SignatureHeader, alotwebhook.StandardIDHeader, alotwebhook.StandardTimestampHeader, alotwebhook.StandardSignatureHeader} {
			require.NotEmpty(t, sent.Get(name))
			sent.Del(name)
		}
		require.Equal(t, sent, w.RequestHeader(w.delivery(t, event, e), 1))
	})
}

// The URL that an attempt went to stays below it when the endpoint gets another one.
func TestAttemptKeepsItsURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, alotwebhook.Config{}, answersWith("no"))
		e := w.endpoint(t, "a.example.com")
		defer w.run(t)()
		event := w.emit(t)
		time.Sleep(time.Second)
		e.URL = "https://b.example.com/hook"
		e, err := w.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, 1, e.URLs)
		e.Description = "another"
		e, err = w.UpdateEndpoint(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, 1, e.URLs, "that is no change of the URL")
		time.Sleep(time.Minute)
		var urls []string
		for i, a := range w.delivery(t, event, e).Attempts {
			urls = append(urls, a.URL)
			require.Equal(t, "https://"+w.net.requests()[i].host+"/hook", a.URL)
		}
		require.Equal(t, []string{"https://a.example.com/hook", "https://b.example.com/hook"}, urls)
	})
}
