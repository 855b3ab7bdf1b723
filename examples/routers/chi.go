package routers

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// Chi mounts the service behind github.com/go-chi/chi. To mount only a Receiver, use
// router.Handle(Path, receiver).
func Chi(s *Service) http.Handler {
	router := chi.NewRouter()
	router.With(s.Receiver.Middleware).HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(s.receive(r.Context()))
	})
	return router
}
