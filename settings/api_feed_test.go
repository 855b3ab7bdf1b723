package settings_test

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// fed is a page of the list of all events.
type fed struct {
	reply
	ids  []string
	next string
	more bool
}

// events reads a page of the list of all events.
func (h *host) events(query string, header ...string) fed {
	h.t.Helper()
	got := fed{reply: h.do("GET", "/v1/webhooks/events?"+query, "", header...)}
	require.Equal(h.t, http.StatusOK, got.status, got.text)
	got.ids = []string{}
	for _, e := range got.json["events"].([]any) {
		got.ids = append(got.ids, e.(map[string]any)["id"].(string))
	}
	got.next, got.more = got.json["nextCursor"].(string), got.json["more"].(bool)
	require.NotEmpty(h.t, got.next)
	return got
}

func TestTheAPIListsAllEvents(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.create(published)
	ids := append(h.emit(alotwebhook.EventCandidateInvited, 2), h.emit(alotwebhook.EventCandidateCompleted, 1)...)
	got := h.events("")
	require.Equal(t, ids, got.ids, "also those that nobody was subscribed to")
	require.False(t, got.more)
	event, err := h.dispatcher.Event(t.Context(), ids[2])
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"id": ids[2], "type": "candidate.completed", "timestamp": event.Timestamp.Format("2006-01-02T15:04:05.000Z"), "payload": string(event.Payload()),
	}, got.json["events"].([]any)[2])

	require.Equal(t, ids[2:], h.events("type=candidate.completed").ids)
	require.Equal(t, ids, h.events("type=candidate.invited,candidate.completed").ids)
	first := h.events("limit=2")
	require.Equal(t, ids[:2], first.ids)
	require.True(t, first.more)
	rest := h.events("limit=2&cursor=" + url.QueryEscape(first.next))
	require.Equal(t, ids[2:], rest.ids)
	require.False(t, rest.more)
	later := h.emit(alotwebhook.EventCandidateCompleted, 1)
	require.Equal(t, later, h.events("cursor="+url.QueryEscape(rest.next)).ids, "a poller goes on from the end")
	require.Equal(t, later, h.events("since=2026-01-01T00:00:00Z&cursor="+url.QueryEscape(got.next)).ids)
	require.Empty(t, h.events("since="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))).ids)
	require.Empty(t, h.events("", "X-Organization", "org_b").ids)
}

func TestACursorOfEventsIsThatOfOneOrganization(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.emit(alotwebhook.EventCandidateCompleted, 3)
	cursor := url.QueryEscape(h.events("limit=1&type=candidate.completed").next)
	require.Len(t, h.events("type=candidate.completed&cursor="+cursor).ids, 2)
	for _, bad := range []string{"cursor=" + cursor, "type=candidate.invited&cursor=" + cursor, "cursor=x", "cursor=.", "cursor=%00", "cursor=" + cursor + "x"} {
		got := h.do("GET", "/v1/webhooks/events?"+bad, "")
		require.Equal(t, http.StatusBadRequest, got.status, bad)
		require.Equal(t, []string{"cursor"}, got.fields(), bad)
	}
	got := h.do("GET", "/v1/webhooks/events?type=candidate.completed&cursor="+cursor, "", "X-Organization", "org_b")
	require.Equal(t, http.StatusBadRequest, got.status)
	for _, bad := range []string{"type", "since", "limit"} {
		require.Equal(t, []string{bad}, h.do("GET", "/v1/webhooks/events?"+bad+"=!", "").fields())
	}
	require.Equal(t, []string{"until"}, h.do("GET", "/v1/webhooks/events?until=2026-01-01T00:00:00Z", "").fields())
}

func TestEventsAreListedWithoutPayloadsToWhoMayNotSeeThem(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ids := h.emit(alotwebhook.EventCandidateCompleted, 1)
	h.let(func(_ *http.Request, a settings.Action) bool { return a == settings.ActionLook })
	got := h.events("")
	require.Equal(t, ids, got.ids)
	require.NotContains(t, got.text, `"payload"`)
	require.Equal(t, true, got.json["payloadsHidden"])
	h.let(func(_ *http.Request, a settings.Action) bool { return a != settings.ActionLook })
	require.Equal(t, http.StatusForbidden, h.do("GET", "/v1/webhooks/events", "").status)
}

// Silence about what was erased would be a gap that nobody notices.
func TestACursorOfEventsExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHostWith(t, memory.New(), alotwebhook.Config{PayloadRetention: 48 * time.Hour})
		h.emit(alotwebhook.EventCandidateCompleted, 2)
		status := func(cursor string) int {
			return h.do("GET", "/v1/webhooks/events?cursor="+url.QueryEscape(cursor), "").status
		}
		middle := h.events("limit=1").next
		time.Sleep(24 * time.Hour)
		end := h.events("").next
		require.Equal(t, http.StatusOK, status(middle))
		time.Sleep(24*time.Hour + time.Second)
		require.Equal(t, http.StatusGone, status(middle), "the second event may be erased by now")
		require.Equal(t, http.StatusOK, status(end), "all before had been read")
		again := h.events("limit=1").next
		time.Sleep(59 * time.Minute)
		require.Equal(t, http.StatusOK, status(again), "the reader is under way")
		time.Sleep(2 * time.Minute)
		require.Equal(t, http.StatusGone, status(again))
		time.Sleep(24 * time.Hour)
		got := h.do("GET", "/v1/webhooks/events?cursor="+url.QueryEscape(end), "")
		require.Equal(t, http.StatusGone, got.status)
		require.Equal(t, []string{"cursor"}, got.fields())
		require.Contains(t, got.json["detail"], "Begin again without a cursor")
	})
}
