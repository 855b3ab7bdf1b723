package settings_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

func newDispatcher() *alotwebhook.Dispatcher {
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	if err != nil {
		log.Fatal(err)
	}
	return d
}

// link returns the address to which the page at the path links for a new endpoint.
func link(h http.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return regexp.MustCompile(`/[^"]*/new`).FindString(w.Body.String())
}

// The pattern ends in a slash, so the pages get every path below it.
func ExampleNewPages() {
	pages, err := settings.NewPages(newDispatcher(), &settings.Options{
		Organization: func(*http.Request) (string, error) { return "org_123", nil }, // your authentication
		Product:      "ALOT",
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/settings/webhooks/", pages)

	fmt.Println(link(mux, "/settings/webhooks/"))
	// Output: /settings/webhooks/new
}

// The pages read from each request which prefixes were stripped.
func ExampleNewPages_stripPrefix() {
	pages, err := settings.NewPages(newDispatcher(), &settings.Options{
		Organization: func(*http.Request) (string, error) { return "org_123", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	product := http.NewServeMux()
	product.Handle("/settings/webhooks/", http.StripPrefix("/settings/webhooks", pages))
	outer := http.NewServeMux()
	outer.Handle("/app/", http.StripPrefix("/app", product))

	fmt.Println(link(outer, "/app/settings/webhooks/"))
	// Output: /app/settings/webhooks/new
}

// If a proxy in front removes "/app" from the path, no request tells that. Set Prefix.
func ExampleNewPages_prefix() {
	pages, err := settings.NewPages(newDispatcher(), &settings.Options{
		Organization: func(*http.Request) (string, error) { return "org_123", nil },
		Prefix:       "/app/settings/webhooks",
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/settings/webhooks/", pages)

	fmt.Println(link(mux, "/settings/webhooks/"))
	// Output: /app/settings/webhooks/new
}

// Operators see all organizations. Mount their pages where customers do not come, behind an
// authentication that lets in nobody else.
func ExampleNewOperatorPages() {
	dispatcher := newDispatcher()
	pages, err := settings.NewOperatorPages(dispatcher, &settings.OperatorOptions{
		Operator: func(*http.Request) (string, error) { return "ann@example.com", nil }, // your employees
		May:      func(_ *http.Request, a settings.Action) bool { return a == settings.ActionLook },
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/operations/", pages)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/operations/", nil))
	fmt.Println(regexp.MustCompile(`Nothing needs attention`).FindString(w.Body.String()))
	// Output: Nothing needs attention
}
