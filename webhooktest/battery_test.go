package webhooktest_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// desk counts how often each event was handled.
type desk struct {
	mu   sync.Mutex
	acts map[string]int
}

func (d *desk) act(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.acts == nil {
		d.acts = map[string]int{}
	}
	d.acts[id]++
}

func (d *desk) actOnce(id string) {
	if d.handled(id) == 0 {
		d.act(id)
	}
}

func (d *desk) handled(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.acts[id]
}

// rightReceiver returns a receiver that is built with the library, as a customer's is.
func rightReceiver(t testing.TB, d *desk, cfg alotwebhook.ReceiverConfig) http.Handler {
	t.Helper()
	v, err := alotwebhook.NewVerifier(secret)
	require.NoError(t, err)
	cfg.Logger = slog.New(slog.DiscardHandler)
	r := alotwebhook.NewReceiver(v, &cfg)
	var one sync.Mutex
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(_ context.Context, e alotwebhook.Event, _ alotwebhook.CandidateCompleted) error {
		one.Lock()
		defer one.Unlock()
		d.actOnce(e.ID)
		return nil
	})
	return r
}

func TestRightReceiverPasses(t *testing.T) {
	t.Parallel()
	t.Run("with the default configuration", func(t *testing.T) {
		t.Parallel()
		webhooktest.CheckReceiver(t, rightReceiver(t, &desk{}, alotwebhook.ReceiverConfig{}), secret)
	})
	t.Run("with Handled", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		webhooktest.Battery{Secret: secret, Handled: d.handled, Proves: true}.CheckReceiver(t, rightReceiver(t, d, alotwebhook.ReceiverConfig{}))
	})
	t.Run("with tests that go elsewhere", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		tests := atomic.Int64{}
		cfg := alotwebhook.ReceiverConfig{Tests: func(context.Context, alotwebhook.Event) error { tests.Add(1); return nil }}
		webhooktest.Battery{Secret: secret, Handled: d.handled}.CheckReceiver(t, rightReceiver(t, d, cfg))
		require.EqualValues(t, 2, tests.Load(), "of a type that has a handler, and of another")
	})
	t.Run("with its own limits", func(t *testing.T) {
		t.Parallel()
		d := &desk{}
		cfg := alotwebhook.ReceiverConfig{MaxBodyBytes: 256 << 10, MaxAge: 1 << 50, OrganizationID: "org_other"}
		mux := http.NewServeMux()
		mux.Handle("POST /some/where", rightReceiver(t, d, cfg))
		webhooktest.Battery{
			Secret: secret, Handled: d.handled, URL: "http://receiver.test/some/where",
			MaxBodyBytes: cfg.MaxBodyBytes, MaxAge: cfg.MaxAge, OrganizationID: cfg.OrganizationID,
			Data: json.RawMessage(`{ }`),
		}.CheckReceiver(t, mux)
	})
	t.Run("data that is no object", func(t *testing.T) {
		t.Parallel()
		v, err := alotwebhook.NewVerifier(secret)
		require.NoError(t, err)
		r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.DiscardHandler)})
		webhooktest.Battery{Secret: secret, EventType: "candidate.withdrew", Data: json.RawMessage(`[1]`)}.CheckReceiver(t, r)
	})
}

// A right receiver may differ from the library's. A parser that distinguishes upper and
// lower case may ignore odd keys, and a server may respond to PUT with 501.
func TestRightReceiverOfAnotherKindPasses(t *testing.T) {
	t.Parallel()
	p := rightParts()
	p.parse = func(body []byte) (alotwebhook.Event, error) {
		e, err := alotwebhook.ParseEvent(body)
		if err == nil || !strings.Contains(err.Error(), "in case only") {
			return e, err
		}
		var v map[string]any // parses as most languages do
		if err := json.Unmarshal(body, &v); err != nil {
			return e, err
		}
		id, isText := v["id"].(string)
		eventType, isTextToo := v["type"].(string)
		if !isText || !isTextToo {
			return e, err
		}
		return alotwebhook.Event{ID: id, Type: eventType}, nil
	}
	webhooktest.Battery{Secret: secret, Handled: p.handled}.CheckReceiver(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		p.ServeHTTP(w, r)
	}))
}

// Over HTTP, the checks find the same as in the process.
func TestRightReceiverPassesOverHTTP(t *testing.T) {
	t.Parallel()
	d := &desk{}
	server := httptest.NewServer(rightReceiver(t, d, alotwebhook.ReceiverConfig{}))
	defer server.Close()
	findings := webhooktest.Battery{Secret: secret, URL: server.URL, Handled: d.handled}.Check(t.Context(), server.Client().Do)
	require.Len(t, findings, len(webhooktest.Battery{}.Checks()))
	for i, f := range findings {
		require.True(t, f.OK(), "%s", f)
		require.Equal(t, webhooktest.Battery{}.Checks()[i], f.Check)
		require.NotEmpty(t, f.About)
		require.NotEmpty(t, f.Change)
	}
}

// nobody never responds.
func nobody(*http.Request) (*http.Response, error) { return nil, io.EOF }

func TestBatterySettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		battery webhooktest.Battery
		problem string
	}{
		"no secret":    {webhooktest.Battery{}, "alotwebhook: secrets[0] is empty; is its environment variable or file set?"},
		"no JSON":      {webhooktest.Battery{Secret: secret, Data: json.RawMessage("{")}, "alotwebhook: data is not one JSON value"},
		"no URL":       {webhooktest.Battery{Secret: secret, URL: "http://[/"}, `parse "http://[/": missing ']' in host`},
		"no scheme":    {webhooktest.Battery{Secret: secret, URL: "localhost:3000/x"}, `URL "localhost:3000/x" is neither a path with / in front nor a URL of http or https with a host, such as "/alot/webhook" or "http://127.0.0.1:8080/alot/webhook"`},
		"no host":      {webhooktest.Battery{Secret: secret, URL: "https:///x"}, `URL "https:///x" is neither a path with / in front nor a URL of http or https with a host, such as "/alot/webhook" or "http://127.0.0.1:8080/alot/webhook"`},
		"huge bodies":  {webhooktest.Battery{Secret: secret, MaxBodyBytes: 1 << 40}, "MaxBodyBytes is 1099511627776"},
		"no patience":  {webhooktest.Battery{Secret: secret, Timeout: -1}, "Timeout is -1ns and MaxAge is 0s"},
		"unknown skip": {webhooktest.Battery{Secret: secret, Skip: []string{"unsined"}}, `there is no check "unsined" to skip`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings := c.battery.Check(t.Context(), nobody)
			require.Equal(t, c.problem, findings[0].Problem)
			for _, f := range findings[1:] {
				require.Equal(t, "the settings are wrong", f.Skipped)
			}
		})
	}
}

// A receiver that does not respond gets one request, and not one for each check.
func TestBatteryEndsWithoutResponse(t *testing.T) {
	t.Parallel()
	sent := 0
	findings := webhooktest.Battery{Secret: secret}.Check(t.Context(), func(*http.Request) (*http.Response, error) {
		sent++
		return nil, io.EOF
	})
	require.Equal(t, 1, sent)
	require.Equal(t, "sent a good event: there was no response: EOF; the status must be 2xx", findings[0].Problem)
	for _, f := range findings[1:] {
		require.Equal(t, "the receiver does not respond", f.Skipped, f.Check)
	}
}

// What the caller's own function does wrong is said of it, and does not end the test's process.
func TestBatterySaysWhatDoDoesWrong(t *testing.T) {
	t.Parallel()
	for says, answer := range map[string]*http.Response{
		"do returned neither a response nor an error":                                       nil,
		"do returned a response whose Body is nil; set it to http.NoBody, if there is none": {StatusCode: http.StatusOK},
	} {
		findings := webhooktest.Battery{Secret: secret}.Check(t.Context(), func(*http.Request) (*http.Response, error) { return answer, nil })
		require.Equal(t, "sent a good event: there was no response: "+says+"; the status must be 2xx", findings[0].Problem)
	}
}

func TestBatteryNamesWhatIsNil(t *testing.T) {
	t.Parallel()
	var none context.Context
	for problem, findings := range map[string][]webhooktest.Finding{
		"do is nil":  webhooktest.Battery{Secret: secret}.Check(t.Context(), nil),
		"ctx is nil": webhooktest.Battery{Secret: secret}.Check(none, nobody),
	} {
		require.Equal(t, "settings", findings[0].Check)
		require.Equal(t, problem, findings[0].Problem)
		require.NotEmpty(t, findings[0].Change)
	}
	r := &recorder{TB: t}
	webhooktest.CheckReceiver(r, nil, secret)
	require.Len(t, r.errors, 1)
	require.Contains(t, r.errors[0], "settings: the handler is nil")
}

// unread is a body that must not be read: that of 101 is the bare connection, which never ends.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) { u.t.Error("the body is read"); return 0, io.EOF }
func (unread) Close() error               { return nil }

func TestBatteryReadsNothingBehindSwitchingProtocols(t *testing.T) {
	t.Parallel()
	b := webhooktest.Battery{Secret: secret, URL: "http://127.0.0.1:1/"}
	findings := b.Check(t.Context(), func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: unread{t}}, nil
	})
	require.Contains(t, findings[0].Problem, "the response was 101 Switching Protocols")
}

func TestBatterySkips(t *testing.T) {
	t.Parallel()
	d := &desk{}
	findings := webhooktest.Battery{Secret: secret, Skip: []string{"gzip"}}.Check(t.Context(), func(r *http.Request) (*http.Response, error) {
		require.Empty(t, r.Header.Get("Content-Encoding"))
		w := httptest.NewRecorder()
		rightReceiver(t, d, alotwebhook.ReceiverConfig{}).ServeHTTP(w, r)
		return w.Result(), nil
	})
	for _, f := range findings {
		require.Equal(t, f.Check == "gzip", f.Skipped == "as requested", f.Check)
	}
}

func TestMaxAgeIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fresh func(age time.Duration) bool
		found []string
	}{
		"both ways":          {func(age time.Duration) bool { return age.Abs() <= time.Hour }, nil},
		"only into the past": {func(age time.Duration) bool { return age <= time.Hour }, []string{"too-new"}},
		"never":              {func(time.Duration) bool { return true }, []string{"too-old"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rightParts()
			right := p.handle
			p.handle = func(r *http.Request, e alotwebhook.Event) int {
				if !c.fresh(time.Since(e.Timestamp)) {
					return http.StatusBadRequest
				}
				return right(r, e)
			}
			spy := &recorder{TB: t}
			webhooktest.Battery{Secret: secret, Handled: p.handled, MaxAge: time.Hour}.CheckReceiver(spy, p)
			require.Equal(t, c.found, spy.found())
		})
	}
}
