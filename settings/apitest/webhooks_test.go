package apitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// catalogue returns the event types of a host that has two of its own, one of them with
// nothing but a name.
func catalogue() []alotwebhook.EventType {
	return append(alotwebhook.DefaultEventTypes(),
		alotwebhook.EventType{
			Name: "candidate.withdrew", Description: "A candidate <withdrew> & left.",
			Example: json.RawMessage(`{"sessionId":"sess_123","sequence":9007199254740993}`),
		},
		alotwebhook.EventType{Name: "redeliver"}, // has the name of an operation of the API
	)
}

// sender returns a dispatcher with that catalogue, and the document that its API serves.
func sender(t *testing.T, standard bool) (*alotwebhook.Dispatcher, []byte) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	d, err := alotwebhook.NewDispatcher(memory.New(), &alotwebhook.Config{
		EventTypes: catalogue(), StandardWebhooks: standard, Logger: logger,
		AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	require.NoError(t, err)
	api, err := settings.NewAPI(d, &settings.Options{
		Logger: logger, Organization: func(*http.Request) (string, error) { return "org_a", nil },
	})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/webhooks/openapi.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	return d, w.Body.Bytes()
}

func TestTheServedDocumentHasTheHostsEventTypes(t *testing.T) {
	t.Parallel()
	_, text := sender(t, false)
	doc := load(t, text)
	require.NoError(t, doc.Validate(t.Context(), openapi3.EnableExamplesValidation()))
	require.Len(t, doc.Webhooks, len(catalogue()))
	for _, eventType := range catalogue() {
		o := doc.Webhooks[eventType.Name].Post
		require.Contains(t, []string{eventType.Description, eventType.Name}, o.Summary)
		require.Equal(t, "on."+eventType.Name, o.OperationID)
	}
	require.Contains(t, string(text), "A candidate <withdrew> & left.")
	require.Contains(t, string(text), `"data":{"sessionId":"sess_123","sequence":9007199254740993}`)
}

// received is a request that an endpoint received.
type received struct {
	header http.Header
	body   []byte
}

// receive starts an endpoint. It returns its URL and the requests that it receives.
func receive(t *testing.T) (url string, requests <-chan received) {
	t.Helper()
	got := make(chan received, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got <- received{r.Header, body}
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

// deliver sends an event of each type to an endpoint, and returns the requests by type.
func deliver(t *testing.T, d *alotwebhook.Dispatcher) map[string]received {
	t.Helper()
	url, requests := receive(t)
	endpoint := alotwebhook.Endpoint{OrganizationID: "org_a", URL: url}
	for _, eventType := range catalogue() {
		endpoint.EventTypes = append(endpoint.EventTypes, eventType.Name)
	}
	endpoint, err := d.CreateEndpoint(t.Context(), endpoint)
	require.NoError(t, err)
	_, err = d.RotateSecret(t.Context(), endpoint.ID, "", time.Now().Add(time.Hour)) // until then, each request has two signatures
	require.NoError(t, err)
	for _, eventType := range catalogue() {
		_, err := d.SendTest(t.Context(), endpoint.ID, eventType.Name)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	byType := map[string]received{}
	for len(byType) < len(catalogue()) {
		select {
		case r := <-requests:
			byType[r.header.Get(alotwebhook.EventHeader)] = r
		case <-time.After(patience):
			require.FailNow(t, "not everything was delivered", "%d of %d", len(byType), len(catalogue()))
		}
	}
	return byType
}

// asDescribed checks a request against its description under webhooks.
func asDescribed(t *testing.T, doc *openapi3.T, eventType string, r received) error {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(r.body))
	request.Header = r.header
	item := doc.Webhooks[eventType]
	return openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
		Request: request,
		Route:   &routers.Route{Spec: doc, Path: "/", PathItem: item, Method: http.MethodPost, Operation: item.Post},
		Options: &openapi3filter.Options{MultiError: true},
	})
}

func TestWhatEndpointsReceiveIsAsDescribed(t *testing.T) {
	t.Parallel()
	for name, standard := range map[string]bool{"X-Alot-Signature": false, "and Standard Webhooks": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, text := sender(t, standard)
			doc := load(t, text)
			for eventType, r := range deliver(t, d) {
				require.NoError(t, asDescribed(t, doc, eventType, r), eventType)
				described := map[string]bool{"Content-Type": true, "Content-Length": true}
				for _, p := range doc.Webhooks[eventType].Parameters {
					described[http.CanonicalHeaderKey(p.Value.Name)] = true
				}
				for header := range r.header {
					require.True(t, described[header], "%s is sent, but not described", header)
				}
				require.Equal(t, standard, r.header.Get(alotwebhook.StandardSignatureHeader) != "")
			}
		})
	}
}

// The description is exact enough to tell the requests of others from genuine ones.
func TestWhatIsNotAsDescribedIsFound(t *testing.T) {
	t.Parallel()
	d, text := sender(t, true)
	doc := load(t, text)
	good := deliver(t, d)[alotwebhook.EventCandidateCompleted]
	for header, bad := range map[string][]string{
		alotwebhook.SignatureHeader:         {"", "sha256=", "SHA256=" + good.header.Get(alotwebhook.SignatureHeader)[7:]},
		alotwebhook.EventHeader:             {"Candidate"},
		alotwebhook.DeliveryHeader:          {"evt_01kt0v7fbgf0m8n2p4q6r7s9tv"},
		alotwebhook.AttemptHeader:           {"0", "first"},
		alotwebhook.StandardIDHeader:        {"dlv_01kt0v7fbg7ktr4h1x2c3d5e6f"},
		alotwebhook.StandardTimestampHeader: {"2026-05-25T14:23:00Z"},
		alotwebhook.StandardSignatureHeader: {"v2,AAAA"},
	} {
		for _, value := range bad {
			r := received{good.header.Clone(), good.body}
			r.header.Set(header, value)
			if value == "" {
				r.header.Del(header)
			}
			require.Error(t, asDescribed(t, doc, alotwebhook.EventCandidateCompleted, r), "%s: %s", header, value)
		}
	}
	require.Error(t, asDescribed(t, doc, alotwebhook.EventCandidateInvited, good), "of another type")
	for _, header := range []string{alotwebhook.EventHeader, alotwebhook.DeliveryHeader, alotwebhook.AttemptHeader, "User-Agent"} {
		good.header.Del(header) // they are not signed: a receiver does without them
	}
	require.NoError(t, asDescribed(t, doc, alotwebhook.EventCandidateCompleted, good))
	for _, body := range []string{`{}`, `[]`, string(good.body[:len(good.body)-1]), string(bytes.Replace(good.body, []byte("score"), []byte(`score":"none","was`), 1))} {
		require.Error(t, asDescribed(t, doc, alotwebhook.EventCandidateCompleted, received{good.header, []byte(body)}), body)
	}
}
