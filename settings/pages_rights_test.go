package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// pageTakes has what each route of the pages takes.
var pageTakes = map[string][]settings.Action{
	"GET /":                           takes(),
	"GET /new":                        takes(settings.ActionChange, settings.ActionSecrets),
	"POST /new":                       takes(settings.ActionChange, settings.ActionSecrets),
	"GET /history":                    takes(),
	"GET /event-types":                takes(),
	"GET /deliveries/{id}":            takes(),
	"POST /deliveries/{id}/redeliver": takes(settings.ActionSend),
	"GET /{id}":                       takes(),
	"GET /{id}/edit":                  takes(settings.ActionChange),
	"POST /{id}/edit":                 takes(settings.ActionChange),
	"POST /{id}/enable":               takes(settings.ActionChange),
	"POST /{id}/prove":                takes(settings.ActionChange),
	"POST /{id}/disable":              takes(settings.ActionChange),
	"POST /{id}/test":                 takes(settings.ActionSend),
	"GET /{id}/rotate":                takes(settings.ActionSecrets),
	"POST /{id}/rotate":               takes(settings.ActionSecrets),
	"POST /{id}/recover":              takes(settings.ActionSend),
	"POST /{id}/recover/stop":         takes(settings.ActionSend),
	"POST /{id}/send-missed":          takes(settings.ActionSend),
	"GET /{id}/delete":                takes(settings.ActionChange),
	"POST /{id}/delete":               takes(settings.ActionChange),
}

// let mounts the pages anew, for those who may do what the function allows.
func (s *site) let(may func(*http.Request, settings.Action) bool) {
	s.t.Helper()
	var err error
	s.handler, err = settings.NewPages(s.dispatcher, &settings.Options{Organization: organization, May: may})
	require.NoError(s.t, err)
}

// pageVisit is a request that a route of the pages accepts.
type pageVisit struct {
	name, method, path string
	form               url.Values
}

func (v pageVisit) request() *http.Request {
	if v.method == http.MethodGet {
		return httptest.NewRequest(v.method, v.path, nil)
	}
	r := httptest.NewRequest(v.method, v.path, strings.NewReader(v.form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// visits returns a visit for each route of the pages, in the order of their table.
func visits(s *site, endpoint, delivery string) (list []pageVisit) {
	_, posts := routes(endpoint, delivery)
	posts["/new"] = []string{"url", "https://new.example.com", "events", alotwebhook.EventCandidateInvited}
	for _, rt := range settings.PageRoutes(s.handler) {
		id := endpoint
		if strings.HasPrefix(rt[1], "/deliveries/") {
			id = delivery
		}
		v := pageVisit{name: rt[0] + " " + rt[1], method: rt[0], path: strings.Replace(rt[1], "{id}", id, 1), form: url.Values{}}
		for i := 0; i < len(posts[v.path]); i += 2 {
			v.form.Set(posts[v.path][i], posts[v.path][i+1])
		}
		list = append(list, v)
	}
	return list
}

// private makes a delivery to the endpoint fail that has something private in its payload
// and in the response.
func (s *site) private(e alotwebhook.Endpoint) (delivery string) {
	s.t.Helper()
	delivery = s.event(e, `{"candidateName":"`+privatePayload+`"}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus, ResponseBody: privateBody})
	return delivery
}

// Each route of the pages is open to those who have what it takes, and to nobody else, also
// to those who type its address.
func TestEveryRouteOfThePagesAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	count := len(settings.PageRoutes(newSite(t).handler))
	require.Len(t, pageTakes, count)
	onEverySetOfRights(t, func(t *testing.T, may rightSet) {
		s := newSite(t)
		s.let(may.may)
		for i := range count {
			e := s.endpoint("https://hooks.example.com/alot")
			v := visits(s, e.ID, s.private(e))[i]
			require.Contains(t, pageTakes, v.name)
			if strings.HasSuffix(v.path, "/recover/stop") {
				_, err := s.dispatcher.Recover(t.Context(), e.ID, time.Now().Add(-time.Hour))
				require.NoError(t, err)
			}
			before := everything(t, s.dispatcher)
			got := s.do(v.request())
			if may.lacks(pageTakes[v.name]) == nil {
				require.Less(t, got.status, 400, "%s: %s", v.name, got.text)
			} else {
				require.Equal(t, http.StatusForbidden, got.status, "%s: %s", v.name, got.text)
				s.requireRefusal(got, may)
				require.Equal(t, before, everything(t, s.dispatcher), "%s: something was changed", v.name)
			}
			if err := s.dispatcher.DeleteEndpoint(t.Context(), e.ID); err != nil {
				require.ErrorIs(t, err, alotwebhook.ErrNotFound)
			}
		}
		require.NotContains(t, s.log.String(), "ERROR")
	})
}

// requireRefusal checks the page that refuses what the visitor may not do. It leads only to
// where the visitor may go.
func (s *site) requireRefusal(got shown, may rightSet) {
	s.t.Helper()
	require.Contains(s.t, got.text, "You may not do this")
	require.Contains(s.t, got.text, "This takes the right to ")
	require.Contains(s.t, got.text, "</html>")
	require.NotContains(s.t, got.text, "hooks.example.com")
	looks := slices.Contains(may, settings.ActionLook)
	require.Equal(s.t, looks, strings.Contains(got.text, "<nav"))
	require.Equal(s.t, looks, strings.Contains(got.text, "Go to the endpoints"))
}

var anID = regexp.MustCompile(`(wh|dlv)_[0-9a-z]{26}`)

// offers returns the routes that a page leads to: by links, forms and live parts.
func offers(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(href|action|hx-get)="(/[^"#?]*)[^"]*"`).FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(m[2], "/static/") {
			continue
		}
		method := http.MethodGet
		if m[1] == "action" && m[2] != "/history" { // the form with the filters
			method = http.MethodPost
		}
		names = append(names, method+" "+anID.ReplaceAllString(m[2], "{id}"))
	}
	return names
}

// everyPage returns all pages that the visitor may see, in every state that changes what they
// offer, and their live parts.
func (s *site) everyPage() (pages []string) {
	s.t.Helper()
	failing := s.endpoint("https://a.example.com")
	failed := s.private(failing)
	off := s.disabled("https://b.example.com")
	parked := s.event(off, `{"candidateName":"`+privatePayload+`"}`)
	s.finish(alotwebhook.StatePending, alotwebhook.Attempt{StatusCode: 503, Reason: alotwebhook.ReasonStatus, ResponseBody: privateBody})
	idle := s.disabled("https://c.example.com") // nothing is parked for it
	unproven, err := s.store.Endpoint(s.t.Context(), s.disabled("https://d.example.com").ID)
	require.NoError(s.t, err)
	unproven.DisabledReason = alotwebhook.DisabledUnproven
	require.NoError(s.t, s.store.PutEndpoint(s.t.Context(), unproven))
	_, err = s.dispatcher.Recover(s.t.Context(), failing.ID, time.Now().Add(-time.Hour))
	require.NoError(s.t, err)
	paths := []string{"/", "/new", "/history", "/history?status=pending", "/deliveries/" + failed, "/deliveries/" + parked}
	for _, e := range []alotwebhook.Endpoint{failing, off, idle, unproven} {
		paths = append(paths, "/"+e.ID, "/"+e.ID+"/edit", "/"+e.ID+"/rotate", "/"+e.ID+"/delete")
	}
	for _, path := range paths {
		for _, header := range [][]string{nil, {"HX-Request", "true", "HX-Target", "div#live"}} {
			if got := s.get(path, header...); got.status == http.StatusOK {
				pages = append(pages, got.text)
			}
		}
	}
	return pages
}

// disabled registers an endpoint of org_a that is disabled.
func (s *site) disabled(url string) alotwebhook.Endpoint {
	s.t.Helper()
	e := s.endpoint(url)
	e.Disabled = true
	e, err := s.dispatcher.UpdateEndpoint(s.t.Context(), e)
	require.NoError(s.t, err)
	return e
}

// The pages offer what the visitor may do, all of it and nothing else. Nothing private is on
// a page, nor in a part that updates itself, of those who may not see payloads.
func TestThePagesOfferWhatMayBeDone(t *testing.T) {
	t.Parallel()
	onEverySetOfRights(t, func(t *testing.T, may rightSet) {
		s := newSite(t)
		s.let(may.may)
		offered := map[string]bool{}
		pages := []string{s.get("/").text, s.get("/history").text} // of somebody who has no endpoint
		pages = append(pages, s.everyPage()...)
		for _, page := range pages {
			for _, name := range offers(page) {
				require.Contains(t, pageTakes, name)
				require.Empty(t, may.lacks(pageTakes[name]), "%s is offered", name)
				offered[name] = true
			}
		}
		for name, actions := range pageTakes {
			looks := slices.Contains(may, settings.ActionLook)
			require.Equal(t, looks && may.lacks(actions) == nil, offered[name], name)
		}
		all := strings.Join(pages, "")
		sees := may.lacks(takes(settings.ActionPayloads)) == nil
		require.Equal(t, sees, strings.Contains(all, privatePayload))
		require.Equal(t, sees, strings.Contains(all, privateBody))
		looks := slices.Contains(may, settings.ActionLook)
		require.Equal(t, looks && !sees, strings.Contains(all, "You may not see payloads"))
		require.NotContains(t, s.log.String(), "ERROR")
	})
}

// A live part is asked for again and again: it shows what the visitor may see by then.
func TestALivePartObeysAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	may := rightSet(allActions)
	s.let(func(_ *http.Request, a settings.Action) bool { return slices.Contains(may, a) })
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	s.finish(alotwebhook.StatePending, alotwebhook.Attempt{StatusCode: 503, Reason: alotwebhook.ReasonStatus, ResponseBody: privateBody})
	live := func() shown { return s.get("/deliveries/"+d, "HX-Request", "true", "HX-Target", "div#live") }
	require.Contains(t, live().text, privateBody)
	require.Contains(t, live().text, "Send now")
	may = rightSet{settings.ActionLook}
	got := live()
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.text, privateBody)
	require.NotContains(t, got.text, "<form")
	may = nil
	got = live()
	require.Equal(t, http.StatusForbidden, got.status)
	s.requireRefusal(got, may)
}

// That a payload was erased and that it may not be seen are two things.
func TestAPageSaysWhyThereIsNoPayload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.private(e)
	s.let(rightSet{settings.ActionLook, settings.ActionSend}.may)
	got := s.get("/deliveries/" + d).text
	require.Contains(t, got, "You may not see payloads")
	require.NotContains(t, got, "was erased")
	require.Contains(t, got, "Redeliver", "what may not be seen may still be sent")
	_, err := s.store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Nanosecond})
	require.NoError(t, err)
	require.NotContains(t, s.get("/deliveries/"+d).text, `id="redeliver"`)
}
