package settings_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestActionsOnAnEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil).status)
	require.True(t, s.stored(e.ID).Disabled)
	require.Contains(t, s.get("/"+e.ID).text, "sent when you enable the endpoint")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/enable", nil).status)
	require.False(t, s.stored(e.ID).Disabled)

	require.Equal(t, http.StatusUnprocessableEntity, s.post("/"+e.ID+"/test", []string{"type", "candidate.hired"}).status)
	sent := s.post("/"+e.ID+"/test", []string{"type", alotwebhook.EventAssessmentPublished})
	require.Contains(t, s.get(sent.header.Get("Location")).text, "Test event sent")

	require.Equal(t, http.StatusBadRequest, s.post("/"+e.ID+"/recover", []string{"since", "1y"}).status)
	require.Equal(t, http.StatusBadRequest, s.post("/"+e.ID+"/rotate", []string{"version", "3", "when", "never"}).status)
	require.Equal(t, http.StatusNotFound, s.post("/"+e.ID+"/recover/stop", nil).status, "none was begun")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/recover", []string{"since", "7d"}).status)
	running := s.get("/" + e.ID).text
	require.Contains(t, running, "<progress")
	require.Contains(t, running, `hx-trigger="every 1s"`)

	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/delete", []string{"confirmed", "no"}).status)
	s.stored(e.ID) // fails if it was deleted
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/delete", []string{"confirmed", "yes"}).status)
	require.Equal(t, http.StatusNotFound, s.get("/"+e.ID).status)
	require.Contains(t, s.get("/history").text, "deleted", "the history stays")
}

func TestARotationThatIsToComeIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	_, err := s.dispatcher.RotateSecret(t.Context(), e.ID, "", time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Contains(t, s.get("/"+e.ID).text, "A new secret signs from")
}

// plain hides the optional capabilities of a store, such as counting attempts.
type plain struct{ alotwebhook.Store }

func TestAStoreThatCountsNothing(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, plain{memory.New()}, nil)
	e := s.endpoint("https://hooks.example.com/alot")
	require.Contains(t, s.get("/").text, "not counted")
	require.Contains(t, s.get("/"+e.ID).text, "not counted here")
}
