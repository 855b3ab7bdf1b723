package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestBadChanges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	path := "/v1/webhooks/" + endpoint
	before := h.do("GET", path, "").text
	late := time.Now().Add(31 * 24 * time.Hour).UTC().Format(time.RFC3339)
	for _, tc := range []struct {
		method, path, body string
		status             int
		field, detail      string
	}{
		{"PATCH", path, `{"url":null}`, 400, "url", "must be a string"},
		{"PATCH", path, `{"url":["https://example.com/"]}`, 400, "url", "must be a string"},
		{"PATCH", path, `{"events":null}`, 400, "events", "array of strings"},
		{"PATCH", path, `{"disabled":null}`, 400, "disabled", "true or false"},
		{"PATCH", path, `{"disabled":"true"}`, 400, "disabled", "true or false"},
		{"PATCH", path, `{"disabled":0}`, 400, "disabled", "true or false"},
		{"PATCH", path, `{"description":7}`, 400, "description", "must be a string"},
		{"PATCH", path, `{"secret":"sesame-street-123"}`, 400, "secret", "use rotate-secret"},
		{"PATCH", path, `{"rate":true}`, 400, "rate", "must be a number"},
		{"PATCH", path, `{"rate":0.001}`, 422, "rate", "from 0.01"},
		{"PATCH", path, `{"id":"wh_1"}`, 400, "id", "not known"},
		{"PATCH", path, `{"Disabled":true}`, 400, "Disabled", "not known"},
		{"PATCH", path, `{"disabled":true,"disabled":true}`, 400, "disabled", "given twice"},
		{"PATCH", path, `{"url":""}`, 422, "url", "missing"},
		{"PATCH", path, `{"url":"https://example.com/\r\nX-A: b"}`, 422, "url", ""},
		{"PATCH", path, `{"url":"https://10.0.0.1/"}`, 422, "url", "blocked"},
		{"PATCH", path, `{"url":"https://example.com/` + strings.Repeat("x", 2048) + `"}`, 422, "url", "2048"},
		{"PATCH", path, `{"events":[]}`, 422, "events", "at least one"},
		{"PATCH", path, `{"events":["candidate.exploded"]}`, 422, "events[0]", "catalogue"},
		{"PATCH", path, `{"events":["candidate.invited","candidate.invited"]}`, 422, "events[1]", "stands twice"},
		{"PATCH", path, `{"description":"` + strings.Repeat("x", 257) + `"}`, 422, "description", "longer than 256"},
		{"PATCH", path, `{"description":"a\u0000b"}`, 422, "description", "control characters"},
		{"PATCH", path, `{"description":"a\r\nb"}`, 422, "description", "control characters"},

		{"POST", path + "/rotate-secret", `{"secret":""}`, 422, "secret", "leave it out"},
		{"POST", path + "/rotate-secret", `{"secret":null}`, 400, "secret", "must be a string"},
		{"POST", path + "/rotate-secret", `{"secret":"sesame-\r\nstreet-123"}`, 422, "secret", "control characters"},
		{"POST", path + "/rotate-secret", `{"secret":"` + strings.Repeat("x", 257) + `"}`, 422, "secret", "at most 256"},
		{"POST", path + "/rotate-secret", `{"secret":"fifteen-letters"}`, 422, "secret", "give at least 16"},
		{"POST", path + "/rotate-secret", `{"signsFrom":"2020-01-01T00:00:00Z"}`, 422, "signsFrom", "is past"},
		{"POST", "/v1/webhooks", `{"url":"https://example.com/","events":["candidate.invited"],"secret":"a"}`, 422, "secret", "give at least 16"},
		{"POST", path + "/rotate-secret", `{"signsFrom":"tomorrow"}`, 400, "signsFrom", "must be a time"},
		{"POST", path + "/rotate-secret", `{"signsFrom":1}`, 400, "signsFrom", "must be a string"},
		{"POST", path + "/rotate-secret", `{"signsFrom":"` + late + `"}`, 422, "signsFrom", "30 days"},

		{"POST", path + "/test", `{"type":""}`, 422, "type", "missing"},
		{"POST", path + "/test", `{"type":"candidate.exploded"}`, 422, "type", "catalogue"},
		{"POST", path + "/test", `{"type":null}`, 400, "type", "must be a string"},

		{"POST", path + "/recover", `{"since":"2999-01-01T00:00:00Z"}`, 422, "since", "not in the past"},
		{"POST", path + "/recover", `{"since":"2026-05-25"}`, 400, "since", "must be a time"},
		{"POST", path + "/recover", `{"since":null}`, 400, "since", "must be a string"},

		{"POST", "/v1/webhooks/deliveries/" + delivery + "/redeliver", `{"force":true}`, 400, "force", "not known"},
	} {
		got := h.do(tc.method, tc.path, tc.body)
		require.Equal(t, tc.status, got.status, "%.90s: %s", tc.body, got.text)
		require.Equal(t, []string{tc.field}, got.fields(), "%.90s", tc.body)
		require.Contains(t, got.json["detail"], tc.detail, "%.90s", tc.body)
		require.NotContains(t, got.text, "sesame")
		require.NotContains(t, got.text, "Config.", "the customer has no Config")
	}
	require.Equal(t, before, h.do("GET", path, "").text)
	require.Equal(t, http.StatusNotFound, h.do("GET", path+"/recover", "").status)
}

func TestTheRateIsChanged(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	path := "/v1/webhooks/" + h.create(published)
	require.NotContains(t, h.do("GET", path, "").json, "rate")
	got := h.do("PATCH", path, `{"rate":2.5}`)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.EqualValues(t, 2.5, got.json["rate"])
	require.Equal(t, `"2"`, got.header.Get("ETag"))
	require.EqualValues(t, 2.5, h.do("PATCH", path, `{"description":"x"}`).json["rate"])
	require.NotContains(t, h.do("PATCH", path, `{"rate":0}`).json, "rate", "no limit of its own")
}

func TestDisablingParksAndEnablingSends(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	path := "/v1/webhooks/" + endpoint
	h.do("PATCH", path, `{"disabled":true}`)
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	delivery := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(event, endpoint)
	parked := h.do("GET", delivery, "").json
	require.Equal(t, "parked", parked["status"])
	require.NotContains(t, parked, "nextAttemptAt", "there is none before it is enabled")
	require.Equal(t, http.StatusConflict, h.do("POST", delivery+"/redeliver", "").status)
	h.do("PATCH", path, `{"disabled":false}`)
	require.Equal(t, "pending", h.do("GET", delivery, "").json["status"])
	require.Equal(t, http.StatusAccepted, h.do("POST", delivery+"/redeliver", "").status, "it is due already")
}
