package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// look returns the status and the body of a page.
func (p *process) look(path string) (int, string) {
	p.t.Helper()
	res, err := ownClient.Get(p.url + path)
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

// withCookies returns a client with cookies of its own.
func withCookies(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar}
}

// visit returns the status and the body of a page.
func visit(t testing.TB, c *http.Client, address string) (int, string) {
	t.Helper()
	res, err := c.Get(address)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// Operators see all organizations; support sees no payloads and pauses nothing; a customer's session
// is no operator's, nor the other way round.
func TestOperators(t *testing.T) {
	t.Parallel()
	p := launch(t, "-observe", "-retries", "1s")
	p.await("/livez")
	jane := withCookies(t)
	status, page := visit(t, jane, p.url+"/dev/operator?name=jane")
	require.Equal(t, http.StatusOK, status)
	for last := time.Now().Add(patience); !strings.Contains(page, "org_failing"); _, page = visit(t, jane, p.url+"/operators/") {
		require.True(t, time.Now().Before(last), "it does not fail: %s", page)
		time.Sleep(50 * time.Millisecond)
	}
	require.Contains(t, page, "/operators/pause")
	status, page = visit(t, jane, p.url+"/operators/organizations/org_failing/")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "/dev/receiver/")
	status, _ = visit(t, jane, p.url+"/settings/webhooks/")
	require.Equal(t, http.StatusUnauthorized, status, "an operator has no session of a customer")

	sam := withCookies(t)
	_, page = visit(t, sam, p.url+"/dev/operator?name=sam&role=support")
	require.NotContains(t, page, "/operators/pause")
	status, _ = visit(t, sam, p.url+"/operators/pause")
	require.Equal(t, http.StatusForbidden, status)

	customer := withCookies(t)
	visit(t, customer, p.url+"/dev/login?organization=org_failing")
	for _, path := range []string{"/operators/", "/operators/organizations/org_failing/", "/v1/operator/overview"} {
		status, _ = visit(t, customer, p.url+path)
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	status, _ = visit(t, customer, p.url+"/dev/operator")
	require.Equal(t, http.StatusBadRequest, status)
}
