package settings_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// emit emits n events of the type for org_a, and returns their ids, oldest first.
func (h *host) emit(eventType string, n int) (ids []string) {
	h.t.Helper()
	for range n {
		event, err := alotwebhook.NewEvent(eventType, "org_a", map[string]string{"candidateName": "Jane Smith"})
		require.NoError(h.t, err)
		require.NoError(h.t, h.dispatcher.Emit(h.t.Context(), event))
		ids = append(ids, event.ID)
		time.Sleep(time.Millisecond) // ids of the same millisecond are in random order
	}
	return ids
}

// attempt claims all deliveries that are due, and finishes each with the outcome o.
func (h *host) attempt(o alotwebhook.Outcome) {
	h.t.Helper()
	got, err := h.store.Claim(h.t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: time.Minute})
	require.NoError(h.t, err)
	require.NotEmpty(h.t, got.Deliveries)
	for _, c := range got.Deliveries {
		o.DeliveryID, o.Token = c.DeliveryID, c.Token
		lost, err := h.store.Finish(h.t.Context(), []alotwebhook.Outcome{o})
		require.NoError(h.t, err)
		require.Empty(h.t, lost)
	}
}

func refused(number int) alotwebhook.Attempt {
	return alotwebhook.Attempt{
		Number: number, StartedAt: time.Now(), Duration: 1234567 * time.Nanosecond,
		Reason: alotwebhook.ReasonConnectionRefused, Detail: "Nobody listens there.",
	}
}

// eventIDs returns the ids of the events in a page of deliveries.
func (r reply) eventIDs(t testing.TB) (ids []string) {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.text)
	for _, d := range r.json["deliveries"].([]any) {
		ids = append(ids, d.(map[string]any)["eventId"].(string))
	}
	return ids
}

func TestADeliveryIsShownWithItsAttempts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	path := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(event, endpoint)

	fresh := h.do("GET", path, "")
	require.Equal(t, "pending", fresh.json["status"])
	require.Equal(t, []any{}, fresh.json["attempts"])
	require.NotContains(t, fresh.json, "lastStatusCode")
	sent, err := h.dispatcher.Event(t.Context(), event)
	require.NoError(t, err)
	require.Equal(t, string(sent.Payload()), fresh.json["payload"], "the exact bytes, to be verified with the secret")

	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StatePending})
	h.attempt(alotwebhook.Outcome{
		Attempt: alotwebhook.Attempt{Number: 2, StartedAt: time.Now(), Duration: 20 * time.Millisecond, StatusCode: 200},
		State:   alotwebhook.StateDelivered,
	})
	got := h.do("GET", path, "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "delivered", got.json["status"])
	require.Equal(t, event, got.json["eventId"])
	require.Equal(t, endpoint, got.json["endpointId"])
	require.Equal(t, alotwebhook.EventCandidateCompleted, got.json["type"])
	require.EqualValues(t, 2, got.json["attemptCount"])
	require.EqualValues(t, 200, got.json["lastStatusCode"])
	require.NotEmpty(t, got.json["finishedAt"])
	require.NotContains(t, got.json, "nextAttemptAt")

	attempts := got.json["attempts"].([]any)
	require.Len(t, attempts, 2)
	first, second := attempts[0].(map[string]any), attempts[1].(map[string]any)
	require.EqualValues(t, 1, first["number"])
	require.Equal(t, "connection_refused", first["reason"])
	require.Equal(t, "Nobody listens there.", first["detail"])
	require.Equal(t, 1.235, first["durationMs"])
	require.NotContains(t, first, "statusCode")
	require.EqualValues(t, 200, second["statusCode"])
	require.NotContains(t, second, "reason")

	list := h.do("GET", "/v1/webhooks/"+endpoint+"/deliveries", "")
	require.Equal(t, []string{event}, list.eventIDs(t))
	require.NotContains(t, list.text, `"attempts"`)
	require.NotContains(t, list.text, `"payload"`)
	require.NotContains(t, list.text, "Jane Smith")

	for _, foreign := range []string{path, "/v1/webhooks/" + endpoint + "/deliveries"} {
		require.Equal(t, http.StatusNotFound, h.do("GET", foreign, "", "X-Organization", "org_b").status)
	}
}

// The payload is absent once it is erased, and in the response to a redelivery.
func TestThePayloadOfADeliveryIsLeftOut(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	path := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(h.emit(alotwebhook.EventCandidateCompleted, 1)[0], endpoint)
	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
	again := h.do("POST", path+"/redeliver", "", "Idempotency-Key", "one")
	require.Equal(t, http.StatusAccepted, again.status, again.text)
	require.NotContains(t, again.text, "Jane Smith")

	h.attempt(alotwebhook.Outcome{Attempt: refused(2), State: alotwebhook.StateFailed})
	_, err := h.store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Nanosecond})
	require.NoError(t, err)
	erased := h.do("GET", path, "")
	require.Equal(t, http.StatusOK, erased.status)
	require.NotContains(t, erased.json, "payload")
	require.Len(t, erased.json["attempts"], 2)
}

func TestDeliveriesAreFiltered(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(`{"url":"https://example.com/","events":["candidate.completed","candidate.invited"],"secret":"sesame-street-123"}`)
	failed := h.emit(alotwebhook.EventCandidateCompleted, 1)
	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
	pending := h.emit(alotwebhook.EventCandidateInvited, 1)
	both := []string{pending[0], failed[0]}

	now := time.Now()
	before, after := now.Add(-time.Hour).UTC().Format(time.RFC3339), now.Add(time.Hour).In(time.FixedZone("", 7200)).Format(time.RFC3339)
	for query, want := range map[string][]string{
		"":                                       both,
		"status=failed":                          failed,
		"status=pending":                         pending,
		"status=delivered":                       nil,
		"status=parked":                          nil,
		"status=&type=&cursor=":                  both,
		"type=candidate.invited":                 pending,
		"type=candidate.withdrawn":               nil,
		"type=candidate.completed&status=failed": failed,
		"since=" + before:                        both,
		"since=" + before + "&until=" + url.QueryEscape(after): both,
		"since=" + after:  nil, // has a + that is not percent-encoded
		"until=" + before: nil,
	} {
		got := h.do("GET", "/v1/webhooks/"+endpoint+"/deliveries?"+query, "")
		require.Equal(t, want, got.eventIDs(t), query)
	}
}

func TestDeliveriesAreListedInPages(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	h.create(published) // gets the same events, in deliveries of its own
	emitted := h.emit(alotwebhook.EventCandidateCompleted, 7)
	seen := map[string]bool{}
	path := "/v1/webhooks/" + endpoint + "/deliveries?status=pending&limit=3"
	for size, next := range []int{3, 3, 1} {
		page := h.do("GET", path, "")
		ids := page.eventIDs(t)
		require.Len(t, ids, next, "page %d", size)
		for _, id := range ids {
			require.False(t, seen[id])
			seen[id] = true
		}
		if cursor, more := page.json["nextCursor"].(string); more {
			path = "/v1/webhooks/" + endpoint + "/deliveries?status=pending&limit=3&cursor=" + cursor
			h.emit(alotwebhook.EventCandidateCompleted, 1) // newer deliveries do not move the pages
		} else {
			require.Equal(t, 2, size)
		}
	}
	for _, id := range emitted {
		require.True(t, seen[id])
	}
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	deliveries := "/v1/webhooks/" + endpoint + "/deliveries"
	for target, fields := range map[string][]string{
		deliveries + "?status=dead":                                           {"status"},
		deliveries + "?status=failed&status=pending":                          {"status"},
		deliveries + "?state=failed":                                          {"state"},
		deliveries + "?type=Candidate":                                        {"type"},
		deliveries + "?type=candidate.completed%00":                           {"type"},
		deliveries + "?since=yesterday":                                       {"since"},
		deliveries + "?since=2026-05-25":                                      {"since"},
		deliveries + "?until=2026-13-25T00:00:00Z":                            {"until"},
		deliveries + "?since=2026-05-25T00:00:00Z&until=2026-05-25T00:00:00Z": {"until"},
		deliveries + "?cursor=2":                                              {"cursor"},
		deliveries + "?cursor=" + endpoint:                                    {"cursor"},
		deliveries + "?limit=0":                                               {"limit"},
		deliveries + "?limit=101":                                             {"limit"},
		deliveries + "?limit=ten":                                             {"limit"},
		deliveries + "?status=failed;type=x":                                  {"query"},
		deliveries + "?cursor=x&status=y&offset=3":                            {"cursor", "offset", "status"},
		"/v1/webhooks?offset=1":                                               {"offset"},
		"/v1/webhooks?cursor=dlv_00000000000000000000000000":                  {"cursor"},
		"/v1/webhooks/" + endpoint + "?secret=true":                           {"secret"},
		"/v1/webhooks/deliveries/dlv_00000000000000000000000000?x=1":          {"x"},
	} {
		got := h.do("GET", target, "")
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", target, got.text)
		require.Equal(t, fields, got.fields(), target)
	}
	require.Equal(t, []string{"dry"}, h.do("POST", "/v1/webhooks?dry=1", published).fields())
}

// The API says what was sent where, which are tests, and what came back.
func TestADeliverySaysWhatWasSent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint := h.create(published)
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	sent := h.do("POST", "/v1/webhooks/"+endpoint+"/test", "")
	require.Equal(t, http.StatusAccepted, sent.status)
	test := sent.json["eventId"].(string)
	h.attempt(alotwebhook.Outcome{
		Attempt: alotwebhook.Attempt{Number: 1, StartedAt: time.Now(), StatusCode: 200, ResponseBody: "\x01Server: nginx\n\nthanks"},
		State:   alotwebhook.StateDelivered,
	})
	for id, is := range map[string]bool{event: false, test: true} {
		path := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(id, endpoint)
		got := h.do("GET", path, "")
		attempt := got.json["attempts"].([]any)[0].(map[string]any)
		require.Regexp(t, "^https://", attempt["url"])
		headers := attempt["requestHeaders"].(map[string]any)
		require.Equal(t, []any{"1", alotwebhook.EventCandidateCompleted, "application/json"}, []any{headers["X-Alot-Attempt"], headers["X-Alot-Event"], headers["Content-Type"]})
		require.NotContains(t, headers, alotwebhook.SignatureHeader)
		require.Equal(t, []any{"Server: nginx\n", "thanks"}, []any{attempt["responseHeaders"], attempt["responseBody"]})
		require.Equal(t, is, got.json["test"] == true)
		require.Equal(t, is, headers[alotwebhook.TestHeader] == "true")
	}
	list := "/v1/webhooks/" + endpoint + "/deliveries"
	require.Equal(t, []string{test}, h.do("GET", list+"?test=true", "").eventIDs(t))
	require.Equal(t, []string{event}, h.do("GET", list+"?test=false", "").eventIDs(t))
	require.Len(t, h.do("GET", list, "").eventIDs(t), 2)
	page := h.do("GET", list+"?test=false&limit=1", "")
	require.NotContains(t, page.json, "nextCursor")
	require.Equal(t, http.StatusBadRequest, h.do("GET", list+"?test=yes", "").status)
}
