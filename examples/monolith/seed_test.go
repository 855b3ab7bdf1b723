package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// browser returns an HTTP client with a session of the organization.
func (p *process) browser(organization string) *http.Client {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	b := &http.Client{Jar: jar}
	page := p.page(b, "/dev/login?organization="+organization)
	require.Contains(p.t, page, "<h1>Endpoints</h1>")
	return b
}

func (p *process) page(b *http.Client, path string) string {
	p.t.Helper()
	res, err := b.Get(p.url + path)
	require.NoError(p.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, res.StatusCode, path)
	return string(text)
}

func TestHistoryIsSeeded(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		p := launch(t, "-dev", "-store", store)
		line, err := p.stdout.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, p.url+"/dev/login?organization="+demo)
		b := p.browser(demo)
		page := p.page(b, "/settings/webhooks/")
		for _, want := range []string{"Needs attention", "Failing", "Disabled after failures", "Enabled", "attempts"} {
			require.Contains(t, page, want)
		}
		for state, want := range map[string]int{"delivered": 50, "failed": 5, "pending": 1, "parked": 3} {
			require.GreaterOrEqual(t, strings.Count(p.page(b, "/settings/webhooks/history?status="+state), "data-row="), want, state)
		}
		partner := p.page(b, "/settings/webhooks/wh_01kdvdna00e008000000000004")
		for _, want := range []string{"Disabled after failures", "Failing since", "Changed: events", "Secret rotated", ">Added</td>"} {
			require.Contains(t, partner, want)
		}
		require.Contains(t, p.page(p.browser("org_other"), "/settings/webhooks/"), "No endpoints yet")
	})
}

func TestHistoryIsSeededOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store string) {
		if store == "memory" {
			t.Skip("memory does not outlive the process")
		}
		first := launch(t, "-dev", "-store", store)
		before := first.endpoints()
		require.Len(t, before, 5)
		first.stop()
		require.Equal(t, before, launch(t, "-dev", "-store", store).endpoints())
	})
}

// endpoints returns the ids of the demonstration's endpoints.
func (p *process) endpoints() (ids []string) {
	p.t.Helper()
	status, list := p.as(demo).do("GET", "/v1/webhooks", "")
	require.Equal(p.t, http.StatusOK, status)
	for _, e := range list["endpoints"].([]any) {
		ids = append(ids, e.(map[string]any)["id"].(string))
	}
	return ids
}

func TestOnlyThePagesAcceptASession(t *testing.T) {
	t.Parallel()
	p := launch(t, "-dev")
	b := p.browser(demo)
	res, err := b.Get(p.url + "/v1/webhooks")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, err = ownClient.Get(p.url + "/settings/webhooks/")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, err = ownClient.Get(p.url + "/dev/login")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
}

// Somebody who may only look is offered no more on the pages, and gets no more with a token:
// neither from package settings nor from the product itself.
func TestAViewerMayOnlyLook(t *testing.T) {
	t.Parallel()
	p := launch(t, "-dev")
	require.Contains(t, p.page(p.browser(demo), "/settings/webhooks/"), "Add an endpoint")
	require.NotContains(t, p.page(p.browser(demo+"&role=viewer"), "/settings/webhooks/"), "Add an endpoint")
	c := p.as(demo + "&role=viewer")
	status, list := c.do("GET", "/v1/webhooks", "")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, list["endpoints"])
	status, problem := c.do("POST", "/v1/webhooks", `{"url":"https://example.com","events":["candidate.completed"]}`)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, []any{"change", "secrets"}, problem["missing"])
	status, _ = c.complete("sess_123", 82)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = p.as(demo+"&role=nobody").do("GET", "/v1/webhooks", "")
	require.Equal(t, http.StatusForbidden, status, "a role that nobody knows")
}

func TestProductionHasNoDemonstration(t *testing.T) {
	t.Parallel()
	p := launch(t)
	for _, path := range []string{"/dev/login?organization=org_demo", "/dev/token?organization=org_demo", "/dev/receiver/ats"} {
		res, err := ownClient.Get(p.url + path)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
	token, err := tokens{[]byte(jwtSecret)}.sign(demo, "")
	require.NoError(t, err)
	status, list := client{p, token}.do("GET", "/v1/webhooks", "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, list["endpoints"])
}
