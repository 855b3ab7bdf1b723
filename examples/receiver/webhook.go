package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/alot/alotwebhook"
)

func routes(verifier *alotwebhook.Verifier, results *results, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/alot/webhook", newReceiver(verifier, results, log)) // answers what is no POST itself
	mux.HandleFunc("GET /results", func(w http.ResponseWriter, r *http.Request) {
		all, err := results.all(r.Context())
		if err != nil {
			log.ErrorContext(r.Context(), "cannot list the results", "error", err)
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // the client may have gone
	})
	return mux
}

func newReceiver(verifier *alotwebhook.Verifier, results *results, log *slog.Logger) *alotwebhook.Receiver {
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{
		Deduper: results.handled,
		Logger:  log,
		OnMatch: func(secret int) {
			if secret > 0 {
				log.Info("an event came with the old secret: do not remove it yet")
			}
		},
		OnError: func(_ *http.Request, e alotwebhook.Event, status int, err error) {
			// Here is the place to count, and to tell the service that collects errors.
			log.Debug("not handled", "event", e.ID, "status", status, "error", err)
		},
	})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(ctx context.Context, e alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			return results.save(ctx, result{
				EventID: e.ID, CandidateName: data.CandidateName, Score: data.Score, Status: data.Status,
			})
		})
	// Types without a function are answered with 204: they are somebody else's.
	return receiver
}
