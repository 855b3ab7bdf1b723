// Package routers shows webhooks received behind the usual routers, once each:
// plain net/http, chi, gin and echo.
//
// There are two forms. A Receiver is an http.Handler: mounted at a path, it does
// everything, the answer included. Its Middleware only puts its checks before a
// handler of the router's own kind, which gets the same bytes in the request's
// body, and the verified event from the context. The second form is shown here,
// because it is where routers differ; each function says how to do the first.
//
// In both, the webhook's route must not have middleware in front that reads,
// decodes or rewrites the body.
package routers

import (
	"context"
	"net/http"

	"github.com/alot/alotwebhook"
)

// Path is where the webhooks come in. The route takes every method, so that a
// wrong one is answered with 405 by the middleware, whatever the router does.
const Path = "/alot/webhook"

// Service is what is the same behind every router.
type Service struct {
	Receiver *alotwebhook.Receiver
	// Handled keeps what was handled from being handled again.
	Handled alotwebhook.Deduper
	// Act does what the service is there for.
	Act func(ctx context.Context, e alotwebhook.Event) error
}

// receive acts on the verified event of a request and returns the status to
// answer with.
func (s *Service) receive(ctx context.Context) (status int) {
	received, ok := alotwebhook.FromContext(ctx)
	if !ok {
		return http.StatusInternalServerError // the middleware is missing on this route
	}
	err := alotwebhook.Once(ctx, s.Handled, received.Event.ID, 0, func(ctx context.Context) error {
		return s.Act(ctx, received.Event)
	})
	return alotwebhook.StatusCode(err)
}

// Mux is net/http's own. A Receiver alone: mux.Handle(Path, receiver).
func Mux(s *Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(Path, s.Receiver.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(s.receive(r.Context()))
	})))
	return mux
}
