package settings_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
)

func TestTheAPISaysWhatBecameOfAnEvent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first, second := h.create(published), h.create(published)
	nobody := h.emit(alotwebhook.EventCandidateInvited, 1)[0] // neither endpoint is subscribed to it
	sent := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	other := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]

	got := h.do("GET", "/v1/webhooks/events/"+nobody, "")
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, nobody, got.json["id"])
	require.Equal(t, "candidate.invited", got.json["type"])
	event, err := h.dispatcher.Event(t.Context(), nobody)
	require.NoError(t, err)
	require.Equal(t, event.Timestamp.Format("2006-01-02T15:04:05.000Z"), got.json["timestamp"])
	require.Equal(t, []any{}, got.json["deliveries"])
	require.Equal(t, string(event.Payload()), got.json["payload"])

	got = h.do("GET", "/v1/webhooks/events/"+sent, "")
	require.Equal(t, []string{sent, sent}, got.eventIDs(t))
	require.NotContains(t, got.json, "nextCursor")
	require.Len(t, h.do("GET", "/v1/webhooks/deliveries?event="+sent, "").eventIDs(t), 2)
	require.Len(t, h.do("GET", "/v1/webhooks/deliveries", "").eventIDs(t), 4)
	require.Empty(t, h.do("GET", "/v1/webhooks/deliveries?event="+nobody, "").eventIDs(t))
	for _, endpoint := range []string{first, second} {
		list := "/v1/webhooks/" + endpoint + "/deliveries"
		require.Equal(t, []string{sent}, h.do("GET", list+"?event="+sent, "").eventIDs(t))
		require.Equal(t, []string{other, sent}, h.do("GET", list, "").eventIDs(t))
	}
	refused := h.do("GET", "/v1/webhooks/deliveries?event=sess_123", "")
	require.Equal(t, []string{"event"}, refused.fields())

	strange := h.do("GET", "/v1/webhooks/events/"+sent, "", "X-Organization", "org_b")
	require.Equal(t, http.StatusNotFound, strange.status)
	require.Contains(t, strange.json["detail"], "mistyped or another organization's")
	require.Equal(t, strange.text, h.do("GET", "/v1/webhooks/events/evt_00000000000000000000000000", "").text)
	require.Empty(t, h.do("GET", "/v1/webhooks/deliveries?event="+sent, "", "X-Organization", "org_b").eventIDs(t))
}

// An event of many endpoints goes on in the list of deliveries.
func TestManyDeliveriesOfAnEventGoOnInTheList(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, newHost(t).store, alotwebhook.Config{MaxEndpoints: -1})
	for range 101 {
		h.create(published)
	}
	event := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	got := h.do("GET", "/v1/webhooks/events/"+event, "")
	require.Len(t, got.eventIDs(t), 100)
	rest := h.do("GET", "/v1/webhooks/deliveries?event="+event+"&cursor="+got.json["nextCursor"].(string), "")
	require.Equal(t, []string{event}, rest.eventIDs(t))
}

func TestAnEventIsKnownUntilItsDeliveriesAreDeleted(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.create(published)
	nobody := h.emit(alotwebhook.EventCandidateInvited, 1)[0]
	sent := h.emit(alotwebhook.EventCandidateCompleted, 1)[0]
	h.attempt(alotwebhook.Outcome{Attempt: refused(1), State: alotwebhook.StateFailed})
	_, err := h.store.Purge(t.Context(), alotwebhook.PurgeRequest{Payloads: time.Nanosecond})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/webhooks/events/"+nobody, "").status)
	got := h.do("GET", "/v1/webhooks/events/"+sent, "")
	require.Equal(t, []string{sent}, got.eventIDs(t))
	require.Equal(t, "candidate.completed", got.json["type"])
	require.NotContains(t, got.json, "payload")
	_, err = h.store.Purge(t.Context(), alotwebhook.PurgeRequest{History: time.Nanosecond, Payloads: time.Nanosecond})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, h.do("GET", "/v1/webhooks/events/"+sent, "").status)
}

// A list of deliveries that shows none of an event says which event that is.
func TestTheHistorySaysWhyItHasNoDeliveryOfAnEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	emit := func(organization, eventType string) alotwebhook.Event {
		event, err := alotwebhook.NewEvent(eventType, organization, map[string]string{"candidateName": "Jane Smith"})
		require.NoError(t, err)
		require.NoError(t, s.dispatcher.Emit(t.Context(), event))
		return event
	}
	nobody, foreign := emit("org_a", alotwebhook.EventCandidateInvited), emit("org_b", alotwebhook.EventCandidateInvited)
	sent := emit("org_a", alotwebhook.EventCandidateCompleted)

	got := s.get("/history?event=" + nobody.ID)
	require.Contains(t, got.text, "No endpoint was subscribed")
	require.Contains(t, got.text, "candidate.invited")
	require.Contains(t, got.text, nobody.Timestamp.Format("2 Jan 2006, 15:04:05 UTC"))
	require.NotContains(t, got.text, "Jane Smith")
	require.NotContains(t, got.text, "Choose a longer period")

	strange, none := s.get("/history?event="+foreign.ID).text, s.get("/history?event=evt_01jcc7zzzzf0m8n2p4q6r7s9tv").text
	for _, text := range []string{strange, none} {
		require.Contains(t, text, "No event of this id")
		require.Contains(t, text, "mistyped or another organization’s")
		require.NotContains(t, text, "candidate.invited</b>")
	}
	require.Contains(t, none, "10 Nov 2024", "the time in its id")
	require.Contains(t, s.get("/history?event=evt_7zzzzzzzzzfzzvzzzzzzzzzzzz").text, "yet to come")

	hidden := s.get("/history?status=failed&event=" + sent.ID).text
	require.Contains(t, hidden, "The other filters leave out every delivery of this event")
	require.Contains(t, hidden, `href="/history?event=`+sent.ID+`"`)
	require.Equal(t, 1, rows(s.get("/history?event="+sent.ID).text))

	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StatusCode: 200})
	require.NoError(t, s.dispatcher.DeleteEndpoint(t.Context(), e.ID))
	require.Equal(t, 1, rows(s.get("/history?event="+sent.ID).text), "the history of a deleted endpoint stays")
}

// Operators see the event of any organization.
func TestOperatorsAreToldOfAnEventThatNobodySubscribedTo(t *testing.T) {
	t.Parallel()
	s := newOperatorSite(t)
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateInvited, "org_lonely", map[string]string{"candidateName": "Jane Smith"})
	require.NoError(t, err)
	require.NoError(t, s.dispatcher.Emit(t.Context(), event))
	s.letOperators(func(_ *http.Request, a settings.Action) bool { return a == settings.ActionLook })
	got := s.ask(http.MethodGet, "/deliveries?event="+event.ID)
	require.Contains(t, got.text, "No endpoint was subscribed")
	require.NotContains(t, got.text, "Jane Smith")
}
