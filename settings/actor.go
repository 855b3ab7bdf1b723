package settings

import (
	"net/http"

	"github.com/alot/alotwebhook"
)

// acting returns the request with the name of who makes it, so that the operations that it leads
// to have it. who is [Options.Actor] and may be nil.
func acting(r *http.Request, who func(*http.Request) string) *http.Request {
	if who == nil {
		return r
	}
	return r.WithContext(alotwebhook.WithActor(r.Context(), who(r)))
}
