package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
	"github.com/alot/alotwebhook/webhooktest"
)

var proves = alotwebhook.Config{ProveURLs: true, AllowHTTP: true, AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

func TestTheAPIProvesURLs(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), proves)
	receiver := webhooktest.NewServer(t)
	created := h.do("POST", "/v1/webhooks", `{"url":"`+receiver.URL+`","events":["candidate.completed"],"secret":"my own signing secret"}`)
	require.Equal(t, http.StatusCreated, created.status, created.text)
	require.Equal(t, "unproven", created.json["disabledReason"])
	path := "/v1/webhooks/" + created.json["id"].(string)
	require.Equal(t, http.StatusConflict, h.do("POST", path+"/test", "").status)
	require.Equal(t, http.StatusConflict, h.do("POST", path+"/enable", "").status)
	got := h.do("PATCH", path, `{"disabled":false}`)
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.json["detail"], "POST to prove")
	require.Empty(t, receiver.Received())

	got = h.do("POST", path+"/prove", "")
	require.Equal(t, http.StatusConflict, got.status)
	require.Equal(t, "The URL is not proven: it answered 401 Unauthorized.", got.json["detail"])
	receiver.AddSecret("my own signing secret")
	require.Equal(t, http.StatusBadRequest, h.do("POST", path+"/prove", `{"force":true}`).status)
	require.Equal(t, http.StatusNotFound, h.do("POST", path+"/prove", "", "X-Organization", "org_b").status)
	got = h.do("POST", path+"/prove", "")
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, false, got.json["disabled"])
	require.Len(t, receiver.Received(), 2)
	require.Equal(t, "unproven", h.do("PATCH", path, `{"url":"`+receiver.URL+`/other"}`).json["disabledReason"])
}

func TestThePagesProveURLs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d, err := alotwebhook.NewDispatcher(memory.New(), &proves)
	require.NoError(t, err)
	s.dispatcher = d
	s.handler, err = settings.NewPages(d, &settings.Options{Organization: organization})
	require.NoError(t, err)
	silent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(silent.Close)
	e, err := d.CreateEndpoint(t.Context(), alotwebhook.Endpoint{OrganizationID: "org_a", URL: silent.URL, EventTypes: []string{"candidate.completed"}, Secret: "my own signing secret"})
	require.NoError(t, err)
	require.Contains(t, s.get("/").text, "URL not proven")
	page := s.get("/" + e.ID).text
	require.Contains(t, page, "The URL is still to be proven")
	require.Contains(t, page, "/prove")
	require.NotContains(t, page, "/enable")
	require.NotContains(t, page, "/test")
	got := s.post("/"+e.ID+"/prove", nil)
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text, "answered 404 Not Found")
	receiver := webhooktest.NewServer(t, "my own signing secret")
	e.URL = receiver.URL
	_, err = d.UpdateEndpoint(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/prove", nil).status)
	page = s.get("/" + e.ID + "?done=proven").text
	require.Contains(t, page, "URL proven")
	require.Contains(t, page, "/disable")
	require.NotContains(t, page, "/prove")
}
