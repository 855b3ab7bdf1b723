package settings_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// signedOut asks for a page without a session.
func (s *site) signedOut(method, path string) shown {
	s.t.Helper()
	opts := *s.options
	opts.Organization = func(*http.Request) (string, error) { return "", errNobody }
	pages, err := settings.NewPages(s.dispatcher, &opts)
	require.NoError(s.t, err)
	out := *s
	out.handler = pages
	if method == http.MethodPost {
		return out.post(path, nil)
	}
	return out.get(path)
}

// Somebody whose session has ended gets a link to sign in, which leads back to where he was.
func TestSignedOutAreLedToSignIn(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, memory.New(), &settings.Options{LoginURL: "/login?next={return}&x=1", Prefix: "/settings/webhooks"})
	got := s.signedOut(http.MethodGet, "/history?status=failed&done=tested")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.text, `<a class="button primary" href="/login?next=%2Fsettings%2Fwebhooks%2Fhistory%3Fstatus%3Dfailed&amp;x=1">Sign in</a>`)
	// A form cannot be repeated by a link: it leads to the first page.
	require.Contains(t, s.signedOut(http.MethodPost, "/new").text, `href="/login?next=%2Fsettings%2Fwebhooks%2F&amp;x=1">Sign in</a>`)
	// So does the notice for somebody who has typed something.
	require.Contains(t, s.get("/new").text, `<a href="/login?next=%2Fsettings%2Fwebhooks%2Fnew&amp;x=1" target="_blank">Sign in in another tab</a>`)
	require.NotContains(t, s.get("/nothing/here").text, ">Sign in</a>")

	plain := newSite(t)
	require.NotContains(t, plain.signedOut(http.MethodGet, "/").text, ">Sign in</a>")
	require.Contains(t, plain.get("/").text, "Sign in in another tab, then")
	_, err := settings.NewPages(plain.dispatcher, &settings.Options{Organization: organization, LoginURL: "javascript:alert(1)"})
	require.ErrorContains(t, err, "LoginURL is neither an http or https URL nor a path")
}

// The navigation says which page this is, and on a page below one, to which it belongs.
func TestNavigationSaysWhereOneIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	require.Contains(t, s.get("/").text, `<a href="/" aria-current="page">Endpoints</a>`)
	require.Contains(t, s.get("/?url=x").text, `<a href="/" aria-current="page">Endpoints</a>`)
	require.Contains(t, s.get("/"+e.ID).text, `<a href="/" aria-current="true">Endpoints</a>`)
	require.Contains(t, s.get("/history?status=failed").text, `<a href="/history" aria-current="page">History</a>`)
}
