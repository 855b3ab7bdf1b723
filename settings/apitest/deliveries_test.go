package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

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

func TestAnEventIsFound(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		id := h.fail(1)[0]
		h.create(published)
		got := h.do(200, "GET", "/v1/webhooks/events/"+id, "")
		require.Contains(t, got.str("payload"), "Jane Smith")
		require.Len(t, got.json["deliveries"], 1)
		require.NotContains(t, h.do(200, "GET", "/v1/webhooks/events/"+id, "", "X-Lacks", "payloads").text, "Jane Smith")
		for _, list := range []string{"/v1/webhooks/deliveries", path + "/deliveries"} {
			require.Len(t, h.do(200, "GET", list+"?event="+id, "").json["deliveries"], 1)
			require.Empty(t, h.do(200, "GET", list+"?event=evt_01kt0v7fbgf0m8n2p4q6r7s9tv", "").json["deliveries"])
		}
		event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_a", map[string]string{"candidateName": "Jane Smith"})
		require.NoError(t, err)
		require.NoError(t, h.dispatcher.Emit(t.Context(), event))
		nobody := h.do(200, "GET", "/v1/webhooks/events/"+event.ID, "")
		require.Empty(t, nobody.json["deliveries"], "no endpoint is subscribed to it")
		require.Equal(t, event.Type, nobody.str("type"))
		h.do(404, "GET", "/v1/webhooks/events/"+event.ID, "", "X-Organization", "org_b")
	})
}

// The responses to those who may not see payloads are as the document says, too.
func TestPayloadsAreHidden(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, h *host) {
		path := h.create(published)
		delivery := "/v1/webhooks/deliveries/" + alotwebhook.DeliveryID(h.fail(1)[0], strings.TrimPrefix(path, "/v1/webhooks/"))
		require.Contains(t, h.do(200, "GET", delivery, "").str("payload"), "Jane Smith")
		for _, got := range []reply{
			h.do(200, "GET", delivery, "", "X-Lacks", "payloads"),
			h.do(202, "POST", delivery+"/redeliver", "", "X-Lacks", "payloads"),
		} {
			require.Equal(t, true, got.json["payloadsHidden"])
			require.NotContains(t, got.text, "Jane Smith")
			require.Len(t, got.json["attempts"], 1)
		}
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
				path + "/deliveries?status=failed&cursor=" + cursor, // with other filters
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
