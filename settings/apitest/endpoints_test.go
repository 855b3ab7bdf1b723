package apitest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
