package alotwebhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

const receiverSecret alotwebhook.Secret = "your-signing-secret"

// desk is a receiver that keeps all that it reports: log lines, matches, failures, and the
// events that its handlers kept.
type desk struct {
	*alotwebhook.Receiver
	log lockedBuffer

	mu       sync.Mutex
	handled  []alotwebhook.Event
	matches  []int
	failures []failure
}

type failure struct {
	event  alotwebhook.Event
	status int
	err    error
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newDesk(t testing.TB, cfg alotwebhook.ReceiverConfig, secrets ...alotwebhook.Secret) *desk {
	t.Helper()
	if secrets == nil {
		secrets = []alotwebhook.Secret{receiverSecret}
	}
	v, err := alotwebhook.NewVerifier(secrets...)
	require.NoError(t, err)
	d := new(desk)
	cfg.Logger = slog.New(slog.NewJSONHandler(&d.log, nil))
	cfg.OnMatch = func(i int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.matches = append(d.matches, i)
	}
	cfg.OnError = func(_ *http.Request, e alotwebhook.Event, status int, err error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failures = append(d.failures, failure{e, status, err})
	}
	d.Receiver = alotwebhook.NewReceiver(v, &cfg)
	return d
}

// keep is a handler that keeps its events.
func (d *desk) keep(_ context.Context, e alotwebhook.Event, _ json.RawMessage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handled = append(d.handled, e)
	return nil
}

// keepSlowly returns a handler that waits before it keeps an event.
func (d *desk) keepSlowly(after time.Duration) func(context.Context, alotwebhook.Event, json.RawMessage) error {
	return func(ctx context.Context, e alotwebhook.Event, data json.RawMessage) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(after):
			return d.keep(ctx, e, data)
		}
	}
}

func signed(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/alot/webhook", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(body), receiverSecret))
	return r
}

func responseOf(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestReceiverHandles(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{}, "the next one", receiverSecret)
	var got alotwebhook.CandidateCompleted
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
		require.NoError(t, ctx.Err())
		got = data
		return d.keep(ctx, e, nil)
	})
	want, err := alotwebhook.ParseEvent([]byte(payload))
	require.NoError(t, err)

	require.Equal(t, http.StatusOK, responseOf(d, signed(payload)).StatusCode)
	score := 82.0
	require.Equal(t, alotwebhook.CandidateCompleted{SessionID: "sess_123", Score: &score}, got)
	require.Equal(t, []alotwebhook.Event{want}, d.handled)
	require.Equal(t, []int{1}, d.matches)
	require.Empty(t, d.failures)
	require.Empty(t, d.log.String())
}

// With the default configuration and no handler, an event is verified and gets 204.
func TestReceiverDefaults(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	r := alotwebhook.NewReceiver(v, nil)
	require.Equal(t, http.StatusNoContent, responseOf(r, signed(payload)).StatusCode)
}

func TestReceiverRefuses(t *testing.T) {
	t.Parallel()
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	good := alotwebhook.Sign([]byte(payload), receiverSecret)
	for name, c := range map[string]struct {
		change func(r *http.Request)
		status int
		err    error
		unread bool
	}{
		"GET":                  {func(r *http.Request) { r.Method = http.MethodGet }, 405, nil, true},
		"PUT":                  {func(r *http.Request) { r.Method = http.MethodPut }, 405, nil, true},
		"not signed":           {func(r *http.Request) { r.Header.Del(alotwebhook.SignatureHeader) }, 401, alotwebhook.ErrNotSigned, true},
		"signed emptily":       {header(alotwebhook.SignatureHeader, ""), 401, alotwebhook.ErrNotSigned, true},
		"upper-case":           {header(alotwebhook.SignatureHeader, strings.ToUpper(good)), 401, alotwebhook.ErrMalformedSignature, true},
		"doubled":              {header(alotwebhook.SignatureHeader, good, good), 401, alotwebhook.ErrMalformedSignature, true},
		"doubled, second good": {header(alotwebhook.SignatureHeader, "x", good), 401, alotwebhook.ErrMalformedSignature, true},
		"another header":       {func(r *http.Request) { r.Header = http.Header{"X-Hub-Signature-256": {good}} }, 401, alotwebhook.ErrNotSigned, true},
		"another secret":       {header(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(payload), "another")), 401, alotwebhook.ErrSignatureMismatch, false},
		"empty secret":         {header(alotwebhook.SignatureHeader, referenceSign([]byte(payload), "")), 401, alotwebhook.ErrSignatureMismatch, false},
		"no body":              {func(r *http.Request) { r.Body = nil }, 401, alotwebhook.ErrSignatureMismatch, false},
		"gzip":                 {header("Content-Encoding", "gzip"), 415, alotwebhook.ErrEncodedBody, true},
		"identity, gzip":       {header("Content-Encoding", "identity", "gzip"), 415, alotwebhook.ErrEncodedBody, true},
		"length over limit":    {func(r *http.Request) { r.ContentLength = 1001 }, 413, alotwebhook.ErrBodyTooLarge, true},
		"body over limit": {func(r *http.Request) {
			r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(strings.Repeat("x", 1001)))
		}, 413, alotwebhook.ErrBodyTooLarge, false},
		"outer limit": {func(r *http.Request) { r.Body = http.MaxBytesReader(nil, r.Body, 10) }, 413, alotwebhook.ErrBodyTooLarge, false},
		"body breaks": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(payload[:20]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}, 400, io.ErrUnexpectedEOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 1000})
			alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
			r := signed(payload)
			c.change(r)
			body := &countingBody{ReadCloser: r.Body}
			if r.Body != nil {
				r.Body = body
			}

			w := responseOf(d, r)
			require.Equal(t, c.status, w.StatusCode)
			text, err := io.ReadAll(w.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusText(c.status)+"\n", string(text), "and nothing else")
			require.Empty(t, d.handled)
			require.Empty(t, d.matches)
			require.Len(t, d.failures, 1)
			require.Equal(t, c.status, d.failures[0].status)
			require.Equal(t, alotwebhook.Event{}, d.failures[0].event)
			if c.err != nil {
				require.ErrorIs(t, d.failures[0].err, c.err)
			}
			if c.unread {
				require.Zero(t, body.reads)
			}
			if c.status == 405 {
				require.Equal(t, "POST", w.Header.Get("Allow"))
			}
			if c.status == 413 {
				var limit *http.MaxBytesError
				require.ErrorAs(t, d.failures[0].err, &limit)
			}
			require.NotContains(t, d.log.String(), "sess_123")
			require.NotContains(t, d.log.String(), "sha256=")
		})
	}
}

type countingBody struct {
	io.ReadCloser
	reads int
}

func (b *countingBody) Read(p []byte) (int, error) {
	b.reads++
	return b.ReadCloser.Read(p)
}

func TestReceiverTakesOtherHeaders(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Content-Encoding", "Identity") },
		func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		func(r *http.Request) { r.Header.Del("Content-Type") },
		func(r *http.Request) { r.ContentLength = -1 },
		func(r *http.Request) { r.Body = io.NopCloser(iotest.OneByteReader(r.Body)) },
	} {
		d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: int64(len(payload))})
		alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
		r := signed(payload)
		change(r)
		require.Equal(t, http.StatusOK, responseOf(d, r).StatusCode)
		require.Len(t, d.handled, 1)
	}
}

func TestReceiverRefusesMalformedEvents(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted,
		func(context.Context, alotwebhook.Event, alotwebhook.CandidateCompleted) error { return nil })
	for _, body := range []string{"", "{}", payload + payload, with("type", `"a","Type":"b"`), with("data", `{"score":"high"}`), with("data", `"text"`)} {
		require.Equal(t, http.StatusBadRequest, responseOf(d, signed(body)).StatusCode, body)
		last := d.failures[len(d.failures)-1]
		require.ErrorIs(t, last.err, alotwebhook.ErrMalformedEvent)
	}
	require.Equal(t, eventID, d.failures[len(d.failures)-1].event.ID, "the event is known if only its data did not fit")
}

func TestReceiverRespondsWithTheHandlersStatus(t *testing.T) {
	t.Parallel()
	broken := errors.New("cannot mail jane@example.com")
	for name, c := range map[string]struct {
		run    func() error
		status int
		after  string
		cause  string
	}{
		"fails":               {func() error { return broken }, 500, "", "handler_failed"},
		"permanently":         {func() error { return alotwebhook.Permanent(broken) }, 202, "", "permanent"},
		"wrapped":             {func() error { return explainTwice(alotwebhook.Permanent(broken)) }, 202, "", "permanent"},
		"later":               {func() error { return alotwebhook.RetryAfter(broken, 1500*time.Millisecond) }, 503, "2", "retry_after"},
		"later, one second":   {func() error { return alotwebhook.RetryAfter(broken, time.Second) }, 503, "1", "retry_after"},
		"later, a nanosecond": {func() error { return alotwebhook.RetryAfter(broken, 1) }, 503, "1", "retry_after"},
		"later, an age":       {func() error { return alotwebhook.RetryAfter(broken, 1<<63-1) }, 503, "9223372037", "retry_after"},
		"later, no time":      {func() error { return alotwebhook.RetryAfter(broken, 0) }, 503, "", "retry_after"},
		"panics":              {func() error { panic(broken) }, 500, "", "handler_panicked"},
		"panics with that":    {func() error { panic(alotwebhook.Permanent(broken)) }, 500, "", "handler_panicked"},
		"panics with a slice": {func() error { panic([]error{broken}) }, 500, "", "handler_panicked"},
		"panics with nil":     {func() error { panic(nil) }, 500, "", "handler_panicked"},
		"names our errors":    {func() error { return alotwebhook.ErrSignatureMismatch }, 500, "", "handler_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, alotwebhook.ReceiverConfig{
				Unknown: func(context.Context, alotwebhook.Event) error { return c.run() },
			})
			alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted,
				func(context.Context, alotwebhook.Event, json.RawMessage) error { return c.run() })
			for i, body := range []string{payload, with("type", `"a.new.one"`)} {
				w := responseOf(d, signed(body))
				require.Equal(t, c.status, w.StatusCode)
				require.Equal(t, c.after, w.Header.Get("Retry-After"))
				text, err := io.ReadAll(w.Body)
				require.NoError(t, err)
				require.Equal(t, http.StatusText(c.status)+"\n", string(text))
				require.Len(t, d.failures, i+1)
				require.Equal(t, c.status, d.failures[i].status)
				require.Equal(t, eventID, d.failures[i].event.ID)
				if name != "names our errors" && !strings.Contains(name, "nil") && !strings.Contains(name, "slice") {
					require.ErrorIs(t, d.failures[i].err, broken)
				}
			}
			require.Contains(t, d.log.String(), `"cause":"`+c.cause+`"`)
			require.Contains(t, d.log.String(), `"event":"`+eventID+`"`)
			require.NotContains(t, d.log.String(), "jane", "OnError gets it")
			require.Equal(t, strings.HasPrefix(name, "panics"), strings.Contains(d.log.String(), "receive_test.go"), "the stack")
		})
	}
}

func explainTwice(err error) error { return errors.Join(errors.New("outer"), err) }

func TestReceiverLetsAHandlerCutTheConnection(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted,
		func(context.Context, alotwebhook.Event, json.RawMessage) error { panic(http.ErrAbortHandler) })
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { responseOf(d, signed(payload)) })
}

func TestPermanentAndRetryAfterOfNothing(t *testing.T) {
	t.Parallel()
	require.NoError(t, alotwebhook.Permanent(nil))
	require.NoError(t, alotwebhook.RetryAfter(nil, time.Minute))
}

func TestReceiverUnknown(t *testing.T) {
	t.Parallel()
	var d *desk
	d = newDesk(t, alotwebhook.ReceiverConfig{
		Unknown: func(ctx context.Context, e alotwebhook.Event) error { return d.keep(ctx, e, nil) },
	})
	require.Equal(t, http.StatusNoContent, responseOf(d, signed(payload)).StatusCode)
	require.Len(t, d.handled, 1)
}

func TestReceiverOrganization(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{OrganizationID: "org_123"})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	require.Equal(t, http.StatusOK, responseOf(d, signed(payload)).StatusCode)
	require.Equal(t, http.StatusForbidden, responseOf(d, signed(with("organizationId", `"org_124"`))).StatusCode)
	require.ErrorIs(t, d.failures[0].err, alotwebhook.ErrWrongOrganization)
	require.Len(t, d.handled, 1)
}

func TestReceiverMaxAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, alotwebhook.ReceiverConfig{MaxAge: time.Hour})
		alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
		for age, want := range map[time.Duration]error{
			0: nil, time.Hour: nil, -time.Hour: nil,
			time.Hour + time.Millisecond:  alotwebhook.ErrTooOld,
			-time.Hour - time.Millisecond: alotwebhook.ErrTooNew,
			87600 * time.Hour:             alotwebhook.ErrTooOld,
			-87600 * time.Hour:            alotwebhook.ErrTooNew,
		} {
			d.failures = nil
			at := time.Now().Add(-age).UTC().Format(`"2006-01-02T15:04:05.000Z"`)
			status := responseOf(d, signed(with("timestamp", at))).StatusCode
			if want == nil {
				require.Equal(t, http.StatusOK, status, age)
				continue
			}
			require.Equal(t, http.StatusBadRequest, status, age)
			require.ErrorIs(t, d.failures[0].err, want)
		}
	})
}

func TestReceiverWithoutVerifierHandlesNothing(t *testing.T) {
	t.Parallel()
	for _, v := range []*alotwebhook.Verifier{nil, new(alotwebhook.Verifier)} {
		var log lockedBuffer
		r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error {
			t.Error("handled")
			return nil
		})
		req := signed(payload)
		req.Header.Set(alotwebhook.SignatureHeader, referenceSign([]byte(payload), ""))
		require.Equal(t, http.StatusInternalServerError, responseOf(r, req).StatusCode)
		require.Contains(t, log.String(), "level=ERROR")
		require.Contains(t, log.String(), "cause=no_secret")
	}
}

func TestOnPanics(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(d.Receiver, "a.b", d.keep)
	require.Panics(t, func() { alotwebhook.On(d.Receiver, "a.b", d.keep) }, "registered already")
	require.Panics(t, func() { alotwebhook.On(d.Receiver, "A.B", d.keep) }, "not a valid name")
	require.Panics(t, func() { alotwebhook.On[json.RawMessage](d.Receiver, "a.c", nil) }, "no handler")
	require.PanicsWithValue(t, "alotwebhook: On needs a receiver; make it with NewReceiver", func() { alotwebhook.On(nil, "a.c", d.keep) })
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier("another", receiverSecret)
	require.NoError(t, err)
	e, err := v.ParseRequest(signed(payload))
	require.NoError(t, err)
	require.Equal(t, payload, string(e.Payload()))

	r := signed(payload)
	r.Header.Add(alotwebhook.SignatureHeader, r.Header.Get(alotwebhook.SignatureHeader))
	_, err = v.ParseRequest(r)
	require.ErrorIs(t, err, alotwebhook.ErrMalformedSignature)

	r = signed(payload)
	r.ContentLength = alotwebhook.DefaultMaxBodyBytes + 1
	_, err = v.ParseRequest(r)
	require.ErrorIs(t, err, alotwebhook.ErrBodyTooLarge)
	var limit *http.MaxBytesError
	require.ErrorAs(t, err, &limit)
	require.EqualValues(t, alotwebhook.DefaultMaxBodyBytes, limit.Limit)

	_, err = v.ParseRequest(signed("{}"))
	require.ErrorIs(t, err, alotwebhook.ErrMalformedEvent)
}

// The receiver reuses its buffers. An event must not change when a buffer does.
func TestReceiverSharesNoBuffers(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			data := `"` + strings.Repeat(string(rune('a'+g)), 100<<g) + `"`
			body := with("data", data)
			var kept []alotwebhook.Event
			for range 50 {
				e, err := v.ParseRequest(signed(body))
				if err != nil {
					t.Error(err)
					return
				}
				kept = append(kept, e)
			}
			for _, e := range kept {
				if string(e.Payload()) != body {
					t.Error("an event changed after it was received")
				}
			}
		})
	}
	group.Wait()
}

// Many senders promise a large body and send nothing of it. The receiver must not allocate
// large buffers for them.
func TestReceiverTrustsNoContentLength(t *testing.T) {
	if !alone(t) { // it reads what the whole process allocates
		return
	}
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 100
	for range n {
		r := signed("x")
		r.ContentLength = alotwebhook.DefaultMaxBodyBytes
		r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
		_, err := v.ParseRequest(r)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n*32<<10))
}

// Over a real connection, the status 413 reaches a sender whose body was not read. After
// any other refusal, the connection can be used again.
func TestReceiverOverHTTP(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{MaxBodyBytes: 1 << 10})
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, d.keep)
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	post := func(body io.Reader, signature string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
		require.NoError(t, err)
		r.Header.Set(alotwebhook.SignatureHeader, signature)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	sign := func(body string) string { return alotwebhook.Sign([]byte(body), receiverSecret) }
	large := strings.Repeat("x", 64<<10)

	require.Equal(t, 200, post(strings.NewReader(payload), sign(payload)).StatusCode)
	require.Equal(t, 200, post(io.MultiReader(strings.NewReader(payload)), sign(payload)).StatusCode, "chunked")
	require.Equal(t, 401, post(strings.NewReader(payload), sign(large)).StatusCode)
	require.Equal(t, 413, post(strings.NewReader(large), sign(large)).StatusCode)
	require.Equal(t, 413, post(io.MultiReader(strings.NewReader(large)), sign(large)).StatusCode, "chunked")
	require.Len(t, d.handled, 2)
}
