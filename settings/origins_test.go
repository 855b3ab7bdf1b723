package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// A browser adds Basic, Digest, Negotiate and NTLM credentials by itself, to what any site
// has it send. Only a page that was given a token can send a bearer token.
func TestAmbientCredentialsDoNotExempt(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	crossSite := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.com", "Authorization"}
	for _, c := range calls(h, endpoint, delivery) {
		if c.method == http.MethodGet {
			continue
		}
		for _, credentials := range []string{
			"Basic dXNlcjpwYXNz", "basic dXNlcjpwYXNz", "Negotiate YII=", "NTLM TlRM", `Digest username="x"`, "Bearer", "Bearer ", "Bearerx y", "x", "Token x",
		} {
			got := h.do(c.method, c.path, c.body, append(crossSite, credentials)...)
			require.Equal(t, http.StatusForbidden, got.status, "%s: %v", credentials, c)
		}
	}
	for _, credentials := range []string{"Bearer x", "bearer x", "BEARER  x.y"} {
		h.create(published, append(crossSite, credentials)...)
	}
	h.create(published, "Authorization", "Basic dXNlcjpwYXNz") // from no page: a program
	h.create(published, "Authorization", "Basic dXNlcjpwYXNz", "Sec-Fetch-Site", "same-origin")
}

// One of two credentials may be what a browser added.
func TestTwoCredentialsDoNotExempt(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	r := httptest.NewRequest(http.MethodPost, "/v1/webhooks", strings.NewReader(published))
	r.Header = http.Header{
		"X-Organization": {"org_a"}, "Content-Type": {"application/json"}, "Sec-Fetch-Site": {"cross-site"},
		"Authorization": {"Bearer x", "Basic dXNlcjpwYXNz"},
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
}

// Behind a proxy that rewrites Host, the Origin of the host's own pages is that of another
// site, unless it is named.
func TestTrustedOrigins(t *testing.T) {
	t.Parallel()
	opts := &settings.Options{TrustedOrigins: []string{"https://app.example.com", "http://intranet.example.com:8080"}}
	s := newSiteOn(t, memory.New(), opts)
	api, err := settings.NewAPI(s.dispatcher, opts)
	require.NoError(t, err)
	post := func(h http.Handler, path, body, media string, header ...string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)) // for Host example.com
		r.Header.Set("X-Organization", "org_a")
		r.Header.Set("Content-Type", media)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	form := url.Values{"url": {"https://example.com/a"}, "events": {"candidate.completed"}}.Encode()
	for status, origins := range map[int][][]string{
		http.StatusCreated: {
			{"Origin", "https://app.example.com"}, {"Origin", "http://intranet.example.com:8080"},
			{"Origin", "https://app.example.com", "Sec-Fetch-Site", "same-site"},
			{"Origin", "https://app.example.com", "Sec-Fetch-Site", "cross-site"},
			{"Origin", "https://example.com"}, // the Host of the request
		},
		http.StatusForbidden: {
			{"Origin", "https://evil.example.com"}, {"Origin", "http://app.example.com"}, {"Origin", "https://app.example.com:8443"},
			{"Origin", "http://intranet.example.com"}, {"Origin", "https://app.example.com.evil.example.net"}, {"Origin", "null"},
			{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"},
		},
	} {
		for _, origin := range origins {
			require.Equal(t, status, post(api, "/v1/webhooks", published, "application/json", origin...), origin)
			page := post(s.handler, "/new", form, "application/x-www-form-urlencoded", origin...)
			require.Equal(t, status == http.StatusForbidden, page == http.StatusForbidden, "%v: the page responded with %d", origin, page)
		}
	}
}

func TestTrustedOriginsAreChecked(t *testing.T) {
	t.Parallel()
	d := newHost(t).dispatcher
	for origin, want := range map[string]string{
		"":                                 "scheme and host",
		"null":                             "scheme and host",
		"app.example.com":                  "scheme and host",
		"app.example.com:443":              "scheme and host",
		"//app.example.com":                "scheme and host",
		"ftp://app.example.com":            "scheme and host",
		"https://":                         "scheme and host",
		"https://:443":                     "scheme and host",
		"https://app.example.com/":         "scheme and host",
		"https://app.example.com/settings": "scheme and host",
		"https://app.example.com?a=b":      "scheme and host",
		"https://app.example.com?":         "scheme and host",
		"https://app.example.com#a":        "scheme and host",
		"https://app.example.com#":         "scheme and host",
		"https://user@app.example.com":     "scheme and host",
		"https://*.example.com":            "scheme and host",
		"https://app.example.com\n":        "scheme and host",
		" https://app.example.com":         "scheme and host",
		"https://müller.example.com":       "scheme and host",
		"https://app.example.com:":         "scheme and host",
		"https://app.example.com:0443":     "scheme and host",
		"https://app.example.com:99999":    "scheme and host",
		"https://App.Example.com":          `write "https://app.example.com"`,
		"HTTPS://app.example.com":          `write "https://app.example.com"`,
		"https://app.example.com:443":      `write "https://app.example.com"`,
		"http://app.example.com:80":        `write "http://app.example.com"`,
	} {
		opts := &settings.Options{Organization: organization, TrustedOrigins: []string{"https://good.example.com", origin}}
		_, apiErr := settings.NewAPI(d, opts)
		_, pagesErr := settings.NewPages(d, opts)
		for _, err := range []error{apiErr, pagesErr} {
			require.ErrorIs(t, err, alotwebhook.ErrInvalid, origin)
			require.ErrorContains(t, err, "TrustedOrigins[1]", origin)
			require.ErrorContains(t, err, want, origin)
		}
	}
	for _, origin := range []string{"https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "https://xn--mller-kva.example.com"} {
		_, err := settings.NewAPI(d, &settings.Options{Organization: organization, TrustedOrigins: []string{origin}})
		require.NoError(t, err)
	}
}
