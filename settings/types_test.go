package settings_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// catalogueOfOwn has a type of the host's own with all that a type can say.
func catalogueOfOwn() alotwebhook.Config {
	types := append(alotwebhook.DefaultEventTypes(), alotwebhook.EventType{
		Name: "candidate.withdrew", Description: "A candidate withdrew.", Since: "May 2026",
		Deprecated: "Use candidate.left instead.",
		Example:    json.RawMessage(`{"who":{"id":"c_1"}}`),
		Schema: json.RawMessage(`{
			"type": "object", "required": ["who"],
			"properties": {
				"who": {"$ref": "#/$defs/person", "description": "Who withdrew."},
				"stages": {"type": "array", "items": {"type": "object", "properties": {"name": {"enum": ["new", "<b>"]}}}},
				"at": {"type": ["string", "null"], "format": "date-time", "description": "When it was."}
			},
			"$defs": {"person": {"type": "object", "properties": {"id": {"type": "string"}, "boss": {"$ref": "#/$defs/person"}}}}
		}`),
		Versions: map[string]func(json.RawMessage) (json.RawMessage, error){
			"2025-01": func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(`{"old":true}`), nil },
		},
	})
	return alotwebhook.Config{EventTypes: types, PayloadVersions: []string{"2025-01", "2026-01"}, Wildcards: true, MaxEndpoints: -1}
}

func TestThePageOfEventTypesShowsTheCatalogue(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, memory.New(), nil, catalogueOfOwn())
	got := s.get("/event-types")
	require.Equal(t, http.StatusOK, got.status)
	for _, words := range []string{
		"candidate.invited", "candidate.withdrew", "since May 2026", "Use candidate.left instead.", "A candidate withdrew.",
		"<code>who</code> <span class=\"aside\">always there</span>", "<code>who.id</code>", "<code>who.boss.boss", "<code>stages[].name</code>",
		"one of &#34;new&#34;", "string or null", "in the form date-time", "When it was.", "Who withdrew.", "The schema says more than this table.",
		"JSON Schema", "version 2026-01",
	} {
		require.Contains(t, got.text, words)
	}
	require.NotContains(t, got.text, "<b>\"")
	require.NotContains(t, got.text, "in the form double", "the format of a number is for generators of clients")
	require.Contains(t, s.get("/").text, `/event-types"`, "the navigation leads there")
	require.GreaterOrEqual(t, s.get("/event-types?x=1").status, 400)
}

func TestAFormOffersWhatIncludesTypesToCome(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, memory.New(), nil, catalogueOfOwn())
	form := s.get("/new").text
	require.Contains(t, form, "All events")
	require.Contains(t, form, `value="candidate.*"`)
	require.NotContains(t, form, `value="assessment.*"`, "one type is no beginning of several")
	require.Contains(t, form, "Today: candidate.invited, candidate.completed, candidate.disqualified, candidate.withdrew.")
	require.NotContains(t, form, `value="*" checked`)
	require.Contains(t, form, `value="candidate.invited" checked`)
	require.NotContains(t, form, `value="candidate.withdrew" checked`, "it is deprecated")
	created := s.post("/new", []string{"url", "https://hooks.example.com", "events", "candidate.*", "events", "candidate.invited", "events", "assessment.published", "secret", "a secret of my own"})
	require.Equal(t, http.StatusSeeOther, created.status, created.text)
	page, _, err := s.store.Endpoints(t.Context(), alotwebhook.EndpointFilter{})
	require.NoError(t, err)
	require.Equal(t, []string{"candidate.*", "assessment.published"}, page[0].EventTypes, "what is included is left out")
	require.Equal(t, "2026-01", page[0].PayloadVersion)
	shown := s.get("/" + page[0].ID).text
	require.Contains(t, shown, "<span>assessment.published</span>")
	require.Contains(t, shown, "<span>candidate.*</span>")
	require.Contains(t, shown, "Today: candidate.invited, ")
	require.Equal(t, 1, strings.Count(shown, "candidate.*"), "each is named once")
	require.Contains(t, shown, "2026-01 (newest)")
	edit := s.get("/" + page[0].ID + "/edit").text
	require.Contains(t, edit, `value="candidate.*" checked`)
	require.Contains(t, edit, `value="assessment.published" checked`)

	off := newSiteWith(t, s.store, nil, alotwebhook.Config{})
	edit = off.get("/" + page[0].ID + "/edit").text
	require.Contains(t, edit, `value="candidate.*" checked`, "one that is chosen already stays")
	require.NotContains(t, edit, "All events")
	require.NotContains(t, off.get("/new").text, "candidate.*")
}

func TestAPageMovesAnEndpointToAnotherVersion(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, memory.New(), nil, catalogueOfOwn())
	e, err := s.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_a", URL: "https://hooks.example.com", EventTypes: []string{"candidate.withdrew"}, PayloadVersion: "2025-01",
	})
	require.NoError(t, err)
	require.Contains(t, s.get("/"+e.ID).text, "Choose a newer one")
	edit := s.get("/" + e.ID + "/edit").text
	require.Contains(t, edit, `<option value="2025-01" selected>`)
	event, err := alotwebhook.NewEvent("candidate.withdrew", "org_a", json.RawMessage(`{"who":{"id":"c_1"}}`))
	require.NoError(t, err)
	require.NoError(t, s.dispatcher.Emit(t.Context(), event))
	require.Contains(t, s.get("/deliveries/"+alotwebhook.DeliveryID(event.ID, e.ID)).text, "&#34;old&#34;: true", "the payload is shown as it is sent")
	fields := []string{"url", e.URL, "events", "candidate.withdrew", "version", "1"}
	bad := s.post("/"+e.ID+"/edit", append(fields, "payloadVersion", "2024-01"))
	require.Equal(t, http.StatusUnprocessableEntity, bad.status)
	require.Contains(t, bad.text, "problem-payloadVersion")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	stored, err := s.dispatcher.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, "2025-01", stored.PayloadVersion, "a form without the field keeps it")
	fields[5] = "2"
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", append(fields, "payloadVersion", "2026-01")).status)
	stored, err = s.dispatcher.Endpoint(t.Context(), e.ID)
	require.NoError(t, err)
	require.Equal(t, "2026-01", stored.PayloadVersion)
	require.Contains(t, s.get("/deliveries/"+alotwebhook.DeliveryID(event.ID, e.ID)).text, "c_1")
}

func TestTheAPITakesStarsAndVersions(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), catalogueOfOwn())
	got := h.do("POST", "/v1/webhooks", `{"url":"https://hooks.example.com","events":["candidate.*"],"payloadVersion":"2025-01"}`)
	require.Equal(t, http.StatusCreated, got.status, got.text)
	require.Equal(t, "2025-01", got.json["payloadVersion"])
	id := got.json["id"].(string)
	require.Equal(t, "2026-01", h.do("PATCH", "/v1/webhooks/"+id, `{"payloadVersion":"2026-01"}`).json["payloadVersion"])
	for body, field := range map[string]string{
		`{"payloadVersion":"2024-01"}`: "payloadVersion", `{"payloadVersion":""}`: "payloadVersion", `{"payloadVersion":null}`: "payloadVersion",
		`{"events":["*","candidate.*"]}`: "events[1]", `{"events":["candida.*"]}`: "events[0]",
	} {
		bad := h.do("PATCH", "/v1/webhooks/"+id, body)
		require.GreaterOrEqual(t, bad.status, 400, body)
		require.Equal(t, []string{field}, bad.fields(), body)
	}
	require.Equal(t, http.StatusNotFound, h.do("PATCH", "/v1/webhooks/"+id, `{"payloadVersion":"2025-01"}`, "X-Organization", "org_b").status)
	sent := h.do("POST", "/v1/webhooks/"+id+"/test", "")
	require.Equal(t, http.StatusAccepted, sent.status, sent.text)
	require.Equal(t, "candidate.invited", sent.json["type"], "the first type that the star includes")

	list := h.do("GET", "/v1/webhooks/event-types", "").json
	require.Equal(t, true, list["wildcards"])
	require.Equal(t, []any{"2025-01", "2026-01"}, list["payloadVersions"])
	own := list["eventTypes"].([]any)[4].(map[string]any)
	require.Equal(t, "May 2026", own["since"])
	require.Equal(t, "Use candidate.left instead.", own["deprecated"])
	require.Contains(t, own["schema"].(map[string]any), "properties")
	plain := newHost(t)
	require.NotContains(t, plain.do("GET", "/v1/webhooks/event-types", "").json, "wildcards")
	refused := plain.do("POST", "/v1/webhooks", `{"url":"https://hooks.example.com","events":["*"],"payloadVersion":"1"}`)
	require.Equal(t, http.StatusUnprocessableEntity, refused.status, refused.text)
}

// The schemas that are published stand in the document, in the catalogue and on the page, and must
// be the same.
func TestTheDocumentHasTheSchemasOfTheCatalogue(t *testing.T) {
	t.Parallel()
	var document struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
		Webhooks map[string]struct {
			Post struct {
				Deprecated  bool   `json:"deprecated"`
				Description string `json:"description"`
				RequestBody struct {
					Content map[string]struct {
						Schema struct {
							Properties struct {
								Data struct {
									Ref string `json:"$ref"`
									ID  string `json:"$id"`
								} `json:"data"`
							} `json:"properties"`
						} `json:"schema"`
					} `json:"content"`
				} `json:"requestBody"`
			} `json:"post"`
		} `json:"webhooks"`
	}
	require.NoError(t, json.Unmarshal(settings.OpenAPI(), &document))
	for _, typ := range alotwebhook.DefaultEventTypes() {
		ref := document.Webhooks[typ.Name].Post.RequestBody.Content["application/json"].Schema.Properties.Data.Ref
		require.JSONEq(t, string(typ.Schema), string(document.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]), typ.Name)
	}

	cfg := catalogueOfOwn()
	cfg.EventTypes[0].Schema = json.RawMessage(`{"type":"object","title":"our own"}`)
	served := newHostWith(t, memory.New(), cfg).do("GET", "/v1/webhooks/openapi.json", "").text
	document.Webhooks = nil
	require.NoError(t, json.Unmarshal([]byte(served), &document))
	own := document.Webhooks["candidate.withdrew"].Post
	require.True(t, own.Deprecated)
	require.Contains(t, own.Description, "Since May 2026.")
	require.Contains(t, own.Description, "Use candidate.left instead.")
	require.Equal(t, "urn:event-type:candidate.withdrew", own.RequestBody.Content["application/json"].Schema.Properties.Data.ID, "its $ref is to itself")
	require.Empty(t, document.Webhooks["candidate.invited"].Post.RequestBody.Content["application/json"].Schema.Properties.Data.Ref)
	require.Contains(t, served, "our own")
}
