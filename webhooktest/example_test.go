package webhooktest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

var t *testing.T // a test's own

// newHandler stands for the handler that is to be tested.
func newHandler(secret alotwebhook.Secret) http.Handler {
	v, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		panic(err)
	}
	return alotwebhook.NewReceiver(v, nil)
}

// A customer's test of its receiver: all that can be sent to it, good and bad.
func ExampleCheckReceiver() {
	webhooktest.CheckReceiver(t, newHandler("your-signing-secret"), "your-signing-secret")
}

// With a way to see what was acted on, the battery tells whether an event that
// comes twice is acted on once.
func ExampleBattery() {
	rows := func(eventID string) int { return 1 } // SELECT count(*) FROM candidates WHERE event_id = ?
	webhooktest.Battery{
		Secret:  "your-signing-secret",
		URL:     "http://receiver.test/hooks/alot",
		Handled: rows,
		Skip:    []string{"doubled-header"}, // our framework joins them
	}.CheckReceiver(t, newHandler("your-signing-secret"))
}

// The same battery over HTTP, against a system for tests.
func ExampleBattery_Check() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // verifies nothing
	defer server.Close()
	battery := webhooktest.Battery{Secret: "your-signing-secret", URL: server.URL}
	for _, f := range battery.Check(context.Background(), server.Client().Do) {
		if f.Check == "unsigned" {
			fmt.Println(f.Problem)
			fmt.Println(f.Change)
		}
	}
	// Output:
	// sent a request without a signature: it answered 200 OK, not 4xx
	// Verify the signature before anything else, for every request, and answer 401 when it does not hold. In Go: alotwebhook.Receiver. A missing header is no reason to skip it.
}

// A producer's test: the receiver fails once, and the event comes again.
func ExampleServer() {
	server := webhooktest.NewServer(t, "your-signing-secret")
	server.Answer(webhooktest.Answer{Status: http.StatusServiceUnavailable}, webhooktest.Answer{Delay: time.Second})

	// … emit an event to an endpoint at server.URL …

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	received, err := server.Wait(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	if received[0].Event.ID != received[1].Event.ID || received[1].Err != nil {
		t.Fatal("not the same event again, or not verified")
	}
}
