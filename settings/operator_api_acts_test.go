package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// items returns the objects of a list in a response.
func (r reply) items(t testing.TB, name string) (list []map[string]any) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.text)
	for _, item := range r.json[name].([]any) {
		list = append(list, item.(map[string]any))
	}
	return list
}

// in registers an endpoint of an organization, emits n events to it that fail, and returns its id.
func (h *host) in(organization string, n int) (endpoint string, events []string) {
	h.t.Helper()
	e, err := h.dispatcher.CreateEndpoint(h.t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: "https://" + organization + ".example.com/hook", EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(h.t, err)
	for range n {
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, map[string]string{"a": "b"})
		require.NoError(h.t, err)
		require.NoError(h.t, h.dispatcher.Emit(h.t.Context(), event))
		h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
		events = append(events, event.ID)
		time.Sleep(time.Millisecond)
	}
	return e.ID, events
}

func TestOperatorsPauseAndResumeByTheAPI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	endpoint, _ := h.in("org_a", 0)
	post := func(path, body string, header ...string) reply {
		return h.do("POST", "/v1/operator/"+path, body, header...)
	}
	got := post("pauses", `{"organizationId":"org_a","note":" ticket 4711 "}`, "X-Operator", "otto")
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, "org_a", got.json["organizationId"])
	require.Equal(t, "ticket 4711", got.json["note"])
	require.Equal(t, "otto", got.json["actor"])
	require.NotContains(t, got.json, "endpointId")
	post("pauses", `{"all":true,"note":"n"}`)
	post("pauses", `{"endpointId":"`+endpoint+`","note":"n"}`)
	list := h.do("GET", "/v1/operator/pauses", "").items(t, "pauses")
	require.Len(t, list, 3)
	require.NotContains(t, list[0], "organizationId")
	require.Equal(t, endpoint, list[2]["endpointId"])
	require.Equal(t, "org_a", list[2]["organizationId"], "that of the endpoint")
	require.Equal(t, true, h.do("GET", "/v1/operator/endpoints", "").items(t, "endpoints")[0]["paused"])

	require.Equal(t, http.StatusNotFound, post("resume", `{"organizationId":"org_b","note":"n"}`).status)
	for _, body := range []string{`{"all":true,"note":"all is well"}`, `{"endpointId":"` + endpoint + `","note":"n"}`, `{"organizationId":"org_a","note":"n"}`} {
		got := post("resume", body, "X-Operator", "otto")
		require.Equal(t, http.StatusNoContent, got.status, got.text)
		require.Equal(t, http.StatusNotFound, post("resume", body).status)
	}
	require.Empty(t, h.do("GET", "/v1/operator/pauses", "").items(t, "pauses"))
	trail := h.do("GET", "/v1/operator/operations?type=deliveries.resumed", "").items(t, "operations")
	require.Len(t, trail, 3)
	require.Equal(t, "all is well", trail[2]["note"])
	require.Equal(t, "otto", trail[2]["actor"])
	require.NotContains(t, trail[2], "organizationId")
}

func TestAnIdempotencyKeyOfAnOperator(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	h.in("org_a", 2)
	post := func(path, body, key string) reply {
		return h.do("POST", "/v1/operator/"+path, body, "Idempotency-Key", key)
	}
	const recover = `{"action":"recover","organizationId":"org_a","note":"n"}`
	first := post("recoveries", recover, "k1")
	require.Equal(t, http.StatusAccepted, first.status, first.text)
	id := first.json["id"].(string)
	require.Equal(t, "/v1/operator/recoveries/"+id, first.header.Get("Location"))
	again := post("recoveries", recover, "k1")
	require.Equal(t, http.StatusAccepted, again.status, again.text)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, id, again.json["id"])
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Len(t, h.do("GET", "/v1/operator/recoveries", "").items(t, "recoveries"), 1)
	require.Equal(t, http.StatusUnprocessableEntity, post("recoveries", strings.Replace(recover, "org_a", "org_b", 1), "k1").status)
	require.NotEqual(t, id, post("recoveries", recover, "k2").json["id"])

	const dry = `{"action":"recover","organizationId":"org_a","dryRun":true}`
	require.EqualValues(t, 2, post("recoveries", dry, "k3").json["deliveries"])
	require.EqualValues(t, 2, post("recoveries", dry, "k3").json["deliveries"])
	require.Len(t, h.do("GET", "/v1/operator/recoveries", "").items(t, "recoveries"), 2)

	const all = `{"all":true,"note":"n"}`
	paused := post("pauses", all, "k4")
	require.Equal(t, paused.text, post("pauses", all, "k4").text)
	require.Equal(t, http.StatusNoContent, post("resume", all, "k5").status)
	require.Equal(t, http.StatusNoContent, post("resume", all, "k5").status)
	require.Equal(t, http.StatusNotFound, post("pauses", all, "k4").status, "somebody has resumed it")
	require.Len(t, h.do("GET", "/v1/operator/operations?type=deliveries.paused", "").items(t, "operations"), 1)
}

func TestOperatorsCountRecoverAndCancel(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	a, events := h.in("org_a", 3)
	h.in("org_b", 2)
	post := func(body string) reply { return h.do("POST", "/v1/operator/recoveries", body) }
	count := func(body string) []any {
		t.Helper()
		got := post(strings.Replace(body, "}", `,"dryRun":true}`, 1))
		require.Equal(t, http.StatusOK, got.status, got.text)
		return []any{got.json["deliveries"], got.json["endpoints"], got.json["organizations"]}
	}
	hour := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	all := `{"action":"recover","failedSince":"` + hour + `"}`
	require.Equal(t, []any{5.0, 2.0, 2.0}, count(all))
	require.Equal(t, []any{3.0, 1.0, 1.0}, count(`{"action":"recover","organizationId":"org_a"}`))
	require.Equal(t, []any{3.0, 1.0, 1.0}, count(`{"action":"recover","endpointId":"`+a+`"}`))
	require.Equal(t, []any{1.0, 1.0, 1.0}, count(`{"action":"recover","eventId":"`+events[1]+`"}`))
	require.Equal(t, []any{5.0, 2.0, 2.0}, count(`{"action":"recover","eventType":"candidate.completed","reason":"connection_refused"}`))
	require.Equal(t, []any{0.0, 0.0, 0.0}, count(`{"action":"recover","eventType":"candidate.completed","reason":"timeout"}`))
	require.Equal(t, []any{0.0, 0.0, 0.0}, count(`{"action":"cancel","organizationId":"org_a"}`))
	require.Empty(t, h.do("GET", "/v1/operator/recoveries", "").items(t, "recoveries"), "a dry run begins nothing")

	begun := post(`{"action":"recover","eventId":"` + events[1] + `","reason":"connection_refused","failedSince":"` + hour + `","note":"our proxy"}`)
	require.Equal(t, http.StatusAccepted, begun.status, begun.text)
	require.Equal(t, "running", begun.json["status"])
	require.Equal(t, events[1], begun.json["eventId"])
	require.Equal(t, "connection_refused", begun.json["reason"])
	require.Equal(t, "our proxy", begun.json["note"])
	require.Equal(t, "olga", begun.json["actor"])
	require.NotContains(t, begun.json, "endpointId")
	path := "/v1/operator/recoveries/" + begun.json["id"].(string)
	require.Equal(t, begun.json["id"], h.do("GET", path, "").json["id"])
	stopped := h.do("DELETE", path, "")
	require.Equal(t, "stopped", stopped.json["status"])
	require.Equal(t, stopped.text, h.do("DELETE", path, "").text, "it has ended")

	one := `{"action":"recover","endpointId":"` + a + `","note":"n"}`
	require.Equal(t, a, post(one).json["id"])
	require.Equal(t, http.StatusConflict, post(one).status)
	require.Equal(t, a, h.do("GET", "/v1/operator/recoveries/"+a, "").json["endpointId"])
	trail := h.do("GET", "/v1/operator/operations?endpoint="+begun.json["id"].(string), "").items(t, "operations")
	require.Len(t, trail, 2)
	require.Equal(t, begun.json["id"], trail[0]["recoveryId"])
	require.NotContains(t, trail[0], "endpointId")
}

// A recovery that cancels is stopped by those who may cancel, and any other by those who may send.
func TestWhatStoppingTakes(t *testing.T) {
	t.Parallel()
	h, list := newOperators(t)
	for _, c := range list {
		if c.method != http.MethodDelete {
			continue
		}
		h.operate(rightSet(c.takes).may)
		require.Equal(t, "stopped", h.do("DELETE", c.path, "").json["status"])
		h.operate(rightSet(takes()).may)
		require.Equal(t, "stopped", h.do("DELETE", c.path, "").json["status"], "nothing is changed")
	}
}

func TestOperatorsSearch(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	a, events := h.in("org_a", 2)
	b, others := h.in("org_b", 1)
	c, _ := h.in("org_c", 0)
	disabled, err := h.dispatcher.Endpoint(t.Context(), c)
	require.NoError(t, err)
	disabled.Disabled = true
	_, err = h.dispatcher.UpdateEndpoint(t.Context(), disabled)
	require.NoError(t, err)
	ids := func(query string) (found []string) {
		t.Helper()
		name, _, _ := strings.Cut(query, "?")
		for _, item := range h.do("GET", "/v1/operator/"+query, "").items(t, name) {
			id := item["id"].(string)
			if name == "deliveries" {
				id = item["eventId"].(string)
			}
			require.NotEmpty(t, item["organizationId"])
			found = append(found, id)
		}
		return found
	}
	require.Equal(t, []string{a, b, c}, ids("endpoints"))
	require.Equal(t, []string{a, b}, ids("endpoints?state=failing"))
	require.Equal(t, []string{c}, ids("endpoints?state=disabled"))
	require.Equal(t, []string{b}, ids("endpoints?organization=org_b"))
	require.Equal(t, []string{b}, ids("endpoints?url=ORG_B.example"))
	require.Empty(t, ids("endpoints?url=org_z"))
	require.Equal(t, []string{others[0], events[1], events[0]}, ids("deliveries"))
	require.Equal(t, []string{events[1], events[0]}, ids("deliveries?organization=org_a"))
	require.Equal(t, others, ids("deliveries?endpoint="+b))
	require.Equal(t, events[:1], ids("deliveries?event="+events[0]))
	require.Empty(t, ids("deliveries?status=unfinished"))
	require.Len(t, ids("deliveries?status=failed&type=candidate.completed"), 3)
	require.Len(t, ids("operations?organization=org_c"), 2)
	require.Len(t, ids("operations?type=endpoint.created"), 3)
	require.Len(t, ids("operations?endpoint="+c), 2)

	one := h.do("GET", "/v1/operator/deliveries/"+alotwebhook.DeliveryID(others[0], b), "")
	require.Equal(t, "org_b", one.json["organizationId"])
	require.Contains(t, one.json["payload"], `"organizationId":"org_b"`)
	require.Len(t, one.json["attempts"], 1)
}

// The cursor of a list leads on in that list alone.
func TestOperatorsReadInPages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	for _, organization := range []string{"org_a", "org_b", "org_c"} {
		h.in(organization, 1)
		_, err := h.dispatcher.RecoverMany(t.Context(), alotwebhook.Recovery{OrganizationID: organization})
		require.NoError(t, err)
	}
	cursors := map[string]string{}
	for _, query := range []string{"endpoints?url=example", "deliveries?status=failed", "operations?type=endpoint.created", "recoveries?"} {
		name, _, _ := strings.Cut(query, "?")
		seen := map[any]bool{}
		for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
			require.Less(t, page, 4)
			got := h.do("GET", "/v1/operator/"+query+"&limit=2&cursor="+cursor, "")
			for _, item := range got.items(t, name) {
				seen[item["id"]] = true
			}
			if cursor, _ = got.json["nextCursor"].(string); cursor != "" {
				cursors[name] = cursor
			}
		}
		require.Len(t, seen, 3, query)
	}
	require.Len(t, cursors, 4)
	got := h.do("GET", "/v1/operator/deliveries?status=failed&event=evt_01kt0v7fbgf0m8n2p4q6r7s9tv&cursor="+cursors["deliveries"], "")
	require.Equal(t, []string{"cursor"}, got.fields(), "it is not of that event")
	for name, cursor := range cursors {
		for _, other := range []string{"endpoints", "deliveries", "operations", "recoveries"} {
			if other != name || name != "recoveries" { // which has no filters to differ in
				got := h.do("GET", "/v1/operator/"+other+"?cursor="+cursor, "")
				require.Equal(t, []string{"cursor"}, got.fields(), "%s in %s", name, other)
			}
		}
	}
}

func TestTheOverviewOfOperators(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.operate(everythingGoes)
	h.in("org_a", 1)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", map[string]string{"a": "b"})
	require.NoError(t, err)
	require.NoError(t, h.dispatcher.Emit(t.Context(), event))
	got := h.do("GET", "/v1/operator/overview", "")
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.EqualValues(t, 1, got.json["pending"])
	require.EqualValues(t, 1, got.json["failingEndpoints"])
	require.Equal(t, true, got.json["complete"])
	require.GreaterOrEqual(t, got.json["ageMs"], 0.0)
	backlogs := got.items(t, "backlogs")
	require.Len(t, backlogs, 1)
	require.Equal(t, "org_a", backlogs[0]["organizationId"])
	require.NotNil(t, got.json["hours"])
	require.NotNil(t, got.json["processes"])
	require.NoError(t, h.dispatcher.Emit(t.Context(), event))
	require.Equal(t, got.json["at"], h.do("GET", "/v1/operator/overview", "").json["at"], "it is read every five seconds at most")
}
