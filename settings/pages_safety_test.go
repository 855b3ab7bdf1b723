package settings_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// routes are all pages and actions that have an id, with a form that fits.
func routes(endpoint, delivery string) (gets []string, posts map[string][]string) {
	e, d := "/"+endpoint, "/deliveries/"+delivery
	return []string{e, e + "/edit", e + "/rotate", e + "/delete", d},
		map[string][]string{
			e + "/edit":         {"url", "https://taken.example.com", "events", alotwebhook.EventCandidateInvited, "version", "1"},
			e + "/enable":       nil,
			e + "/disable":      nil,
			e + "/test":         {"type", alotwebhook.EventCandidateInvited},
			e + "/rotate":       {"when", "now", "version", "1"},
			e + "/recover":      {"since", "all"},
			e + "/recover/stop": nil,
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

// snapshot is what could have been changed.
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

func TestEveryAnswerSaysWhatABrowserMayDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for _, got := range []shown{s.get("/"), s.get("/" + e.ID), s.get("/nothing"), s.get("/", "X-Organization", ""), s.post("/"+e.ID+"/disable", nil), s.get("/static/x")} {
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			got.header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", got.header.Get("X-Frame-Options"))
		require.Equal(t, "same-origin", got.header.Get("Referrer-Policy"))
		require.Equal(t, "same-origin", got.header.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "noindex", got.header.Get("X-Robots-Tag"))
	}
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

// hostile is what a customer may try wherever a value is theirs.
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
		StatusCode: 500, Reason: alotwebhook.FailureReason(hostile), Detail: hostile, ResponseBody: hostile + "</pre>",
	})
	gets, posts := routes(e.ID, failed)
	pages := []shown{s.get("/"), s.get("/history"), s.get("/history?endpoint=" + e.ID)}
	for _, path := range gets {
		pages = append(pages, s.get(path))
	}
	stale := posts["/"+e.ID+"/edit"]
	stale = append(stale[:len(stale)-1:len(stale)-1], "7", "description", hostile)
	pages = append(pages,
		s.post("/"+e.ID+"/edit", stale), // the form comes back
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
	require.Equal(t, 2, strings.Count(delivery, "hx-ignore"), "payload and response are out of htmx's sight")
}

// TestNoAddressIsAScript: a link is made of the scheme too.
func TestNoAddressIsAScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, link := range []string{"javascript:alert(1)", "data:text/html,<script>", "//evil.example.com"} {
		got := s.post("/new", []string{"url", link, "events", alotwebhook.EventCandidateInvited})
		require.Equal(t, http.StatusUnprocessableEntity, got.status, link)
		require.NotContains(t, got.text, `href="`+link)
	}
}

func TestSecretsAreShownOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := s.get("/new")
	fields := append(hidden(t, page.text), "url", "https://hooks.example.com/alot", "events", alotwebhook.EventCandidateCompleted, "secret", "")
	created := s.post("/new", fields, "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusOK, created.status, created.text)
	require.Equal(t, "no-store", created.header.Get("Cache-Control"))
	require.Empty(t, created.header.Get("Content-Encoding"), "packed, its size would tell of the secret")
	e := s.only()
	secret := string(s.stored(e.ID).Secret)
	require.Equal(t, 1, strings.Count(html.UnescapeString(created.text), secret))

	again := s.post("/new", fields) // the browser's reload
	require.Equal(t, http.StatusSeeOther, again.status)
	require.Equal(t, "/"+e.ID+"?done=existing", again.header.Get("Location"))
	require.Equal(t, e.ID, s.only().ID, "a second endpoint was made")

	fields = append(hidden(t, s.get("/"+e.ID+"/rotate").text), "when", "24h")
	rotated := s.post("/"+e.ID+"/rotate", fields)
	require.Equal(t, http.StatusOK, rotated.status, rotated.text)
	next := string(s.stored(e.ID).NextSecret)
	require.NotEqual(t, secret, next)
	require.Equal(t, 1, strings.Count(html.UnescapeString(rotated.text), next))
	require.Equal(t, http.StatusConflict, s.post("/"+e.ID+"/rotate", fields).status)
	require.Equal(t, next, string(s.stored(e.ID).NextSecret))

	d := s.event(e, `{}`)
	gets, _ := routes(e.ID, d)
	for _, path := range append(gets, "/", "/new", "/history") {
		text := html.UnescapeString(s.get(path).text)
		require.NotContains(t, text, secret, path)
		require.NotContains(t, text, next, path)
	}
	require.NotContains(t, s.log.String(), secret)
	require.NotContains(t, s.log.String(), next)
}

func TestASecretOfOnesOwnIsNeverShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const own = "my own signing secret"
	refused := s.post("/new", []string{"url", "not a URL", "events", alotwebhook.EventCandidateCompleted, "secret", own})
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.NotContains(t, refused.text, own, "a form that comes back holds no secret")
	created := s.post("/new", []string{"url", "https://hooks.example.com", "events", alotwebhook.EventCandidateCompleted, "secret", own})
	require.Equal(t, http.StatusSeeOther, created.status)
	require.NotContains(t, s.get(created.header.Get("Location")).text, own)
	e := s.only()
	for _, bad := range []string{" padded ", strings.Repeat("x", 257), "con\x00trol", "line\r\nbreak"} {
		got := s.post("/"+e.ID+"/rotate", []string{"version", "1", "when", "now", "secret", bad})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.text, "The secret ")
		require.NotContains(t, got.text, bad)
	}
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/rotate", []string{"version", "1", "when", "now", "secret", own + "2"}).status)
	require.Equal(t, own+"2", string(s.stored(e.ID).Secret))
	require.NotContains(t, s.log.String(), own)
}

// only is the one endpoint of org_a.
func (s *site) only() alotwebhook.Endpoint {
	s.t.Helper()
	page, _, err := s.store.Endpoints(s.t.Context(), alotwebhook.EndpointFilter{OrganizationID: "org_a"})
	require.NoError(s.t, err)
	require.Len(s.t, page, 1)
	return page[0]
}

func (s *site) stored(id string) alotwebhook.Endpoint {
	s.t.Helper()
	e, err := s.store.Endpoint(s.t.Context(), id)
	require.NoError(s.t, err)
	return e
}

func TestTheHostsLookIsAllowedExactly(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, memory.New(), &settings.Options{
		Title: "Hooks <b>", Product: "Acme & Sons", HomeURL: "/app", LogoURL: "https://cdn.example.com/a;b,c.svg?v=1", Stylesheet: "https://css.example.com:8443/acme.css",
	})
	got := s.get("/")
	policy := got.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "; img-src 'self' https://cdn.example.com/a%3Bb%2Cc.svg;")
	require.Contains(t, policy, "; style-src 'self' https://css.example.com:8443/acme.css;")
	require.Contains(t, got.text, "Hooks &lt;b&gt;")
	require.Contains(t, got.text, `<a href="/app" class="product"><img src="https://cdn.example.com/a;b,c.svg?v=1" height="24" alt="">Acme &amp; Sons</a>`)
	require.Contains(t, got.text, `<link rel="stylesheet" href="https://css.example.com:8443/acme.css">`)
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	for field, opts := range map[string]*settings.Options{
		"Organization": {},
		"HomeURL":      {Organization: organization, HomeURL: "javascript:alert(1)"},
		"LogoURL":      {Organization: organization, LogoURL: "//cdn.example.com/logo.svg"},
		"Stylesheet":   {Organization: organization, Stylesheet: "acme.css"},
		"Prefix":       {Organization: organization, Prefix: "/settings?x"},
	} {
		_, err := settings.NewPages(d, opts)
		var refused *alotwebhook.FieldError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Field)
	}
	_, err = settings.NewPages(nil, &settings.Options{Organization: organization})
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	_, err = settings.NewPages(d, nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
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
