package settings_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

func TestThePublishedRequestRegistersAnEndpoint(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("POST", "/v1/webhooks", published)
	require.Equal(t, http.StatusCreated, got.status)
	require.Equal(t, "https://yourapp.example.com/alot/webhook", got.json["url"])
	require.Equal(t, []any{"candidate.completed"}, got.json["events"])
	require.Equal(t, false, got.json["disabled"])
	require.Regexp(t, `^wh_[0-9a-z]{26}$`, got.json["id"])
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, got.json["createdAt"])
	require.NotContains(t, got.json, "secret")

	stored, err := h.store.Endpoint(t.Context(), got.json["id"].(string))
	require.NoError(t, err)
	require.Equal(t, "your-signing-secret", string(stored.Secret))
	require.Equal(t, "org_a", stored.OrganizationID)
}

// The floor of a secret is in bytes, and what the document says of it in characters: it refuses
// nothing that the API takes.
func TestASecretOfFewCharactersMayHaveEnoughBytes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	body := `{"url":"https://example.com/","events":["candidate.invited"],"secret":"%s"}`
	require.Equal(t, http.StatusCreated, h.do("POST", "/v1/webhooks", fmt.Sprintf(body, "😀😁😂😃")).status)
	require.Equal(t, http.StatusUnprocessableEntity, h.do("POST", "/v1/webhooks", fmt.Sprintf(body, "😀😁😂…")).status)
	var document struct {
		Components struct {
			Schemas map[string]struct{ MinLength int }
		}
	}
	require.NoError(t, json.Unmarshal(settings.OpenAPI(), &document))
	require.Equal(t, 4, document.Components.Schemas["Secret"].MinLength)
}

func TestASecretMadeHereIsShownOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("POST", "/v1/webhooks", `{"url":"https://example.com/?a=1&b=2","events":["candidate.invited"]}`)
	require.Equal(t, http.StatusCreated, got.status)
	secret := got.json["secret"].(string)
	require.Regexp(t, `^whsec_.{44}$`, secret)
	require.Contains(t, got.text, "?a=1&b=2") // as it was given, not as \u0026

	stored, err := h.store.Endpoint(t.Context(), got.json["id"].(string))
	require.NoError(t, err)
	require.Equal(t, secret, string(stored.Secret))
	require.NotContains(t, h.do("GET", "/v1/webhooks/"+got.json["id"].(string), "").text, "ecret")
	require.NotContains(t, h.do("GET", "/v1/webhooks", "").text, "ecret")
	require.NotContains(t, h.log.String(), secret)
}

func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const secret = "sesame-street-123"
	for _, tc := range []struct {
		body   string
		status int
		fields []string
		detail string
	}{
		// These bodies cannot be read.
		{``, 415, nil, "Content-Type"},
		{` `, 400, nil, "not JSON"},
		{`{`, 400, nil, "not JSON"},
		{`{"url":"https://example.com/"} {}`, 400, nil, "not JSON"},
		{"{\"url\":\"\xff\"}", 400, nil, "not UTF-8"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":"` + secret + `\ud800"}`, 400, []string{"secret"}, "half of a surrogate pair"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"description":"` + "\ufffd" + `"}`, 400, []string{"description"}, "U+FFFD"},
		{`null`, 400, nil, "not a JSON object"},
		{`[]`, 400, nil, "not a JSON object"},
		{`"url"`, 400, nil, "not a JSON object"},
		{`{"url":1,"events":["candidate.invited"]}`, 400, []string{"url"}, "url must be a string"},
		{`{"url":null,"events":["candidate.invited"]}`, 400, []string{"url"}, "url must be a string"},
		{`{"url":"https://example.com/","events":"candidate.invited"}`, 400, []string{"events"}, "array of strings"},
		{`{"url":"https://example.com/","events":["candidate.invited",7,null]}`, 400, []string{"events[1]", "events[2]"}, "events[1] must be a string"},
		{`{"url":"https://example.com/","events":null}`, 400, []string{"events"}, "array of strings"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":["` + secret + `"]}`, 400, []string{"secret"}, "secret must be a string"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":null}`, 400, []string{"secret"}, "secret must be a string"},
		{`{"url":"https://example.com/","URL":"https://example.com/","events":["candidate.invited"]}`, 400, []string{"URL"}, "URL is not known"},
		{`{"url":"https://example.com/","url":"https://example.com/","events":["candidate.invited"]}`, 400, []string{"url"}, "url is given twice"},
		{`{"url":"https://example.com/","\u0075rl":"https://example.com/","events":["candidate.invited"]}`, 400, []string{"url"}, "url is given twice"},
		{`{"organizationId":"org_b","secrets":"` + secret + `","events":{}}`, 400, []string{"organizationId", "secrets", "events"}, "organizationId is not known"},
		{`{"` + strings.Repeat("é", 100) + `":1}`, 400, []string{strings.Repeat("é", 32) + "…"}, "is not known"},
		{`{"url":"https://example.com/` + strings.Repeat("x", 64<<10) + `"}`, 413, nil, "64 KiB"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"rate":"5"}`, 400, []string{"rate"}, "rate must be a number from 0.01 to 10,000, or 0"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"rate":null}`, 400, []string{"rate"}, "rate must be a number from 0.01 to 10,000, or 0"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"rate":1e999}`, 400, []string{"rate"}, "rate must be a number from 0.01 to 10,000, or 0"},

		// These bodies can be read, but a value is not accepted.
		{`{}`, 422, []string{"url", "events"}, "url is missing"},
		{`{"url":"https://10.0.0.1/","events":["candidate.exploded"],"secret":"short","rate":0.001}`, 422, []string{"secret", "url", "rate", "events[0]"}, ". url has an address that is blocked; "},
		{`{"url":"","events":["candidate.invited"]}`, 422, []string{"url"}, "url is missing"},
		{`{"url":"http://example.com/","events":["candidate.invited"]}`, 422, []string{"url"}, "https URLs only"},
		{`{"url":"https://127.0.0.1/","events":["candidate.invited"]}`, 422, []string{"url"}, "blocked"},
		{`{"url":"https://user:` + secret + `@example.com/","events":["candidate.invited"]}`, 422, []string{"url"}, "password"},
		{`{"url":"https://example.com/"}`, 422, []string{"events"}, "at least one"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"rate":-1}`, 422, []string{"rate"}, "from 0.01 to 10,000"},
		{`{"url":"https://example.com/","events":[]}`, 422, []string{"events"}, "at least one"},
		{`{"url":"https://example.com/","events":["candidate.invited","candidate.exploded"]}`, 422, []string{"events[1]"}, "not in the catalogue"},
		{`{"url":"https://example.com/","events":["candidate.invited","candidate.invited"]}`, 422, []string{"events[1]"}, "stands twice"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":""}`, 422, []string{"secret"}, "leave it out"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":" ` + secret + `"}`, 422, []string{"secret"}, "white space"},
		{`{"url":"https://example.com/","events":["candidate.invited"],"secret":"` + strings.Repeat(secret, 20) + `"}`, 422, []string{"secret"}, "at most 256"},
	} {
		got := h.do("POST", "/v1/webhooks", tc.body)
		shown := tc.body[:min(len(tc.body), 200)]
		require.Equal(t, tc.status, got.status, "%s: %s", shown, got.text)
		require.Equal(t, tc.fields, got.fields(), shown)
		require.Contains(t, got.json["detail"], tc.detail, shown)
		require.NotContains(t, got.text, secret)
		require.NotContains(t, got.text, "Config.", "the customer has no Config")
	}
	require.Empty(t, h.do("GET", "/v1/webhooks", "").json["endpoints"])
	require.NotContains(t, h.log.String(), secret)
}

func TestAnEmptyBodyIsCalledSo(t *testing.T) {
	t.Parallel()
	got := newHost(t).do("POST", "/v1/webhooks", "", "Content-Type", "application/json")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Equal(t, "The body is empty; send a JSON object.", got.json["detail"])
}

func TestOnlyJSONIsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; ="} {
		got := h.do("POST", "/v1/webhooks", published, "Content-Type", contentType)
		require.Equal(t, http.StatusUnsupportedMediaType, got.status, contentType)
	}
	h.create(published, "Content-Type", "Application/JSON; charset=utf-8")
}

func TestOthersEndpointsDoNotExist(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	absent := h.do("GET", "/v1/webhooks/wh_00000000000000000000000000", "", "X-Organization", "org_b")
	for _, path := range []string{"/v1/webhooks/" + id, "/v1/webhooks/" + id + "/deliveries"} {
		got := h.do("GET", path, "", "X-Organization", "org_b")
		require.Equal(t, http.StatusNotFound, got.status)
		require.Equal(t, absent.text, got.text)
	}
	list := h.do("GET", "/v1/webhooks", "", "X-Organization", "org_b")
	require.JSONEq(t, `{"endpoints":[]}`, list.text)
}

func TestEndpointsAreListedInPages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	var want, got []string
	for range 5 {
		want = append(want, h.create(published))
		h.create(published, "X-Organization", "org_b")
	}
	path := "/v1/webhooks?limit=2"
	for pages := 1; ; pages++ {
		page := h.do("GET", path, "")
		require.Equal(t, http.StatusOK, page.status, page.text)
		for _, e := range page.json["endpoints"].([]any) {
			got = append(got, e.(map[string]any)["id"].(string))
		}
		next, more := page.json["nextCursor"]
		if !more {
			require.Equal(t, 3, pages)
			break
		}
		path = "/v1/webhooks?limit=2&cursor=" + next.(string)
	}
	require.Equal(t, want, got)
	exact := h.do("GET", "/v1/webhooks?limit=5", "")
	require.Len(t, exact.json["endpoints"], 5)
	require.NotContains(t, exact.json, "nextCursor")
}

func TestADisabledEndpointSaysWhy(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	e, err := h.dispatcher.Endpoint(t.Context(), id)
	require.NoError(t, err)
	e.Disabled, e.Description = true, "Candidates <Berlin>"
	_, err = h.dispatcher.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	got := h.do("GET", "/v1/webhooks/"+id, "")
	require.Equal(t, true, got.json["disabled"])
	require.EqualValues(t, alotwebhook.DisabledByUser, got.json["disabledReason"])
	require.Equal(t, "Candidates <Berlin>", got.json["description"])
}

func TestAnEndpointWithoutMoreIsDescribedAndDisabledAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("POST", "/v1/webhooks", `{"url":"https://example.com/","events":["candidate.invited"],"description":"Berlin","disabled":true,"rate":0.5}`)
	require.Equal(t, http.StatusCreated, got.status)
	require.EqualValues(t, 0.5, got.json["rate"])
	require.Equal(t, "Berlin", got.json["description"])
	require.Equal(t, true, got.json["disabled"])
	require.Equal(t, "user", got.json["disabledReason"])
}
