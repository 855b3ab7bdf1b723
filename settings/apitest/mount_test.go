package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/memory"
)

func TestTheAPIWorksInARouter(t *testing.T) {
	t.Parallel()
	h := newHost(t, memory.New())
	router := chi.NewRouter()
	router.Mount("/v1/webhooks", h.handler)
	router.Mount("/public", http.StripPrefix("/public", h.handler))
	path := h.create(published)
	for _, prefix := range []string{"", "/public"} {
		for _, tail := range []string{"", "/", path[len("/v1/webhooks"):], path[len("/v1/webhooks"):] + "/deliveries/"} {
			r := httptest.NewRequest(http.MethodGet, prefix+"/v1/webhooks"+tail, nil)
			r.Header.Set("X-Organization", "org_a")
			w := httptest.NewRecorder()
			router.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code, r.URL.Path)
		}
	}
}
