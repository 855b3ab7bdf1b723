package settings_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func rows(text string) int { return strings.Count(text, "data-row=") }

func TestHistoryIsFilteredByItsAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	ok := s.event(e, `{}`)
	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StatusCode: 200})
	failed := s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonTLS, Detail: "the certificate has expired"})
	other := s.endpoint("https://other.example.com")
	pending := s.event(other, `{}`) // has a delivery to each endpoint
	delivery, err := s.dispatcher.Delivery(t.Context(), failed)
	require.NoError(t, err)
	now := time.Now().UTC()
	for query, want := range map[string]int{
		"": 4, "status=delivered": 1, "status=failed": 1, "status=pending": 2, "status=parked": 0,
		"endpoint=" + e.ID: 3, "endpoint=" + other.ID: 1, "endpoint=" + e.ID + "&status=failed": 1,
		"type=candidate.completed": 4, "type=candidate.invited": 0, "event=" + delivery.EventID: 1,
		"event=%20" + delivery.EventID + "%20":                                                                                      1,
		"since=" + url.QueryEscape(now.Add(-time.Hour).Format(time.RFC3339)):                                                        4,
		"until=" + now.Add(-time.Hour).Format("2006-01-02T15:04"):                                                                   0,
		"since=" + now.Add(-time.Hour).Format("2006-01-02T15:04:05") + "&until=" + now.Add(time.Hour).Format("2006-01-02T15:04:05"): 4,
		"endpoint=&status=&type=&since=&until=&event=":                                                                              4,
		"live=off": 4,
	} {
		got := s.get("/history?" + query)
		require.Equal(t, http.StatusOK, got.status, query)
		require.Equal(t, want, rows(got.text), query)
	}
	text := s.get("/history?status=failed&endpoint=" + e.ID).text
	require.Contains(t, text, `<option value="failed" selected>Failed</option>`)
	require.Contains(t, text, `<option value="`+e.ID+`" selected>`)
	require.Contains(t, text, "TLS failed")
	require.Contains(t, s.get("/deliveries/"+ok).text, "Delivered")
	require.Contains(t, s.get("/deliveries/"+alotwebhook.DeliveryID(delivery.EventID, e.ID)).text, "Renew the certificate, and have your server load it.")
	require.Contains(t, s.get("/deliveries/"+pending).text, "On its way")
}

func TestHistoryRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, query := range []string{
		"state=failed", "status=broken", "endpoint=org_b", "event=wh_00000000000000000000000000", "type=A.B", "since=yesterday",
		"since=2026-02-01T00:00&until=2026-01-01T00:00", "cursor=x", "cursor=wh_00000000000000000000000000", "live=on", "status=failed&status=failed", "a=%zz",
	} {
		require.Equal(t, http.StatusBadRequest, s.get("/history?"+query).status, query)
	}
}

func TestHistoryNamesAFilterAsItsFormDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for query, want := range map[string]string{
		"since=2026-02-01T00:00&until=2026-01-01T00:00": "To must be later than From.",
		"event=sess_123":                       "Event id must be an id such as evt_",
		"event=dlv_01kt0v7fbg7ktr4h1x2c3d5e6f": "Event id is the id of a delivery; the id of an event begins with evt_.",
		"endpoint=org_b":                       "Endpoint must be an id such as wh_",
		"status=dead":                          "State must be one of pending, delivered, failed, parked.",
		"type=A.B":                             "Event type must be an event type such as candidate.completed.",
		"since=yesterday":                      "From must be a time such as ",
		"until=x&status=failed&status=x":       "State is given more than once.",
		"page=2":                               "page is not known here",
		"cursor=x":                             "cursor is not a place in this list.",
	} {
		got := s.get("/history?" + query)
		require.Contains(t, got.text, "We could not read that filter", query)
		require.Contains(t, got.text, want, query)
	}
	form := s.get("/history").text
	for _, label := range []string{"Endpoint", "State", "Event type", "From", "To", "Event id"} {
		require.Regexp(t, `<label for="[a-z]+">`+label+` ?<`, form)
	}
}

// What was refused stands beside its field, with what was typed, and the other filters stay.
func TestHistoryKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	s.event(e, `{}`)
	got := s.get("/history?status=failed&endpoint=" + e.ID + "&event=sess_123%22%3E&since=2026-02-01T00:00&until=2026-01-01T00:00")
	require.Equal(t, http.StatusBadRequest, got.status)
	for _, want := range []string{
		`value="sess_123&#34;&gt;"`, `id="problem-event">Event id must be`, `aria-invalid="true" aria-describedby="problem-event"`,
		`id="problem-until">To must be later than From.`, `value="2026-02-01T00:00:00"`, `value="2026-01-01T00:00:00"`,
		`<option value="failed" selected>`, `<option value="` + e.ID + `" selected>`, `id="problems"`,
	} {
		require.Contains(t, got.text, want)
	}
	require.Zero(t, rows(got.text))
	require.NotContains(t, got.text, "hx-trigger", "a filter that is refused does not update itself")
}

// People paste an id as it stands in a log or in a mail.
func TestHistoryTakesAnEventIDAsItIsPasted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d, err := s.dispatcher.Delivery(t.Context(), s.event(s.endpoint("https://hooks.example.com/alot"), `{}`))
	require.NoError(t, err)
	for _, pasted := range []string{`"` + d.EventID + `"`, "'" + d.EventID + "',", strings.ToUpper(d.EventID), " \t" + d.EventID + "\r\n", "“" + d.EventID + "”"} {
		got := s.get("/history?event=" + url.QueryEscape(pasted))
		require.Equal(t, http.StatusOK, got.status, pasted)
		require.Equal(t, 1, rows(got.text), pasted)
		require.Contains(t, got.text, `name="event" value="`+d.EventID+`"`)
	}
}

func TestHistoryOffersTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(time.Until(time.Date(2026, 5, 25, 14, 23, 0, 0, time.UTC)))
		text := s.get("/history?status=failed").text
		for _, want := range []string{
			`href="/history?since=2026-05-25T13%3A23%3A00&amp;status=failed" data-span="hour"`,
			`href="/history?since=2026-05-25T00%3A00%3A00&amp;status=failed" data-span="today"`,
			`href="/history?since=2026-05-24T00%3A00%3A00&amp;status=failed&amp;until=2026-05-25T00%3A00%3A00" data-span="yesterday"`,
		} {
			require.Contains(t, text, want)
		}
	})
}

func TestHistoryGoesOnBelowACursor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	for range 120 {
		s.event(e, `{}`)
	}
	path, seen := "/history?status=pending", map[string]bool{}
	for page := range 3 {
		got := s.get(path)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, page == 0, strings.Contains(got.text, "hx-trigger"), "only the first page is live")
		for _, part := range strings.Split(got.text, `data-row="`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			require.False(t, seen[id])
			seen[id] = true
		}
		_, older, found := strings.Cut(got.text, `id="older" href="`)
		require.Equal(t, page < 2, found)
		path, _, _ = strings.Cut(older, `"`)
		path = strings.ReplaceAll(path, "&amp;", "&")
	}
	require.Len(t, seen, 120)
}

func TestLiveUpdatesCanBePaused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.event(s.endpoint("https://hooks.example.com/alot"), `{}`)
	live := s.get("/history?status=pending").text
	require.Contains(t, live, `hx-get="/history?status=pending" hx-trigger="every 5s"`)
	require.Contains(t, live, `href="/history?live=off&amp;status=pending"`)
	paused := s.get("/history?status=pending&live=off").text
	require.NotContains(t, paused, "hx-trigger")
	require.Contains(t, paused, `id="toggle" href="/history?status=pending"`)
}

func TestALivePartComesAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	for _, path := range []string{"/", "/history", "/" + e.ID, "/deliveries/" + d} {
		whole, part := s.get(path), s.get(path, "HX-Request", "true", "HX-Target", "div#live")
		require.True(t, strings.HasPrefix(part.text, `<div id="live"`), part.text)
		require.NotContains(t, part.text, "<html")
		require.Contains(t, whole.text, `<div id="live"`)
		require.Contains(t, whole.header.Get("Vary"), "HX-Target")
	}
	refused := s.get("/new", "HX-Target", "div#live").text
	require.Contains(t, refused, "<html", "a page without a live part comes whole")
}
