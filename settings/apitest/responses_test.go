package apitest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// Each status that the document names has to come in a real response. The exception is
// 409 for two requests at the same moment, and 410 for a cursor of events, which takes an hour to
// expire: package settings tests both.
func TestEveryDocumentedResponseIsGiven(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		provokeAll(t, h)
		for path, item := range h.doc.Paths.Map() {
			for method, o := range item.Operations() {
				for status := range o.Responses.Map() {
					atOnce := status == "409" && slices.Contains([]string{"updateEndpoint", "rotateSecret", "sendTest"}, o.OperationID)
					expired := status == "410" && o.OperationID == "listEvents"
					require.True(t, atOnce || expired || h.seen[fmt.Sprint(o.OperationID, " ", status)], "%s %s %s", method, path, status)
				}
			}
		}
	})
}

// provokeAll sends requests to every operation, correct ones and wrong ones, until every
// documented status was seen.
func provokeAll(t *testing.T, h *host) {
	endpoint := h.create(published)
	failed := h.fail(1)[0]
	event, delivery := "/v1/webhooks/events/"+failed, "/v1/webhooks/deliveries/"+alotwebhook.DeliveryID(failed, strings.TrimPrefix(endpoint, "/v1/webhooks/"))
	spare, off := h.create(published), h.create(published)
	h.do(200, "PATCH", off, `{"disabled":true}`)
	h.store.endless.Store(true)
	for _, c := range []call{
		{"POST", "/v1/webhooks", published, `{}`, 201},
		{"GET", "/v1/webhooks", "", "", 200},
		{"GET", "/v1/webhooks/operations", "", "", 200},
		{"GET", "/v1/webhooks/event-types", "", "", 200},
		{"GET", "/v1/webhooks/openapi.json", "", "", 200},
		{"GET", "/v1/webhooks/events", "", "", 200},
		{"GET", event, "", "", 200},
		{"GET", "/v1/webhooks/deliveries", "", "", 200},
		{"GET", delivery, "", "", 200},
		{"POST", delivery + "/redeliver", "{}", "", 202},
		{"GET", endpoint, "", "", 200},
		{"PATCH", endpoint, `{"description":"Berlin"}`, `{"url":""}`, 200},
		{"POST", endpoint + "/rotate-secret", `{}`, `{"secret":""}`, 200},
		{"POST", endpoint + "/prove", `{}`, "", 200},
		{"POST", endpoint + "/test", `{}`, `{"type":"candidate.exploded"}`, 202},
		{"POST", off + "/enable", `{"discard":true}`, `{"since":"2999-01-01T00:00:00Z"}`, 202},
		{"POST", endpoint + "/recover", `{}`, `{"since":"2999-01-01T00:00:00Z"}`, 202},
		{"GET", endpoint + "/recover", "", "", 200},
		{"DELETE", endpoint + "/recover", "", "", 200},
		{"POST", endpoint + "/send-missed", `{}`, `{"since":"2999-01-01T00:00:00Z"}`, 202},
		{"GET", endpoint + "/deliveries", "", "", 200},
		{"DELETE", spare, "", "", 204},
	} {
		h.provoke(c)
	}
	h.do(200, "DELETE", endpoint+"/recover", "")
	for range 50 {
		h.do(201, "POST", "/v1/webhooks", published, "X-Organization", "org_c")
	}
	h.do(409, "POST", "/v1/webhooks", published, "X-Organization", "org_c")
	h.do(409, "POST", off+"/enable", `{"discard":true}`)
	h.do(200, "POST", off+"/enable", "")
	h.withBrokenStore(func() {
		h.do(500, "POST", endpoint+"/recover", "{}")
		h.do(500, "POST", endpoint+"/send-missed", "{}")
	})
	h.do(202, "POST", delivery+"/redeliver", "", "Idempotency-Key", "k1")
	h.do(422, "POST", delivery+"/redeliver", "{}", "Idempotency-Key", "k1")
	h.deliverAndErase()
	h.do(409, "POST", delivery+"/redeliver", "")
	h.exceed(endpoint, delivery)
	h.failToProve(endpoint)
}

// failToProve has an endpoint asked for a proof that it does not give, as often as that is allowed.
func (h *host) failToProve(endpoint string) {
	h.restartWith(alotwebhook.Config{ProveURLs: true, ChangesPerMinute: 2, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	server := httptest.NewServer(http.NotFoundHandler())
	h.t.Cleanup(server.Close)
	h.do(200, "PATCH", endpoint, `{"url":"`+server.URL+`"}`)
	h.do(409, "POST", endpoint+"/prove", "")
	h.do(429, "POST", endpoint+"/prove", "")
}

// deliverAndErase records all that is due as delivered, and erases the payloads.
func (h *host) deliverAndErase() {
	h.t.Helper()
	claimed, err := h.store.Claim(h.t.Context(), alotwebhook.ClaimRequest{Limit: 1000, PerEndpoint: 1000, Lease: time.Minute})
	require.NoError(h.t, err)
	require.NotEmpty(h.t, claimed.Deliveries)
	outcomes := make([]alotwebhook.Outcome, len(claimed.Deliveries))
	for i, c := range claimed.Deliveries {
		outcomes[i] = alotwebhook.Outcome{
			DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StateDelivered,
			Attempt: alotwebhook.Attempt{Number: c.Attempt, StartedAt: time.Now(), StatusCode: 200},
		}
	}
	lost, err := h.store.Finish(h.t.Context(), outcomes)
	require.NoError(h.t, err)
	require.Empty(h.t, lost)
	time.Sleep(2 * time.Millisecond) // the least that a payload may be kept
	_, err = h.store.Purge(h.t.Context(), alotwebhook.PurgeRequest{Payloads: time.Millisecond})
	require.NoError(h.t, err)
}

// exceed does once more what an organization may do once a minute.
func (h *host) exceed(endpoint, delivery string) {
	h.restartWith(alotwebhook.Config{TestsPerMinute: 1, RedeliveriesPerMinute: 1, ChangesPerMinute: 1})
	h.do(202, "POST", endpoint+"/test", "")
	h.do(429, "POST", endpoint+"/test", "")
	h.do(409, "POST", delivery+"/redeliver", "")
	h.do(429, "POST", delivery+"/redeliver", "")
	h.do(200, "PATCH", endpoint, `{"description":"Hamburg"}`)
	h.do(429, "PATCH", endpoint, `{"description":"Berlin"}`)
	h.do(429, "POST", endpoint+"/rotate-secret", "")
	h.do(429, "POST", endpoint+"/recover", "")
	h.do(429, "POST", endpoint+"/send-missed", "")
	h.do(429, "DELETE", endpoint, "")
}

// call is a request to an operation.
type call struct {
	method, path string
	good         string // a body that is accepted; "" for none
	bad          string // a body that can be read, but is not accepted; "" for none
	status       int    // of the response to the good body
}

// provoke sends a request in the ways that give each status of its operation. The good
// body is accepted last.
func (h *host) provoke(c call) {
	h.do(401, c.method, c.path, c.good, "X-Organization", "")
	h.do(403, c.method, c.path, c.good, "X-Lacks", "look")
	h.do(400, c.method, c.path+"?zzz=1", c.good)
	if strings.Contains(c.path, "_") {
		h.do(404, c.method, c.path, c.good, "X-Organization", "org_b")
	}
	if c.method != "GET" {
		h.do(403, c.method, c.path, c.good, "Sec-Fetch-Site", "cross-site")
	}
	if c.good != "" {
		h.do(413, c.method, c.path, `{"`+strings.Repeat("x", 64<<10)+`":1}`)
		h.do(415, c.method, c.path, c.good, "Content-Type", "text/plain")
	}
	if c.bad != "" {
		h.do(422, c.method, c.path, c.bad)
	}
	if c.method == "PATCH" || c.status == 204 || strings.HasSuffix(c.path, "/enable") {
		h.do(412, c.method, c.path, c.good, "If-Match", `"77"`)
	}
	if c.method == "GET" && strings.HasPrefix(c.path, "/v1/webhooks/wh_") && strings.Count(c.path, "/") == 3 {
		h.do(304, c.method, c.path, "", "If-None-Match", "*")
	}
	recovers := c.method == "POST" && (strings.HasSuffix(c.path, "/recover") || strings.HasSuffix(c.path, "/send-missed"))
	if !recovers && !strings.HasSuffix(c.path, ".json") && !strings.HasSuffix(c.path, "event-types") {
		h.withBrokenStore(func() { h.do(500, c.method, c.path, c.good) })
	}
	h.do(c.status, c.method, c.path, c.good)
	if recovers {
		h.do(409, c.method, c.path, c.good)
	}
}

func (h *host) withBrokenStore(f func()) {
	h.store.broken.Store(true)
	defer h.store.broken.Store(false)
	f()
}
