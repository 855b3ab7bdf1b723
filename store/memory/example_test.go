package memory_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// A program or a test emits, delivers and reads the history in one process,
// without a database.
func Example() {
	received := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- r.Header.Get("X-Alot-Event")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		AllowHTTP: true, // the receiver of this example has no certificate and runs on loopback
		AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	check(err)
	endpoint, err := dispatcher.CreateEndpoint(context.Background(), alotwebhook.Endpoint{
		OrganizationID: "org_123",
		URL:            receiver.URL,
		EventTypes:     []string{alotwebhook.EventCandidateCompleted},
	})
	check(err)

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Run(ctx) }()

	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_123", map[string]any{"score": 82})
	check(err)
	check(dispatcher.Emit(ctx, event))
	fmt.Println("received:", <-received)

	stop() // Run returns once the attempt under way is in the history
	check(<-ended)
	for delivery, err := range dispatcher.Deliveries(context.Background(), alotwebhook.Filter{EndpointID: endpoint.ID}) {
		check(err)
		fmt.Println(delivery.State, "after", delivery.AttemptCount, "attempt")
	}
	// Output:
	// received: candidate.completed
	// delivered after 1 attempt
}

// check ends an example whose error cannot happen.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
