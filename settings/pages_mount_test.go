package settings_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// mount is one of the ways to mount the pages.
type mount struct {
	base string // path of the mount as a browser sees it
	opts settings.Options
	wrap func(pages http.Handler) http.Handler
}

func on(pattern string, wrap ...func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(pages http.Handler) http.Handler {
		for _, w := range wrap {
			pages = w(pages)
		}
		mux := http.NewServeMux()
		mux.Handle(pattern, pages)
		return mux
	}
}

func strip(prefix string) func(http.Handler) http.Handler {
	return func(pages http.Handler) http.Handler { return http.StripPrefix(prefix, pages) }
}

// router mounts the pages as a chi router does: it leaves the path as it is, and the
// Pattern of the request ends in a star.
func router(prefix string) func(http.Handler) http.Handler {
	return func(pages http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != prefix && !strings.HasPrefix(r.URL.Path, prefix+"/") {
				http.NotFound(w, r)
				return
			}
			r.Pattern = prefix + "/*"
			pages.ServeHTTP(w, r)
		})
	}
}

// silent mounts the pages as a router does that sets no Pattern.
func silent(prefix string) func(http.Handler) http.Handler {
	return func(pages http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, prefix) {
				http.NotFound(w, r)
				return
			}
			pages.ServeHTTP(w, r)
		})
	}
}

var mounts = map[string]mount{
	"itself":                  {"", settings.Options{}, strip("")},
	"at the root of a mux":    {"", settings.Options{}, on("/")},
	"on a mux":                {"/settings/webhooks", settings.Options{}, on("/settings/webhooks/")},
	"on a mux, with a host":   {"/settings/webhooks", settings.Options{}, on("example.com/settings/webhooks/")},
	"on a mux, by a wildcard": {"/settings/webhooks", settings.Options{}, on("/settings/webhooks/{rest...}")},
	"on a mux, for a tenant":  {"/t/acme%2Fx/webhooks", settings.Options{}, on("/t/{tenant}/webhooks/")},
	"stripped":                {"/settings/webhooks", settings.Options{}, strip("/settings/webhooks")},
	"stripped with the slash": {"/settings/webhooks", settings.Options{}, strip("/settings/webhooks/")},
	"stripped on a mux":       {"/settings/webhooks", settings.Options{}, on("/settings/webhooks/", strip("/settings/webhooks"))},
	"stripped around a mux":   {"/app/settings/webhooks", settings.Options{}, func(h http.Handler) http.Handler { return strip("/app")(on("/settings/webhooks/")(h)) }},
	"stripped twice": {"/app/settings/webhooks", settings.Options{}, func(h http.Handler) http.Handler {
		return strip("/app")(on("/settings/webhooks/", strip("/settings/webhooks"))(h))
	}},
	"named as one of the pages":    {"/history", settings.Options{}, on("/history/", strip("/history"))},
	"in a router":                  {"/settings/webhooks", settings.Options{}, router("/settings/webhooks")},
	"in a router, stripped around": {"/app/webhooks", settings.Options{}, func(h http.Handler) http.Handler { return strip("/app")(router("/webhooks")(h)) }},
	"given, in a silent router":    {"/settings/webhooks", settings.Options{Prefix: "/settings/webhooks"}, silent("/settings/webhooks")},
	"given with a slash":           {"/settings/webhooks", settings.Options{Prefix: "settings/webhooks/"}, silent("/settings/webhooks")},
	"given, and stripped":          {"/settings/webhooks", settings.Options{Prefix: "/settings/webhooks"}, strip("/settings/webhooks")},
	"given, on a mux":              {"/settings/webhooks", settings.Options{Prefix: "/settings/webhooks"}, on("/settings/webhooks/")},
}

// The test follows every link of every page, and the redirect of every action, for
// every way to mount the pages.
func TestLinksAndRedirectsLandWhereverThePagesAreMounted(t *testing.T) {
	t.Parallel()
	for name, m := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSiteOn(t, memory.New(), &m.opts)
			s.handler = m.wrap(s.handler)
			e := s.endpoint("https://hooks.example.com/alot")
			d := s.event(e, `{}`)
			s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS})
			for _, path := range []string{"/", "/new", "/history", "/history/", "/" + e.ID, "/" + e.ID + "/", "/" + e.ID + "/edit", "/" + e.ID + "/rotate", "/" + e.ID + "/delete", "/deliveries/" + d} {
				s.follow(m.base, path)
			}
			s.act(m.base, e, d)
		})
	}
}

var reference = regexp.MustCompile(`(?:href|src|action|hx-get)="([^"#]+)"`)

// follow requires that every address on a page exists and is below the mount.
func (s *site) follow(base, path string) {
	s.t.Helper()
	page := s.get(base + path)
	require.Equal(s.t, http.StatusOK, page.status, "%s: %s", path, page.text)
	for _, m := range reference.FindAllStringSubmatch(page.text, -1) {
		link := strings.ReplaceAll(m[1], "&amp;", "&")
		require.True(s.t, strings.HasPrefix(link, base+"/"), "%s links to %s", path, link)
		got := s.get(link)
		if got.status == http.StatusMethodNotAllowed { // the address is that of a form
			require.Equal(s.t, "POST", got.header.Get("Allow"), link)
			continue
		}
		require.Equal(s.t, http.StatusOK, got.status, "%s links to %s", path, link)
	}
}

// act requires that every action redirects to a page that exists.
func (s *site) act(base string, e alotwebhook.Endpoint, d string) {
	s.t.Helper()
	for _, tc := range []struct {
		path   string
		fields []string
		want   string
	}{
		{"/" + e.ID + "/disable", nil, "/" + e.ID + "?done=disabled"},
		{"/" + e.ID + "/enable", nil, "/" + e.ID + "?done=enabled"},
		{"/" + e.ID + "/test", []string{"type", alotwebhook.EventCandidateInvited}, "/deliveries/dlv_"},
		{"/" + e.ID + "/recover", []string{"since", "all"}, "/" + e.ID + "?done=recovering"},
		{"/" + e.ID + "/recover/", []string{"since", "all"}, "/" + e.ID + "?done=busy"},
		{"/" + e.ID + "/recover/stop", nil, "/" + e.ID + "?done=stopped"},
		{"/" + e.ID + "/send-missed", []string{"since", "all"}, "/" + e.ID + "?done=sending"},
		{"/" + e.ID + "/recover/stop", nil, "/" + e.ID + "?done=stopped"},
		{"/deliveries/" + d + "/redeliver", nil, "/deliveries/" + d + "?done=redelivered"},
		{"/" + e.ID + "/delete", nil, "/" + e.ID + "/delete"},
		{"/new", []string{"url", "https://new.example.com", "events", alotwebhook.EventCandidateInvited, "secret", "my own signing secret"}, "/wh_"},
		{"/" + e.ID + "/delete", []string{"confirmed", "yes"}, "/?done=deleted"},
	} {
		got := s.post(base+tc.path, tc.fields)
		require.Equal(s.t, http.StatusSeeOther, got.status, "%s: %s", tc.path, got.text)
		location := got.header.Get("Location")
		require.True(s.t, strings.HasPrefix(location, base+tc.want), "%s leads to %s", tc.path, location)
		require.Equal(s.t, http.StatusOK, s.get(location).status, location)
	}
}

func TestWithoutItsSlashTheMountIsThePageItself(t *testing.T) {
	t.Parallel()
	for name, m := range mounts {
		if m.base == "" || strings.Contains(name, "on a mux") || strings.Contains(name, "around a mux") || strings.Contains(name, "twice") || strings.Contains(name, "named") {
			continue // an http.ServeMux redirects to the path with a slash
		}
		s := newSiteOn(t, memory.New(), &m.opts)
		if strings.HasSuffix(name, "with the slash") {
			continue // the stripped prefix ends in a slash, so it needs one
		}
		s.handler = m.wrap(s.handler)
		s.follow(m.base, "")
	}
}

func TestNoPathIsALinkToAnotherHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler = http.StripPrefix("//evil.example.com", s.handler)
	r := httptest.NewRequest(http.MethodGet, "http://example.com//evil.example.com/", nil)
	got := s.do(r)
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.text, `"//`)
}

func TestPathsThatAreNoPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for _, path := range []string{
		"/nothing", "/new/", "/" + strings.ToUpper(e.ID), "/" + e.ID + "/x", "/deliveries", "/deliveries/" + e.ID, "/%00", "/%ff",
		"/wh_00000000000000000000000000", "/deliveries/dlv_00000000000000000000000000", "/static", "/static/", "/static/pages.css", "/static/../x",
	} {
		want := http.StatusNotFound
		if path == "/new/" {
			want = http.StatusOK
		}
		require.Equal(t, want, s.get(path).status, path)
	}
	got := s.do(httptest.NewRequest(http.MethodDelete, "/"+e.ID, nil))
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.Equal(t, "GET, HEAD", got.header.Get("Allow"))
}
