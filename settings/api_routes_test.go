package settings_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

// call is a request that a route accepts.
type call struct{ method, path, body string }

// calls returns a call for each route, with the ids in its path and a body that it
// accepts.
func calls(h *host, endpoint, delivery string) (list []call) {
	for _, rt := range settings.Routes(h.handler) {
		id := endpoint
		switch {
		case strings.HasPrefix(rt[1], "/v1/webhooks/deliveries/"):
			id = delivery
		case strings.HasPrefix(rt[1], "/v1/webhooks/events/"):
			id = h.eventOf(delivery)
		}
		c := call{rt[0], strings.Replace(rt[1], "{id}", id, 1), ""}
		switch {
		case rt[1] == "/v1/webhooks" && rt[0] == http.MethodPost:
			c.body = published
		case rt[0] == http.MethodPatch:
			c.body = `{"disabled":true}`
		}
		list = append(list, c)
	}
	return list
}

// eventOf returns the event of a delivery; of one that there is not, an event that there is not.
func (h *host) eventOf(delivery string) string {
	h.t.Helper()
	d, err := h.dispatcher.Delivery(h.t.Context(), delivery)
	if errors.Is(err, alotwebhook.ErrNotFound) {
		return "evt_00000000000000000000000000"
	}
	require.NoError(h.t, err)
	return d.EventID
}

// withDelivery registers an endpoint of org_a and makes a delivery to it fail.
func (h *host) withDelivery() (endpoint, delivery string) {
	endpoint = h.create(published)
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
	return endpoint, alotwebhook.DeliveryID(event, endpoint)
}

func TestWhatIsAnotherOrganizationsDoesNotExistInAnyRoute(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	before := h.do("GET", "/v1/webhooks/"+endpoint, "").text + h.do("GET", "/v1/webhooks/deliveries/"+delivery, "").text
	absent := calls(h, "wh_00000000000000000000000000", "dlv_00000000000000000000000000")
	tried := 0
	for i, c := range calls(h, endpoint, delivery) {
		if c.path == absent[i].path { // the path has no id
			continue
		}
		tried++
		got := h.do(c.method, c.path, c.body, "X-Organization", "org_b", "Idempotency-Key", "k1")
		require.Equal(t, http.StatusNotFound, got.status, c)
		want := h.do(absent[i].method, absent[i].path, absent[i].body, "X-Organization", "org_b")
		require.Equal(t, want.text, got.text, c)
		require.Equal(t, want.header, got.header, c)
	}
	require.Equal(t, 15, tried)
	after := h.do("GET", "/v1/webhooks/"+endpoint, "").text + h.do("GET", "/v1/webhooks/deliveries/"+delivery, "").text
	require.Equal(t, before, after)
	require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/webhooks/"+endpoint+"/recover", "").status)
	require.Len(t, h.do("GET", "/v1/webhooks/"+endpoint+"/deliveries", "").json["deliveries"], 1)
}

func TestEveryRouteAsksWhoIsAsking(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, c := range calls(h, "wh_00000000000000000000000000", "dlv_00000000000000000000000000") {
		for _, who := range []string{"", "nobody"} {
			require.Equal(t, http.StatusUnauthorized, h.do(c.method, c.path, c.body, "X-Organization", who).status, c)
		}
	}
}

func TestEveryRouteRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	for _, c := range calls(h, endpoint, delivery) {
		got := h.do(c.method, c.path+"?zzz=1", c.body)
		require.Equal(t, http.StatusBadRequest, got.status, c)
		require.Equal(t, []string{"zzz"}, got.fields(), c)
		if c.method == http.MethodGet || c.method == http.MethodDelete {
			continue
		}
		for body, status := range map[string]int{
			`{"zzz":1}`:         http.StatusBadRequest,
			`{"zzz":1,"zzz":2}`: http.StatusBadRequest,
			`{} {}`:             http.StatusBadRequest,
			`[]`:                http.StatusBadRequest,
			`null`:              http.StatusBadRequest,
			`{`:                 http.StatusBadRequest,
			"{\"\xff\":1}":      http.StatusBadRequest,
			`{"a":"` + strings.Repeat("x", 64<<10) + `"}`: http.StatusRequestEntityTooLarge,
		} {
			require.Equal(t, status, h.do(c.method, c.path, body).status, "%v %.40s", c, body)
			require.Equal(t, status, h.do(c.method, c.path, body, "Idempotency-Key", "k1").status, "%v %.40s", c, body)
		}
		for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			got := h.do(c.method, c.path, c.body, "Content-Type", media)
			require.Equal(t, http.StatusUnsupportedMediaType, got.status, c)
			require.NotEmpty(t, got.header.Get("Accept-Post")+got.header.Get("Accept-Patch"))
		}
	}
}

func TestNoRouteTakesWhatAnotherSiteSends(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	for _, c := range calls(h, endpoint, delivery) {
		if c.method == http.MethodGet {
			continue
		}
		for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example.com"}} {
			got := h.do(c.method, c.path, c.body, header[0], header[1])
			require.Equal(t, http.StatusForbidden, got.status, c)
		}
	}
	h.create(published, "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer x") // a page of another site cannot add that header without permission
	h.create(published, "Sec-Fetch-Site", "same-origin")
}

func TestEveryRouteTakesASlashAtItsEndAndAPrefix(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	bare := h.handler
	list := calls(h, endpoint, delivery)
	h.handler = http.StripPrefix("/public", bare)
	for _, c := range list {
		for _, path := range []string{"/public" + c.path, "/public" + c.path + "/"} {
			got := h.do(c.method, path+"?zzz=1", c.body) // the route is found, but does nothing
			require.Equal(t, http.StatusBadRequest, got.status, path)
		}
		got := h.do("TRACE", "/public"+c.path, "")
		require.Equal(t, http.StatusMethodNotAllowed, got.status, c)
		require.Contains(t, got.header.Get("Allow"), c.method)
	}
}

func TestNoSecretComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	endpoint, delivery := h.withDelivery()
	const secret = "sesame-street-123"
	h.create(strings.Replace(published, "your-signing-secret", secret, 1))
	h.do("POST", "/v1/webhooks/"+endpoint+"/rotate-secret", `{"secret":"`+secret+`"}`)
	for _, body := range []string{`{"secret":"` + secret + `"}`, `{"secret":["` + secret + `"]}`, `{"secret":" ` + secret + `"}`, `{"secret":"` + secret + `","x":1}`} {
		for _, c := range calls(h, endpoint, delivery) {
			if c.method == http.MethodDelete {
				continue
			}
			given := body
			if c.method == http.MethodGet {
				given = ""
			}
			got := h.do(c.method, c.path, given)
			require.NotContains(t, got.text, secret, c)
		}
	}
	require.NotContains(t, h.log.String(), secret)
}
