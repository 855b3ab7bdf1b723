package apitest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

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
