package settings_test

import (
	"fmt"
	"net/http"
	"regexp"
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

// Whoever has many endpoints finds one by a part of its URL. Whoever has few is spared the form.
func TestEndpointsAreFoundByTheirURL(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 7 {
		s.endpoint("https://hooks.example.com/alot")
	}
	require.NotContains(t, s.get("/").text, "Part of the URL")
	s.endpoint("https://ats.example.com/Jobs?a=b")
	require.Contains(t, s.get("/").text, "Part of the URL")

	got := s.get("/?url=+example.com/jobs?a").text // as it is pasted
	require.Equal(t, 1, strings.Count(got, `class="lead"`))
	require.Contains(t, got, `value="example.com/jobs?a"`)
	require.Contains(t, s.get("/?url=nothing").text, "No endpoint has this in its URL.")
	_, err := s.dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_b", URL: "https://theirs.example.com", EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	require.Contains(t, s.get("/?url=theirs").text, "No endpoint has this in its URL.")
	long := s.get("/?url=" + strings.Repeat("x", 257))
	require.Equal(t, http.StatusBadRequest, long.status)
	require.Contains(t, long.text, `<p class="problem" id="problem-url">It is longer than 256 bytes`)

	for range 100 {
		s.endpoint("https://hooks.example.com/more")
	}
	page := s.get("/?url=hooks").text
	m := reference.FindAllStringSubmatch(page[strings.Index(page, `class="pager"`):], 1)
	require.Contains(t, m[0][1], "url=hooks")
	require.Equal(t, 7, strings.Count(s.get(strings.ReplaceAll(m[0][1], "&amp;", "&")).text, `class="lead"`))
}

// The time in a note is shown as all times are.
func TestAFailingEndpointSaysSinceWhen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	e = s.stored(e.ID)
	require.NoError(t, s.store.PutEndpoint(t.Context(), e, alotwebhook.Operation{
		ID: "op_01jcc7wjz3e4qv8x5k2m9n6p0r", Type: alotwebhook.OpEndpointFailing, At: time.Now(),
		OrganizationID: "org_a", EndpointID: e.ID, Note: "since 2026-05-25T13:22:59Z",
	}))
	text := s.get("/" + e.ID).text
	require.Contains(t, text, `Failing since <time datetime="2026-05-25T13:22:59.000Z" title="2026-05-25T13:22:59.000Z">25 May 2026, 13:22:59 UTC</time>`)
	require.NotContains(t, text, "since 2026-05-25T13:22:59Z")
}

// Nor are the names of states shown, which nobody has read before.
func TestARecoveryThatBeginsIsToldInWords(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	e, n := s.endpoint("https://hooks.example.com/alot"), 0
	for note, words := range map[string]string{
		"sending: events until 2026-05-25T13:22:59Z":                         "sending missed, events until 25 May 2026, 13:22:59 UTC",
		"running: events until 2026-05-25T13:22:59Z, reason dns; is, mended": "sending again, events until 25 May 2026, 13:22:59 UTC, reason dns; is, mended",
		"erasing: events until 2026-05-25T13:22:59Z; asked":                  "erasing, events until 25 May 2026, 13:22:59 UTC; asked",
		"removing: events until 2026-05-25T13:22:59Z; left":                  "removing; left",
		"mending: events until 2026-05-25T13:22:59Z":                         "mending: events until 2026-05-25T13:22:59Z", // of a newer release
		"running: events until then":                                         "running: events until then",
	} {
		n++
		require.NoError(t, s.store.PutEndpoint(t.Context(), s.stored(e.ID), alotwebhook.Operation{
			ID: fmt.Sprintf("op_01jcc7wjz3e4qv8x5k2m9n6p0%d", n), Type: alotwebhook.OpRecoveryBegun, At: time.Now(), OrganizationID: "org_a", EndpointID: e.ID, Note: note,
		}))
		text := regexp.MustCompile("<[^>]*>").ReplaceAllString(s.see("/operations").text, "")
		require.Contains(t, text, "Recovery started: "+words+"\n")
	}
}
