package settings_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestTheAPISendsWhatAnEndpointMissed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	missed := h.emit(alotwebhook.EventCandidateCompleted, 3)
	h.emit(alotwebhook.EventAssessmentPublished, 1) // it does not subscribe to that
	id := h.create(published)
	got := h.do("POST", "/v1/webhooks/"+id+"/send-missed", "")
	require.Equal(t, http.StatusAccepted, got.status, got.text)
	require.Equal(t, "sending", got.json["status"])
	require.Equal(t, "/v1/webhooks/"+id+"/recover", got.header.Get("Location"))
	require.Equal(t, http.StatusConflict, h.do("POST", "/v1/webhooks/"+id+"/send-missed", "").status)
	require.Equal(t, http.StatusNotFound, h.do("POST", "/v1/webhooks/"+id+"/send-missed", "", "X-Organization", "org_b").status)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.dispatcher.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-ended) }()
	require.Eventually(t, func() bool {
		return h.do("GET", "/v1/webhooks/"+id+"/recover", "").json["status"] == "sent"
	}, 5*time.Minute, 10*time.Millisecond)
	last := h.do("GET", "/v1/webhooks/"+id+"/recover", "")
	require.Equal(t, 3.0, last.json["recovered"])
	require.Equal(t, 1.0, last.json["progress"])
	require.ElementsMatch(t, missed, h.do("GET", "/v1/webhooks/"+id+"/deliveries", "").eventIDs(t))
	require.Equal(t, http.StatusUnprocessableEntity, h.do("POST", "/v1/webhooks/"+id+"/send-missed", `{"since":"2999-01-01T00:00:00Z"}`).status)
}

func TestThePageSendsWhatAnEndpointMissed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", map[string]string{})
	require.NoError(t, err)
	require.NoError(t, s.dispatcher.Emit(t.Context(), event))
	e := s.endpoint("https://hooks.example.com/alot")
	require.Contains(t, s.get("/"+e.ID).text, "Events that it never got")
	recovery, err := s.dispatcher.SendMissed(t.Context(), e.ID, time.Time{})
	require.NoError(t, err)
	require.Equal(t, alotwebhook.RecoverySending, recovery.State)
	require.True(t, strings.Contains(s.get("/"+e.ID).text, "Sending what was missed"))
}
