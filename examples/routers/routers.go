// Package routers receives webhooks behind net/http, chi, gin and echo.
//
// There are two ways. A Receiver is an http.Handler: mounted at a path, it does everything,
// the response included. Its Middleware only makes the checks, in front of a handler of the
// router's own kind. That handler finds the same bytes in the request's body, and the
// verified event in the context. The functions here show the second way, because routers
// differ there. The comment of each says how to mount a Receiver.
//
// In both, no other middleware in front of the webhook's route may read, decode or rewrite
// the body.
package routers

import (
	"context"
	"net/http"

	"github.com/alot/alotwebhook"
)

// Path is the path of the webhooks. Its route accepts every method, so that the Receiver's
// middleware responds to a wrong one with 405, behind every router.
const Path = "/alot/webhook"

// Service is the part that is the same behind every router.
type Service struct {
	Receiver *alotwebhook.Receiver
	// Handled remembers which events were handled.
	Handled alotwebhook.Deduper
	// Act does the work of the service for an event.
	Act func(ctx context.Context, e alotwebhook.Event) error
}

// receive handles the verified event of a request, and returns the status of the response.
func (s *Service) receive(ctx context.Context) (status int) {
	received, ok := alotwebhook.FromContext(ctx)
	if !ok {
		return http.StatusInternalServerError // the route lacks the middleware
	}
	err := alotwebhook.Once(ctx, s.Handled, received.Event.ID, 0, func(ctx context.Context) error {
		return s.Act(ctx, received.Event)
	})
	return alotwebhook.StatusCode(err)
}

// Mux mounts the service behind net/http. To mount only a Receiver, use
// mux.Handle(Path, receiver).
func Mux(s *Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(Path, s.Receiver.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(s.receive(r.Context()))
	})))
	return mux
}
