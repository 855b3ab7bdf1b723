package settings_test

import (
	"encoding/base64"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

func TestADeliveryTellsItsStory(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{"big":12345678901234567890,"a":1.50}`)
	at := time.Now().Add(time.Second)
	s.finish(alotwebhook.StatePending, alotwebhook.Attempt{StartedAt: at, Duration: 1234 * time.Millisecond, StatusCode: 503, Reason: alotwebhook.ReasonStatus, Detail: "answered 503 Service Unavailable", ResponseBody: `{"later":true}`})
	got := s.get("/deliveries/" + d).text
	for _, want := range []string{
		"Not delivered yet after 1 attempt.", "Next attempt", "Send now", "Answered 503 Service Unavailable", "1.2 s", "&#34;later&#34;: true",
		"Look for the error in your service", "12345678901234567890", "1.50", `hx-trigger="every 5s"`,
		`data-copy="payload"`, `data-copy="response-1"`, `id="response-1"`,
	} {
		require.Contains(t, got, want)
	}
	require.Equal(t, http.StatusSeeOther, s.post("/deliveries/"+d+"/redeliver", nil).status)
	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StartedAt: at.Add(time.Minute), StatusCode: 204})
	got = s.get("/deliveries/" + d).text
	require.Contains(t, got, "after the event, on attempt 2.")
	require.Contains(t, got, "Answered 204 No Content")
	require.NotContains(t, got, "hx-trigger", "there is nothing to wait for")
}

// The page shows a payload with indentation, and holds the bytes that the signature is over.
func TestAPayloadIsHeldAsItWasSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.event(s.endpoint("https://hooks.example.com/alot"), "{\"name\":\"Zoë <&> \\\\ 李\",\r\n\t\"big\": 12345678901234567890}")
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonStatus, StatusCode: 500, ResponseBody: "{\"a\":\r\n1}"})
	held := regexp.MustCompile(`data-exact="([^"]*)"`).FindAllStringSubmatch(s.get("/deliveries/"+d).text, -1)
	require.Len(t, held, 3, "the last one is the curl command")
	exact := func(of []string) string {
		text, err := base64.StdEncoding.DecodeString(html.UnescapeString(of[1]))
		require.NoError(t, err)
		return string(text)
	}
	delivery, err := s.dispatcher.Delivery(t.Context(), d)
	require.NoError(t, err)
	event, err := s.dispatcher.Event(t.Context(), delivery.EventID)
	require.NoError(t, err)
	require.Equal(t, "{\"a\":\r\n1}", exact(held[0]))
	require.Equal(t, string(event.Payload()), exact(held[1]))
	signature := alotwebhook.Sign(event.Payload(), "your-signing-secret")
	require.NoError(t, alotwebhook.Verify([]byte(exact(held[1])), signature, "your-signing-secret"))
}

func TestAPayloadWhoseTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{"candidateName":"Jane Smith"}`)
	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StatusCode: 200})
	_, err := s.store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Nanosecond})
	require.NoError(t, err)
	got := s.get("/deliveries/" + d).text
	require.Contains(t, got, "The payload was erased. It can be neither shown nor sent again.")
	require.NotContains(t, got, "Redeliver")
	require.Equal(t, "/deliveries/"+d+"?done=unavailable", s.post("/deliveries/"+d+"/redeliver", nil).header.Get("Location"))
}

func TestEveryReasonSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	seen := map[string]bool{}
	for _, a := range []alotwebhook.Attempt{
		{Reason: alotwebhook.ReasonTimeout}, {Reason: alotwebhook.ReasonConnectionRefused}, {Reason: alotwebhook.ReasonConnectionReset},
		{Reason: alotwebhook.ReasonTLS}, {Reason: alotwebhook.ReasonDNS}, {Reason: alotwebhook.ReasonBlockedAddress}, {Reason: alotwebhook.ReasonRedirect, StatusCode: 302},
		{Reason: alotwebhook.ReasonResponseTooLarge}, {Reason: alotwebhook.ReasonProtocol}, {Reason: alotwebhook.ReasonNetwork}, {Reason: alotwebhook.ReasonNoRoute},
		{Reason: alotwebhook.ReasonTLS, Detail: "the server has no site for this host name"}, {Reason: alotwebhook.ReasonTLS, Detail: "the certificate is self-signed"},
		{Reason: alotwebhook.ReasonRedirect, StatusCode: 304, Detail: "answered 304 Not Modified, which is no success, and leads nowhere: there is no Location"}, {Reason: alotwebhook.ReasonPoison},
		{Reason: alotwebhook.ReasonUnsendable}, {Reason: alotwebhook.ReasonStatus, StatusCode: 400}, {Reason: alotwebhook.ReasonStatus, StatusCode: 401},
		{Reason: alotwebhook.ReasonStatus, StatusCode: 404}, {Reason: alotwebhook.ReasonStatus, StatusCode: 410}, {Reason: alotwebhook.ReasonStatus, StatusCode: 413},
		{Reason: alotwebhook.ReasonStatus, StatusCode: 429}, {Reason: alotwebhook.ReasonStatus, StatusCode: 500},
	} {
		d := s.event(e, `{}`)
		s.finish(alotwebhook.StateFailed, a)
		text := s.get("/deliveries/" + d).text
		_, advice, found := strings.Cut(text, `<li class="failed">`)
		require.True(t, found)
		_, advice, found = strings.Cut(advice, `<p class="help">`)
		require.True(t, found, "%v", a)
		advice, _, _ = strings.Cut(advice, "</p>")
		require.Greater(t, len(advice), 30, "%v", a)
		require.False(t, seen[advice], "%v has the advice of another: %s", a, advice)
		seen[advice] = true
	}
}

// Each reason for which a delivery ends says whose matter it is, and no page offers what cannot be done.
func TestAFailedDeliverySaysWhoHasToDoSomething(t *testing.T) {
	t.Parallel()
	ended := func(reason alotwebhook.FailureReason) func(*site, alotwebhook.Endpoint, string) error {
		return func(s *site, _ alotwebhook.Endpoint, _ string) error {
			s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: reason})
			return nil
		}
	}
	disabled := func(s *site, e alotwebhook.Endpoint) error {
		e.Disabled = true
		_, err := s.dispatcher.UpdateEndpoint(s.t.Context(), e)
		return err
	}
	fix, ours, want := "Fix the cause, then redeliver.", "Your service is not the cause.", "if you want it after all."
	for reason, c := range map[alotwebhook.FailureReason]struct {
		end  func(s *site, e alotwebhook.Endpoint, d string) error
		says []string
	}{
		alotwebhook.ReasonTimeout:      {ended(alotwebhook.ReasonTimeout), []string{"Given up after 1 attempt.", fix}},
		alotwebhook.ReasonPoison:       {ended(alotwebhook.ReasonPoison), []string{"Not sent, because sending was started several times and never finished.", ours, "Redeliver it."}},
		alotwebhook.ReasonUnsendable:   {ended(alotwebhook.ReasonUnsendable), []string{"It could not be sent. The newest attempt says why, and what to do."}},
		alotwebhook.ReasonNoRoute:      {ended(alotwebhook.ReasonNoRoute), []string{"Not sent, because we have no way to the addresses of the host.", ours, "Redeliver it once there is one."}},
		alotwebhook.ReasonProxyRefused: {ended(alotwebhook.ReasonProxyRefused), []string{"Not sent, because our own proxy lets nothing through to the host.", ours, "Redeliver it once it does."}},
		alotwebhook.ReasonConversion:   {ended(alotwebhook.ReasonConversion), []string{"Not sent, because the sender could not make the payload", ours}},
		alotwebhook.ReasonCanceled: {func(s *site, _ alotwebhook.Endpoint, d string) error {
			_, err := s.store.Cancel(s.t.Context(), []string{d})
			return err
		}, []string{"Canceled by the people who run this service.", want}},
		alotwebhook.ReasonDiscarded: {func(s *site, e alotwebhook.Endpoint, _ string) error {
			require.NoError(s.t, disabled(s, e))
			_, err := s.store.Discard(s.t.Context(), e.ID, time.Now().Add(time.Hour), 10)
			return err
		}, []string{"Discarded when the endpoint was enabled.", want}},
		alotwebhook.ReasonExpired: {func(s *site, e alotwebhook.Endpoint, _ string) error {
			require.NoError(s.t, disabled(s, e))
			_, err := s.store.Purge(s.t.Context(), alotwebhook.PurgeRequest{Parked: time.Nanosecond})
			return err
		}, []string{"Not sent, because the endpoint was disabled for too long.", "if you still want it."}},
		alotwebhook.ReasonEndpointDeleted: {func(s *site, e alotwebhook.Endpoint, _ string) error {
			return s.dispatcher.DeleteEndpoint(s.t.Context(), e.ID)
		}, []string{"The endpoint was deleted before the event could be delivered."}},
		alotwebhook.ReasonErased: {func(s *site, _ alotwebhook.Endpoint, _ string) error { return s.erase() },
			[]string{"Not sent, because the personal data in it was erased."}},
	} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			e := s.endpoint("https://hooks.example.com/alot")
			d := s.event(e, `{}`)
			require.NoError(t, c.end(s, e, d))
			got, err := s.dispatcher.Delivery(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, reason, got.LastReason)
			page := s.get("/deliveries/" + d).text
			for _, sentence := range c.says {
				require.Contains(t, page, sentence)
			}
			if reason != alotwebhook.ReasonTimeout {
				require.NotContains(t, page, "Given up after")
				require.NotContains(t, page, fix, "nobody there has a cause to fix")
			}
			require.NoError(t, s.erase())
			page = s.get("/deliveries/" + d).text
			require.Contains(t, page, "The payload was erased. It can be neither shown nor sent again.")
			require.Contains(t, page, c.says[0])
			_, story, _ := strings.Cut(page, `<p class="intro">`)
			story, _, _ = strings.Cut(story, "</p>")
			require.NotContains(t, strings.ToLower(story), "redeliver", "which cannot be")
		})
	}
}

// erase erases everything of org_a.
func (s *site) erase() error {
	_, _, err := s.store.Erase(s.t.Context(), alotwebhook.Recovery{OrganizationID: "org_a"}, 100)
	return err
}
