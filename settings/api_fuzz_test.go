package settings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzAPI checks that the response to any request is JSON, and never a server error.
func FuzzAPI(f *testing.F) {
	const create = `{"url":"https://example.com/webhook","events":["candidate.completed"],"secret":"your-signing-secret"}`
	h := newHost(f)
	id := h.do(http.MethodPost, "/v1/webhooks", create).json["id"].(string)
	f.Add("POST", "/v1/webhooks", "", create, "application/json")
	f.Add("POST", "/v1/webhooks", "", `{"url":"https://example.com","url":1,"Events":null}`, "application/json; charset=utf-8")
	f.Add("GET", "/v1/webhooks", "limit=1&cursor="+id, "", "")
	f.Add("GET", "/v1/webhooks/"+id, "", "", "")
	f.Add("GET", "/v1/webhooks/"+id+"/deliveries", "status=failed&type=candidate.completed&since=2026-05-25T14:23:00Z&until=x&cursor=dlv_", "", "")
	f.Add("GET", "/v1/webhooks/deliveries/dlv_01jcc7wjz3e4qv8x5k2m9n6p0r", "", "", "")
	f.Add("PATCH", "/v1/webhooks/"+id, "", `{"disabled":true,"description":null,"events":["candidate.invited"]}`, "application/merge-patch+json")
	f.Add("DELETE", "/v1/webhooks/"+id, "", "", "")
	f.Add("POST", "/v1/webhooks/"+id+"/rotate-secret", "", `{"secret":"sesame-street-123","signsFrom":"2026-05-25T14:23:00Z"}`, "application/json")
	f.Add("POST", "/v1/webhooks/"+id+"/test", "", `{"type":"candidate.invited"}`, "application/json")
	f.Add("POST", "/v1/webhooks/"+id+"/recover", "", `{"since":"2026-05-25T14:23:00Z"}`, "application/json")
	f.Add("GET", "/v1/webhooks/openapi.json", "", "", "")
	f.Fuzz(func(t *testing.T, method, path, query, body, contentType string) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, "/"+strings.TrimPrefix(path, "/"), query
		r.Header = http.Header{"X-Organization": {"org_a"}, "Content-Type": {contentType}}
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		require.Less(t, w.Code, 500, w.Body)
		if w.Code == http.StatusNoContent {
			require.Empty(t, w.Body.String())
			return
		}
		if w.Code >= 300 && w.Code < 400 { // a redirect of http.ServeMux from a path that is not clean
			return
		}
		want := "application/json"
		if w.Code >= 400 {
			want = "application/problem+json"
		}
		require.Equal(t, want, w.Header().Get("Content-Type"))
	})
}
