package alotwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// brokenDeduper fails as a Deduper without its table does.
type brokenDeduper struct{ alotwebhook.Deduper }

func (brokenDeduper) Claim(context.Context, string, time.Duration) (alotwebhook.DedupeClaim, error) {
	return alotwebhook.DedupeClaim{}, errors.New("no such table: alotwebhook_handled")
}

// lateDeduper claims, and then cannot settle.
type lateDeduper struct{}

func (lateDeduper) Claim(_ context.Context, key string, _ time.Duration) (alotwebhook.DedupeClaim, error) {
	return alotwebhook.DedupeClaim{Key: key, State: alotwebhook.DedupeClaimed, Token: 1}, nil
}
func (lateDeduper) Complete(context.Context, alotwebhook.DedupeClaim) error { return errDisk }
func (lateDeduper) Release(context.Context, alotwebhook.DedupeClaim) error  { return errDisk }

var errDisk = errors.New("the disk is full")

// picky is a type whose own decoder quotes what it does not understand.
type picky struct{}

func (*picky) UnmarshalJSON(b []byte) error { return fmt.Errorf("cannot read %s", b) }

// brittle is an error that panics when it is printed as a nil pointer.
type brittle struct{ text string }

func (b *brittle) Error() string { return b.text }

// The status alone helps nobody: what a receiver does wrong itself stands in its log, with
// the default configuration.
func TestReceiverLogsItsOwnCauses(t *testing.T) {
	t.Parallel()
	fails := func(err error) func(*alotwebhook.Receiver) {
		return func(r *alotwebhook.Receiver) {
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { return err })
		}
	}
	panics := func(value any) func(*alotwebhook.Receiver) {
		return func(r *alotwebhook.Receiver) {
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { panic(value) })
		}
	}
	broken := errors.New("cannot reach the mail server")
	for name, c := range map[string]struct {
		cfg   alotwebhook.ReceiverConfig
		on    func(*alotwebhook.Receiver)
		cause string
		want  string
	}{
		"a handler's error":     {on: fails(broken), cause: "handler_failed", want: "cannot reach the mail server"},
		"a permanent error":     {on: fails(alotwebhook.Permanent(broken)), cause: "permanent", want: "cannot reach the mail server"},
		"an error to retry":     {on: fails(alotwebhook.RetryAfter(broken, time.Minute)), cause: "retry_after", want: "cannot reach the mail server"},
		"an error of Unknown":   {cfg: alotwebhook.ReceiverConfig{Unknown: func(context.Context, alotwebhook.Event) error { return broken }}, on: func(*alotwebhook.Receiver) {}, cause: "handler_failed", want: "cannot reach the mail server"},
		"a panic's value":       {on: panics("index 7 of no rows"), cause: "handler_panicked", want: "index 7 of no rows"},
		"a panic with an error": {on: panics(broken), cause: "handler_panicked", want: "cannot reach the mail server"},
		"a missing table":       {cfg: alotwebhook.ReceiverConfig{Deduper: brokenDeduper{}}, on: fails(nil), cause: "dedupe_failed", want: "no such table: alotwebhook_handled"},
		"a mark not written":    {cfg: alotwebhook.ReceiverConfig{Deduper: lateDeduper{}}, on: fails(nil), cause: "not_marked", want: "the disk is full"},
		"a claim not released":  {cfg: alotwebhook.ReceiverConfig{Deduper: lateDeduper{}}, on: fails(broken), cause: "handler_failed", want: "cannot reach the mail server; nor was its key settled: the disk is full"},
		"a nil Deduper":         {cfg: alotwebhook.ReceiverConfig{Deduper: (*brokenDeduper)(nil)}, on: fails(nil), cause: "handler_failed", want: "d holds a nil pointer"},
		"an error that panics":  {on: fails((*brittle)(nil)), cause: "handler_panicked", want: "handler's error panicked: runtime error: invalid memory address or nil"},
		"data of another type": {on: func(r *alotwebhook.Receiver) {
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, struct {
				Score string `json:"score"`
			}) error {
				return nil
			})
		}, cause: "malformed_event", want: `"score" is a JSON number, which does not fit a Go string`},
		"data of no object": {on: func(r *alotwebhook.Receiver) {
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, []int) error { return nil })
		}, cause: "malformed_event", want: "data of candidate.completed is a JSON object, which does not fit a Go []int"},
		"data refused by its type": {on: func(r *alotwebhook.Receiver) {
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, picky) error { return nil })
		}, cause: "malformed_event", want: "alotwebhook_test.picky"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, take := range map[string]func(r *alotwebhook.Receiver){
				"ServeHTTP": func(r *alotwebhook.Receiver) { responseOf(r, signed(payload)) },
				"Receive": func(r *alotwebhook.Receiver) {
					h := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(payload), receiverSecret)}}
					require.True(t, r.Receive(t.Context(), []byte(payload), h) != nil)
				},
			} {
				r, logged := loggingReceiver(t, c.cfg)
				c.on(r)
				take(r)
				line := onlyLine(t, logged)
				require.Equal(t, c.cause, line["cause"], way)
				require.Contains(t, line["error"], c.want, way)
				require.Equal(t, eventID, line["event"], way)
				require.NotContains(t, logged.String(), "sess_123", "nothing of the payload")
				require.NotContains(t, line["error"], "82", "nothing of the payload")
			}
		})
	}
}

// What a stranger or something in front of the receiver did wrong: the line says what to
// look at, and holds nothing of the headers, the body or the secret.
func TestReceiverLogsWhyItRefuses(t *testing.T) {
	t.Parallel()
	body := func(r *http.Request, text string) { r.Body = io.NopCloser(strings.NewReader(text)) }
	for name, c := range map[string]struct {
		change func(r *http.Request)
		cause  string
		want   []string
	}{
		"another secret": {func(r *http.Request) {
			r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign([]byte(payload), "another"))
		}, "signature_mismatch", []string{fmt.Sprintf("%d bytes", len(payload)), "the endpoint's secret", "alotwebhook verify"}},
		"read before": {func(r *http.Request) { body(r, "") }, "signature_mismatch",
			[]string{fmt.Sprintf("0 bytes of %d", len(payload)), "has read or changed the body"}},
		"changed before": {func(r *http.Request) { body(r, payload+"\n") }, "signature_mismatch",
			[]string{fmt.Sprintf("%d bytes of %d", len(payload)+1, len(payload)), "has read or changed the body"}},
		"encoded": {func(r *http.Request) { body(r, "eyJ"); r.ContentLength = 3 }, "signature_mismatch",
			[]string{"3 bytes", "does not begin with {"}},
		"chunked and gone": {func(r *http.Request) { body(r, ""); r.ContentLength = -1 }, "signature_mismatch", []string{"0 bytes", "is empty"}},
		"cut off": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(payload[:20]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}, "unreadable_body", []string{"unexpected EOF"}},
		"too large":  {func(r *http.Request) { r.ContentLength = 2 << 20 }, "body_too_large", []string{"more than 1048576 bytes"}},
		"not signed": {func(r *http.Request) { r.Header.Del(alotwebhook.SignatureHeader) }, "not_signed", []string{"X-Alot-Signature is missing"}},
		"no event":   {func(r *http.Request) { *r = *signed(`{"sess_123":82}`) }, "malformed_event", []string{`"id" is missing`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
			for way, h := range map[string]http.Handler{"ServeHTTP": r, "Middleware": r.Middleware(http.NotFoundHandler())} {
				request := signed(payload)
				c.change(request)
				logged.Reset()
				responseOf(h, request)
				line := onlyLine(t, logged)
				require.Equal(t, c.cause, line["cause"], way)
				for _, want := range c.want {
					require.Contains(t, line["error"], want, way)
				}
				for _, secret := range []string{"sess_123", "sha256=", string(receiverSecret), alotwebhook.Sign([]byte(payload), receiverSecret)[7:20]} {
					require.NotContains(t, logged.String(), secret, way)
				}
			}
		})
	}
}

// Strangers may send as many false requests as they like: each cause has a few lines a
// minute, and the next line says how many were left out.
func TestStrangersCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]func(*http.Request){
		"false":     func(r *http.Request) { r.Header.Set(alotwebhook.SignatureHeader, "sha256="+strings.Repeat("0", 64)) },
		"malformed": func(r *http.Request) { r.Header.Set(alotwebhook.SignatureHeader, "x") },
		"unsigned":  func(r *http.Request) { r.Header.Del(alotwebhook.SignatureHeader) },
		"GET":       func(r *http.Request) { r.Method = http.MethodGet },
		"encoded":   func(r *http.Request) { r.Header.Set("Content-Encoding", "br") },
		"large":     func(r *http.Request) { r.ContentLength = 1 << 40 },
		"cut off":   func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
				send := func(n int) {
					for range n {
						request := signed(payload)
						flood(request)
						responseOf(r, request)
					}
				}
				send(1000)
				require.Equal(t, 10, strings.Count(logged.String(), "\n"))
				logged.Reset()
				other := httptest.NewRequest(http.MethodDelete, "/", nil)
				if name == "GET" {
					other = httptest.NewRequest(http.MethodPost, "/", nil)
				}
				responseOf(r, other)
				onlyLine(t, logged) // other causes have lines of their own
				logged.Reset()
				time.Sleep(time.Minute)
				send(1)
				require.EqualValues(t, 990, onlyLine(t, logged)["unlogged"])
			})
		})
	}
}

// Whoever has no Verifier has made a mistake. Strangers cause its lines all the same.
func TestStrangersCannotFloodTheLogOfAReceiverWithoutVerifier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged lockedBuffer
		r := alotwebhook.NewReceiver(nil, &alotwebhook.ReceiverConfig{Logger: slog.New(slog.NewJSONHandler(&logged, nil))})
		for range 100 {
			responseOf(r, signed(payload))
		}
		require.Equal(t, 10, strings.Count(logged.String(), "\n"))
	})
}

// The events of the sender are few, and each failure is worth its line.
func TestReceiverLogsEveryFailureOfAnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
		alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { return io.EOF })
		for range 50 {
			responseOf(r, signed(payload))
		}
		require.Equal(t, 50, strings.Count(logged.String(), "\n"))
	})
}

// A handler's error may be as long as a whole page.
func TestReceiverClipsLongErrors(t *testing.T) {
	t.Parallel()
	r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error {
		return errors.New("begin " + strings.Repeat("x", 1<<20))
	})
	responseOf(r, signed(payload))
	require.Contains(t, onlyLine(t, logged)["error"], "begin xxx")
	require.Less(t, len(logged.String()), 3000)
}

// The line goes to slog.Default unless the configuration has a Logger.
func TestReceiverLogsByDefault(t *testing.T) {
	if !alone(t) { // it replaces the logger of the process
		return
	}
	var logged lockedBuffer
	slog.SetDefault(slog.New(slog.NewJSONHandler(&logged, nil)))
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	for _, cfg := range []*alotwebhook.ReceiverConfig{nil, {}, {Logger: slog.New(slog.DiscardHandler)}} {
		r := alotwebhook.NewReceiver(v, cfg)
		alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { return errDisk })
		responseOf(r, signed(payload))
	}
	require.Equal(t, 2, strings.Count(logged.String(), "the disk is full"), logged.String())
}

// loggingReceiver returns a receiver that differs from cfg in its Logger alone.
func loggingReceiver(t *testing.T, cfg alotwebhook.ReceiverConfig) (*alotwebhook.Receiver, *lockedBuffer) {
	t.Helper()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	logged := new(lockedBuffer)
	cfg.Logger = slog.New(slog.NewJSONHandler(logged, nil))
	return alotwebhook.NewReceiver(v, &cfg), logged
}

// onlyLine returns the line of a log that has exactly one.
func onlyLine(t *testing.T, logged *lockedBuffer) (line map[string]any) {
	t.Helper()
	require.Equal(t, 1, strings.Count(logged.String(), "\n"), logged.String())
	require.NoError(t, json.Unmarshal(logged.Bytes(), &line))
	return line
}

// What a stranger writes into a trailer, which net/http quotes, does not come into the log.
func TestReceiverLogsNoTrailer(t *testing.T) {
	t.Parallel()
	log, logged := logTo()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	server := httptest.NewServer(alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{Logger: log}))
	defer server.Close()
	for _, trailer := range []string{"told without a colon", "told\x1b: x", "x: told \x00"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s: sha256=%s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n",
			alotwebhook.SignatureHeader, strings.Repeat("a", 64), trailer)
		require.NoError(t, err)
		response, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(response), "400 Bad Request")
		require.NoError(t, conn.Close())
	}
	require.Equal(t, 3, strings.Count(logged(), "malformed trailer"))
	require.NotContains(t, logged(), "told")
}
