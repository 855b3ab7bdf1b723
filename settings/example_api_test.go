package settings_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alot/alotwebhook/settings"
)

// newAPI returns an API whose requests all speak for one organization. A host reads the
// organization from a token or a session.
func newAPI() http.Handler {
	api, err := settings.NewAPI(newDispatcher(), &settings.Options{
		Organization: func(*http.Request) (string, error) { return "org_123", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	return api
}

// post registers an endpoint and returns the status and the Location of the response.
func post(h http.Handler, path string) string {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(
		`{"url":"https://example.com/alot","events":["candidate.completed"],"secret":"your-signing-secret"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	at, _, _ := strings.Cut(w.Header().Get("Location"), "wh_")
	return fmt.Sprint(w.Code, " ", at)
}

// Register both patterns. With only the one that ends in a slash, the mux would
// redirect requests without that slash.
func ExampleNewAPI() {
	api := newAPI()
	mux := http.NewServeMux()
	mux.Handle("/v1/webhooks", api)
	mux.Handle("/v1/webhooks/", api)

	fmt.Println(post(mux, "/v1/webhooks"))
	// Output: 201 /v1/webhooks/
}

// Below a prefix, strip the prefix. Locations in responses still begin with it.
func ExampleNewAPI_stripPrefix() {
	mux := http.NewServeMux()
	mux.Handle("/public/", http.StripPrefix("/public", newAPI()))

	fmt.Println(post(mux, "/public/v1/webhooks"))
	// Output: 201 /public/v1/webhooks/
}
