package caught_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/loglimit"
)

func TestHostLogsAPanicWithoutItsValue(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := caught.New(slog.New(slog.NewTextHandler(&log, nil)))
	broken := errors.New("your-secret is broken")
	require.ErrorIs(t, h.Call("Config.Sealer", func() error { return broken }), broken, "an error is the function's own")
	require.NoError(t, h.Call("Config.Sealer", func() error { return nil }))
	require.Empty(t, log.String())

	for _, value := range []any{"your-secret", broken} {
		log.Reset()
		err := h.Call("Config.Sealer", func() error { panic(value) })
		require.EqualError(t, err, "alotwebhook: Config.Sealer panicked: its stack is in the log")
		require.NotErrorIs(t, err, broken)
		require.Equal(t, 1, strings.Count(log.String(), "Config.Sealer panicked"))
		require.Contains(t, log.String(), "host_test.go", "the stack")
		require.NotContains(t, log.String(), "your-secret")
	}
	log.Reset()
	var none []int
	require.Error(t, h.Call("Config.Retry", func() error { _ = none[4711]; return nil }))
	require.Contains(t, log.String(), "index out of range [4711]", "which the runtime says")
}

func TestHostOutlivesWhatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := caught.New(slog.New(slog.NewTextHandler(&log, nil)))
	broken := errors.New("broken")
	require.ErrorIs(t, h.Apart("Config.Retry", func() error { return broken }), broken)
	require.Error(t, h.Apart("Config.Retry", func() error { panic("your-secret") }))
	require.NotContains(t, log.String(), "your-secret")
	log.Reset()
	require.EqualError(t, h.Apart("Config.Retry", func() error { runtime.Goexit(); return nil }),
		"alotwebhook: Config.Retry panicked: its stack is in the log")
	require.Contains(t, log.String(), "runtime.Goexit")
	require.Contains(t, log.String(), "host_test.go", "the stack")
}

func TestHostBoundsItsLines(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := caught.New(slog.New(slog.NewTextHandler(&log, nil)))
	for range 100 {
		require.Error(t, h.Call("Config.Retry", func() error { panic("again") }))
	}
	require.Equal(t, loglimit.Lines, strings.Count(log.String(), "Config.Retry panicked"))
	require.Error(t, h.Call("Config.Sealer", func() error { panic("another") }))
	require.Contains(t, log.String(), "Config.Sealer panicked")
}

func TestHostOfNobody(t *testing.T) {
	t.Parallel()
	for _, h := range []*caught.Host{nil, caught.New(nil)} {
		require.Error(t, h.Call("Config.Retry", func() error { panic("oops") }))
	}
}

// fussy panics over every record but those of one message.
type fussy struct{ slog.Handler }

func (h fussy) Handle(ctx context.Context, r slog.Record) error {
	if r.Message != "fine" {
		panic(r.Message)
	}
	return h.Handler.Handle(ctx, r)
}

func (h fussy) WithAttrs(attrs []slog.Attr) slog.Handler { return fussy{h.Handler.WithAttrs(attrs)} }
func (h fussy) WithGroup(name string) slog.Handler       { return fussy{h.Handler.WithGroup(name)} }

func TestLoggerKeepsWhatItsHandlerTakes(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	safe := caught.Logger(slog.New(fussy{slog.NewTextHandler(&log, nil)}))
	require.Same(t, safe, caught.Logger(safe))
	require.Nil(t, caught.Logger(nil))
	safe.Info("odd")
	safe.With("a", 1).WithGroup("g").Info("odd")
	safe.With("a", 1).WithGroup("g").Info("fine", "b", 2)
	require.Contains(t, log.String(), "msg=fine a=1 g.b=2")
	require.NotContains(t, log.String(), "odd")
}
