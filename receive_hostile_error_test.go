package alotwebhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

// These errors are harmless unless they are nil pointers, as those of the handler that wrote
// "var e *nilWrapping; …; return e" are.
type (
	nilWrapping struct{ cause error }
	nilSeveral  struct{ causes []error }
	nilLikeness struct{ of error }
	nilCastable struct{ to error }
)

func (e *nilWrapping) Error() string   { return "wrapping" }
func (e *nilWrapping) Unwrap() error   { return e.cause }
func (e *nilSeveral) Error() string    { return "several" }
func (e *nilSeveral) Unwrap() []error  { return e.causes }
func (e *nilLikeness) Error() string   { return "likeness" }
func (e *nilLikeness) Is(t error) bool { return t == e.of }
func (e *nilCastable) Error() string   { return "castable" }
func (e *nilCastable) As(any) bool     { return e.to != nil }

func hostileErrors() map[string]error {
	hostile := map[string]error{}
	for name, err := range map[string]error{
		"Unwrap": (*nilWrapping)(nil), "Unwrap of several": (*nilSeveral)(nil), "Is": (*nilLikeness)(nil), "As": (*nilCastable)(nil), "Error": (*brittle)(nil),
	} {
		hostile[name] = err
		hostile[name+", wrapped"] = fmt.Errorf("reading: %w", err)
		hostile[name+", permanently"] = alotwebhook.Permanent(err)
	}
	return hostile
}

// The panic would cut the connection, and end the process of a consumer of a queue.
func TestAnErrorWhoseMethodsPanicIsTheHandlersFailure(t *testing.T) {
	t.Parallel()
	for name, hostile := range hostileErrors() {
		for way, fail := range map[string]func() error{
			"returned": func() error { return hostile },
			"panicked": func() error { panic(hostile) },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				for _, deduper := range []alotwebhook.Deduper{nil, dedupe.NewMemory(nil)} {
					failsHostilely(t, alotwebhook.ReceiverConfig{Deduper: deduper}, fail)
				}
			})
		}
	}
}

// failsHostilely requires that a handler that fails costs its event nothing but the attempt.
func failsHostilely(t *testing.T, cfg alotwebhook.ReceiverConfig, fail func() error) {
	t.Helper()
	failing := true
	run := func(context.Context, alotwebhook.Event) error {
		if failing {
			return fail()
		}
		return nil
	}
	cfg.Unknown, cfg.Tests = run, run
	d := newDesk(t, cfg)
	alotwebhook.On(d.Receiver, alotwebhook.EventCandidateCompleted, func(ctx context.Context, e alotwebhook.Event, _ json.RawMessage) error { return run(ctx, e) })
	test := signed(with("id", `"`+anotherID+`"`))
	test.Header.Set(alotwebhook.TestHeader, "true")
	unknown := signed(with("type", `"a.new.one"`))
	require.Equal(t, 500, responseOf(d, test).StatusCode)
	require.Equal(t, 500, responseOf(d, unknown).StatusCode)
	require.Equal(t, 500, statusOf(d, payload))

	header := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(payload), receiverSecret)}}
	err := d.Receive(t.Context(), []byte(payload), header)
	require.Equal(t, 500, alotwebhook.StatusCode(err))
	require.NotEmpty(t, err.Error(), "which does not panic either")
	require.Len(t, d.failures, 3)
	require.NotErrorIs(t, d.failures[0].err, alotwebhook.ErrNotMarked, "nor do its other methods")
	failing = false
	require.Equal(t, 200, statusOf(d, payload))
}

func TestOnceAndStatusCodeOfAnErrorWhoseMethodsPanic(t *testing.T) {
	t.Parallel()
	for name, hostile := range hostileErrors() {
		memory := dedupe.NewMemory(nil)
		for _, d := range []alotwebhook.Deduper{nil, memory} {
			err := alotwebhook.Once(t.Context(), d, eventID, 0, func(context.Context) error { return hostile })
			require.Equal(t, 500, alotwebhook.StatusCode(err), name)
			if name != "Error, wrapped" { // package fmt has caught that one
				require.ErrorContains(t, err, "handler's error panicked: runtime error: ", name)
			}
		}
		require.Equal(t, alotwebhook.DedupeClaimed, state(t, memory), "the event can be handled again")
		require.Equal(t, 500, alotwebhook.StatusCode(hostile), name)
		deduper := &faultyDeduper{claim: hostile}
		require.Equal(t, 503, alotwebhook.StatusCode(alotwebhook.Once(t.Context(), deduper, eventID, 0, nothing)), name)
	}
}

func state(t *testing.T, d alotwebhook.Deduper) alotwebhook.DedupeState {
	t.Helper()
	c, err := d.Claim(t.Context(), eventID, time.Minute)
	require.NoError(t, err)
	return c.State
}

// Any unsigned request is logged, so strangers could cut their connections by it, and others' with HTTP/2.
func TestPanicsOfTheReceiversLoggerEndNothing(t *testing.T) {
	t.Parallel()
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	cfg := &alotwebhook.ReceiverConfig{Logger: slog.New(brokenHandler{}), OnMatch: func(int) { panic("which is logged") }}
	r := alotwebhook.NewReceiver(v, cfg)
	require.Equal(t, 204, statusOf(r, payload), "a type without a handler is logged")
	require.Equal(t, 401, responseOf(r, httptest.NewRequest(http.MethodPost, "/", nil)).StatusCode)
	require.Equal(t, 401, alotwebhook.StatusCode(r.Receive(t.Context(), []byte(payload), http.Header{})))
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, func(context.Context, alotwebhook.Event, json.RawMessage) error { return errDisk })
	require.Equal(t, 500, statusOf(r, payload))
	h := r.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	require.Equal(t, 202, statusOf(h, payload))
}

// A program may set its logger after its receiver has served the first request.
func TestReceiverLogsToTheDefaultOfTheMoment(t *testing.T) {
	if !alone(t) { // it replaces the logger of the process
		return
	}
	v, err := alotwebhook.NewVerifier(receiverSecret)
	require.NoError(t, err)
	r := alotwebhook.NewReceiver(v, &alotwebhook.ReceiverConfig{OnMatch: func(int) { panic("no") }})
	for range 2 {
		var logged lockedBuffer
		slog.SetDefault(slog.New(slog.NewJSONHandler(&logged, nil)))
		statusOf(r, payload)
		require.Contains(t, logged.String(), "ReceiverConfig.OnMatch panicked")
	}
}
