package settings_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// operatorTakes has what each of the operators' own pages takes.
var operatorTakes = map[string][]settings.Action{
	"GET /":                                takes(),
	"GET /search":                          takes(),
	"GET /endpoints":                       takes(),
	"GET /deliveries":                      takes(),
	"GET /operations":                      takes(),
	"GET /pause":                           takes(settings.ActionPause),
	"POST /pause":                          takes(settings.ActionPause),
	"GET /resume":                          takes(settings.ActionPause),
	"POST /resume":                         takes(settings.ActionPause),
	"GET /recover":                         takes(settings.ActionSend),
	"POST /recover":                        takes(settings.ActionSend),
	"GET /cancel":                          takes(settings.ActionCancel),
	"POST /cancel":                         takes(settings.ActionCancel),
	"GET /erase":                           takes(settings.ActionErase),
	"POST /erase":                          takes(settings.ActionErase),
	"GET /remove":                          takes(settings.ActionErase),
	"POST /remove":                         takes(settings.ActionErase),
	"POST /recoveries/{id}/stop-erasing":   takes(settings.ActionErase),
	"GET /recoveries":                      takes(),
	"GET /recoveries/{id}":                 takes(),
	"POST /recoveries/{id}/stop":           takes(settings.ActionSend),
	"POST /recoveries/{id}/stop-canceling": takes(settings.ActionCancel),
}

var operatorActions = append(slices.Clone(allActions), settings.ActionPause, settings.ActionCancel, settings.ActionErase)

// operatorVisit returns a request that the route accepts, on a site in trouble.
func operatorVisit(rt [2]string, recovery, cancellation, erasure string) (method, path string, fields []string) {
	counted := []string{"organization", "org_a", "note", "why", "counted", "2026-05-25T14:23:00Z"}
	id := recovery
	if strings.HasSuffix(rt[1], "canceling") {
		id = cancellation
	} else if strings.HasSuffix(rt[1], "erasing") {
		id = erasure
	}
	path = strings.Replace(rt[1], "{id}", id, 1)
	switch rt[1] {
	case "/search":
		path += "?q=hooks"
	case "/resume":
		if rt[0] == http.MethodGet {
			path += "?organization=org_a"
		}
		fields = []string{"organization", "org_a", "endpoint", "", "note", "moved"}
	case "/pause":
		fields = []string{"scope", "organization", "organization", "org_b", "endpoint", "", "note", "why"}
	case "/recover", "/cancel":
		fields = counted
	case "/erase":
		fields = []string{"subject", "cand_7", "note", "why", "sure", "yes"}
	case "/remove":
		fields = []string{"organization", "org_b", "again", "org_b", "note", "why"}
	}
	return rt[0], path, fields
}

// Each page is open to those who have what it takes, and to nobody else, also to those who type
// its address.
func TestEveryRouteOfTheOperatorsPagesAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	routes := settings.OperatorRoutes(newOperatorSite(t).handler)
	require.Len(t, operatorTakes, len(routes))
	onEverySetOf(t, operatorActions, func(t *testing.T, may rightSet) {
		var s *site
		var recovery, cancellation, erasure, before string
		for _, rt := range routes {
			name := rt[0] + " " + rt[1]
			require.Contains(t, operatorTakes, name)
			if s == nil {
				s = newOperatorSite(t)
				_, _, recovery, cancellation = s.trouble()
				erasure = s.erasure()
				s.letOperators(may.may)
				before = s.allOfIt()
			}
			method, path, fields := operatorVisit(rt, recovery, cancellation, erasure)
			got := s.ask(method, path, fields...)
			require.NotContains(t, s.log.String(), "ERROR")
			if may.lacks(operatorTakes[name]) == nil {
				require.Less(t, got.status, 400, "%s: %s", name, got.text)
				require.Equal(t, method == http.MethodGet, before == s.allOfIt(), "%s: only a form changes something", name)
				if method != http.MethodGet {
					s = nil // the next route gets one where nothing was changed
				}
			} else {
				require.Equal(t, http.StatusForbidden, got.status, "%s: %s", name, got.text)
				require.Contains(t, got.text, "You may not do this")
				require.NotContains(t, got.text, "hooks.example.com")
				require.Equal(t, slices.Contains(may, settings.ActionLook), strings.Contains(got.text, "<nav"), name)
				require.Equal(t, before, s.allOfIt(), "%s: something was changed", name)
			}
		}
	})
}

// Below /organizations/ an operator may do what the rights about customers' pages allow, and sees
// payloads only with the right to.
func TestEveryRouteOfAnOrganizationAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	routes := settings.PageRoutes(newSite(t).handler)
	onEverySetOfRights(t, func(t *testing.T, may rightSet) {
		open := func(recovering bool) (s *site, e alotwebhook.Endpoint, delivery string) {
			s = newOperatorSite(t)
			e = s.endpoint("https://hooks.example.com/alot")
			delivery = s.private(e)
			if recovering {
				_, err := s.dispatcher.Recover(t.Context(), e.ID, e.CreatedAt)
				require.NoError(t, err)
			}
			s.letOperators(may.may)
			return s, e, delivery
		}
		refusing, refusingEndpoint, refusingDelivery := open(true) // one site for all that is refused, since that changes nothing
		for _, rt := range routes {
			name := rt[0] + " " + rt[1]
			s, e, d := refusing, refusingEndpoint, refusingDelivery
			if may.lacks(pageTakes[name]) == nil {
				s, e, d = open(strings.HasSuffix(rt[1], "/recover/stop"))
			}
			before := s.allOfIt()
			id := e.ID
			if strings.HasPrefix(rt[1], "/deliveries/") {
				id = d
			}
			_, posts := routes2(e.ID, d)
			path := strings.Replace(rt[1], "{id}", id, 1)
			got := s.ask(rt[0], "/organizations/org_a"+path, posts[path]...)
			private := strings.Contains(got.text, privatePayload) || strings.Contains(got.text, privateBody)
			if may.lacks(pageTakes[name]) != nil {
				require.Equal(t, http.StatusForbidden, got.status, "%s: %s", name, got.text)
				require.Equal(t, before, s.allOfIt(), "%s: something was changed", name)
				require.False(t, private)
				continue
			}
			require.Less(t, got.status, 400, "%s: %s", name, got.text)
			require.Equal(t, rt[1] == "/deliveries/{id}" && slices.Contains(may, settings.ActionPayloads), private, name)
			if location := got.header.Get("Location"); location != "" {
				require.True(t, strings.HasPrefix(location, "/organizations/org_a/"), location)
			}
		}
	})
}

// routes2 is routes with a form that adds an endpoint.
func routes2(endpoint, delivery string) (gets []string, posts map[string][]string) {
	gets, posts = routes(endpoint, delivery)
	posts["/new"] = []string{"url", "https://new.example.com", "events", alotwebhook.EventCandidateInvited}
	return gets, posts
}

// operatorsOffers returns the routes that a page leads to, each once. What leads to the pages of an
// organization is left out.
func operatorsOffers(page string) (names []string) {
	for _, name := range offers(page) {
		method, path, _ := strings.Cut(name, " ")
		path = anRecovery(path)
		if strings.HasPrefix(path, "/organizations/") {
			continue
		}
		if slices.Contains([]string{"/search", "/endpoints", "/deliveries", "/operations"}, path) {
			method = http.MethodGet // the forms with filters
		}
		names = append(names, method+" "+path)
	}
	return names
}

func anRecovery(path string) string {
	if i := strings.Index(path, "rec_"); i >= 0 {
		return path[:i] + "{id}" + path[i+len("rec_")+26:]
	}
	return path
}

// The pages offer what the operator may do, all of it and nothing else.
func TestTheOperatorsPagesOfferWhatMayBeDone(t *testing.T) {
	t.Parallel()
	onEverySetOf(t, operatorActions, func(t *testing.T, may rightSet) {
		s := newOperatorSite(t)
		e, _, recovery, cancellation := s.trouble()
		erasure := s.erasure()
		s.letOperators(may.may)
		offered := map[string]bool{}
		for _, path := range []string{
			"/", "/search", "/search?q=hooks", "/endpoints", "/deliveries", "/operations", "/pause", "/resume?organization=org_a",
			"/recover", "/cancel", "/erase", "/remove", "/recoveries", "/recoveries/" + recovery, "/recoveries/" + cancellation, "/recoveries/" + erasure,
			"/organizations/org_a/", "/organizations/org_a/" + e.ID, "/organizations/org_b/",
		} {
			got := s.see(path)
			for _, name := range operatorsOffers(got.text) {
				require.Contains(t, operatorTakes, name, path)
				require.Empty(t, may.lacks(operatorTakes[name]), "%s is offered on %s", name, path)
				offered[name] = true
			}
		}
		for name, actions := range operatorTakes {
			looks := slices.Contains(may, settings.ActionLook)
			require.Equal(t, looks && may.lacks(actions) == nil, offered[name], name)
		}
	})
}

// erasure begins to erase, and returns the id of that.
func (s *site) erasure() string {
	s.t.Helper()
	begun, err := s.dispatcher.Erase(s.t.Context(), alotwebhook.Recovery{OrganizationID: "org_b"})
	require.NoError(s.t, err)
	return begun.EndpointID
}

// everyOperatorPath returns the paths of all pages, those of an organization included.
func everyOperatorPath(s *site) (requests [][2]string) {
	e, d, recovery, cancellation := s.trouble()
	erasure := s.erasure()
	for _, rt := range settings.OperatorRoutes(s.handler) {
		method, path, _ := operatorVisit(rt, recovery, cancellation, erasure)
		requests = append(requests, [2]string{method, path})
	}
	gets, posts := routes(e.ID, d)
	for _, path := range append(gets, "/", "/history", "/new") {
		requests = append(requests, [2]string{http.MethodGet, "/organizations/org_a" + path})
	}
	for path := range posts {
		requests = append(requests, [2]string{http.MethodPost, "/organizations/org_a" + path})
	}
	return append(requests, [2]string{http.MethodGet, "/nothing"}, [2]string{http.MethodGet, "/organizations/org_a/nothing"})
}

func TestNobodyButOperatorsSeesTheirPages(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	requests := everyOperatorPath(s)
	before := s.allOfIt()
	for _, header := range [][]string{{"X-Operator", ""}, {"X-Operator", "ann", "X-Nobody", "yes"}} {
		for _, request := range requests {
			got := s.get(request[1], header...)
			if request[0] == http.MethodPost {
				got = s.post(request[1], nil, header...)
			}
			require.Equal(t, http.StatusUnauthorized, got.status, request)
			require.Contains(t, got.text, "You are not signed in")
			require.NotContains(t, got.text, "<nav")
			require.NotContains(t, got.text, "org_a is")
			require.NotContains(t, got.text, "eyJhbGciOi")
		}
	}
	require.Equal(t, before, s.allOfIt())
	require.NotContains(t, s.log.String(), "eyJhbGciOi")
}

func TestFormsOfOtherSitesChangeNothingForOperators(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e, d, recovery, cancellation := s.trouble()
	erasure := s.erasure()
	before := s.allOfIt()
	posts := map[string][]string{}
	for _, rt := range settings.OperatorRoutes(s.handler) {
		if method, path, fields := operatorVisit(rt, recovery, cancellation, erasure); method == http.MethodPost {
			posts[path] = fields
		}
	}
	_, customers := routes2(e.ID, d)
	for path, fields := range customers {
		posts["/organizations/org_a"+path] = fields
	}
	for path, fields := range posts {
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}, {"Origin", "null"},
		} {
			got := s.post(path, fields, append(header, "X-Operator", "ann")...)
			require.Equal(t, http.StatusForbidden, got.status, "%s %v", path, header)
			require.Contains(t, got.text, "Another site sent this form")
		}
	}
	require.Equal(t, before, s.allOfIt())
}

func TestOperatorPagesNeedAnOperatorAndRights(t *testing.T) {
	t.Parallel()
	d := newSite(t).dispatcher
	for field, opts := range map[string]*settings.OperatorOptions{
		"Operator": {May: everybody}, "May": {Operator: operator},
		"HomeURL": {Operator: operator, May: everybody, HomeURL: "javascript:alert(1)"},
		"Prefix":  {Operator: operator, May: everybody, Prefix: "/a?b"}, "TrustedOrigins[0]": {Operator: operator, May: everybody, TrustedOrigins: []string{"x"}},
	} {
		_, err := settings.NewOperatorPages(d, opts)
		var problem *alotwebhook.FieldError
		require.ErrorAs(t, err, &problem, field)
		require.Equal(t, field, problem.Field)
	}
	_, err := settings.NewOperatorPages(nil, &settings.OperatorOptions{Operator: operator, May: everybody})
	require.ErrorContains(t, err, "dispatcher")
	_, err = settings.NewOperatorPages(d, nil)
	require.ErrorContains(t, err, "Operator")
	_, err = settings.NewOperatorPages(d, &settings.OperatorOptions{Operator: operator, May: everybody, TrustedOrigins: []string{"https://app.example.com"}})
	require.NoError(t, err)
}
