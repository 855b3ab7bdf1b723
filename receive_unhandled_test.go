package alotwebhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// A typo in On leaves events without a handler. They get 204, so the sender's
// history shows them as delivered: this log line is the only sign of the loss.
func TestReceiverLogsATypeWithoutHandlerOnce(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(d *desk, body string) int{
		"ServeHTTP": func(d *desk, body string) int { return statusOf(d, body) },
		"Receive": func(d *desk, body string) int {
			h := http.Header{alotwebhook.SignatureHeader: {alotwebhook.Sign([]byte(body), receiverSecret)}}
			if d.Receive(t.Context(), []byte(body), h) != nil {
				return 0
			}
			return 204
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, alotwebhook.ReceiverConfig{})
			alotwebhook.On(d.Receiver, "candidate.complete", d.keep) // the typo
			alotwebhook.On(d.Receiver, "assessment.published", d.keep)
			for range 3 {
				require.Equal(t, 204, take(d, payload))
				require.Equal(t, 204, take(d, with("type", `"candidate.invited"`)))
			}
			lines := logLines(t, d)
			require.Len(t, lines, 2)
			require.Equal(t, "WARN", lines[0]["level"])
			require.Equal(t, "alotwebhook: no handler for this event type", lines[0]["msg"])
			require.Equal(t, "candidate.completed", lines[0]["type"])
			require.Equal(t, eventID, lines[0]["event"])
			require.Equal(t, "assessment.published, candidate.complete", lines[0]["handlers"])
			require.Equal(t, "candidate.invited", lines[1]["type"])
			require.Empty(t, d.failures, "a response of 204 is no error")
		})
	}
}

func TestReceiverWithoutAnyHandlerSaysSo(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	require.Equal(t, 204, statusOf(d, payload))
	require.Equal(t, "none", logLines(t, d)[0]["handlers"])
}

// Unknown is a handler for every type.
func TestReceiverWithUnknownLogsNoTypeWithoutHandler(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{Unknown: func(context.Context, alotwebhook.Event) error { return nil }})
	require.Equal(t, 204, statusOf(d, payload))
	require.Empty(t, d.log.String())
}

// A sender may invent any number of types, and long ones. The receiver remembers the types
// that it has logged, so both their number and their length must be bounded.
func TestReceiverLogsABoundedNumberOfTypesWithoutHandler(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	for i := range 200 {
		require.Equal(t, 204, statusOf(d, with("type", fmt.Sprintf(`"%s.%d"`, strings.Repeat("x", 10), i))))
	}
	lines := logLines(t, d)
	require.Len(t, lines, 64)
	for _, line := range lines[:63] {
		require.Equal(t, "alotwebhook: no handler for this event type", line["msg"])
	}
	require.Equal(t, "alotwebhook: no handler for this event type; further types are not logged", lines[63]["msg"])

	d = newDesk(t, alotwebhook.ReceiverConfig{})
	for i := range 3 { // they differ only after the longest name that a handler can have
		require.Equal(t, 204, statusOf(d, with("type", fmt.Sprintf(`"%s.%d"`, strings.Repeat("x", 100_000), i))))
	}
	require.Len(t, logLines(t, d), 1)
	require.Less(t, len(d.log.String()), 1000)
}

// The log line of a program with hundreds of handlers has an ordinary length.
func TestReceiverNamesABoundedNumberOfHandlers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	for i := range 500 {
		alotwebhook.On(d.Receiver, fmt.Sprintf("type.number_%d", i), d.keep)
	}
	require.Equal(t, 204, statusOf(d, payload))
	require.Less(t, len(d.log.String()), 1000)
	require.Contains(t, d.log.String(), "type.number_0, ")
	require.Contains(t, d.log.String(), "…")
}

func TestReceiverLogsATypeWithoutHandlerOnceUnderConcurrency(t *testing.T) {
	t.Parallel()
	d := newDesk(t, alotwebhook.ReceiverConfig{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { statusOf(d, payload) })
	}
	group.Wait()
	require.Len(t, logLines(t, d), 1)
}

// Middleware calls next only. A program may expect that it also calls the handlers of On,
// and let next do nothing but respond with 200: then events would be lost in silence.
func TestMiddlewareLogsAHandlerThatItDoesNotCall(t *testing.T) {
	t.Parallel()
	d := newHandler(t, alotwebhook.ReceiverConfig{})
	h := d.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 3 {
		require.Equal(t, 200, statusOf(h, payload))
		require.Equal(t, 200, statusOf(h, with("type", `"candidate.invited"`)), "no handler is registered for this type")
	}
	lines := logLines(t, d)
	require.Len(t, lines, 1)
	require.Equal(t, "WARN", lines[0]["level"])
	require.Equal(t, "alotwebhook: Middleware does not call the handler of this event type", lines[0]["msg"])
	require.Equal(t, "candidate.completed", lines[0]["type"])
	require.Empty(t, d.handled)
	require.Empty(t, d.failures)
}

// logLines returns the lines of the receiver's log, decoded.
func logLines(t *testing.T, d *desk) (lines []map[string]any) {
	t.Helper()
	for text := range strings.Lines(d.log.String()) {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &line))
		lines = append(lines, line)
	}
	return lines
}
