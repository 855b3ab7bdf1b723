package settings_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestEnable(t *testing.T) {
	t.Parallel()
	for body, pending := range map[string]int64{
		"": 1, "{}": 1, `{"discard":false}`: 1, `{"since":"2026-01-01T00:00:00Z"}`: 1, `{"discard":true}`: 0,
	} {
		h := newHost(t)
		id := h.create(published)
		disabled := h.do("PATCH", "/v1/webhooks/"+id, `{"disabled":true}`)
		require.NotEmpty(t, disabled.json["disabledAt"])
		event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
		got := h.do("POST", "/v1/webhooks/"+id+"/enable", body, "If-Match", disabled.header.Get("ETag"))
		require.Equal(t, http.StatusOK, got.status, body)
		require.Equal(t, false, got.json["disabled"])
		require.NotContains(t, got.json, "disabledAt")
		require.NotEqual(t, disabled.header.Get("ETag"), got.header.Get("ETag"))
		require.Equal(t, got.header.Get("ETag"), h.do("GET", "/v1/webhooks/"+id, "").header.Get("ETag"))
		stats, err := h.dispatcher.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, pending, stats.Pending, body)
		again := h.do("POST", "/v1/webhooks/"+id+"/enable", body)
		require.Equal(t, http.StatusOK, again.status)
		require.Equal(t, got.text, again.text, "it stays as it is")
		if pending == 0 {
			delivery := h.do("GET", "/v1/webhooks/deliveries/"+alotwebhook.DeliveryID(event, id), "")
			require.Equal(t, "failed", delivery.json["status"])
			require.Equal(t, http.StatusAccepted, h.do("POST", "/v1/webhooks/deliveries/"+alotwebhook.DeliveryID(event, id)+"/redeliver", "").status)
		}
	}
}

func TestEnableRefuses(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	h.do("PATCH", "/v1/webhooks/"+id, `{"disabled":true}`)
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for body, field := range map[string]string{
		`{"since":"` + future + `"}`:                      "since",
		`{"discard":true,"since":"2026-01-01T00:00:00Z"}`: "discard",
	} {
		got := h.do("POST", "/v1/webhooks/"+id+"/enable", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, body)
		require.Equal(t, []string{field}, got.fields())
	}
	require.Equal(t, http.StatusPreconditionFailed, h.do("POST", "/v1/webhooks/"+id+"/enable", "", "If-Match", `"1"`).status)
	require.Equal(t, http.StatusAccepted, h.do("POST", "/v1/webhooks/"+id+"/recover", "").status)
	require.Equal(t, http.StatusConflict, h.do("POST", "/v1/webhooks/"+id+"/enable", `{"discard":true}`).status)
	require.Equal(t, true, h.do("GET", "/v1/webhooks/"+id, "").json["disabled"])
}
