package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// behind puts a proxy in front of the host, and returns where the pages are then.
func (h *host) behind(t testing.TB, proxy func(next http.Handler) http.Handler) (base string) {
	t.Helper()
	to, err := url.Parse(h.base)
	require.NoError(t, err)
	server := httptest.NewServer(proxy(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: to.Scheme, Host: to.Host})))
	t.Cleanup(server.Close)
	return server.URL + to.Path
}

// The forms that the browser sends itself work behind a proxy that treats a HEAD as no page does.
func TestFormsBehindAProxyThatTakesNoHead(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"denies":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"refuses":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			b := open(t, h.behind(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodHead {
						answer(w, r)
						return
					}
					next.ServeHTTP(w, r)
				})
			}), true)
			b.visit("new")
			b.fill("#field-url", "https://hooks.example.com/alot")
			b.click("form.form .primary")
			b.sees("Endpoint added")
		})
	}
}

// A proxy that sends somebody to sign in, in whichever way, takes nothing that was typed.
func TestWhatWasTypedStaysBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, login := range map[string]http.HandlerFunc{
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"shows a form in the page's place": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title><form method=post>Your name <input></form>")
		},
		"denies": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			var out atomic.Bool
			b := open(t, h.behind(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if out.Load() && strings.HasPrefix(r.URL.Path, "/settings/") {
						login(w, r)
						return
					}
					next.ServeHTTP(w, r)
				})
			}), true)
			b.expected = []string{"status of 401"}
			b.visit("new")
			b.fill("#field-url", "https://hooks.example.com/alot")
			b.fill("#field-description", "Typed with care")
			out.Store(true)
			b.click("form.form .primary")
			b.sees("You are not signed in any more, so nothing was done")
			require.Equal(t, "Typed with care", b.value(`document.getElementById("field-description").value`))
			out.Store(false)
			b.click("form.form .primary")
			b.sees("Endpoint added")
		})
	}
}
