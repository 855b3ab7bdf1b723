package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestWhatNeedsAttentionComesFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.endpoint("https://a-well.example.com")
	off := s.endpoint("https://b-off.example.com")
	s.endpoint("https://c-well.example.com")
	require.Equal(t, http.StatusSeeOther, s.post("/"+off.ID+"/disable", nil).status)
	gone, failing := s.endpoint("https://d-gone.example.com"), s.endpoint("https://e-broken.example.com")
	e := s.stored(gone.ID)
	e.Disabled, e.DisabledReason = true, alotwebhook.DisabledGone
	require.NoError(t, s.store.PutEndpoint(t.Context(), e))
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", struct{}{})
	require.NoError(t, err)
	require.NoError(t, s.store.EnqueueTo(t.Context(), failing.ID, event)) // no test: those make nobody fail
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), StatusCode: http.StatusInternalServerError, Reason: alotwebhook.ReasonStatus})
	text := s.get("/").text
	last := -1
	for _, want := range []string{"Needs attention", "d-gone", "Disabled after 410 Gone", "e-broken", "Failing</span>", "All others", "a-well", "c-well", "b-off"} {
		at := strings.Index(text, want)
		require.Greater(t, at, last, want)
		last = at
	}
}

func TestEndpointsComeInPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 101 {
		s.endpoint("https://hooks.example.com/alot")
	}
	first := s.get("/").text
	require.Equal(t, 100, strings.Count(first, `class="lead"`))
	m := reference.FindAllStringSubmatch(first[strings.Index(first, `class="pager"`):], 1)
	second := s.get(m[0][1]).text
	require.Equal(t, 1, strings.Count(second, `class="lead"`))
	require.Contains(t, second, "First page")
	require.Equal(t, http.StatusBadRequest, s.get("/?cursor=dlv_00000000000000000000000000").status)
	require.Equal(t, http.StatusBadRequest, s.get("/?page=2").status)
}
