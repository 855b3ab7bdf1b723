package fragment

import (
	"net/http"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

var (
	dispatcher           *alotwebhook.Dispatcher
	mux                  *http.ServeMux
	session, bearerToken func(*http.Request) (string, error)
	staff                func(*http.Request) (string, error)
	roleOf               func(*http.Request) string
)

func fragment() error {
	// the fragment
	return nil
}
