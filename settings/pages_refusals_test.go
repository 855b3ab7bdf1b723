package settings_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// What no store can hold, or this store cannot do, is the visitor's to mend and no failure of the host.
func TestPagesRefuseWhatTheStoreWould(t *testing.T) {
	t.Parallel()
	const noSuch = "op_7zzzzzzzzzzzzzzzzzzzzzzzzz"
	s := newSite(t)
	o := newOperatorSite(t)
	e := s.endpoint("https://a.example.com/x")
	for _, path := range []string{"/?url=%00", "/?url=%ff"} {
		got := s.get(path)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		require.Contains(t, got.text, "That cannot be")
		require.Equal(t, http.StatusUnprocessableEntity, o.see("/endpoints"+path[1:]).status, path)
	}
	for _, path := range []string{"/recover", "/send-missed"} {
		got := s.post("/"+e.ID+path, []string{"since", "0000-01-01T00:00:00Z"})
		require.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		require.Contains(t, got.text, "The beginning ")
	}
	require.Equal(t, http.StatusOK, o.see("/search?q="+noSuch).status)
	require.Equal(t, http.StatusUnprocessableEntity, o.see("/operations?operation="+noSuch).status)
	require.NotContains(t, s.log.String()+o.log.String(), "ERROR")
}

func TestPagesOfferWhatTheStoreDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		store  alotwebhook.Store
		offers bool
	}{{memory.New(), true}, {bare{memory.New()}, false}} {
		s := newSiteOn(t, c.store, nil)
		e := s.endpoint("https://a.example.com/x")
		page := s.get("/" + e.ID).text
		if c.offers {
			require.Contains(t, page, "/send-missed")
			continue
		}
		require.NotContains(t, page, "/send-missed")
		got := s.post("/"+e.ID+"/send-missed", []string{"since", "24h"})
		require.Equal(t, http.StatusNotImplemented, got.status)
		require.Contains(t, got.text, "The store cannot do this")
		require.NotContains(t, s.log.String(), "ERROR")
	}
}

// Values that would stand for another one are refused.
func TestValuesThatStandForNone(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	const zero = "0001-01-01T00:00:00Z"
	require.Equal(t, http.StatusOK, h.do("PATCH", "/v1/webhooks/"+id, `{"rate":5}`).status)
	for _, rate := range []string{"1e-400", "-1E-999", "0.0000001e-400"} {
		got := h.do("PATCH", "/v1/webhooks/"+id, `{"rate":`+rate+`}`)
		require.Equal(t, http.StatusBadRequest, got.status, rate)
		require.Contains(t, got.text, "0.01")
	}
	for _, rate := range []string{"0", "0.00", "0e9", "-0"} {
		require.Equal(t, http.StatusOK, h.do("PATCH", "/v1/webhooks/"+id, `{"rate":`+rate+`}`).status, rate)
	}
	etag := h.do("GET", "/v1/webhooks/"+id, "").header.Get("ETag")
	got := h.do("POST", "/v1/webhooks/"+id+"/rotate-secret", `{"signsFrom":"`+zero+`"}`)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.text, "signsFrom is the beginning of the year 1")
	require.Equal(t, etag, h.do("GET", "/v1/webhooks/"+id, "").header.Get("ETag"), "nothing was rotated")
	require.Equal(t, http.StatusAccepted, h.do("POST", "/v1/webhooks/"+id+"/recover", `{"since":"`+zero+`"}`).status, "since the beginning is all")
	require.Equal(t, http.StatusBadRequest, h.do("GET", "/v1/webhooks/deliveries?until="+zero, "").status)
	h.operate(everybody)
	for _, field := range []string{"until", "failedUntil"} {
		got := h.do("POST", "/v1/operator/recoveries", `{"action":"recover","organizationId":"org_a","note":"why","`+field+`":"`+zero+`"}`)
		require.Equal(t, http.StatusBadRequest, got.status, field)
	}
}
