package settings_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// An organization's id is one segment of the path, whatever is in it.
func TestTheIDOfAnOrganizationCanBeAnything(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", s.handler))
	mux.Handle("/direct/", s.handler)
	s.handler = mux
	ids := []string{
		"org_a", "a/b", "/", "..", ".", "%2f", "?", "ü", "a b", "~", "~~..", "#x", `a\b`, "a//b", "../x", "+", "&", `"><script>`,
		"history", "static", strings.Repeat("ä", 127),
	}
	for _, id := range ids {
		e := s.endpointOf(id, "https://hooks.example.com/"+url.PathEscape(id))
		s.eventOf(id)
		for _, base := range []string{"/ops", "/direct"} {
			list := s.see(base + "/endpoints?" + url.Values{"organization": {id}}.Encode())
			require.Equal(t, http.StatusOK, list.status, id)
			link := linkTo(list.text, e.ID)
			require.True(t, strings.HasPrefix(link, base+"/organizations/"), "%q: %s", id, list.text)
			// A browser resolves the path before it asks.
			u, err := url.Parse("http://ops.test" + link)
			require.NoError(t, err)
			require.Equal(t, link, u.JoinPath().EscapedPath(), "%q: a browser leaves the path as it is", id)
			got := s.see(link)
			require.Equal(t, http.StatusOK, got.status, "%q: %s", id, link)
			require.Contains(t, got.text, e.ID)
			require.NotContains(t, got.text, `"><script>`)
			home := s.see(strings.TrimSuffix(link, e.ID))
			require.Contains(t, home.text, e.ID, id)
			history := s.see(strings.TrimSuffix(link, e.ID) + "history")
			require.Contains(t, history.text, "candidate.completed", id)
			disabled := s.ask(http.MethodPost, link+"/disable")
			require.Equal(t, http.StatusSeeOther, disabled.status, id)
			require.Equal(t, link+"?done=disabled", disabled.header.Get("Location"))
		}
		stored, err := s.dispatcher.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.True(t, stored.Disabled)
	}
	require.NotContains(t, s.log.String(), "ERROR")
	require.NotContains(t, strings.ReplaceAll(s.log.String(), "level=INFO", ""), "panic")
}

// linkTo returns the path that a page links to and that ends in an id.
func linkTo(page, id string) string {
	before, _, found := strings.Cut(page, id+`">`)
	if i := strings.LastIndex(before, `href="`); found && i >= 0 {
		return html.UnescapeString(before[i+len(`href="`):]) + id
	}
	return ""
}

// What is no organization, and what is another organization's, is not there.
func TestAnOrganizationHasOnlyItsOwn(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpointOf("org_b", "https://hooks.example.com/alot")
	for _, path := range []string{
		"/organizations", "/organizations/", "/organizations//", "/organizations/%00/", "/organizations/%ff/",
		"/organizations/" + strings.Repeat("a", 256) + "/", "/organizations/org_a/" + e.ID, "/organizations/org_a/recoveries", "/" + e.ID,
		"/organizations/org_b/" + e.ID + "/nothing", "/organizations/org_b/organizations/org_b/",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: path, RawPath: path}
		if unescaped, err := url.PathUnescape(path); err == nil {
			r.URL.Path = unescaped
		}
		r.RequestURI = path
		got := s.do(r, "X-Operator", "ann")
		require.Equal(t, http.StatusNotFound, got.status, path)
		require.NotContains(t, got.text, "hooks.example.com")
	}
	require.Equal(t, http.StatusOK, s.see("/organizations/org_b/"+e.ID).status)
}

// The pages of an organization say whose they are, what is paused, and lead back.
func TestTheBannerOverAnOrganizationsPages(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpointOf("org_b", "https://hooks.example.com/alot")
	other := s.endpointOf("org_c", "https://other.example.com/alot")
	page := func() string { return s.see("/organizations/org_b/" + e.ID).text }
	require.Contains(t, page(), `These are the pages of <b class="org">org_b</b>`)
	require.Contains(t, page(), `<a href="/">Back to operations</a>`)
	require.Contains(t, page(), "/pause?organization=org_b")
	require.NotContains(t, page(), "paused</b>")
	require.Contains(t, s.see("/organizations/org_b/nothing").text, "Back to operations", "an error leads back, too")
	pause := func(p alotwebhook.Pause) {
		t.Helper()
		_, err := s.dispatcher.Pause(alotwebhook.WithActor(t.Context(), "bob"), p)
		require.NoError(t, err)
	}
	pause(alotwebhook.Pause{EndpointID: other.ID})
	require.NotContains(t, page(), "paused</b>", "that of another organization is not its business")
	pause(alotwebhook.Pause{EndpointID: e.ID, Note: "one"})
	pause(alotwebhook.Pause{OrganizationID: "org_b", Note: "two"})
	pause(alotwebhook.Pause{Note: "three"})
	require.Equal(t, 3, strings.Count(page(), "paused</b>"))
	require.Contains(t, page(), "Everything is paused")
	require.Contains(t, page(), "/resume?endpoint="+e.ID+"&amp;organization=org_b")
	require.NotContains(t, page(), "/pause?organization=org_b", "it is paused")
	live := s.get("/organizations/org_b/"+e.ID, "X-Operator", "ann", "HX-Request", "true", "HX-Target", "div#live")
	require.NotContains(t, live.text, "Back to operations")
	s.letOperators(rightSet{settings.ActionLook}.may)
	require.NotContains(t, page(), "/resume")
	customers, err := settings.NewPages(s.dispatcher, &settings.Options{Organization: organization})
	require.NoError(t, err)
	s.handler = customers
	customer := s.get("/"+e.ID, "X-Organization", "org_b").text
	require.Contains(t, customer, "Paused by the operator since")
	for _, theirs := range []string{"paused</b>", "bob", "three", "Back to operations", "/resume"} {
		require.NotContains(t, customer, theirs, "customers read that it is paused, and no more")
	}
}

// What an operator changes has the operator's name.
func TestWhatAnOperatorDoesHasAName(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/organizations/org_a/"+e.ID+"/disable").status)
	require.Equal(t, http.StatusSeeOther, s.ask(http.MethodPost, "/pause", "scope", "all", "organization", "", "endpoint", "", "note", "why").status)
	trail := s.see("/operations").text
	require.Equal(t, 2, strings.Count(trail, ">ann</td>"), trail)
	require.Contains(t, trail, "Paused: why")
}

// processes is a store that several processes share.
type processes struct{ *memory.Store }

func (processes) Processes(context.Context) ([]alotwebhook.Process, error) {
	return []alotwebhook.Process{
		{ID: "web-1", Seen: 400 * time.Millisecond, Left: 30 * time.Second, Share: 1.0 / 3},
		{ID: "web-2", Seen: time.Minute, Left: -time.Second, Share: 2.0 / 3},
	}, nil
}

func TestTheOverviewShowsWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	calm := s.see("/").text
	require.Contains(t, calm, "Nothing needs attention")
	require.Contains(t, calm, "No delivery waits")

	s = newOperatorSiteOn(t, processes{memory.New()})
	failing := s.endpointOf("org_bad", "https://bad.example.com/alot")
	s.eventOf("org_bad")
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus, StartedAt: time.Now()})
	off := s.endpointOf("org_off", "https://off.example.com/alot")
	off.Disabled = true
	_, err := s.dispatcher.UpdateEndpoint(t.Context(), off)
	require.NoError(t, err)
	s.eventOf("org_off")
	s.endpointOf("org_flood", "https://flood.example.com/alot")
	for range 1200 {
		s.eventOf("org_flood")
	}
	_, err = s.dispatcher.Pause(t.Context(), alotwebhook.Pause{OrganizationID: "org_flood", Note: "too much"})
	require.NoError(t, err)
	_, err = s.dispatcher.CancelMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_flood", Note: "twice"})
	require.NoError(t, err)
	page := s.see("/").text
	for _, words := range []string{
		"1 endpoint fails", "1 endpoint is disabled", "too much", "Deliveries are being canceled", "twice", "A process is gone",
		"1\u202f200", "web-1", "33 %", "Gone</span> <code>web-2",
		"/organizations/org_bad/" + failing.ID, "/organizations/org_off/" + off.ID, `href="/organizations/org_flood/"`,
	} {
		require.Contains(t, page, words)
	}
	require.NotContains(t, page, "Nothing needs attention")
	require.NotContains(t, page, "are late")
}

// With very many pauses, the pages show the first and count the others.
func TestManyPauses(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	for range 13 {
		e := s.endpoint("https://hooks.example.com/alot")
		_, err := s.dispatcher.Pause(t.Context(), alotwebhook.Pause{EndpointID: e.ID})
		require.NoError(t, err)
	}
	overview, banner := s.see("/").text, s.see("/organizations/org_a/").text
	require.Equal(t, 10, strings.Count(overview, "is paused</b>"))
	require.Contains(t, overview, "3 other pauses")
	require.Equal(t, 10, strings.Count(banner, "is paused</b>"))
	require.Contains(t, banner, "3 other endpoints are paused")
	require.Equal(t, 13, strings.Count(s.see("/pause").text, "is paused</b>"))
}

func TestTheOverviewCallsLateWhatIsLate(t *testing.T) {
	t.Parallel()
	s := newOperatorSiteOn(t, late{memory.New()})
	page := s.see("/").text
	require.Contains(t, page, "Deliveries are late</b></a>")
	require.Contains(t, page, "has been due for 1 min 1 s")
	require.NotContains(t, page, "A process is gone.", "the only one runs")
}

// late is a store whose deliveries are late.
type late struct{ *memory.Store }

func (late) Processes(context.Context) ([]alotwebhook.Process, error) {
	return []alotwebhook.Process{{ID: "web-1", Left: time.Second, Share: 1}}, nil
}

func (late) Stats(context.Context) (alotwebhook.Stats, error) {
	return alotwebhook.Stats{OldestDue: 61 * time.Second, Pending: 1}, nil
}

// bare is a store without optional capabilities.
type bare struct{ alotwebhook.Store }

func TestTheOperatorsPagesOverAPlainStore(t *testing.T) {
	t.Parallel()
	s := newOperatorSiteOn(t, bare{memory.New()})
	s.endpoint("https://hooks.example.com/alot")
	require.Contains(t, s.see("/").text, "This store shows no figures over all organizations")
	require.Contains(t, s.see("/endpoints").text, "not counted")
	got := s.ask(http.MethodPost, "/pause", "scope", "all", "organization", "", "endpoint", "", "note", "why")
	require.Equal(t, http.StatusNotImplemented, got.status)
	require.Contains(t, got.text, "The store cannot do this")
	counted := s.ask(http.MethodPost, "/recover", "organization", "org_a", "note", "why")
	require.Equal(t, http.StatusOK, counted.status)
	require.Contains(t, counted.text, "This store cannot count them")
	begun := s.ask(http.MethodPost, "/recover", hidden(t, counted.text)...)
	require.Equal(t, http.StatusSeeOther, begun.status)
	require.NotContains(t, s.log.String(), "ERROR")
}

// Bad parameters are refused in words, and none is ignored.
func TestTheOperatorsPagesRefuseBadAddresses(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	for path, words := range map[string]string{
		"/?x=1": "could not read this address", "/recoveries?x=1": "could not read this address",
		"/search?x=1": "is not known here", "/search?q=" + strings.Repeat("a", 257): "at most 256 bytes", "/search?q=%00": "control characters", "/search?q=a&q=b": "more than once",
		"/endpoints?failing=no": "must be yes", "/endpoints?x=1": "is not known here", "/endpoints?cursor=dlv_x": "not a place in this list",
		"/endpoints?url=" + strings.Repeat("a", 257): "too long", "/endpoints?organization=%07": "must be the id of an organization",
		"/deliveries?status=late": "must be one of pending, delivered, failed, parked, unfinished", "/deliveries?endpoint=x": "must be an id such as wh_",
		"/deliveries?organization=" + strings.Repeat("a", 256): "must be the id of an organization", "/deliveries?since=yesterday": "must be a time",
		"/operations?type=x": "must be a type of operations", "/operations?endpoint=dlv_x": "wh_01jcc7… or rec_01jcc7…", "/operations?operation=x": "op_",
		"/operations?organization=%ff": "must be the id of an organization",
		"/pause?endpoint=x":            "must be an id", "/resume?organization=%00": "must be the id of an organization", "/recover?event=x": "evt_", "/cancel?type=-": "must be an event type",
	} {
		got := s.see(path)
		require.Equal(t, http.StatusBadRequest, got.status, path)
		require.Contains(t, got.text, words, path)
		if !strings.HasPrefix(path, "/deliveries") { // where it stands beside the field
			require.Contains(t, got.text, "Go to the overview", path)
		}
	}
	for _, path := range []string{"/recoveries/rec_00000000000000000000000000", "/recoveries/rec_x", "/recoveries/dlv_00000000000000000000000000", "/nothing"} {
		require.Equal(t, http.StatusNotFound, s.see(path).status, path)
	}
	require.Equal(t, http.StatusNotFound, s.ask(http.MethodPost, "/recoveries/rec_00000000000000000000000000/stop").status)
	got := s.ask(http.MethodPost, "/search")
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.Equal(t, "GET, HEAD", got.header.Get("Allow"))
	require.NotContains(t, s.log.String(), "ERROR")
}

// What people wrote is text on the pages, whatever it is.
func TestWhatOperatorsSeeIsText(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e := s.endpointOf(hostile, `https://hooks.example.com/"><script>alert(1)</script>?'onerror=alert(2)`)
	s.eventOf(hostile)
	ctx := alotwebhook.WithActor(t.Context(), hostile)
	_, err := s.dispatcher.Pause(ctx, alotwebhook.Pause{OrganizationID: hostile, Note: hostile})
	require.NoError(t, err)
	_, err = s.dispatcher.Pause(ctx, alotwebhook.Pause{EndpointID: e.ID, Note: hostile})
	require.NoError(t, err)
	r, err := s.dispatcher.CancelMany(ctx, alotwebhook.Recovery{OrganizationID: hostile, Note: hostile})
	require.NoError(t, err)
	q := url.QueryEscape(hostile)
	pages := []shown{
		s.see("/"), s.see("/search?q=" + q), s.see("/search?q=hooks"), s.see("/endpoints"), s.see("/endpoints?url=" + q + "&organization=" + q), s.see("/deliveries?organization=" + q),
		s.see("/operations"), s.see("/operations?organization=" + q), s.see("/pause?organization=" + q), s.see("/resume?organization=" + q),
		s.see("/recover?organization=" + q), s.see("/recoveries"), s.see("/recoveries/" + r.EndpointID),
		s.see("/organizations/" + url.PathEscape(hostile) + "/"), s.see("/search?" + q + "=1"),
		s.ask(http.MethodPost, "/recover", "organization", hostile, "endpoint", hostile, "event", hostile, "type", hostile, "reason", hostile, "since", hostile, "note", hostile),
		s.ask(http.MethodPost, "/cancel", "organization", hostile, "note", hostile),
		s.ask(http.MethodPost, "/pause", "scope", hostile, "organization", hostile, "endpoint", hostile, "note", hostile),
		s.ask(http.MethodPost, "/pause", hostile, "x"),
	}
	for i, page := range pages {
		require.NotContains(t, page.text, "<script>alert", i)
		require.NotContains(t, page.text, "<img src=x", i)
		require.NotRegexp(t, `(?i)<style|\sstyle=|<script(?:\s+defer)?>|\son[a-z]+=['"]|javascript:`, page.text, i)
		require.NotContains(t, page.text, "ZgotmplZ", i)
		require.Less(t, page.status, 500, i)
	}
	require.NotContains(t, s.log.String(), "ERROR")
}

func TestFailuresOfTheStoreAreNotShownToOperators(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/endpoints", "/search?q=x", "/search?q=wh_00000000000000000000000000", "/organizations/org_a/"} {
		s := newOperatorSiteOn(t, brokenSurvey{broken{}})
		got := s.see(path)
		require.Equal(t, http.StatusInternalServerError, got.status, path)
		require.Contains(t, got.text, "Something failed on our side")
		require.NotContains(t, got.text, "db.internal")
		require.Contains(t, s.log.String(), "db.internal")
	}
}

// brokenSurvey is a store that does not answer.
type brokenSurvey struct{ broken }

func (brokenSurvey) Stats(context.Context) (alotwebhook.Stats, error) {
	return alotwebhook.Stats{}, errBroken
}

// The largest pages and all files that they load have at most 60 kB in gzip.
func TestTheOperatorsPagesAreLight(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	for range 60 {
		s.endpointOf("org_a", "https://hooks.example.com/alot/webhook")
	}
	s.eventOf("org_a")
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus})
	for _, page := range []string{"/", "/endpoints", "/deliveries", "/operations", "/recoveries", "/search?q=hooks", "/erase", "/remove", "/organizations/org_a/"} {
		sum := 0
		for _, path := range append(links(s.see(page).text), page) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set("X-Operator", "ann")
			r.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			require.Equal(t, "gzip", w.Header().Get("Content-Encoding"), path)
			sum += w.Body.Len()
		}
		t.Logf("%s: %d bytes", page, sum)
		require.LessOrEqual(t, sum, 60_000)
		require.Greater(t, sum, 20_000)
	}
}

// A disabled endpoint may have been failing for days before. "Since" is when it was disabled.
func TestOperatorsSeeSinceWhenAnEndpointIsDisabled(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	failed := time.Now().Add(-5 * 24 * time.Hour).Truncate(time.Second)
	id := "wh_01kt0v7fbgf8x2n4p6q8r0s2tv"
	require.NoError(t, s.store.PutEndpoint(t.Context(), alotwebhook.Endpoint{
		ID: id, OrganizationID: "org_a", URL: "https://a.example.com/alot", EventTypes: []string{"candidate.completed"},
		Secret: alotwebhook.NewSecret(), FailingSince: failed, Disabled: true, DisabledReason: alotwebhook.DisabledFailing,
	}))
	stored, err := s.store.Endpoint(t.Context(), id)
	require.NoError(t, err)
	for _, path := range []string{"/", "/endpoints", "/search?q=a.example.com"} {
		page := s.see(path).text
		require.Contains(t, page, "Disabled after failures", path)
		require.Contains(t, page, "since <time datetime=\""+stored.DisabledAt.UTC().Format("2006-01-02T15:04:05"), path)
		require.NotContains(t, page, failed.UTC().Format("2006-01-02T15:04:05"), path)
	}
}
