package settings_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alot/alotwebhook/settings"
)

// newAPI speaks for one organization; a host reads it from a token or a session.
func newAPI() http.Handler {
	api, err := settings.NewAPI(newDispatcher(), &settings.Options{
		Organization: func(*http.Request) (string, error) { return "org_123", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	return api
}

// post registers an endpoint and says what the answer was.
func post(h http.Handler, path string) string {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(
		`{"url":"https://example.com/alot","events":["candidate.completed"],"secret":"your-signing-secret"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	at, _, _ := strings.Cut(w.Header().Get("Location"), "wh_")
	return fmt.Sprint(w.Code, " ", at)
}

// Both patterns are wanted: of one with a slash alone, a mux would redirect
// requests without it.
func ExampleNewAPI() {
	api := newAPI()
	mux := http.NewServeMux()
	mux.Handle("/v1/webhooks", api)
	mux.Handle("/v1/webhooks/", api)

	fmt.Println(post(mux, "/v1/webhooks"))
	// Output: 201 /v1/webhooks/
}

// Below a prefix of the host's own, the prefix is stripped; where things are is
// told with it.
func ExampleNewAPI_stripPrefix() {
	mux := http.NewServeMux()
	mux.Handle("/public/", http.StripPrefix("/public", newAPI()))

	fmt.Println(post(mux, "/public/v1/webhooks"))
	// Output: 201 /public/v1/webhooks/
}
