package alotwebhook_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

// A BodyTimeout that cannot work is told, once: it would be missed only under an attack.
func TestReceiverLogsOnceThatBodyTimeoutCannotWork(t *testing.T) {
	t.Parallel()
	behind := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Hour, "") }
	plain := func(h http.Handler) http.Handler { return h }
	for name, c := range map[string]struct {
		wrap  func(http.Handler) http.Handler
		cfg   alotwebhook.ReceiverConfig
		lines int
	}{
		"http.TimeoutHandler": {behind, alotwebhook.ReceiverConfig{}, 1},
		"turned off":          {behind, alotwebhook.ReceiverConfig{BodyTimeout: -1}, 0},
		"net/http":            {plain, alotwebhook.ReceiverConfig{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, logged := loggingReceiver(t, c.cfg)
			alotwebhook.On(r, alotwebhook.EventCandidateCompleted, newDesk(t, alotwebhook.ReceiverConfig{}).keep)
			server := httptest.NewServer(c.wrap(r))
			t.Cleanup(server.Close)
			for range 3 {
				event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, nil)
				resp, err := server.Client().Do(webhooktest.NewRequest(t, server.URL, event, receiverSecret))
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, http.StatusOK, resp.StatusCode)
			}
			require.Equal(t, c.lines, strings.Count(logged.String(), "\n"), logged.String())
			if c.lines > 0 {
				require.Equal(t, "alotwebhook: BodyTimeout has no effect here", onlyLine(t, logged)["msg"])
				require.Contains(t, logged.String(), "http.timeoutWriter")
				require.Contains(t, logged.String(), "ReadTimeout")
			}
		})
	}
}

// A recorder has no connection that could be slow: in a test, a line would only be in the way.
func TestReceiverLogsNothingOfARecorder(t *testing.T) {
	t.Parallel()
	r, logged := loggingReceiver(t, alotwebhook.ReceiverConfig{})
	alotwebhook.On(r, alotwebhook.EventCandidateCompleted, newDesk(t, alotwebhook.ReceiverConfig{}).keep)
	require.Equal(t, http.StatusOK, responseOf(r, signed(payload)).StatusCode)
	require.Empty(t, logged.String())
}
