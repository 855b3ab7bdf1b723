package wire

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Report is what the log tells of an attempt.
type Report struct {
	Delivery, Event, Endpoint string
	URL                       *url.URL // see HostOf
	Number, Status            int
	Reason, State             string
	Took                      time.Duration
	Failed                    bool // for good
}

// Log logs an attempt. The level is warn when the delivery has failed, info when it is tried again,
// debug when it succeeded.
func (r *Report) Log(to *slog.Logger) {
	level := slog.LevelDebug
	switch {
	case r.Failed:
		level = slog.LevelWarn
	case r.Reason != "":
		level = slog.LevelInfo
	}
	ctx := context.Background()
	if !to.Enabled(ctx, level) {
		return
	}
	to.LogAttrs(ctx, level, "alotwebhook: attempt",
		slog.String("delivery", r.Delivery),
		slog.String("event", r.Event),
		slog.String("endpoint", r.Endpoint),
		slog.String("host", HostOf(r.URL)),
		slog.Int("attempt", r.Number),
		slog.Int("status", r.Status),
		slog.String("reason", r.Reason),
		slog.Int64("ms", r.Took.Milliseconds()),
		slog.String("state", r.State),
	)
}

// HostOf returns the host of a URL for the log; "" without one. The whole URL is not logged: its path or
// query may hold a token.
func HostOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Host
}
