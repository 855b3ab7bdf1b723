package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// chi's Mount leaves the path of a request as it is, unlike http.StripPrefix.
func TestPagesInChi(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: "https://hooks.example.com/alot", EventTypes: []string{alotwebhook.EventCandidateInvited},
	})
	require.NoError(t, err)
	pages, err := settings.NewPages(d, &settings.Options{Organization: func(*http.Request) (string, error) { return "org_123", nil }})
	require.NoError(t, err)

	mounted, nested, tenant, slashes := chi.NewRouter(), chi.NewRouter(), chi.NewRouter(), chi.NewRouter()
	mounted.Mount("/settings/webhooks", pages)
	nested.Route("/app", func(r chi.Router) {
		r.Route("/settings", func(r chi.Router) { r.Mount("/webhooks", pages) })
	})
	tenant.Mount("/t/{tenant}/webhooks", http.StripPrefix("/t/acme/webhooks", pages))
	slashes.Use(middleware.StripSlashes)
	slashes.Mount("/settings/webhooks", pages)
	for name, tc := range map[string]struct {
		router http.Handler
		base   string
	}{
		"mounted": {mounted, "/settings/webhooks"}, "nested": {nested, "/app/settings/webhooks"},
		"for a tenant, stripped": {tenant, "/t/acme/webhooks"}, "without slashes": {slashes, "/settings/webhooks"},
	} {
		server := httptest.NewServer(tc.router)
		for _, path := range []string{"", "/", "/history", "/history/", "/" + e.ID, "/" + e.ID + "/edit"} {
			res, err := http.Get(server.URL + tc.base + path)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", name, path)
			require.Contains(t, string(body), `href="`+tc.base+`/history"`, "%s: %s", name, path)
		}
		res, err := http.PostForm(server.URL+tc.base+"/"+e.ID+"/disable", nil)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, name)
		require.Equal(t, tc.base+"/"+e.ID, res.Request.URL.Path, "%s: the redirect", name)
		server.Close()
	}
}
