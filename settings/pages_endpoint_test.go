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
	require.Equal(t, http.StatusUnprocessableEntity, s.post("/"+e.ID+"/rotate", []string{"version", "3", "when", "never"}).status)
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

// Whoever enables an endpoint chooses what becomes of the parked deliveries. The form works
// without script.
func TestEnablingOffersWhatToDoWithWhatIsParked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fields  []string
		pending int // of two
		done    string
	}{
		{nil, 2, "enabled"},
		{[]string{"parked", "send", "since", ""}, 2, "enabled"},
		{[]string{"parked", "since", "since", time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04")}, 2, "enabled"},
		{[]string{"parked", "discard", "since", ""}, 0, "discarded"},
	} {
		s := newSite(t)
		e := s.endpoint("https://hooks.example.com/alot")
		require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil).status)
		require.NotContains(t, s.get("/"+e.ID).text, "Discard all of them", "nothing is parked")
		s.event(e, `{}`)
		d := s.event(e, `{}`)
		shown := s.get("/" + e.ID).text
		for _, want := range []string{"2 deliveries parked since the endpoint was disabled, ", "Send all of them", "Discard all of them", `name="since"`} {
			require.Contains(t, shown, want)
		}
		for _, bad := range [][]string{{"parked", "some"}, {"parked", "since"}, {"parked", "since", "since", "soon"},
			{"parked", "since", "since", time.Now().AddDate(1, 0, 0).UTC().Format("2006-01-02T15:04")}} {
			require.Equal(t, http.StatusBadRequest, s.post("/"+e.ID+"/enable", bad).status, bad)
		}
		require.True(t, s.stored(e.ID).Disabled)
		got := s.post("/"+e.ID+"/enable", c.fields)
		require.Equal(t, http.StatusSeeOther, got.status, c)
		require.Contains(t, got.header.Get("Location"), "done="+c.done, c)
		require.False(t, s.stored(e.ID).Disabled, c)
		stats, err := s.dispatcher.Stats(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, c.pending, stats.Pending, c)
		if c.pending == 0 {
			require.Contains(t, s.get("/deliveries/"+d).text, "Discarded when the endpoint was enabled")
			require.Contains(t, s.get("/history?status=failed").text, "Discarded")
			require.Contains(t, s.get("/"+e.ID).text, "2 deliveries discarded")
		}
	}
}
