package main

import (
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// look returns the status and the body of a page.
func (p *process) look(path string) (int, string) {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	require.NoError(p.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, res.Body.Close())
	return res.StatusCode, string(body)
}

// await waits until a page responds with 200: the program listens before it runs.
func (p *process) await(path string) {
	p.t.Helper()
	for last := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		status, body := p.look(path)
		if status == http.StatusOK {
			return
		}
		require.True(p.t, time.Now().Before(last), "%s: %d %s", path, status, body)
	}
}

// What those who run the product are to see is there: an organization that fails, one that
// floods, and the figures of the queue.
func TestObserve(t *testing.T) {
	t.Parallel()
	p := launch(t, "-observe", "-retries", "1s")
	p.await("/livez")
	p.await("/readyz")
	wanted := map[string]*regexp.Regexp{
		"an attempt that failed":    regexp.MustCompile(`(?m)^alotwebhook_attempt_duration_seconds_count\{[^}]*alotwebhook_organization_id="org_failing"[^}]*error_type="status"`),
		"an attempt that succeeded": regexp.MustCompile(`(?m)^alotwebhook_attempt_duration_seconds_count\{[^}]*alotwebhook_organization_id="org_flood"`),
		"the queue":                 regexp.MustCompile(`(?m)^alotwebhook_queue_oldest_due_seconds\{`),
	}
	for last := time.Now().Add(patience); len(wanted) > 0; time.Sleep(50 * time.Millisecond) {
		status, metrics := p.look("/metrics")
		require.Equal(t, http.StatusOK, status)
		for what, pattern := range wanted {
			if pattern.MatchString(metrics) {
				delete(wanted, what)
			}
		}
		require.True(t, time.Now().Before(last), "%v did not come; the metrics: %s", wanted, metrics)
	}
}

func TestMetricsAreForThoseWhoAskForThem(t *testing.T) {
	t.Parallel()
	p := launch(t, "-dev")
	status, _ := p.look("/metrics")
	require.Equal(t, http.StatusNotFound, status)
	p.await("/readyz")
}
