package settings_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
)

// failFirst claims what is due and has it fail, due again in ten minutes.
func failFirst(t testing.TB, store alotwebhook.Store) {
	t.Helper()
	got, err := store.Claim(t.Context(), alotwebhook.ClaimRequest{Limit: 10, PerEndpoint: 10, Lease: time.Minute})
	require.NoError(t, err)
	require.Len(t, got.Deliveries, 1)
	c := got.Deliveries[0]
	lost, err := store.Finish(t.Context(), []alotwebhook.Outcome{{
		DeliveryID: c.DeliveryID, Token: c.Token, State: alotwebhook.StatePending, NextAttemptIn: 10 * time.Minute,
		HoldsUp: time.Hour, Attempt: refused(c.Attempt),
	}})
	require.NoError(t, err)
	require.Empty(t, lost)
}

func TestAnOrderedEndpointInTheAPI(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	made := h.do("POST", "/v1/webhooks", `{"url":"https://example.com/","events":["candidate.invited"],"ordered":true}`)
	require.Equal(t, http.StatusCreated, made.status, made.text)
	require.Equal(t, true, made.json["ordered"])
	path := "/v1/webhooks/" + made.json["id"].(string)
	events := h.emit(alotwebhook.EventCandidateInvited, 2)
	ids := make([]string, 2)
	for i, event := range events {
		ids[i] = alotwebhook.DeliveryID(event, made.json["id"].(string))
	}
	second := h.do("GET", "/v1/webhooks/deliveries/"+ids[1], "").json
	require.Equal(t, ids[0], second["waitsFor"])
	require.NotContains(t, second, "waitsUntil")
	failFirst(t, h.store)
	for _, d := range h.do("GET", path+"/deliveries", "").json["deliveries"].([]any) {
		d := d.(map[string]any)
		if d["id"] == ids[0] {
			require.NotContains(t, d, "waitsFor")
			continue
		}
		require.Equal(t, ids[0], d["waitsFor"])
		until, err := time.Parse(time.RFC3339, d["waitsUntil"].(string))
		require.NoError(t, err)
		require.Greater(t, time.Until(until), 30*time.Minute)
	}
	require.Equal(t, http.StatusBadRequest, h.do("PATCH", path, `{"ordered":1}`).status)
	require.Equal(t, true, h.do("PATCH", path, `{"description":"x"}`).json["ordered"])
	require.NotContains(t, h.do("PATCH", path, `{"ordered":false}`).json, "ordered")
	require.NotContains(t, h.do("GET", "/v1/webhooks/deliveries/"+ids[1], "").json, "waitsFor")
}

func TestAnOrderedEndpointOnThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	form := s.get("/" + e.ID + "/edit").text
	require.NotContains(t, form, `name="ordered" value="yes" checked`)
	fields := append(hidden(t, form), "url", e.URL, "events", e.EventTypes[0], "ordered", "yes")
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	e = s.stored(e.ID)
	require.True(t, e.Ordered)
	require.Contains(t, s.get("/"+e.ID).text, "Events one at a time, in order")
	form = s.get("/" + e.ID + "/edit").text
	require.Contains(t, form, `name="ordered" value="yes" checked`)

	first, second := s.event(e, `{}`), s.event(e, `{}`)
	require.NotContains(t, s.get("/deliveries/"+first).text, "Waits for its turn")
	got := s.get("/deliveries/" + second).text
	require.Contains(t, got, "Waits for its turn")
	require.Contains(t, got, `href="/deliveries/`+first+`"`)
	require.Contains(t, got, "Waiting for its turn.")
	require.NotContains(t, got, "The others wait")
	failFirst(t, s.store)
	require.Contains(t, s.get("/deliveries/"+second).text, "The others wait for its next attempts until")
	require.Contains(t, s.get("/history").text, "waits for its turn")

	fields = append(hidden(t, form), "url", e.URL, "events", e.EventTypes[0])
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/edit", fields).status)
	require.False(t, s.stored(e.ID).Ordered)
	made := s.post("/new", []string{"url", "https://hooks.example.com/2", "events", e.EventTypes[0], "ordered", "yes", "secret", "a secret of some length"})
	require.Equal(t, http.StatusSeeOther, made.status, made.text)
	require.True(t, s.stored(made.header.Get("Location")[1:30]).Ordered)
}
