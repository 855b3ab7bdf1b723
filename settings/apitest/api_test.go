package apitest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// fail emits events for org_a and fails their deliveries; it returns their
// events' ids, oldest first.
func (h *host) fail(n int) (ids []string) {
	h.t.Helper()
	for range n {
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", map[string]string{"candidateName": "Jane Smith"})
		require.NoError(h.t, err)
		require.NoError(h.t, h.dispatcher.Emit(h.t.Context(), event))
		ids = append(ids, event.ID)
	}
	for claimed := 0; claimed < n; {
		got, err := h.store.Claim(h.t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: time.Minute})
		require.NoError(h.t, err)
		require.NotEmpty(h.t, got.Deliveries)
		claimed += len(got.Deliveries)
		var outcomes []alotwebhook.Outcome
		for _, c := range got.Deliveries {
			outcomes = append(outcomes, alotwebhook.Outcome{
				DeliveryID: c.DeliveryID, Lease: c.Lease, State: alotwebhook.StateFailed,
				Attempt: alotwebhook.Attempt{
					Number: c.Attempt, StartedAt: time.Now(), Duration: 84 * time.Millisecond,
					StatusCode: 503, Reason: alotwebhook.ReasonStatus, Detail: "The endpoint answered 503.",
				},
			})
		}
		lost, err := h.store.Finish(h.t.Context(), outcomes)
		require.NoError(h.t, err)
		require.Empty(h.t, lost)
	}
	return ids
}

func TestTheLifeOfAnEndpoint(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		made := h.do(201, "POST", "/v1/webhooks", published)
		require.NotContains(t, made.text, "secret")
		path := "/v1/webhooks/" + made.str("id")
		require.Equal(t, path, made.header.Get("Location"))
		require.Equal(t, made.text, h.do(200, "GET", path, "").text)

		tag := made.header.Get("ETag")
		changed := h.do(200, "PATCH", path, `{"description":"Candidates <Berlin>","disabled":true}`, "If-Match", tag)
		require.Equal(t, true, changed.json["disabled"])
		require.Equal(t, "user", changed.str("disabledReason"))
		require.Equal(t, "Candidates <Berlin>", changed.str("description"))
		require.Equal(t, []any{"candidate.completed"}, changed.json["events"])
		require.NotEqual(t, tag, changed.header.Get("ETag"))
		require.Equal(t, []string{"If-Match"}, h.do(412, "PATCH", path, `{"disabled":false}`, "If-Match", tag).fields())
		require.Equal(t, true, h.do(200, "GET", path, "").json["disabled"])

		merged := h.do(200, "PATCH", path, `{"disabled":false,"description":null}`, "Content-Type", "application/merge-patch+json")
		require.NotContains(t, merged.json, "description")
		require.NotContains(t, merged.json, "disabledReason")
		same := h.do(200, "PATCH", path, `{}`, "If-Match", "*")
		require.Equal(t, merged.header.Get("ETag"), same.header.Get("ETag"))

		h.do(412, "DELETE", path, "", "If-Match", tag)
		h.do(204, "DELETE", path, "", "If-Match", `"0", `+same.header.Get("ETag"))
		h.do(404, "GET", path, "")
		h.do(404, "DELETE", path, "")
	})
}

func TestASecretIsRotated(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		id := strings.TrimPrefix(path, "/v1/webhooks/")
		secrets := func() (present, next string) {
			e, err := h.store.Endpoint(t.Context(), id)
			require.NoError(t, err)
			return string(e.Secret), string(e.NextSecret)
		}

		made := h.do(200, "POST", path+"/rotate-secret", "").str("secret")
		present, next := secrets()
		require.Equal(t, made, present)
		require.Empty(t, next)

		from := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		own := h.do(200, "POST", path+"/rotate-secret", `{"secret":"sesame-street-123","signsFrom":"`+from+`"}`)
		require.NotContains(t, own.text, "sesame")
		require.Equal(t, strings.TrimSuffix(from, "Z")+".000Z", own.str("nextSecretFrom"))
		present, next = secrets()
		require.Equal(t, made, present, "until then")
		require.Equal(t, "sesame-street-123", next)

		for _, page := range []string{path, "/v1/webhooks"} {
			text := h.do(200, "GET", page, "").text
			require.NotContains(t, text, made)
			require.NotContains(t, text, "sesame")
		}
	})
}

func TestATestEventIsDelivered(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
		t.Cleanup(receiver.Close)
		path := h.create(`{"url":"` + receiver.URL + `","events":["candidate.completed"]}`)
		h.run()

		sent := h.do(202, "POST", path+"/test", `{"type":"candidate.invited"}`)
		require.Equal(t, "candidate.invited", sent.str("type"))
		delivery := sent.header.Get("Location")
		require.Equal(t, "/v1/webhooks/deliveries/"+sent.str("deliveryId"), delivery)
		got := h.wait(delivery, "delivered")
		require.EqualValues(t, 204, got.json["lastStatusCode"])

		again := h.do(202, "POST", delivery+"/redeliver", "")
		require.Equal(t, sent.str("eventId"), again.str("eventId"))
		h.waitFor(delivery, func(got reply) bool { return got.json["attemptCount"] == 2.0 && got.str("status") == "delivered" })
		require.Equal(t, "candidate.completed", h.do(202, "POST", path+"/test", "").str("type"), "the endpoint's first")
	})
}

// wait reads until the thing has the status.
func (h *host) wait(path, status string) reply {
	h.t.Helper()
	return h.waitFor(path, func(got reply) bool { return got.str("status") == status })
}

// waitFor reads until the thing is as wanted.
func (h *host) waitFor(path string, wanted func(reply) bool) reply {
	h.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		got := h.do(200, "GET", path, "")
		if wanted(got) {
			return got
		}
		require.True(h.t, time.Now().Before(deadline), got.text)
	}
}

func TestWhatHasFailedIsRecovered(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		t.Cleanup(receiver.Close)
		path := h.create(`{"url":"` + receiver.URL + `","events":["candidate.completed"]}`)
		h.do(404, "GET", path+"/recover", "")
		events := h.fail(5)

		begun := h.do(202, "POST", path+"/recover", `{"since":"2020-01-01T00:00:00Z"}`)
		require.Equal(t, path+"/recover", begun.header.Get("Location"))
		require.Equal(t, "running", begun.str("status"))
		require.EqualValues(t, 0, begun.json["progress"])
		h.do(409, "POST", path+"/recover", "")
		h.run()
		done := h.wait(path+"/recover", "done")
		require.EqualValues(t, 5, done.json["recovered"])
		require.EqualValues(t, 1, done.json["progress"])
		for _, event := range events {
			h.wait("/v1/webhooks/deliveries/"+alotwebhook.DeliveryID(event, strings.TrimPrefix(path, "/v1/webhooks/")), "delivered")
		}
		require.Equal(t, "done", h.do(200, "DELETE", path+"/recover", "").str("status"), "it has ended already")
	})
}

func TestARecoveryIsStopped(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		require.NotContains(t, h.do(202, "POST", path+"/recover", "").json, "since")
		stopped := h.do(200, "DELETE", path+"/recover", "")
		require.Equal(t, "stopped", stopped.str("status"))
		require.NotEmpty(t, stopped.str("finishedAt"))
		h.do(202, "POST", path+"/recover", "{}")
	})
}

func TestDeliveriesAreReadInPages(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		other := h.create(published)
		want := h.fail(7)
		since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		query := path + "/deliveries?status=failed&type=candidate.completed&since=" + since
		var got []string
		for page, cursor := 0, ""; page == 0 || cursor != ""; page++ {
			require.Less(t, page, 10)
			list := h.do(200, "GET", query+"&limit=3&cursor="+cursor, "")
			for _, d := range list.json["deliveries"].([]any) {
				got = append(got, d.(map[string]any)["eventId"].(string))
			}
			if cursor = list.str("nextCursor"); cursor == "" {
				continue
			}
			for _, foreign := range []string{
				path + "/deliveries?status=failed&cursor=" + cursor, // other filters
				strings.Replace(query, path, other, 1) + "&cursor=" + cursor,
				"/v1/webhooks?cursor=" + cursor,
				query + "&cursor=" + cursor[1:],
				query + "&cursor=" + cursor + "0",
				query + "&cursor=" + strings.ToUpper(cursor),
			} {
				require.Equal(t, []string{"cursor"}, h.do(400, "GET", foreign, "").fields(), foreign)
			}
		}
		require.ElementsMatch(t, want, got)
	})
}

func TestEndpointsAreReadInPages(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		var want, got []string
		for range 5 {
			want = append(want, h.create(published))
			h.create(published, "X-Organization", "org_b")
		}
		for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
			list := h.do(200, "GET", "/v1/webhooks?limit=2&cursor="+cursor, "")
			for _, e := range list.json["endpoints"].([]any) {
				got = append(got, "/v1/webhooks/"+e.(map[string]any)["id"].(string))
			}
			if cursor = list.str("nextCursor"); cursor != "" {
				h.do(400, "GET", "/v1/webhooks?limit=2&cursor="+cursor, "", "X-Organization", "org_b")
			}
		}
		require.Equal(t, want, got)
	})
}

func TestAKeyDoesItsWorkOnce(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		const body = `{"url":"https://example.com/hook","events":["candidate.completed"]}`
		key := []string{"Idempotency-Key", `"5d1b7a86-0c2f-4a41-9d1c-3f1f2b0a9e77"`}
		post := func(want int, path, body string) reply {
			return h.do(want, "POST", path, body, key...)
		}
		path := "/v1/webhooks/" + post(201, "/v1/webhooks", body).str("id")
		event := post(202, path+"/test", `{"type":"candidate.completed"}`)
		rotated := post(200, path+"/rotate-secret", `{}`)
		for _, again := range []string{"the same process", "another"} {
			got := post(201, "/v1/webhooks", body)
			require.Equal(t, path, got.header.Get("Location"), again)
			require.Equal(t, "true", got.header.Get("Idempotency-Replayed"))
			require.Equal(t, event.text, post(202, path+"/test", `{"type":"candidate.completed"}`).text)
			require.Equal(t, rotated.text, post(200, path+"/rotate-secret", `{}`).text)
			h.restart()
		}
		require.Len(t, h.do(200, "GET", "/v1/webhooks", "").json["endpoints"], 1)
		require.Len(t, h.do(200, "GET", path+"/deliveries", "").json["deliveries"], 1)

		require.Equal(t, []string{"Idempotency-Key"}, post(422, path+"/test", `{"type":"candidate.invited"}`).fields())
		from := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		post(422, path+"/rotate-secret", `{"signsFrom":"`+from+`"}`)
		elsewhere := h.do(201, "POST", "/v1/webhooks", body, append(key, "X-Organization", "org_b")...)
		require.NotEqual(t, path, elsewhere.header.Get("Location"), "another organization's key")
	})
}

func TestAKeyShowsTheSameSecretUntilItIsRotated(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		const body = `{"url":"https://example.com/hook","events":["candidate.completed"]}`
		first := h.do(201, "POST", "/v1/webhooks", body, "Idempotency-Key", "k1")
		h.restart()
		require.Equal(t, first.text, h.do(201, "POST", "/v1/webhooks", body, "Idempotency-Key", "k1").text)
		h.restart()
		h.do(422, "POST", "/v1/webhooks", strings.Replace(body, "hook", "other", 1), "Idempotency-Key", "k1")
		h.do(422, "POST", "/v1/webhooks", strings.Replace(body, "{", `{"secret":"sesame-street-123",`, 1), "Idempotency-Key", "k1")
		h.do(200, "POST", first.header.Get("Location")+"/rotate-secret", "")
		h.restart()
		require.NotContains(t, h.do(201, "POST", "/v1/webhooks", body, "Idempotency-Key", "k1").json, "secret")
	})
}

func TestAKeyRedeliversOnceInAProcess(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		delivery := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(h.fail(1)[0], strings.TrimPrefix(path, "/v1/webhooks/"))
		first := h.do(202, "POST", delivery+"/redeliver", "", "Idempotency-Key", "k1")
		require.Equal(t, "pending", first.str("status"))
		again := h.do(202, "POST", delivery+"/redeliver", "", "Idempotency-Key", "k1")
		require.Equal(t, first.text, again.text)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		h.do(422, "POST", delivery+"/redeliver", "{}", "Idempotency-Key", "k1")
		begun := h.do(202, "POST", path+"/recover", "", "Idempotency-Key", "k1")
		require.Equal(t, begun.text, h.do(202, "POST", path+"/recover", "", "Idempotency-Key", "k1").text)
	})
}

// Each status that the document names is given by a real answer, but for 409 of
// what comes twice at the same moment, which package settings tests.
func TestEveryDocumentedAnswerIsGiven(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		provoke(t, h)
		for path, item := range h.doc.Paths.Map() {
			for method, o := range item.Operations() {
				for status := range o.Responses.Map() {
					atOnce := status == "409" && slices.Contains([]string{"createEndpoint", "updateEndpoint", "rotateSecret", "sendTest"}, o.OperationID)
					require.True(t, atOnce || h.seen[fmt.Sprint(o.OperationID, " ", status)], "%s %s %s", method, path, status)
				}
			}
		}
	})
}

// provoke asks everything, rightly and wrongly.
func provoke(t *testing.T, h *host) {
	endpoint := h.create(published)
	delivery := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(h.fail(1)[0], strings.TrimPrefix(endpoint, "/v1/webhooks/"))
	spare := h.create(published)
	calls := []struct {
		method, path, good, bad string
		status                  int
	}{
		{"POST", "/v1/webhooks", published, `{}`, 201},
		{"GET", "/v1/webhooks", "", "", 200},
		{"GET", "/v1/webhooks/event-types", "", "", 200},
		{"GET", "/v1/webhooks/openapi.json", "", "", 200},
		{"GET", delivery, "", "", 200},
		{"POST", delivery + "/redeliver", "{}", "", 202},
		{"GET", endpoint, "", "", 200},
		{"PATCH", endpoint, `{"description":"Berlin"}`, `{"url":""}`, 200},
		{"POST", endpoint + "/rotate-secret", `{}`, `{"secret":""}`, 200},
		{"POST", endpoint + "/test", `{}`, `{"type":"candidate.exploded"}`, 202},
		{"POST", endpoint + "/recover", `{}`, `{"since":"2999-01-01T00:00:00Z"}`, 202},
		{"GET", endpoint + "/recover", "", "", 200},
		{"DELETE", endpoint + "/recover", "", "", 200},
		{"GET", endpoint + "/deliveries", "", "", 200},
		{"DELETE", spare, "", "", 204},
	}
	for _, c := range calls {
		h.do(401, c.method, c.path, c.good, "X-Organization", "")
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
		if c.method == "PATCH" || c.path == spare {
			h.do(412, c.method, c.path, c.good, "If-Match", `"77"`)
		}
		if strings.HasSuffix(c.path, "/recover") && c.method == "POST" {
			h.do(c.status, c.method, c.path, c.good)
			h.do(409, c.method, c.path, c.good)
			continue
		}
		if !strings.HasSuffix(c.path, ".json") && !strings.HasSuffix(c.path, "event-types") {
			h.store.broken.Store(true)
			h.do(500, c.method, c.path, c.good)
			h.store.broken.Store(false)
		}
		h.do(c.status, c.method, c.path, c.good)
	}
	h.store.broken.Store(true)
	h.do(500, "POST", endpoint+"/recover", "{}")
	h.store.broken.Store(false)
	h.do(202, "POST", delivery+"/redeliver", "", "Idempotency-Key", "k1")
	h.do(422, "POST", delivery+"/redeliver", "{}", "Idempotency-Key", "k1")
	claimed, err := h.store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: time.Minute})
	require.NoError(t, err)
	require.NotEmpty(t, claimed.Deliveries)
	h.do(409, "POST", delivery+"/redeliver", "")
}
