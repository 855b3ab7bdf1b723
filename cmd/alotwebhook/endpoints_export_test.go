package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pagesOf serves JSON by path and query. Without a token it serves nothing.
func pagesOf(t *testing.T, pages map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.RequestURI()]
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// svix is what Svix's API says of two apps with three endpoints, on several pages.
func svix() map[string]string {
	const app, of = "/api/v1/app", "/api/v1/app/app_1/endpoint"
	pages := map[string]string{
		app + "?limit=250":                `{"data":[{"id":"app_1","uid":"org_1","name":"One","metadata":{}}],"iterator":"i1","done":false}`,
		app + "?iterator=i1&limit=250":    `{"data":[{"id":"app_2","name":"Two","metadata":{}}],"iterator":null,"done":true}`,
		of + "?limit=250":                 `{"data":[{"id":"ep_1","uid":"mine","url":"https://a.example.com/alot","version":1,"description":" For\n the ATS ","eventTypes":["candidate.invited"],"throttleRate":5,"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","metadata":{}}],"iterator":"e","done":false}`,
		of + "?iterator=e&limit=250":      `{"data":[{"id":"ep_2","url":"https://b.example.com/","description":"","disabled":true,"channels":["eu"],"metadata":{}}],"done":true}`,
		of + "/ep_1/secret":               `{"key":"` + svixSecret + `"}`,
		of + "/ep_2/secret":               `{"key":"` + strings.TrimPrefix(svixSecret, "whsec_") + `"}`,
		of + "/ep_1/headers":              `{"headers":{},"sensitive":[]}`,
		of + "/ep_2/headers":              `{"headers":{"X-Team":"7"},"sensitive":["X-Key"]}`,
		of + "/ep_2/transformation":       `{"code":"function handler(w) { return w }","enabled":true}`,
		app + "/app_2/endpoint?limit=250": `{"data":[{"id":"ep_3","url":"https://c.example.com/","description":"","metadata":{}}],"done":true}`,
	}
	pages[app+"/app_2/endpoint/ep_3/secret"] = `{"key":"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}`
	pages[app+"/app_2/endpoint/ep_3/headers"] = `{"headers":{}}`
	return pages
}

func TestExportFromSvix(t *testing.T) {
	t.Parallel()
	s, out := pagesOf(t, svix()), filepath.Join(t.TempDir(), "endpoints.json")
	code, _, said := endpoints(t, "export", "--from", "svix", "--api", s.URL, "--out", out)
	require.Equal(t, exitOK, code, said)
	require.Contains(t, said, "3 endpoints, with their secrets.")
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.JSONEq(t, `{"from":"svix","endpoints":[
		{"organizationId":"org_1","id":"ep_1","uid":"mine","url":"https://a.example.com/alot","description":"For the ATS","events":["candidate.invited"],"rate":5,"secret":"`+svixSecret+`"},
		{"organizationId":"org_1","id":"ep_2","url":"https://b.example.com/","events":["*"],"disabled":true,"secret":"`+svixSecret+`","headers":[{"name":"X-Team","value":"7"}],
		 "unsupported":["channels (eu): without them it would get the events of all channels","its sensitive headers (X-Key), whose values Svix shows to nobody","a transformation of the payload"]},
		{"organizationId":"app_2","id":"ep_3","url":"https://c.example.com/","events":["*"],
		 "unsupported":["an asymmetric signature (v1a): it needs a new secret, and its receiver the new secret's check"]}]}`, string(text))

	// And over to the operators' API.
	to := newService(t)
	args := []string{"import", out, "--api", to.URL + "/v1/operator", "--map", filepath.Join(t.TempDir(), "map")}
	code, lines, _ := endpoints(t, args...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, lines, "1 created, 2 refused")
	code, lines, _ = endpoints(t, append(args, "--ignore-unsupported")...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, lines, "1 created, 1 unchanged, 1 refused")
	require.Contains(t, lines, "all 4 event types of today; headers X-Team; disabled; without channels (eu)")
	for _, e := range to.stored(t, "org_1") {
		require.Equal(t, svixSecret, string(e.Secret))
	}
}

// An export that is not whole leaves no file behind, and says where it ended.
func TestExportIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	broken := svix()
	delete(broken, "/api/v1/app/app_1/endpoint/ep_2/secret")
	endless := svix()
	endless["/api/v1/app?iterator=i1&limit=250"] = `{"data":[],"iterator":"i1","done":false}`
	other := map[string]string{"/api/v1/app?limit=250": `<!doctype html>`}
	for says, pages := range map[string]map[string]string{
		"/api/v1/app/app_1/endpoint/ep_2/secret: 404 Not Found": broken,
		"does not say where it goes on":                         endless,
		"is this the right API?":                                other,
	} {
		out := filepath.Join(t.TempDir(), "endpoints.json")
		code, _, said := endpoints(t, "export", "--from", "svix", "--api", pagesOf(t, pages).URL, "--out", out)
		require.Equal(t, exitFailed, code)
		require.Contains(t, said, says)
		require.NoFileExists(t, out)
	}
}

// convoy is what Convoy's API says of a project.
func convoy() map[string]string {
	const of = "/api/v1/projects/prj_1"
	page := func(content, more string) string {
		return `{"status":true,"message":"ok","data":{"content":[` + content + `],"pagination":{"per_page":100,` + more + `}}}`
	}
	const last, next = `"has_next_page":false,"next_page_cursor":"c9"`, `"has_next_page":true,"next_page_cursor":"c1"`
	endpoint := func(uid, url, more string) string {
		return fmt.Sprintf(`{"uid":%q,"project_id":"prj_1","owner_id":"org_1","url":%q,"name":"Name of %s","description":"","advanced_signatures":false,"http_timeout":10,"authentication":null,"failure_rate":null,%s}`, uid, url, uid, more)
	}
	subscription := func(uid, more string) string {
		return fmt.Sprintf(`{"uid":"sub","name":"s","type":"api","endpoint_metadata":{"uid":%q,"url":"https://x"},%s}`, uid, more)
	}
	const secrets = `"secrets":[
		{"uid":"1","value":"the-secret-before-this-one","expires_at":"2026-01-01T00:00:00Z","created_at":"2025-01-01T00:00:00Z"},
		{"uid":"2","value":"your-signing-secret","expires_at":null,"created_at":"2025-12-31T00:00:00Z","deleted_at":null},
		{"uid":"3","value":"a-secret-that-was-deleted","created_at":"2026-02-01T00:00:00Z","deleted_at":"2026-02-02T00:00:00Z"}]`
	const none = `"filter_config":{"event_types":["candidate.invited","candidate.completed"],"filter":{"is_flattened":false,"headers":{},"body":{},"query":null}},"function":null`
	return map[string]string{
		of + "/endpoints?perPage=100": page(endpoint("01A", "https://a.example.com/", `"status":"active","rate_limit":120,"rate_limit_duration":60,`+secrets), next),
		of + "/endpoints?direction=next&next_page_cursor=c1&perPage=100": page(
			endpoint("01B", "https://b.example.com/", `"status":"paused","rate_limit":10,"rate_limit_duration":"1s","authentication":{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"v"}},`+secrets)+","+
				endpoint("01C", "https://c.example.com/", `"status":"active","rate_limit":0,"rate_limit_duration":0,`+secrets), last),
		of + "/subscriptions?perPage=100": page(
			subscription("01A", none)+","+subscription("01A", strings.Replace(none, "candidate.completed", "assessment.published", 1))+","+
				subscription("01B", `"filter_config":{"event_types":["*"],"filter":{"body":{"score":{"$gt":80}}}},"function":"function transform(p) { return p }"`), last),
	}
}

const convoyEndpoints = `{"from":"convoy","endpoints":[
	{"organizationId":"org_1","id":"01A","url":"https://a.example.com/","description":"Name of 01A","events":["assessment.published","candidate.completed","candidate.invited"],"rate":2,"secret":"your-signing-secret"},
	{"organizationId":"org_1","id":"01B","url":"https://b.example.com/","description":"Name of 01B","events":["*"],"disabled":true,"rate":10,"secret":"your-signing-secret","headers":[{"name":"X-Key","value":"v"}],
	 "unsupported":["a function that transforms the payload","a filter by payload or header: without it the endpoint would get more events"]},
	{"organizationId":"org_1","id":"01C","url":"https://c.example.com/","description":"Name of 01C","events":null,"secret":"your-signing-secret"}]}`

func TestExportFromConvoy(t *testing.T) {
	t.Parallel()
	s, out := pagesOf(t, convoy()), filepath.Join(t.TempDir(), "endpoints.json")
	code, _, said := endpoints(t, "export", "--from", "convoy", "--project", "prj_1", "--api", s.URL+"/", "--out", out)
	require.Equal(t, exitOK, code, said)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.JSONEq(t, convoyEndpoints, string(text))
}

// What the API of the old sender has said can be imported as it is.
func TestImportOfWhatAPIsSaid(t *testing.T) {
	t.Parallel()
	to := newService(t)
	var responses strings.Builder
	for _, page := range convoy() {
		responses.WriteString(page + "\n")
	}
	args := []string{"import", "--api", to.URL + "/v1/webhooks", "--map", filepath.Join(t.TempDir(), "map"), "--ignore-unsupported"}
	code, out, said := endpoints(t, append(args, file(t, responses.String()), "--from", "convoy")...)
	require.Equal(t, exitFailed, code, said)
	require.Contains(t, out, "2 created, 1 refused")
	require.Contains(t, out, "no event type is left that it would get", "it has no subscription")

	line := `{"id":"ep_1","url":"https://s.example.com/","app":{"id":"app_1"},"secret":{"key":"` + svixSecret + `"}}`
	code, out, said = endpoints(t, append(args, file(t, "["+line+"]\n"+strings.Replace(line, "ep_1", "ep_2", 1)), "--from", "svix")...)
	require.Equal(t, exitOK, code, said)
	require.Contains(t, out, "2 created")
	for content, says := range map[string]string{
		`{"data":[],"done":true}`:                      "holds its endpoints in data",
		`{"id":"ep_1","url":"https://s.example.com/"}`: "ep_1 has no app",
	} {
		code, _, said = endpoints(t, append(args, file(t, content), "--from", "svix")...)
		require.Equal(t, exitFailed, code)
		require.Contains(t, said, says)
	}
	_, _, said = endpoints(t, append(args, file(t, `{"uid":"x"}`), "--from", "convoy")...)
	require.Contains(t, said, "it has no data.content")
}
