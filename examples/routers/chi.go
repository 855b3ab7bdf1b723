package routers

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// Chi is github.com/go-chi/chi. A Receiver alone: router.Handle(Path, receiver).
func Chi(s *Service) http.Handler {
	router := chi.NewRouter()
	router.With(s.Receiver.Middleware).HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(s.receive(r.Context()))
	})
	return router
}
