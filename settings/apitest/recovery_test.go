package apitest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

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
