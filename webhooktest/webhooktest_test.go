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
		fatal := &fataler{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			call(fatal)
		}()
		<-done
		require.Equal(t, want, fatal.text)
	}
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
