// Package webhooktest tests both sides of a webhook on loopback, without a tunnel.
//
// # Testing a receiver
//
// [CheckReceiver] sends about ninety requests to your own [http.Handler]: good, forged,
// odd and repeated ones. The handler need not be built with this library. If it
// responds wrongly, the test fails and says what to change:
//
//	func TestWebhook(t *testing.T) {
//		webhooktest.CheckReceiver(t, newHandler(secret), secret)
//	}
//
// [Battery] makes the same checks with settings: the path of the handler, the events
// that it expects, and a way to see how often it handled one. [NewRequest] returns a
// single signed request, to test the work that your handler does for an event:
//
//	event := webhooktest.NewEvent(t, "candidate.completed", nil)
//	w := httptest.NewRecorder()
//	handler.ServeHTTP(w, webhooktest.NewRequest(t, "/alot/webhook", event, secret))
//
// # Testing a producer
//
// [Server] is a receiver on loopback. It verifies and keeps the requests that it gets,
// and responds as a test says: with a status, after a delay, with a reset of the
// connection, or with a body that arrives byte by byte.
package webhooktest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/alot/alotwebhook"
)

// OrganizationID is the organization of the events that this package makes.
const OrganizationID = "org_123"

// NewEvent returns an event of [OrganizationID] that happens now. If data is nil, it is
// the example of the type in [alotwebhook.DefaultEventTypes], or an empty object if the
// type is not one of them. If data cannot be encoded as JSON, the test fails.
func NewEvent(t testing.TB, eventType string, data any) alotwebhook.Event {
	t.Helper()
	if data == nil {
		data = exampleData(eventType)
	}
	e, err := alotwebhook.NewEvent(eventType, OrganizationID, data)
	if err != nil {
		t.Fatalf("webhooktest: cannot make an event: %v", err)
	}
	return e
}

// exampleData returns the example of a published event type, or an empty object.
func exampleData(eventType string) json.RawMessage {
	for _, et := range alotwebhook.DefaultEventTypes() {
		if et.Name == eventType && len(et.Example) > 0 {
			return et.Example
		}
	}
	return json.RawMessage("{}")
}

// NewRequest returns the request that the sender would make for an event: a POST to
// target with the event's payload, signed with the secret, and with [alotwebhook.TestHeader] if the
// event is a Test. If target is a path, such as
// "/alot/webhook", the request is for a handler's ServeHTTP, like one of
// [httptest.NewRequest]. If target is an absolute URL of http or https, it is for an [http.Client].
// With any other target, and with an empty secret, the test fails.
//
// To test that your handler refuses a request, change it, for example by
// r.Header.Del(alotwebhook.SignatureHeader).
func NewRequest(t testing.TB, target string, event alotwebhook.Event, secret alotwebhook.Secret) *http.Request {
	t.Helper()
	r := NewBodyRequest(t, target, event.Payload(), secret)
	r.Header.Set(alotwebhook.EventHeader, event.Type)
	r.Header.Set(alotwebhook.DeliveryHeader, deliveryID(event))
	if event.Test {
		r.Header.Set(alotwebhook.TestHeader, "true")
	}
	return r
}

// NewBodyRequest is [NewRequest] with any bytes as its body: a recorded payload, or a
// text that is not an event.
func NewBodyRequest(t testing.TB, target string, body []byte, secret alotwebhook.Secret) *http.Request {
	t.Helper()
	if secret == "" {
		t.Fatalf("webhooktest: the secret is empty, and no endpoint has such a one; give one of the receiver's")
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("webhooktest: the target must be a path or a URL: %v", err)
	}
	problem := targetProblem(u)
	if u.Scheme == "" && strings.Contains(target, " ") { // httptest.NewRequest panics
		problem = cmp.Or(problem, fmt.Sprintf("%q has a space; write it as %%20", target))
	}
	if problem != "" {
		t.Fatalf("webhooktest: the target %s", problem)
	}
	var r *http.Request
	if u.Scheme == "" {
		r = httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	} else if r, err = http.NewRequest(http.MethodPost, target, bytes.NewReader(body)); err != nil {
		t.Fatalf("webhooktest: cannot make a request: %v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(body, secret))
	r.Header.Set(alotwebhook.AttemptHeader, "1")
	return r.WithContext(t.Context())
}

// targetProblem says what is wrong with the address of a request, as the rest of a sentence; "" if nothing
// is. It is a path with / in front, or a URL to which an [http.Client] can send. A forgotten scheme makes the
// host the scheme: "localhost" of "localhost:3000/x".
func targetProblem(u *url.URL) string {
	switch {
	case u.Scheme == "" && strings.HasPrefix(u.String(), "/"):
		return ""
	case (u.Scheme == "http" || u.Scheme == "https") && u.Hostname()+u.Port() != "":
		return ""
	}
	return fmt.Sprintf(`%q is neither a path with / in front nor a URL of http or https with a host, such as "/alot/webhook" or "http://127.0.0.1:8080/alot/webhook"`, u.Redacted())
}

// testEndpointID is the endpoint of all deliveries that this package makes.
const testEndpointID = "wh_01h455vb4pex5vsknk084sn02q"

func deliveryID(e alotwebhook.Event) string { return alotwebhook.DeliveryID(e.ID, testEndpointID) }
