package docs_test

import (
	"context"
	"log"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

// The documents quote these tests; they run as they stand.

const secret alotwebhook.Secret = "your-signing-secret"

var config = &alotwebhook.Config{
	AllowHTTP: true,
	AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	Retry:     alotwebhook.Schedule(300*time.Millisecond, 900*time.Millisecond),
}

func newHandler(secret alotwebhook.Secret) http.Handler {
	verifier, err := alotwebhook.NewVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}
	receiver := alotwebhook.NewReceiver(verifier, nil)
	alotwebhook.On(receiver, "candidate.completed",
		func(context.Context, alotwebhook.Event, alotwebhook.CandidateCompleted) error { return nil })
	return receiver
}

func TestWebhook(t *testing.T) {
	webhooktest.CheckReceiver(t, newHandler(secret), secret)
}

func TestCompletedCandidateIsTold(t *testing.T) {
	server := webhooktest.NewServer(t)
	server.Answer(webhooktest.Answer{Status: http.StatusServiceUnavailable}) // to the first request
	dispatcher, err := alotwebhook.NewDispatcher(memory.New(), config)
	require.NoError(t, err)
	endpoint, err := dispatcher.CreateEndpoint(t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_123", URL: server.URL, EventTypes: []string{"candidate.completed"},
	})
	require.NoError(t, err)
	server.AddSecret(endpoint.Secret)

	event, err := alotwebhook.NewEvent("candidate.completed", "org_123", map[string]any{"score": 82})
	require.NoError(t, err)
	require.NoError(t, dispatcher.Emit(t.Context(), event))
	go dispatcher.Run(t.Context())

	received, err := server.Wait(t.Context(), 2)
	require.NoError(t, err)
	require.NoError(t, received[1].Err) // the second attempt's signature is good
	require.Equal(t, event.ID, received[1].Event.ID)
}
