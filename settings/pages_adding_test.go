package settings_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// added sends the form to add an endpoint.
func (s *site) added(url string, more ...string) shown {
	s.t.Helper()
	fields := append(hidden(s.t, s.get("/new").text), "url", url, "events", alotwebhook.EventCandidateCompleted)
	return s.post("/new", append(fields, more...))
}

func TestAURLIsTakenAsItIsPasted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Equal(t, http.StatusOK, s.added(" \thttps://hooks.example.com/alot\r\n").status)
	e := s.only()
	require.Equal(t, "https://hooks.example.com/alot", e.URL)
	edited := s.post("/"+e.ID+"/edit", []string{"version", "1", "url", "https://hooks.example.com/new ", "events", alotwebhook.EventCandidateCompleted})
	require.Equal(t, http.StatusSeeOther, edited.status)
	require.Equal(t, "https://hooks.example.com/new", s.only().URL)
}

func TestABareHostIsUnderstood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for given, meant := range map[string]string{
		"hooks.example.com/alot?a=b": "Did you mean https://hooks.example.com/alot?a=b?",
		" www.example.com":           "Did you mean https://www.example.com?",
		"ann@example.com":            "", "localhost/x": "", "htps://example.com": "", "mailto:ann@example.com": "", "hooks example.com": "", "": "",
		"example.com:8443/x": "", "http://": "",
	} {
		got := s.added(given)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, given)
		if meant == "" {
			require.NotContains(t, got.text, "Did you mean", given)
			continue
		}
		require.Contains(t, got.text, `id="problem-url">The URL does not begin with https://. `+meant, given)
	}
}

// An endpoint may have the URL of another one. Whoever adds it by mistake is told.
func TestTheSameURLTwiceIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NotContains(t, s.added("https://hooks.example.com/alot").text, "this URL, too")
	other := s.endpoint("https://hooks.example.com/other")
	require.NotContains(t, s.added(other.URL+"/more").text, "this URL, too")
	for i, same := range []string{"https://HOOKS.example.com/alot", "https://hooks.example.com:443/alot"} {
		got := s.added(same)
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.text, []string{"1 other endpoint has this URL, too.", "2 other endpoints have this URL, too."}[i])
	}
	own := s.added("https://hooks.example.com/alot", "secret", "a secret of these tests")
	require.Equal(t, http.StatusSeeOther, own.status)
	require.Contains(t, s.get(own.header.Get("Location")).text, "Another endpoint has the same URL")
}
