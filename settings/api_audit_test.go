package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// actor takes the name of who makes a request from a header.
func actor(r *http.Request) string { return r.Header.Get("X-User") }

// newHostWithActor is a host that knows who makes a request.
func newHostWithActor(t testing.TB) *host {
	h := newHost(t)
	var err error
	h.handler, err = settings.NewAPI(h.dispatcher, &settings.Options{Organization: organization, Actor: actor})
	require.NoError(t, err)
	return h
}

// operations returns what a list of operations says, newest first: type, actor in brackets, note.
func (r reply) operations(t testing.TB) (texts []string) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.text)
	for _, item := range r.json["operations"].([]any) {
		o := item.(map[string]any)
		text := func(key string) string { s, _ := o[key].(string); return s }
		require.NotEmpty(t, text("endpointId"))
		_, err := time.Parse("2006-01-02T15:04:05.000Z", text("at"))
		require.NoError(t, err)
		texts = append(texts, strings.TrimSpace(text("type")+" ["+text("actor")+"] "+text("note")))
	}
	return texts
}

func TestWhatSomebodyDidIsListed(t *testing.T) {
	t.Parallel()
	h := newHostWithActor(t)
	require.Empty(t, h.do("GET", "/v1/webhooks/operations", "").operations(t))
	id := h.create(published, "X-User", "jane")
	other := h.create(published)
	path := "/v1/webhooks/" + id
	require.Equal(t, 200, h.do("PATCH", path, `{"url":"https://example.org/new","disabled":true}`, "X-User", "joe\n").status)
	require.Equal(t, 200, h.do("POST", path+"/rotate-secret", "", "X-User", strings.Repeat("x", 200)).status)
	require.Equal(t, 204, h.do("DELETE", path, "", "X-User", "jane").status)
	long := strings.Repeat("x", 128)
	ofID := []string{
		"endpoint.deleted [jane]", "endpoint.rotated [" + long + "]", "endpoint.disabled [joe\uFFFD] user", "endpoint.changed [joe\uFFFD] url", "endpoint.created [jane]",
	}
	list := func(query string, header ...string) []string {
		t.Helper()
		return h.do("GET", "/v1/webhooks/operations?"+query, "", header...).operations(t)
	}
	require.Equal(t, append(ofID[:4:4], "endpoint.created []", ofID[4]), list(""))
	require.Equal(t, ofID, list("endpoint="+id), "also of a deleted endpoint")
	require.Equal(t, []string{"endpoint.created []"}, list("endpoint="+other))
	require.Equal(t, ofID[2:3], list("type=endpoint.disabled"))
	require.Equal(t, ofID[4:], list("type=endpoint.created&endpoint="+id))
	now := time.Now().UTC()
	require.Len(t, list("since="+now.Add(-time.Hour).Format(time.RFC3339)+"&until="+now.Add(time.Hour).Format(time.RFC3339)), 6)
	require.Empty(t, list("until="+now.Add(-time.Hour).Format(time.RFC3339)))
	require.Empty(t, list("endpoint="+id, "X-Organization", "org_b"), "another organization sees nothing")
}

func TestOperationsAreReadInPages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for range 5 {
		h.create(published)
	}
	seen := map[any]bool{}
	query := "/v1/webhooks/operations?type=endpoint.created&limit=2"
	for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
		require.Less(t, page, 4)
		got := h.do("GET", query+"&cursor="+cursor, "")
		for _, o := range got.json["operations"].([]any) {
			seen[o.(map[string]any)["id"]] = true
		}
		cursor, _ = got.json["nextCursor"].(string)
		if cursor == "" {
			continue
		}
		for _, foreign := range []string{"/v1/webhooks/operations?cursor=" + cursor, query + "&cursor=" + cursor[1:], "/v1/webhooks?cursor=" + cursor} {
			require.Equal(t, []string{"cursor"}, h.do("GET", foreign, "").fields())
		}
	}
	require.Len(t, seen, 5)
}

func TestBadFiltersOfOperations(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for query, field := range map[string]string{
		"endpoint=wh_1": "endpoint", "endpoint=dlv_01kt0v7fbgf0m8n2p4q6r7s9tv": "endpoint",
		"type=candidate.completed": "type", "type=endpoint.*": "type",
		"since=yesterday": "since", "since=2026-05-25T14:23": "since", "until=x": "until",
		"since=2026-05-25T14:23:00Z&until=2026-05-25T14:23:00Z": "until",
		"limit=0": "limit", "limit=101": "limit", "status=failed": "status", "organization=org_b": "organization",
	} {
		got := h.do("GET", "/v1/webhooks/operations?"+query, "")
		require.Equal(t, http.StatusBadRequest, got.status, query)
		require.Equal(t, []string{field}, got.fields(), query)
	}
}

func TestPageOfAnEndpointShowsWhatChanged(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, newHost(t).store, &settings.Options{Actor: actor}, alotwebhook.Config{ExhaustedOperations: true})
	e := s.endpoint("https://hooks.example.com/alot/webhook")
	page := s.get("/" + e.ID).text
	require.Contains(t, page, ">Added</td>")
	for i := range 11 {
		require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/"+[]string{"disable", "enable"}[i%2], nil, "X-User", "<b>Jane</b>").status)
	}
	page = s.get("/" + e.ID).text
	require.Contains(t, page, ">Disabled</td>")
	require.Contains(t, page, ">Enabled</td>")
	require.Contains(t, page, "&lt;b&gt;Jane&lt;/b&gt;")
	require.NotContains(t, page, ">Added</td>", "the newest ten")
	require.Equal(t, 10, strings.Count(page, `data-label="Who"`))

	o := alotwebhook.Operation{ID: "op_7zzzzzzzzzzzzzzzzzzzzzzzzz", OrganizationID: "org_a", EndpointID: e.ID}
	o.Type, o.DeliveryID, o.Note = alotwebhook.OpDeliveryExhausted, "dlv_01kt0v7fbgf8x2n4p6q8r0s2tv", "timeout"
	newer := o
	newer.ID, newer.Type, newer.DeliveryID = "op_7zzzzzzzzzzzzzzzzzzzzzzzz0", "endpoint.exploded", ""
	off, unknown := newer, newer
	off.ID, off.Type, off.Note = "op_7zzzzzzzzzzzzzzzzzzzzzzzz1", alotwebhook.OpEndpointDisabled, "gone"
	unknown.ID, unknown.Type, unknown.Note = "op_7zzzzzzzzzzzzzzzzzzzzzzzz2", alotwebhook.OpEndpointDisabled, "eclipsed"
	stored, err := s.store.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.NoError(t, s.store.PutEndpoint(t.Context(), stored, o, newer, off, unknown))
	page = s.get("/" + e.ID).text
	require.Contains(t, page, `/deliveries/dlv_01kt0v7fbgf8x2n4p6q8r0s2tv">Delivery failed: timeout</a>`)
	require.Contains(t, page, "endpoint.exploded: timeout")
	require.Contains(t, page, ">Disabled after 410 Gone</td>")
	require.Contains(t, page, ">Disabled: eclipsed</td>", "a reason of a newer release")
}
