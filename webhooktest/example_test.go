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

var t *testing.T // in your tests, the parameter of the test function

// newHandler stands for your own handler.
func newHandler(secret alotwebhook.Secret) http.Handler {
	v, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		panic(err)
	}
	return alotwebhook.NewReceiver(v, nil)
}

// A customer tests its handler with good and bad requests of every kind.
func ExampleCheckReceiver() {
	webhooktest.CheckReceiver(t, newHandler("your-signing-secret"), "your-signing-secret")
}

// With Handled, the battery also finds a handler that handles an event twice.
func ExampleBattery() {
	rows := func(eventID string) int { return 1 } // SELECT count(*) FROM candidates WHERE event_id = ?
	webhooktest.Battery{
		Secret:  "your-signing-secret",
		URL:     "http://receiver.test/hooks/alot",
		Handled: rows,
		Skip:    []string{"doubled-header"}, // because the framework joins such headers
	}.CheckReceiver(t, newHandler("your-signing-secret"))
}

// The battery can also run over HTTP, against a test system.
func ExampleBattery_Check() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // does not verify
	defer server.Close()
	battery := webhooktest.Battery{Secret: "your-signing-secret", URL: server.URL}
	for _, f := range battery.Check(context.Background(), server.Client().Do) {
		if !f.OK() {
			fmt.Println(f.Check)
			fmt.Println(f.Problem)
		}
	}
	// Output:
	// any-request
	// sent an unsigned text that is no JSON: the response was 200 OK; the status must be 4xx
}

// A producer tests that an event is sent again after the receiver has failed.
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
		t.Fatal("the second request has another event, or is not verified")
	}
}
