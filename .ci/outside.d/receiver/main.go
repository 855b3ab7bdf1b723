// Receiver is a customer's service outside of this repository. It imports the root
// module alone, and acts on each event once.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/dedupe"
)

func main() {
	handler, err := newHandler(alotwebhook.Secret(os.Getenv("ALOT_WEBHOOK_SECRET")), &candidates{})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:3000", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newHandler(secret alotwebhook.Secret, seen *candidates) (http.Handler, error) {
	verifier, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		return nil, err
	}
	receiver := alotwebhook.NewReceiver(verifier, &alotwebhook.ReceiverConfig{Deduper: dedupe.NewMemory(nil)})
	alotwebhook.On(receiver, alotwebhook.EventCandidateCompleted,
		func(_ context.Context, event alotwebhook.Event, data alotwebhook.CandidateCompleted) error {
			seen.add(event.ID, data.CandidateName)
			return nil
		})
	mux := http.NewServeMux()
	mux.Handle("POST /alot/webhook", receiver)
	return mux, nil
}

// candidates keeps the names that arrived, by event id.
type candidates struct {
	mu      sync.Mutex
	byEvent map[string][]string
}

func (c *candidates) add(eventID, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byEvent == nil {
		c.byEvent = map[string][]string{}
	}
	c.byEvent[eventID] = append(c.byEvent[eventID], name)
}

// count returns how often an event was acted on.
func (c *candidates) count(eventID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byEvent[eventID])
}
