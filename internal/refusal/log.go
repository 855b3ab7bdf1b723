package refusal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/alot/alotwebhook/internal/caught"
	"github.com/alot/alotwebhook/internal/eventtype"
	"github.com/alot/alotwebhook/internal/loglimit"
	"github.com/alot/alotwebhook/internal/text"
)

// Bounds of texts in one line, in bytes.
const (
	maxErrorText    = 2000
	maxHandlersText = 500
)

// Log writes the lines of a receiver. It may be used by many goroutines.
type Log struct {
	// Logger gets the lines; nil stands for slog.Default, as it is at that moment. Its panics end nothing.
	Logger *slog.Logger
	// NoText leaves out the text of an error about an event, which may hold what a handler put
	// into it.
	NoText bool

	lines     loglimit.Limiter // of the lines that anybody can cause
	warned    loglimit.Set     // event types that Unhandled has logged
	deadlines sync.Once        // the line of Deadline
	hooks     caught.Host
	guarded   atomic.Pointer[guarded]
}

// Refused writes the line of an event that was not handled; its id is "" if there is no verified
// event. Such lines are bounded for each cause, because anybody can cause them. It returns e.
func (l *Log) Refused(ctx context.Context, id, eventType string, e *Error) error {
	level := slog.LevelWarn
	if e.Status >= 500 || e.Cause == Permanent || e.Cause == NotMarked {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.Int("status", e.Status), slog.String("cause", e.Cause)}
	if id != "" {
		attrs = append(attrs, slog.String("event", id), slog.String("type", eventType))
	} else if unlogged, ok := l.lines.Allow(e.Cause); !ok {
		return e
	} else if unlogged > 0 {
		attrs = append(attrs, slog.Int("unlogged", unlogged))
	}
	if id == "" || !l.NoText {
		// Sprint survives an Error method that panics, as that of a nil pointer may.
		attrs = append(attrs, slog.String("error", text.Clip(fmt.Sprint(e.Err), maxErrorText)))
	}
	var p *caught.Panic
	if errors.As(e.Err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	msg := "alotwebhook: event not handled"
	if e.Cause == NotMarked {
		msg = "alotwebhook: event handled, but not marked as done"
	}
	l.logger().LogAttrs(ctx, level, msg, attrs...)
	return e
}

// Call calls a function of the host's that only looks on. Its panic is logged, and changes nothing else.
func (l *Log) Call(what string, f func()) {
	_ = l.hooks.CallFor(l.logger(), what, func() error { f(); return nil })
}

// guarded is the logger that lets no panic through of another one.
type guarded struct{ of, logger *slog.Logger }

// logger returns the guarded logger of the moment. It makes one again only after slog.Default has changed: each
// tells of its first panic on the standard error, which strangers must not fill.
func (l *Log) logger() *slog.Logger {
	of := cmp.Or(l.Logger, slog.Default())
	last := l.guarded.Load()
	if last == nil || last.of != of {
		last = &guarded{of, caught.LoggerOf("ReceiverConfig.Logger", of)}
		l.guarded.Store(last)
	}
	return last.logger
}

// Unhandled writes that an event reached no handler, and names the handlers that exist, so that a
// typo shows. It writes each event type once: the mistake is in the program, and a line for every
// further event would only repeat it.
func (l *Log) Unhandled(ctx context.Context, id, eventType, msg string, handlers func() []string) {
	eventType = text.Clip(eventType, eventtype.MaxLen) // no handler has a longer one
	n := l.warned.Add(eventType)
	if n == 0 {
		return
	}
	if n == loglimit.Most {
		msg += "; further types are not logged"
	}
	names := cmp.Or(text.Clip(strings.Join(handlers(), ", "), maxHandlersText), "none")
	l.logger().LogAttrs(ctx, slog.LevelWarn, msg, slog.String("type", eventType), slog.String("event", id), slog.String("handlers", names))
}

// Deadline writes, once, that bodies cannot be bounded in time, if err says that the writer sets no deadlines.
func (l *Log) Deadline(ctx context.Context, w http.ResponseWriter, err error) {
	if !errors.Is(err, http.ErrNotSupported) {
		return
	}
	l.deadlines.Do(func() {
		l.logger().LogAttrs(ctx, slog.LevelWarn, "alotwebhook: BodyTimeout has no effect here",
			slog.String("writer", fmt.Sprintf("%T", w)),
			slog.String("problem", "this http.ResponseWriter cannot set deadlines: set the server's ReadTimeout, and BodyTimeout to -1 if bodies come whole"))
	})
}
