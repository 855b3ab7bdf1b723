package settings_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// operatorOf reads who makes a request from a header; olga if it has none.
func operatorOf(r *http.Request) (string, error) {
	switch name := r.Header.Get("X-Operator"); name {
	case "":
		return "olga", nil
	case "error":
		return "mallory", errNobody
	case "nobody":
		return "", nil
	default:
		return name, nil
	}
}

func everythingGoes(*http.Request, settings.Action) bool { return true }

// letOperate mounts the operators' API in the place of the organization's, for those who may do
// what the function allows. All may pause and cancel.
func (h *host) letOperate(may func(*http.Request, settings.Action) bool) {
	h.operate(func(r *http.Request, a settings.Action) bool {
		return a == settings.ActionPause || a == settings.ActionCancel || a == settings.ActionErase || may(r, a)
	})
}

func (h *host) operate(may func(*http.Request, settings.Action) bool) {
	h.t.Helper()
	var err error
	h.handler, err = settings.NewOperatorAPI(h.dispatcher, &settings.OperatorOptions{Operator: operatorOf, May: may})
	require.NoError(h.t, err)
}

// operatorCall is a request that a route of the operators' API accepts, and what it takes.
type operatorCall struct {
	call
	name  string
	takes []settings.Action
}

// operatorCalls returns calls for each route over all organizations. The deliveries are a failed and
// a pending one; the recoveries are running, and cancel.
func operatorCalls(endpoint, failed, recovers, cancels, erases string) []operatorCall {
	look, pause := takes(), takes(settings.ActionPause)
	send, cancel, erase := takes(settings.ActionSend), takes(settings.ActionCancel), takes(settings.ActionErase)
	const at = "/v1/operator/"
	return []operatorCall{
		{call{"GET", at + "overview", ""}, "overview", look},
		{call{"GET", at + "endpoints", ""}, "endpoints", look},
		{call{"GET", at + "deliveries", ""}, "deliveries", look},
		{call{"GET", at + "deliveries/" + failed, ""}, "deliveries/{id}", look},
		{call{"GET", at + "operations", ""}, "operations", look},
		{call{"GET", at + "pauses", ""}, "pauses", look},
		{call{"POST", at + "pauses", `{"endpointId":"` + endpoint + `","note":"n"}`}, "pauses", pause},
		{call{"POST", at + "resume", `{"all":true,"note":"n"}`}, "resume", pause},
		{call{"GET", at + "recoveries", ""}, "recoveries", look},
		{call{"POST", at + "recoveries", `{"action":"recover","organizationId":"org_a","note":"n"}`}, "recoveries", send},
		{call{"POST", at + "recoveries", `{"action":"recover","organizationId":"org_a","dryRun":true}`}, "recoveries", send},
		{call{"POST", at + "recoveries", `{"action":"cancel","organizationId":"org_a","note":"n"}`}, "recoveries", cancel},
		{call{"POST", at + "recoveries", `{"action":"cancel","organizationId":"org_a","dryRun":true}`}, "recoveries", cancel},
		{call{"GET", at + "recoveries/" + recovers, ""}, "recoveries/{id}", look},
		{call{"DELETE", at + "recoveries/" + recovers, ""}, "recoveries/{id}", send},
		{call{"DELETE", at + "recoveries/" + cancels, ""}, "recoveries/{id}", cancel},
		{call{"DELETE", at + "recoveries/" + erases, ""}, "recoveries/{id}", erase},
		{call{"POST", at + "recoveries", `{"action":"erase","subject":"cand_9","note":"n"}`}, "recoveries", erase},
		{call{"POST", at + "recoveries", `{"action":"remove","organizationId":"org_b","note":"n"}`}, "recoveries", erase},
		{call{"GET", at + "openapi.json", ""}, "openapi.json", look},
	}
}

// newOperators is a host with the operators' API, on which there is something for each route.
func newOperators(t testing.TB) (h *host, list []operatorCall) {
	t.Helper()
	h = newHost(t)
	endpoint, delivery := h.withPrivate()
	_, err := h.dispatcher.Pause(t.Context(), alotwebhook.Pause{})
	require.NoError(t, err)
	recovers, err := h.dispatcher.RecoverMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_b"})
	require.NoError(t, err)
	cancels, err := h.dispatcher.CancelMany(t.Context(), alotwebhook.Recovery{OrganizationID: "org_b"})
	require.NoError(t, err)
	erases, err := h.dispatcher.Erase(t.Context(), alotwebhook.Recovery{OrganizationID: "org_b"})
	require.NoError(t, err)
	h.operate(everythingGoes)
	return h, operatorCalls(endpoint, delivery, recovers.EndpointID, cancels.EndpointID, erases.EndpointID)
}

// The list of calls has every route, so that what is tried on it is tried on all.
func TestEveryRouteOfOperatorsIsTried(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	var tried [][2]string
	for _, c := range list {
		if rt := [2]string{c.method, "/v1/operator/" + c.name}; !slices.Contains(tried, rt) {
			tried = append(tried, rt)
		}
	}
	over, _ := settings.OperatorAPIRoutes(h.handler)
	require.ElementsMatch(t, over, tried)
	for _, c := range list {
		require.Less(t, h.do(c.method, c.path, c.body).status, 300, c)
	}
	require.NotContains(t, h.log.String(), "ERROR")
}

func TestEveryRouteOfTheOperatorsAPIAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	all := append(slices.Clip(allActions), settings.ActionPause, settings.ActionCancel, settings.ActionErase)
	_, list := newOperators(t)
	for bits := range 1 << len(all) {
		var may rightSet
		for i, a := range all {
			if bits&(1<<i) != 0 {
				may = append(may, a)
			}
		}
		t.Run("", func(t *testing.T) {
			t.Parallel()
			h, own := newOperators(t)
			h.operate(may.may)
			for i := range list {
				c := own[i]
				before := everything(t, h.dispatcher)
				got := h.do(c.method, c.path, c.body)
				private := strings.Contains(got.text, privatePayload) || strings.Contains(got.text, privateBody)
				if missing := may.lacks(c.takes); missing != nil {
					if strings.HasPrefix(c.name, "recoveries") && !slices.Contains(may, settings.ActionLook) {
						missing = takes() // what else it takes depends on what it would do
					}
					require.Equal(t, http.StatusForbidden, got.status, "%v %v %s", may, c, got.text)
					require.Equal(t, missing, got.missing(), "%v %v", may, c)
					require.False(t, private)
					require.Equal(t, before, everything(t, h.dispatcher), "%v %v: something was changed", may, c)
					continue
				}
				require.Less(t, got.status, 300, "%v %v %s", may, c, got.text)
				require.Equal(t, c.name == "deliveries/{id}" && slices.Contains(may, settings.ActionPayloads), private, "%v %v", may, c)
				if strings.Contains(c.body, "dryRun") {
					require.Equal(t, before, everything(t, h.dispatcher), "%v", c)
				}
			}
		})
	}
}

// In an organization's API, operators may do what customers with these rights may do there.
func TestEveryRouteOfAnOrganizationsAPIAndEverySetOfRights(t *testing.T) {
	t.Parallel()
	onEveryRouteOfTheAPI(t, "/v1/operator/organizations/org_a/webhooks", (*host).letOperate)
}

func TestOnlyOperatorsAreLetIn(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	for _, path := range []string{"organizations/org_a/webhooks", "organizations/org_a/webhooks/openapi.json", "nothing"} {
		list = append(list, operatorCall{call: call{"GET", "/v1/operator/" + path, ""}})
	}
	before := everything(t, h.dispatcher)
	for _, c := range list {
		for _, who := range []string{"nobody", "error"} {
			got := h.do(c.method, c.path, c.body, "X-Operator", who)
			require.Equal(t, http.StatusUnauthorized, got.status, c)
			require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
			require.NotContains(t, got.text, "eyJhbGciOi")
		}
		if c.method == http.MethodGet {
			continue
		}
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}} {
			require.Equal(t, http.StatusForbidden, h.do(c.method, c.path, c.body, header[:]...).status, c)
		}
	}
	require.Equal(t, http.StatusForbidden, h.do("POST", "/v1/operator/organizations/org_a/webhooks", published, "Sec-Fetch-Site", "cross-site").status)
	require.Equal(t, before, everything(t, h.dispatcher))
	require.NotContains(t, h.log.String(), "eyJhbGciOi")
}

func TestAnOperatorAPIThatOpensEverythingByMistakeIsRefused(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		d     *alotwebhook.Dispatcher
		opts  *settings.OperatorOptions
		field string
	}{
		"dispatcher":        {nil, &settings.OperatorOptions{Operator: operatorOf, May: everythingGoes}, "dispatcher"},
		"Operator":          {d, &settings.OperatorOptions{May: everythingGoes}, "Operator"},
		"options":           {d, nil, "Operator"},
		"May":               {d, &settings.OperatorOptions{Operator: operatorOf}, "May"},
		"TrustedOrigins[0]": {d, &settings.OperatorOptions{Operator: operatorOf, May: everythingGoes, TrustedOrigins: []string{"x"}}, "TrustedOrigins[0]"},
	} {
		handler, err := settings.NewOperatorAPI(c.d, c.opts)
		require.Nil(t, handler, name)
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, c.field, field.Field)
	}
}

func TestEveryRouteOfOperatorsRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	for _, c := range list {
		require.Equal(t, []string{"zzz"}, h.do(c.method, c.path+"?zzz=1", c.body).fields(), c)
		require.Equal(t, http.StatusMethodNotAllowed, h.do("PUT", c.path, "").status, c)
		if c.method != http.MethodPost {
			continue
		}
		for _, body := range []string{"", `{}`, `{"zzz":1}`, `{} {}`, `[]`, `null`, `{`, `{"note":"a","note":"b"}`, `{"note":null}`, `{"all":"true"}`} {
			got := h.do(c.method, c.path, body)
			require.Contains(t, []int{400, 415, 422}, got.status, "%v %s: %s", c, body, got.text)
		}
		require.Equal(t, http.StatusUnsupportedMediaType, h.do(c.method, c.path, c.body, "Content-Type", "text/plain").status)
	}
	require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/operator", "").status)
	require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/webhooks", "").status, "that is the customers'")
}

func TestBadSelectionsOfOperators(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	endpoint := strings.Split(list[6].body, `"`)[3]
	before := everything(t, h.dispatcher)
	long := strings.Repeat("x", 257)
	for _, c := range []struct{ path, body, field string }{
		{"pauses", `{"note":"n"}`, "organizationId"},
		{"pauses", `{"all":false,"note":"n"}`, "organizationId"},
		{"pauses", `{"all":true,"organizationId":"org_a","note":"n"}`, "all"},
		{"pauses", `{"organizationId":"org_a"}`, "note"},
		{"pauses", `{"organizationId":"org_a","note":"  "}`, "note"},
		{"pauses", `{"organizationId":"org_a","note":"` + long + `"}`, "note"},
		{"pauses", `{"organizationId":"a\u0000b","note":"n"}`, "organizationId"},
		{"pauses", `{"organizationId":"org_b","endpointId":"` + endpoint + `","note":"n"}`, "organizationId"},
		{"pauses", `{"endpointId":"wh_00000000000000000000000000","note":"n"}`, "endpointId"},
		{"pauses", `{"endpointId":"org_a","note":"n"}`, "endpointId"},
		{"resume", `{"note":"n"}`, "organizationId"},
		{"resume", `{"all":true}`, "note"},
		{"recoveries", `{"action":"recover","note":"n"}`, "failedSince"},
		{"recoveries", `{"action":"cancel","note":"n"}`, "organizationId"},
		{"recoveries", `{"action":"cancel","dryRun":true}`, "organizationId"},
		{"recoveries", `{"action":"delete","organizationId":"org_a","note":"n"}`, "action"},
		{"recoveries", `{"organizationId":"org_a","note":"n"}`, "action"},
		{"recoveries", `{"action":"recover","organizationId":"org_a"}`, "note"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","reason":"bad_weather"}`, "reason"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","eventType":"No Type"}`, "eventType"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","eventId":"dlv_1"}`, "eventId"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","since":"2126-05-25T14:23:00Z"}`, "since"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","failedSince":"2026-05-25T14:23:00Z","failedUntil":"2026-05-25T14:23:00Z"}`, "failedUntil"},
		{"recoveries", `{"action":"cancel","organizationId":"org_a","note":"n","failedSince":"2026-05-25T14:23:00Z"}`, "failedSince"},
		{"recoveries", `{"action":"recover","endpointId":"wh_00000000000000000000000000","note":"n"}`, "endpointId"},
		{"recoveries", `{"action":"recover","organizationId":"org_a","note":"n","failedSince":"yesterday"}`, "failedSince"},
	} {
		got := h.do("POST", "/v1/operator/"+c.path, c.body)
		require.Contains(t, []int{400, 422}, got.status, "%v %s", c, got.text)
		require.Equal(t, []string{c.field}, got.fields(), "%v %s", c, got.text)
	}
	for query, field := range map[string]string{
		"endpoints?state=enabled": "state", "endpoints?organization=%00": "organization", "endpoints?limit=0": "limit", "endpoints?cursor=x": "cursor",
		"deliveries?status=late": "status", "deliveries?endpoint=x": "endpoint", "deliveries?event=x": "event", "deliveries?since=x": "since",
		"operations?endpoint=dlv_00000000000000000000000000": "endpoint", "operations?type=x": "type", "recoveries?limit=x": "limit",
	} {
		got := h.do("GET", "/v1/operator/"+query, "")
		require.Equal(t, http.StatusBadRequest, got.status, query)
		require.Equal(t, []string{field}, got.fields(), query)
	}
	for _, path := range []string{"deliveries/wh_00000000000000000000000000", "deliveries/dlv_00000000000000000000000000", "recoveries/rec_00000000000000000000000000", "recoveries/x"} {
		require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/operator/"+path, "").status, path)
	}
	require.Equal(t, before, everything(t, h.dispatcher))
}

// An organization's id can hold any text without control characters, and is one segment of the path.
func TestOrganizationsWithOddIDs(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), alotwebhook.Config{})
	odd := map[string]string{
		"a/b": "a%2Fb", "..": "~..", ".": "~.", "%2f": "%252f", "?": "%3F", "ü": "%C3%BC", "~": "~~", "~..": "~~..", "a b": "a%20b",
		"webhooks": "webhooks", "#": "%23", "a//b": "a%2F%2Fb", "org;x=1": "org%3Bx=1", strings.Repeat("x", 255): strings.Repeat("x", 255),
	}
	h.operate(everythingGoes)
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", h.handler))
	server := httptest.NewServer(mux)
	defer server.Close()
	for organization, segment := range odd {
		base := "/ops/v1/operator/organizations/" + segment + "/webhooks"
		res, err := server.Client().Post(server.URL+base, "application/json", strings.NewReader(published))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusCreated, res.StatusCode, organization)
		location := res.Header.Get("Location")
		require.True(t, strings.HasPrefix(location, base+"/wh_"), "%s: %s", organization, location)
		e, err := h.dispatcher.Endpoint(t.Context(), location[len(base)+1:])
		require.NoError(t, err)
		require.Equal(t, organization, e.OrganizationID)
		for _, path := range []string{location, location + "/", base, base + "/"} {
			res, err := server.Client().Get(server.URL + path)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode, path)
		}
		got := h.do("GET", "/v1/operator/endpoints?organization="+url.QueryEscape(organization), "")
		require.Len(t, got.json["endpoints"], 1, organization)
		require.Equal(t, organization, got.json["endpoints"].([]any)[0].(map[string]any)["organizationId"])
	}
	for _, bad := range []string{"", "%00", "%0A", "%ff", strings.Repeat("x", 256), "a/b"} {
		require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/operator/organizations/"+bad+"/webhooks", "").status, bad)
	}
}

// What belongs to one organization is not in the API of another.
func TestAnOrganizationsAPIIsItsOwn(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	list := calls(h, endpoint, delivery)
	h.operate(everythingGoes)
	for _, c := range list {
		path := strings.Replace(c.path, "/v1/webhooks", "/v1/operator/organizations/org_b/webhooks", 1)
		if strings.Contains(path, "wh_") || strings.Contains(path, "dlv_") {
			require.Equal(t, http.StatusNotFound, h.do(c.method, path, c.body).status, c)
		}
	}
	require.Empty(t, h.do("GET", "/v1/operator/organizations/org_b/webhooks", "").json["endpoints"])
	got := h.do("GET", "/v1/operator/organizations/org_a/webhooks/"+endpoint, "")
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.json, "organizationId", "as the customer sees it")
}

// unsure is a store that cannot pause and shows no survey, and whose other methods may fail.
type unsure struct {
	alotwebhook.Store
	err error
}

func (u unsure) Stats(ctx context.Context) (alotwebhook.Stats, error) {
	if u.err != nil {
		return alotwebhook.Stats{}, u.err
	}
	return u.Store.Stats(ctx)
}

func TestAStoreThatIsNotForOperators(t *testing.T) {
	t.Parallel()
	h := newHostOn(t, unsure{Store: memory.New()})
	h.operate(everythingGoes)
	for _, c := range []call{
		{"POST", "/v1/operator/pauses", `{"all":true,"note":"n"}`}, {"POST", "/v1/operator/resume", `{"all":true,"note":"n"}`},
		{"POST", "/v1/operator/recoveries", `{"action":"recover","organizationId":"org_a","dryRun":true}`},
	} {
		require.Equal(t, http.StatusNotImplemented, h.do(c.method, c.path, c.body).status, c)
	}
	require.Equal(t, []any{}, h.do("GET", "/v1/operator/pauses", "").json["pauses"])
	got := h.do("GET", "/v1/operator/overview", "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, false, got.json["complete"])
	h = newHostOn(t, unsure{memory.New(), errors.New("no connection to db.internal.example.com")})
	h.operate(everythingGoes)
	got = h.do("GET", "/v1/operator/overview", "")
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.NotContains(t, got.text, "db.internal")
	require.Contains(t, h.log.String(), "db.internal")
}
