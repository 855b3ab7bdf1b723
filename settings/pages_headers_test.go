package settings_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

func TestEveryResponseSaysWhatABrowserMayDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for _, got := range []shown{s.get("/"), s.get("/" + e.ID), s.get("/nothing"), s.get("/", "X-Organization", ""), s.post("/"+e.ID+"/disable", nil), s.get("/static/x")} {
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			got.header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", got.header.Get("X-Frame-Options"))
		require.Equal(t, "same-origin", got.header.Get("Referrer-Policy"))
		require.Equal(t, "same-origin", got.header.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "noindex", got.header.Get("X-Robots-Tag"))
	}
}

func TestThePolicyAllowsTheHostsFilesExactly(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, memory.New(), &settings.Options{
		Title: "Hooks <b>", Product: "Acme & Sons", HomeURL: "/app", LogoURL: "https://cdn.example.com/a;b,c.svg?v=1", Stylesheet: "https://css.example.com:8443/acme.css",
	})
	got := s.get("/")
	policy := got.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "; img-src 'self' https://cdn.example.com/a%3Bb%2Cc.svg;")
	require.Contains(t, policy, "; style-src 'self' https://css.example.com:8443/acme.css;")
	require.Contains(t, got.text, "Hooks &lt;b&gt;")
	require.Contains(t, got.text, `<a href="/app" class="product"><img src="https://cdn.example.com/a;b,c.svg?v=1" height="24" alt="">Acme &amp; Sons</a>`)
	require.Contains(t, got.text, `<link rel="stylesheet" href="https://css.example.com:8443/acme.css">`)
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	for field, opts := range map[string]*settings.Options{
		"Organization": {},
		"HomeURL":      {Organization: organization, HomeURL: "javascript:alert(1)"},
		"LogoURL":      {Organization: organization, LogoURL: "//cdn.example.com/logo.svg"},
		"Stylesheet":   {Organization: organization, Stylesheet: "acme.css"},
		"Prefix":       {Organization: organization, Prefix: "/settings?x"},
	} {
		_, err := settings.NewPages(d, opts)
		var refused *alotwebhook.FieldError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, field, refused.Field)
	}
	_, err = settings.NewPages(nil, &settings.Options{Organization: organization})
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
	_, err = settings.NewPages(d, nil)
	require.ErrorIs(t, err, alotwebhook.ErrInvalid)
}
