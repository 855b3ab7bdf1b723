package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/webhooktest"
)

const secret alotwebhook.Secret = "your-signing-secret"

func TestHandlerPassesTheBattery(t *testing.T) {
	seen := &candidates{}
	handler, err := newHandler(secret, seen)
	if err != nil {
		t.Fatal(err)
	}
	webhooktest.Battery{Secret: secret, Handled: seen.count}.CheckReceiver(t, handler)
}

func TestHandlerActsOnAnEvent(t *testing.T) {
	seen := &candidates{}
	handler, err := newHandler(secret, seen)
	if err != nil {
		t.Fatal(err)
	}
	event := webhooktest.NewEvent(t, alotwebhook.EventCandidateCompleted, map[string]string{"candidateName": "Jane Smith"})
	for range 2 {
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, webhooktest.NewRequest(t, "/alot/webhook", event, secret))
		if response.Code != http.StatusOK {
			t.Fatalf("the response is %d: %s", response.Code, response.Body)
		}
	}
	if names := seen.byEvent[event.ID]; !slices.Equal(names, []string{"Jane Smith"}) {
		t.Fatalf("the candidates are %q, want Jane Smith once", names)
	}
}

func TestHandlerNeedsASecret(t *testing.T) {
	if _, err := newHandler("", &candidates{}); err == nil {
		t.Fatal("an empty secret is accepted")
	}
}
