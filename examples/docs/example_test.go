package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
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

var proxied = &alotwebhook.Config{
	Proxy: &alotwebhook.Proxy{URL: &url.URL{
		Scheme: "http", // or https, or socks5
		Host:   "proxy.internal:3128",
		User:   url.UserPassword("webhooks", os.Getenv("PROXY_PASSWORD")),
	}},
}

func TestProxied(t *testing.T) {
	_, err := alotwebhook.NewDispatcher(memory.New(), proxied)
	require.NoError(t, err)
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

// TestFindingsAreShownAsTheyAre: a receiver that parses the body before it
// verifies is told what docs/receiving.md shows.
func TestFindingsAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	careless := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var compact bytes.Buffer
		if err == nil {
			err = json.Compact(&compact, body)
		}
		if err == nil {
			err = alotwebhook.Verify(compact.Bytes(), r.Header.Get(alotwebhook.SignatureHeader), secret)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(careless))
	defer server.Close()
	found := map[string]string{}
	for _, f := range (webhooktest.Battery{Secret: secret, URL: server.URL}).Check(t.Context(), server.Client().Do) {
		found[f.Check] = f.String() + "\n"
	}
	shown := 0
	for _, b := range blocks(t, "text") {
		if name := b.attributes["finding"]; name != "" {
			require.Equal(t, found[name], b.text, "%v", b)
			shown++
		}
	}
	require.Positive(t, shown)
}
