package wire

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Report is what the log tells of an attempt.
type Report struct {
	Delivery, Event, Endpoint string
	URL                       string // see HostOf
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

// HostOf returns the host of a URL for the log, as requests go to it: in lower case, and without the port if
// that is the default; "" if it is none. The whole URL is not logged: its path or query may hold a token.
func HostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host += ":" + port
	}
	return host
}
