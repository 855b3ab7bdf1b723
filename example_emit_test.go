package alotwebhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A product registers an endpoint of a customer, emits an event, and reads from the
// history that it was delivered.
func ExampleDispatcher() {
	const secret alotwebhook.Secret = "what the customer knows too"
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	customer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer stop() // this example ends after one request
		body, _ := io.ReadAll(r.Body)
		if err := alotwebhook.Verify(body, r.Header.Get(alotwebhook.SignatureHeader), secret); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Println("verified", r.Header.Get(alotwebhook.EventHeader))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer customer.Close()

	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		// By default, a dispatcher sends to https URLs on the public internet only.
		// These two settings are for development.
		AllowHTTP: true,
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	check(err)
	_, err = dispatcher.CreateEndpoint(ctx, alotwebhook.Endpoint{
		OrganizationID: "org_123",
		URL:            customer.URL,
		EventTypes:     []string{"candidate.completed"},
		Secret:         secret,
	})
	check(err)
	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"sessionId": "sess_123", "score": 82})
	check(err)
	check(dispatcher.Emit(ctx, event))
	check(dispatcher.Run(ctx)) // returns once ctx is done and the attempts under way have ended

	for delivery, err := range dispatcher.Deliveries(context.Background(), alotwebhook.Filter{EventID: event.ID}) {
		check(err)
		fmt.Println(delivery.State, "after", delivery.AttemptCount, "attempt with status", delivery.LastStatusCode)
	}
	// Output:
	// verified candidate.completed
	// delivered after 1 attempt with status 204
}

// check panics on an error. The examples use it where an error cannot happen.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
