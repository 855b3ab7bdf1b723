package settings_test

import (
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestSecretsAreShownOnceAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	page := s.get("/new")
	fields := append(hidden(t, page.text), "url", "https://hooks.example.com/alot", "events", alotwebhook.EventCandidateCompleted, "secret", "")
	created := s.post("/new", fields, "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusOK, created.status, created.text)
	require.Equal(t, "no-store", created.header.Get("Cache-Control"))
	require.Empty(t, created.header.Get("Content-Encoding"), "packed, its size would tell of the secret")
	e := s.only()
	secret := string(s.stored(e.ID).Secret)
	require.Equal(t, 1, strings.Count(html.UnescapeString(created.text), secret))

	again := s.post("/new", fields) // as a browser does when the page is reloaded
	require.Equal(t, http.StatusSeeOther, again.status)
	require.Equal(t, "/"+e.ID+"?done=existing", again.header.Get("Location"))
	require.Equal(t, e.ID, s.only().ID, "a second endpoint was made")

	fields = append(hidden(t, s.get("/"+e.ID+"/rotate").text), "when", "24h")
	rotated := s.post("/"+e.ID+"/rotate", fields)
	require.Equal(t, http.StatusOK, rotated.status, rotated.text)
	next := string(s.stored(e.ID).NextSecret)
	require.NotEqual(t, secret, next)
	require.Equal(t, 1, strings.Count(html.UnescapeString(rotated.text), next))
	require.Equal(t, http.StatusConflict, s.post("/"+e.ID+"/rotate", fields).status)
	require.Equal(t, next, string(s.stored(e.ID).NextSecret))

	d := s.event(e, `{}`)
	gets, _ := routes(e.ID, d)
	for _, path := range append(gets, "/", "/new", "/history") {
		text := html.UnescapeString(s.get(path).text)
		require.NotContains(t, text, secret, path)
		require.NotContains(t, text, next, path)
	}
	require.NotContains(t, s.log.String(), secret)
	require.NotContains(t, s.log.String(), next)
}

func TestASecretOfOnesOwnIsNeverShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const own = "my own signing secret"
	refused := s.post("/new", []string{"url", "not a URL", "events", alotwebhook.EventCandidateCompleted, "secret", own})
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.NotContains(t, refused.text, own, "a form that comes back holds no secret")
	created := s.post("/new", []string{"url", "https://hooks.example.com", "events", alotwebhook.EventCandidateCompleted, "secret", own})
	require.Equal(t, http.StatusSeeOther, created.status)
	require.NotContains(t, s.get(created.header.Get("Location")).text, own)
	e := s.only()
	for _, bad := range []string{" padded ", strings.Repeat("x", 257), "con\x00trol", "line\r\nbreak"} {
		got := s.post("/"+e.ID+"/rotate", []string{"version", "1", "when", "now", "secret", bad})
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.text, "The secret ")
		require.NotContains(t, got.text, bad)
	}
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/rotate", []string{"version", "1", "when", "now", "secret", own + "2"}).status)
	require.Equal(t, own+"2", string(s.stored(e.ID).Secret))
	require.NotContains(t, s.log.String(), own)
}

func TestNobodyRotatesWithoutChoosingWhen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	page := s.get("/" + e.ID + "/rotate").text
	require.NotContains(t, page, " checked", "what is right depends on whether the old secret is lost")
	require.Contains(t, page, "or is lost")
	refused := s.post("/"+e.ID+"/rotate", hidden(t, page))
	require.Equal(t, http.StatusUnprocessableEntity, refused.status)
	require.Contains(t, refused.text, `id="problem-when">Choose when the new secret begins to sign.`)
	require.Empty(t, s.stored(e.ID).NextSecret)
	short := s.post("/"+e.ID+"/rotate", append(hidden(t, page), "when", "1h", "secret", "fifteen-letters"))
	require.Contains(t, short.text, `id="problem-secret">The secret has 15 bytes; give at least 16`)
	require.Regexp(t, `value="1h" required checked`, short.text)
}

// only returns the only endpoint of org_a.
func (s *site) only() alotwebhook.Endpoint {
	s.t.Helper()
	page, _, err := s.store.Endpoints(s.t.Context(), alotwebhook.EndpointFilter{OrganizationID: "org_a"})
	require.NoError(s.t, err)
	require.Len(s.t, page, 1)
	return page[0]
}
