// Package webhooktest tests both sides of a webhook without a network beyond
// loopback, and without a tunnel.
//
// # A receiver
//
// [CheckReceiver] runs a battery of some ninety good, forged, odd and repeated
// requests against your own [http.Handler], whatever it is built with, and says
// for each that is answered wrongly what to change:
//
//	func TestWebhook(t *testing.T) {
//		webhooktest.CheckReceiver(t, newHandler(secret), secret)
//	}
//
// [Battery] is the same with settings: where the handler is mounted, what it
// handles, how to see that it acts once. [NewRequest] makes one signed request,
// for what your handler does with an event:
//
//	event := webhooktest.NewEvent(t, "candidate.completed", nil)
//	w := httptest.NewRecorder()
//	handler.ServeHTTP(w, webhooktest.NewRequest(t, "/alot/webhook", event, secret))
//
// # A producer
//
// [Server] is a receiver on loopback that verifies and keeps what it is sent,
// and answers with the faults that a test orders: a status, a delay, a reset, a
// body that comes a byte at a time.
package webhooktest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/alot/alotwebhook"
)

// OrganizationID is the organization of the events that this package makes.
const OrganizationID = "org_123"

// NewEvent makes an event of [OrganizationID] that happens now. Nil data is the
// example of the type's entry in [alotwebhook.DefaultEventTypes], or an empty
// object for a type that is not there. Data that cannot be encoded fails the test.
func NewEvent(t testing.TB, eventType string, data any) alotwebhook.Event {
	t.Helper()
	if data == nil {
		data = exampleData(eventType)
	}
	e, err := alotwebhook.NewEvent(eventType, OrganizationID, data)
	if err != nil {
		t.Fatalf("webhooktest: no event: %v", err)
	}
	return e
}

func exampleData(eventType string) json.RawMessage {
	for _, et := range alotwebhook.DefaultEventTypes() {
		if et.Name == eventType && len(et.Example) > 0 {
			return et.Example
		}
	}
	return json.RawMessage("{}")
}

// NewRequest returns the request that the sender makes of an event: its payload
// signed with the secret, in a POST to target. A path such as "/alot/webhook"
// makes the request that a handler's ServeHTTP gets, as [httptest.NewRequest];
// an absolute URL makes one that an [http.Client] sends.
//
// Change it for what should be refused: r.Header.Del(alotwebhook.SignatureHeader).
func NewRequest(t testing.TB, target string, event alotwebhook.Event, secret alotwebhook.Secret) *http.Request {
	t.Helper()
	r := NewBodyRequest(t, target, event.Payload(), secret)
	r.Header.Set(alotwebhook.EventHeader, event.Type)
	r.Header.Set(alotwebhook.DeliveryHeader, deliveryID(event))
	return r
}

// NewBodyRequest is [NewRequest] of any bytes: for a payload that was recorded,
// or for one that is no event at all.
func NewBodyRequest(t testing.TB, target string, body []byte, secret alotwebhook.Secret) *http.Request {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("webhooktest: target is not a path or URL: %v", err)
	}
	var r *http.Request
	if u.Scheme == "" {
		r = httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	} else if r, err = http.NewRequest(http.MethodPost, target, bytes.NewReader(body)); err != nil {
		t.Fatalf("webhooktest: no request: %v", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(alotwebhook.SignatureHeader, alotwebhook.Sign(body, secret))
	r.Header.Set(alotwebhook.AttemptHeader, "1")
	return r.WithContext(t.Context())
}

// testEndpointID stands for the endpoint whose deliveries this package makes.
const testEndpointID = "wh_01h455vb4pex5vsknk084sn02q"

func deliveryID(e alotwebhook.Event) string { return alotwebhook.DeliveryID(e.ID, testEndpointID) }
