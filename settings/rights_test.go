package settings_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

var allActions = []settings.Action{
	settings.ActionLook, settings.ActionPayloads, settings.ActionChange, settings.ActionSend, settings.ActionSecrets,
}

// rightSet is what a role may do.
type rightSet []settings.Action

func (s rightSet) may(_ *http.Request, a settings.Action) bool { return slices.Contains(s, a) }

// lacks returns the actions that are not in the set.
func (s rightSet) lacks(actions []settings.Action) (missing []settings.Action) {
	for _, a := range actions {
		if !slices.Contains(s, a) {
			missing = append(missing, a)
		}
	}
	return missing
}

// onEverySetOfRights runs a test for each set of customers' actions, from none to all.
func onEverySetOfRights(t *testing.T, test func(t *testing.T, may rightSet)) {
	onEverySetOf(t, allActions, test)
}

func onEverySetOf(t *testing.T, actions []settings.Action, test func(t *testing.T, may rightSet)) {
	for bits := range 1 << len(actions) {
		var may rightSet
		for i, a := range actions {
			if bits&(1<<i) != 0 {
				may = append(may, a)
			}
		}
		t.Run(fmt.Sprint(may), func(t *testing.T) {
			t.Parallel()
			test(t, may)
		})
	}
}

// takes returns the actions that a route takes: look, and those that are given.
func takes(more ...settings.Action) []settings.Action {
	return append([]settings.Action{settings.ActionLook}, more...)
}

// apiTakes has what each route of the API takes.
var apiTakes = map[string][]settings.Action{
	"POST /v1/webhooks":                           takes(settings.ActionChange, settings.ActionSecrets),
	"GET /v1/webhooks":                            takes(),
	"GET /v1/webhooks/operations":                 takes(),
	"GET /v1/webhooks/event-types":                takes(),
	"GET /v1/webhooks/openapi.json":               takes(),
	"GET /v1/webhooks/events":                     takes(),
	"GET /v1/webhooks/events/{id}":                takes(),
	"GET /v1/webhooks/deliveries":                 takes(),
	"GET /v1/webhooks/deliveries/{id}":            takes(),
	"POST /v1/webhooks/deliveries/{id}/redeliver": takes(settings.ActionSend),
	"GET /v1/webhooks/{id}":                       takes(),
	"PATCH /v1/webhooks/{id}":                     takes(settings.ActionChange),
	"DELETE /v1/webhooks/{id}":                    takes(settings.ActionChange),
	"POST /v1/webhooks/{id}/rotate-secret":        takes(settings.ActionSecrets),
	"POST /v1/webhooks/{id}/enable":               takes(settings.ActionChange),
	"POST /v1/webhooks/{id}/prove":                takes(settings.ActionChange),
	"POST /v1/webhooks/{id}/test":                 takes(settings.ActionSend),
	"POST /v1/webhooks/{id}/recover":              takes(settings.ActionSend),
	"GET /v1/webhooks/{id}/recover":               takes(),
	"DELETE /v1/webhooks/{id}/recover":            takes(settings.ActionSend),
	"POST /v1/webhooks/{id}/send-missed":          takes(settings.ActionSend),
	"GET /v1/webhooks/{id}/deliveries":            takes(),
}

// let mounts the API anew, for those who may do what the function allows.
func (h *host) let(may func(*http.Request, settings.Action) bool) {
	h.t.Helper()
	var err error
	h.handler, err = settings.NewAPI(h.dispatcher, &settings.Options{Organization: organization, May: may})
	require.NoError(h.t, err)
}

// What only those may read who may see payloads.
const (
	privatePayload = "Ada Lovelace"
	privateBody    = "relation candidates does not exist"
)

// withPrivate registers an endpoint of org_a, and makes a delivery to it fail that has
// something private in its payload and in the response.
func (h *host) withPrivate() (endpoint, delivery string) {
	h.t.Helper()
	endpoint = h.create(published)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", map[string]string{"candidateName": privatePayload})
	require.NoError(h.t, err)
	require.NoError(h.t, h.dispatcher.Emit(h.t.Context(), event))
	failed := refused(1)
	failed.StatusCode, failed.ResponseBody = http.StatusServiceUnavailable, privateBody
	h.attempt(alotwebhook.Outcome{Attempt: failed, State: alotwebhook.StateFailed})
	return endpoint, alotwebhook.DeliveryID(event.ID, endpoint)
}

// everything returns all that a request could change.
func everything(t testing.TB, d *alotwebhook.Dispatcher) string {
	t.Helper()
	var all []any
	for e, err := range d.Endpoints(t.Context(), alotwebhook.EndpointFilter{}) {
		require.NoError(t, err)
		recovery, _ := d.Recovery(t.Context(), e.ID)
		all = append(all, e, recovery)
	}
	for one, err := range d.Deliveries(t.Context(), alotwebhook.Filter{}) {
		require.NoError(t, err)
		all = append(all, one)
	}
	pauses, err := d.Pauses(t.Context())
	require.NoError(t, err)
	many, _, err := d.Recoveries(t.Context(), alotwebhook.RecoveryFilter{Many: true})
	require.NoError(t, err)
	all = append(all, pauses, many)
	return fmt.Sprintf("%+v", all)
}

// Each route of the API is open to those who have what it takes, and to nobody else. Nothing
// private is in any response to those who may not see payloads.
func TestEveryRouteOfTheAPIAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	onEveryRouteOfTheAPI(t, "/v1/webhooks", (*host).let)
}

// onEveryRouteOfTheAPI tries each route with every set of rights. let mounts the API, whose paths
// begin with base.
func onEveryRouteOfTheAPI(t *testing.T, base string, let func(*host, func(*http.Request, settings.Action) bool)) {
	routes := settings.Routes(newHost(t).handler)
	require.Len(t, routes, len(apiTakes))
	onEverySetOfRights(t, func(t *testing.T, may rightSet) {
		open := func(recovering bool) (h *host, endpoint string, list []call) {
			h = newHost(t)
			endpoint, delivery := h.withPrivate()
			if recovering {
				_, err := h.dispatcher.Recover(t.Context(), endpoint, time.Now().Add(-time.Hour))
				require.NoError(t, err)
			}
			list = calls(h, endpoint, delivery)
			let(h, may.may)
			return h, endpoint, list
		}
		refusing, refusingEndpoint, refused := open(true) // one host for all that is refused, since that changes nothing
		for i, rt := range routes {
			name := rt[0] + " " + rt[1]
			require.Contains(t, apiTakes, name)
			h, endpoint, list := refusing, refusingEndpoint, refused
			if may.lacks(apiTakes[name]) == nil {
				h, endpoint, list = open(rt[1] == "/v1/webhooks/{id}/recover" && rt[0] != http.MethodPost)
			}
			c := list[i]
			before := everything(t, h.dispatcher)
			got := h.do(c.method, strings.Replace(c.path, "/v1/webhooks", base, 1), c.body)
			private := strings.Contains(got.text, privatePayload) || strings.Contains(got.text, privateBody)
			if missing := may.lacks(apiTakes[name]); missing != nil {
				require.Equal(t, http.StatusForbidden, got.status, "%s: %s", name, got.text)
				require.Equal(t, missing, got.missing(), name)
				require.NotContains(t, got.text, endpoint)
				require.False(t, private, name)
				require.Equal(t, before, everything(t, h.dispatcher), "%s: something was changed", name)
				continue
			}
			require.Less(t, got.status, 300, "%s: %s", name, got.text)
			whole := rt[1] == "/v1/webhooks/deliveries/{id}" || rt[1] == "/v1/webhooks/events" || rt[1] == "/v1/webhooks/events/{id}" || strings.HasSuffix(rt[1], "/redeliver")
			allowed := slices.Contains(may, settings.ActionPayloads)
			require.Equal(t, whole && allowed, private, "%s: %s", name, got.text)
			require.Equal(t, whole && !allowed, got.json["payloadsHidden"] == true, "%s: %s", name, got.text)
		}
	})
}

// missing returns the rights that a problem names.
func (r reply) missing() (actions []settings.Action) {
	list, _ := r.json["missing"].([]any)
	for _, name := range list {
		actions = append(actions, settings.Action(name.(string)))
	}
	return actions
}

func TestARefusalSaysWhichRightIsMissing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.let(rightSet{settings.ActionLook, settings.ActionSend}.may)
	got := h.do("POST", "/v1/webhooks", published)
	require.Equal(t, "This takes the right to change endpoints, and to see and choose secrets, which the request does not have, so nothing was done.", got.json["detail"])
	require.Equal(t, []settings.Action{"change", "secrets"}, got.missing())
}

func TestARouteThatTakesNothingIsOpenToNobody(t *testing.T) {
	t.Parallel()
	require.False(t, settings.MeetsNoNeeds())
}

// sharing is a store that returns the same attempts each time.
type sharing struct {
	alotwebhook.Store
	read map[string]alotwebhook.Delivery
}

func (s sharing) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if d, ok := s.read[id]; ok {
		return d, nil
	}
	d, err := s.Store.Delivery(ctx, id)
	s.read[id] = d
	return d, err
}

// A payload that may not be seen is hidden, also while it is there; one that was erased is
// not said to be hidden from those who may see it.
func TestHiddenIsNotErased(t *testing.T) {
	t.Parallel()
	h := newHostOn(t, sharing{memory.New(), map[string]alotwebhook.Delivery{}})
	_, delivery := h.withPrivate()
	path := "/v1/webhooks/deliveries/" + delivery
	require.Contains(t, h.do("GET", path, "").json["payload"], privatePayload)
	require.NotContains(t, h.do("GET", path, "").json, "payloadsHidden")
	h.let(rightSet{settings.ActionLook}.may)
	got := h.do("GET", path, "")
	require.NotContains(t, got.json, "payload")
	require.Equal(t, true, got.json["payloadsHidden"])
	require.EqualValues(t, 503, got.json["lastStatusCode"], "all the rest is there")
	h.let(nil)
	require.Contains(t, h.do("GET", path, "").text, privateBody, "what one request may not see is still stored")
}

// What an Idempotency-Key repeats is judged by what the second request may do.
func TestAKeyIsNoRight(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withPrivate()
	var may rightSet
	h.let(func(_ *http.Request, a settings.Action) bool { return slices.Contains(may, a) })
	const generated = `{"url":"https://example.com/hook","events":["candidate.invited"]}`
	path := "/v1/webhooks/" + endpoint
	for _, c := range []struct {
		path, body string
		takes      settings.Action
	}{
		{"/v1/webhooks", generated, settings.ActionChange},
		{"/v1/webhooks", generated, settings.ActionSecrets},
		{path + "/rotate-secret", "", settings.ActionSecrets},
		{path + "/enable", "", settings.ActionChange},
		{path + "/test", "", settings.ActionSend},
		{path + "/recover", "", settings.ActionSend},
		{"/v1/webhooks/deliveries/" + delivery + "/redeliver", "", settings.ActionSend},
	} {
		key := []string{"Idempotency-Key", "key-" + string(c.takes)}
		others := slices.DeleteFunc(slices.Clone(allActions), func(a settings.Action) bool { return a == c.takes })
		may = others
		require.Equal(t, http.StatusForbidden, h.do("POST", c.path, c.body, key...).status, c)
		may = allActions
		first := h.do("POST", c.path, c.body, key...)
		require.Less(t, first.status, 300, "%v %s", c, first.text)
		require.Empty(t, first.header.Get("Idempotency-Replayed"), "a refused request uses up no key")
		may = others
		again := h.do("POST", c.path, c.body, key...)
		require.Equal(t, http.StatusForbidden, again.status, c)
		require.Equal(t, []settings.Action{c.takes}, again.missing())
		if secret, ok := first.json["secret"].(string); ok {
			require.NotContains(t, again.text, secret)
		}
	}
	require.Contains(t, h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/redeliver", "", "Idempotency-Key", "k1").json, "missing")
	may = rightSet{settings.ActionLook, settings.ActionSend, settings.ActionPayloads}
	first := h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/redeliver", "", "Idempotency-Key", "k2")
	require.Contains(t, first.text, privateBody)
	may = rightSet{settings.ActionLook, settings.ActionSend}
	again := h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/redeliver", "", "Idempotency-Key", "k2")
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.NotContains(t, again.text, privateBody)
	require.Equal(t, true, again.json["payloadsHidden"])
}

// asked counts how often each action was asked about.
type asked map[settings.Action]int

func (a asked) may(r *http.Request, action settings.Action) bool {
	if r.Header.Get("X-Organization") != "org_a" {
		panic("asked about somebody whom Organization did not let in")
	}
	a[action]++
	return true
}

func TestMayIsAskedInEachRequestOfSomebody(t *testing.T) {
	t.Parallel()
	h, s := newHost(t), newSite(t)
	asked := asked{}
	h.let(asked.may)
	s.let(asked.may)
	for _, who := range []string{"", "nobody"} {
		require.Equal(t, http.StatusUnauthorized, h.do("GET", "/v1/webhooks", "", "X-Organization", who).status)
		require.Equal(t, http.StatusUnauthorized, s.get("/", "X-Organization", who).status)
	}
	require.Equal(t, http.StatusForbidden, h.do("POST", "/v1/webhooks", published, "Sec-Fetch-Site", "cross-site").status)
	require.Equal(t, http.StatusForbidden, s.post("/new", nil, "Sec-Fetch-Site", "cross-site").status)
	require.Empty(t, asked)
	for n := range 3 {
		h.do("GET", "/v1/webhooks", "")
		s.get("/")
		for _, a := range allActions {
			require.Equal(t, 2*(n+1), asked[a], a)
		}
	}
	require.Len(t, asked, len(allActions))
}

// panics allows everything until it is asked about one action.
type panics struct{ about settings.Action }

func (p panics) may(_ *http.Request, a settings.Action) bool {
	if a == p.about {
		panic("the host's function has a fault")
	}
	return true
}

func TestAMayThatPanicsOpensNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withPrivate()
	s := newSiteWith(t, h.store, nil, alotwebhook.Config{})
	list := calls(h, endpoint, delivery)
	before := everything(t, h.dispatcher)
	silent := func(handler http.Handler, r *http.Request) {
		r.Header.Set("X-Organization", "org_a")
		w := httptest.NewRecorder()
		require.Panics(t, func() { handler.ServeHTTP(w, r) })
		require.Empty(t, w.Body.String())
	}
	for _, about := range allActions {
		h.let(panics{about}.may)
		s.let(panics{about}.may)
		for _, c := range list {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k1")
			silent(h.handler, r)
		}
		for _, v := range visits(s, endpoint, delivery) {
			silent(s.handler, v.request())
		}
	}
	require.Equal(t, before, everything(t, h.dispatcher))
}

// The document names for each operation what its route takes, as OpenAPI 3.1 has it: beside
// the scheme of its security.
func TestTheDocumentSaysWhatEachOperationTakes(t *testing.T) {
	t.Parallel()
	for name, said := range documented(t, settings.OpenAPI()) {
		require.Equal(t, []map[string][]settings.Action{{"bearer": apiTakes[name]}}, said, name)
	}
}

// documented returns the security of each operation of a document, by its method and path.
func documented(t *testing.T, document []byte) map[string][]map[string][]settings.Action {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(document, &doc))
	all := map[string][]map[string][]settings.Action{}
	for _, o := range operationsOf(t, document) {
		var said struct {
			Security []map[string][]settings.Action `json:"security"`
		}
		require.NoError(t, json.Unmarshal(doc.Paths[o[1]][strings.ToLower(o[0])], &said))
		all[o[0]+" "+o[1]] = said.Security
	}
	return all
}

// Without May, everybody whom Organization lets in may do everything.
func TestWithoutRolesEverythingIsAllowed(t *testing.T) {
	t.Parallel()
	h := newHostOn(t, memory.New())
	endpoint, delivery := h.withPrivate()
	for _, c := range calls(h, endpoint, delivery) {
		require.NotEqual(t, http.StatusForbidden, h.do(c.method, c.path, c.body).status, c)
	}
}
