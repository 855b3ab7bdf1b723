package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// routes returns the paths of all pages with an id, and of all actions with an id, each
// with a form that it accepts.
func routes(endpoint, delivery string) (gets []string, posts map[string][]string) {
	e, d := "/"+endpoint, "/deliveries/"+delivery
	return []string{e, e + "/edit", e + "/rotate", e + "/delete", d},
		map[string][]string{
			e + "/edit":         {"url", "https://taken.example.com", "events", alotwebhook.EventCandidateInvited, "version", "1"},
			e + "/enable":       nil,
			e + "/prove":        nil,
			e + "/disable":      nil,
			e + "/test":         {"type", alotwebhook.EventCandidateInvited},
			e + "/rotate":       {"when", "now", "version", "1"},
			e + "/recover":      {"since", "all"},
			e + "/recover/stop": nil,
			e + "/send-missed":  {"since", "all"},
			e + "/delete":       {"confirmed", "yes"},
			d + "/redeliver":    nil,
		}
}

func TestOrganizationsDoNotSeeEachOthersPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{"candidateName":"Jane Smith"}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS})
	before := s.snapshot(e.ID, d)
	gets, posts := routes(e.ID, d)
	for _, path := range gets {
		require.Equal(t, http.StatusOK, s.get(path).status, path)
		got := s.get(path, "X-Organization", "org_b")
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.NotContains(t, got.text, "hooks.example.com")
	}
	for path, fields := range posts {
		got := s.post(path, fields, "X-Organization", "org_b")
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.NotContains(t, got.text, "hooks.example.com")
	}
	for _, path := range []string{"/", "/history", "/history?endpoint=" + e.ID, "/?cursor=wh_00000000000000000000000000", "/history?cursor=dlv_7zzzzzzzzzzzzzzzzzzzzzzzzz"} {
		got := s.get(path, "X-Organization", "org_b")
		require.Equal(t, http.StatusOK, got.status, path)
		require.NotContains(t, got.text, "hooks.example.com", path)
		require.NotContains(t, got.text, d, path)
	}
	require.Equal(t, before, s.snapshot(e.ID, d), "something was changed")
}

// snapshot returns everything that a refused request might have changed.
func (s *site) snapshot(endpoint, delivery string) []any {
	s.t.Helper()
	e, err := s.store.Endpoint(s.t.Context(), endpoint)
	require.NoError(s.t, err)
	d, err := s.store.Delivery(s.t.Context(), delivery)
	require.NoError(s.t, err)
	page, _, err := s.store.Deliveries(s.t.Context(), alotwebhook.Filter{})
	require.NoError(s.t, err)
	_, err = s.dispatcher.Recovery(s.t.Context(), endpoint)
	require.ErrorIs(s.t, err, alotwebhook.ErrNotFound)
	return []any{e, d, len(page)}
}

func TestNobodySeesAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	gets, posts := routes(e.ID, d)
	for _, who := range []string{"nobody", ""} {
		for _, path := range append(gets, "/", "/new", "/history", "/nothing") {
			got := s.get(path, "X-Organization", who)
			require.Equal(t, http.StatusUnauthorized, got.status, path)
			require.Contains(t, got.text, "You are not signed in")
			require.NotContains(t, got.text, "eyJhbGciOi")
			require.NotContains(t, got.text, "<nav")
		}
		for path, fields := range posts {
			require.Equal(t, http.StatusUnauthorized, s.post(path, fields, "X-Organization", who).status, path)
		}
	}
	require.NotContains(t, s.log.String(), "eyJhbGciOi")
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS})
	before := s.snapshot(e.ID, d)
	_, posts := routes(e.ID, d)
	posts["/new"] = []string{"url", "https://taken.example.com", "events", alotwebhook.EventCandidateInvited}
	for path, fields := range posts {
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}, {"Origin", "null"},
		} {
			require.Equal(t, http.StatusForbidden, s.post(path, fields, header...).status, "%s %v", path, header)
		}
	}
	require.Equal(t, before, s.snapshot(e.ID, d))
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil, "Sec-Fetch-Site", "same-origin").status)
}

func TestNothingIsInline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	gets, _ := routes(e.ID, d)
	for _, path := range append(gets, "/", "/new", "/history") {
		text := s.get(path).text
		require.NotRegexp(t, `(?i)<style|\sstyle=|<script(?:\s+defer)?>|\son[a-z]+=|javascript:`, text, path)
		require.NotContains(t, text, "ZgotmplZ", path)
	}
}

// hostile is a text that a customer may enter to break out of the HTML of a page.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'--&`

func TestWhatACustomerControlsIsText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e, err := s.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_a", URL: `https://hooks.example.com/"><script>alert(1)</script>?'onerror=alert(2)`,
		Description: hostile, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(t, err)
	failed := s.event(e, `{"name":"`+strings.ReplaceAll(hostile, `"`, `\"`)+`"}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{
		StatusCode: 500, Reason: alotwebhook.FailureReason(hostile), Detail: hostile, ResponseBody: "\x01X: " + hostile + "\n\n" + hostile + "</pre>",
	})
	gets, posts := routes(e.ID, failed)
	pages := []shown{s.get("/"), s.get("/history"), s.get("/history?endpoint=" + e.ID)}
	for _, path := range gets {
		pages = append(pages, s.get(path))
	}
	stale := posts["/"+e.ID+"/edit"]
	stale = append(stale[:len(stale)-1:len(stale)-1], "7", "description", hostile)
	pages = append(pages,
		s.post("/"+e.ID+"/edit", stale), // shows the form again
		s.post("/new", []string{"url", hostile, "description", hostile, "events", hostile}),
		s.post("/new", []string{hostile, "x"}),
		s.get("/history?"+url.Values{"status": {hostile}}.Encode()),
		s.get("/?"+url.Values{hostile: {hostile}}.Encode()),
		s.get("/?done="+url.QueryEscape(hostile)),
		s.get("/"+url.PathEscape(hostile)),
	)
	for _, page := range pages {
		require.NotContains(t, page.text, "<script>alert", page.text)
		require.NotContains(t, page.text, "<img src=x")
		require.NotContains(t, page.text, "</pre></pre>")
	}
	delivery := s.get("/deliveries/" + failed).text
	require.Contains(t, delivery, "&lt;img src=x onerror=alert(2)&gt;")
	require.Equal(t, 5, strings.Count(delivery, "hx-ignore"), "payload, request, command and both parts of the response are out of htmx's sight")
}

// An endpoint's URL must not become a link whose scheme runs a script.
func TestNoAddressIsAScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, link := range []string{"javascript:alert(1)", "data:text/html,<script>", "//evil.example.com"} {
		got := s.post("/new", []string{"url", link, "events", alotwebhook.EventCandidateInvited})
		require.Equal(t, http.StatusUnprocessableEntity, got.status, link)
		require.NotContains(t, got.text, `href="`+link)
	}
}

func (s *site) stored(id string) alotwebhook.Endpoint {
	s.t.Helper()
	e, err := s.store.Endpoint(s.t.Context(), id)
	require.NoError(s.t, err)
	return e
}

func TestFailuresOfTheStoreAreLoggedAndNotShownOnPages(t *testing.T) {
	t.Parallel()
	const suffix = "00000000000000000000000000"
	for _, path := range []string{"/", "/wh_" + suffix, "/deliveries/dlv_" + suffix} {
		s := newSiteOn(t, broken{}, nil)
		got := s.get(path)
		require.Equal(t, http.StatusInternalServerError, got.status, path)
		require.Contains(t, got.text, "Something failed on our side")
		require.NotContains(t, got.text, "db.internal")
		require.Contains(t, s.log.String(), "db.internal")
		require.Contains(t, s.log.String(), "organization=org_a")
	}
}

func TestHeadOfAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Equal(t, http.StatusOK, s.do(httptest.NewRequest(http.MethodHead, "/", nil)).status)
}
