package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
)

// routes returns the handler of the whole service.
func routes(verifier *alotwebhook.Verifier, results *results, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/alot/webhook", newReceiver(verifier, results, log)) // the receiver itself responds with 405 to other methods
	mux.HandleFunc("GET /results", func(w http.ResponseWriter, r *http.Request) {
		all, err := results.all(r.Context())
		if err != nil {
			log.ErrorContext(r.Context(), "cannot list the results", "error", err)
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // fails only if the client has gone
	})
	return mux
}

// newReceiver returns the handler of the webhooks.
func newReceiver(verifier *alotwebhook.Verifier, results *results, log *slog.Logger) *alotwebhook.Receiver {
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{
		Deduper: results.handled,
		Logger:  log,
		OnMatch: func(secret int) {
			if secret > 0 {
				log.Info("an event was signed with the old secret: do not remove that yet")
			}
		},
	})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			return results.save(ctx, result{
				EventID: e.ID, CandidateName: data.CandidateName, Score: data.Score, Status: data.Status,
			})
		})
	// An event of another type gets 204, and the first of each type a warning in the log.
	return receiver
}
