package caught

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/alot/alotwebhook/internal/loglimit"
)

// Host calls functions of the host's, and logs their panics. A nil Host calls them and logs nothing.
type Host struct {
	// Log gets the panics; no panic of its handler comes through. Nil: nobody gets them.
	Log *slog.Logger

	lines loglimit.Limiter // by what has panicked
}

// New returns a Host that logs to log; nil for nobody.
func New(log *slog.Logger) *Host { return &Host{Log: Logger(log)} }

// errHidden stands for the value of a panic, which may quote a secret or a payload, and for the stack, which
// is logged already.
var errHidden = errors.New("its stack is in the log")

// Call is [Call] of the field of the configuration that is named. The panic is logged with its stack, ten
// times a minute at most, and with its value only if the runtime made that. The error has neither, because
// it may be shown to others. It wraps a value that is an error no more.
func (h *Host) Call(what string, f func() error) error {
	p, err := try(what, f)
	return h.told(p, err)
}

// CallFor is Call with another logger, which lets no panic through either; nil for none.
func (h *Host) CallFor(log *slog.Logger, what string, f func() error) error {
	p, err := try(what, f)
	return h.toldTo(log, p, err)
}

// told returns err, or what others may see of a panic, and logs that.
func (h *Host) told(p *Panic, err error) error {
	if h == nil {
		h = &Host{}
	}
	return h.toldTo(h.Log, p, err)
}

func (h *Host) toldTo(log *slog.Logger, p *Panic, err error) error {
	if p == nil {
		return err
	}
	if log != nil {
		if unlogged, ok := h.lines.Allow(p.What); ok {
			log.Error("alotwebhook: "+p.What+" panicked", "panic", valueOf(p), "unlogged", unlogged, "stack", string(p.Stack))
		}
	}
	return &Panic{What: p.What, Value: errHidden}
}

// valueOf returns what may be logged of the value of a panic.
func valueOf(p *Panic) string {
	if err, ok := p.Value.(runtime.Error); ok {
		return err.Error()
	}
	if p.Value == any(errExit) {
		return errExit.Error()
	}
	return fmt.Sprintf("a %T", p.Value)
}

// Logger is [LoggerOf] the field Config.Logger.
func Logger(log *slog.Logger) *slog.Logger { return LoggerOf("Config.Logger", log) }

// LoggerOf returns a logger whose handler does not panic: a record that it panics over is lost. The first
// panic is told of on the standard error, where that of the whole program would have stood. It names the
// field of the configuration that has the logger.
func LoggerOf(field string, log *slog.Logger) *slog.Logger {
	if log == nil {
		return nil
	}
	if _, ok := log.Handler().(*handler); ok {
		return log
	}
	return slog.New(&handler{log.Handler(), field, new(sync.Once)})
}

type handler struct {
	slog.Handler
	field string
	told  *sync.Once // by all that are made of one
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	_ = h.call(func() error { enabled = h.Handler.Enabled(ctx, level); return nil })
	return enabled
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	return h.call(func() error { return h.Handler.Handle(ctx, r) })
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	made := *h
	_ = h.call(func() error { made.Handler = h.Handler.WithAttrs(attrs); return nil })
	return &made
}

func (h *handler) WithGroup(name string) slog.Handler {
	made := *h
	_ = h.call(func() error { made.Handler = h.Handler.WithGroup(name); return nil })
	return &made
}

func (h *handler) call(f func() error) error {
	p, err := try(h.field, f)
	if p == nil {
		return err
	}
	h.told.Do(func() { fmt.Fprintf(os.Stderr, "alotwebhook: %s panicked: %s\n%s", p.What, valueOf(p), p.Stack) })
	return p
}
