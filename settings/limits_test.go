package settings_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

func TestTheAPISaysThatThereAreEnoughEndpoints(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), alotwebhook.Config{MaxEndpoints: 2})
	id := h.create(published, "Idempotency-Key", "k1")
	h.create(published)
	for _, key := range []string{"k2", "k2"} {
		got := h.do("POST", "/v1/webhooks", published, "Idempotency-Key", key)
		require.Equal(t, http.StatusConflict, got.status)
		require.Contains(t, got.json["detail"], "as many endpoints as it may have: 2. Delete one")
		require.Empty(t, got.header.Get("Retry-After"), "waiting does not help")
	}
	require.Equal(t, http.StatusConflict, h.do("POST", "/v1/webhooks", published).status)
	require.Equal(t, id, h.create(published, "Idempotency-Key", "k1"), "a repeated request gets its endpoint")
	require.Equal(t, http.StatusCreated, h.do("POST", "/v1/webhooks", published, "X-Organization", "org_b").status)
	require.Equal(t, http.StatusNoContent, h.do("DELETE", "/v1/webhooks/"+id, "").status)
	h.create(published, "Idempotency-Key", "k2")
	require.NotContains(t, h.log.String(), "ERROR")
}

func TestThePageSaysThatThereAreEnoughEndpoints(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, memory.New(), nil, alotwebhook.Config{MaxEndpoints: 1})
	s.endpoint("https://hooks.example.com/alot")
	fields := append(hidden(t, s.get("/new").text), "url", "https://second.example.com", "description", "CRM", "events", alotwebhook.EventCandidateInvited)
	got := s.post("/new", fields)
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text, "as many endpoints as you may have: 1. Delete one")
	require.Contains(t, got.text, `value="https://second.example.com"`, "the form keeps what was filled in")
	s.only()
	require.NotContains(t, s.log.String(), "ERROR")
}

// counting counts the endpoints that are read.
type counting struct {
	alotwebhook.Store
	read int
}

func (c *counting) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	page, next, err := c.Store.Endpoints(ctx, f)
	c.read += len(page)
	return page, next, err
}

// With the limit switched off, what is done for one endpoint must not read all.
func TestNoRequestReadsAllEndpoints(t *testing.T) {
	t.Parallel()
	store := &counting{Store: memory.New()}
	cfg := alotwebhook.Config{MaxEndpoints: -1}
	s, h := newSiteWith(t, store, nil, cfg), newHostWith(t, store, cfg)
	var last alotwebhook.Endpoint
	for range 1000 {
		last = s.endpoint("https://hooks.example.com/alot")
	}
	d := s.event(last, `{}`)
	form := append(hidden(t, s.get("/new").text), "url", "https://new.example.com", "events", alotwebhook.EventCandidateInvited)
	gets, posts := routes(last.ID, d)
	for _, path := range gets {
		store.read = 0
		s.get(path)
		require.LessOrEqual(t, store.read, 201, path)
	}
	for range 2 {
		store.read = 0
		s.post("/new", form)
		require.LessOrEqual(t, store.read, 1, "a form")
		store.read = 0
		h.create(published, "Idempotency-Key", "k1")
		require.LessOrEqual(t, store.read, 1, "a registration with a key")
	}
	for path, fields := range posts {
		store.read = 0
		s.post(path, fields)
		require.LessOrEqual(t, store.read, 1, path)
	}
}

func TestAFormThatWasOpenedLongAgoIsSentOnceMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	old := strconv.FormatInt(time.Now().Add(-25*time.Hour).UnixMicro(), 10)
	fields := []string{"url", "https://hooks.example.com/alot", "description", "CRM", "events", alotwebhook.EventCandidateInvited}
	got := s.post("/new", append([]string{"issued", old}, fields...))
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.text, "opened more than a day ago")
	require.Contains(t, got.text, `value="CRM"`)
	again := append(hidden(t, got.text), fields...)
	require.Equal(t, http.StatusOK, s.post("/new", again).status, "shows the secret")
	e := s.only()
	require.Equal(t, "/"+e.ID+"?done=existing", s.post("/new", again).header.Get("Location"))
	other := append(again[:len(again):len(again)], "events", alotwebhook.EventCandidateCompleted)
	require.Equal(t, "/"+e.ID+"?done=existing", s.post("/new", other).header.Get("Location"), "after going back in the browser")
	s.only()
}

func TestTheAPISaysWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	h := newHostWith(t, memory.New(), alotwebhook.Config{TestsPerMinute: 1, RedeliveriesPerMinute: 1, ChangesPerMinute: 1})
	endpoint, delivery := h.withDelivery()
	path := "/v1/webhooks/" + endpoint
	for _, c := range []struct {
		name string
		do   func(key string) reply
	}{
		{"test", func(key string) reply { return h.do("POST", path+"/test", "", "Idempotency-Key", key) }},
		{"redeliver", func(key string) reply {
			return h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/redeliver", "", "Idempotency-Key", key)
		}},
		{"rotate", func(key string) reply {
			return h.do("POST", path+"/rotate-secret", "", "Idempotency-Key", key)
		}},
	} {
		first := c.do("k1")
		require.Less(t, first.status, 300, "%s: %s", c.name, first.text)
		require.Equal(t, first.status, c.do("k1").status, "%s: a repeated request costs nothing", c.name)
		for range 2 {
			got := c.do("k2")
			require.Equal(t, http.StatusTooManyRequests, got.status, c.name)
			wait, err := strconv.Atoi(got.header.Get("Retry-After"))
			require.NoError(t, err)
			require.InDelta(t, 60, wait, 59)
			require.Contains(t, got.json["detail"], "1 times a minute. Repeat the request in ")
		}
	}
	require.Equal(t, http.StatusTooManyRequests, h.do("PATCH", path, `{"description":"x"}`).status)
	require.Equal(t, http.StatusTooManyRequests, h.do("POST", path+"/recover", "").status)
	require.Equal(t, http.StatusTooManyRequests, h.do("DELETE", path, "").status)
	require.NotContains(t, h.log.String(), "ERROR")
}

func TestThePageSaysWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, memory.New(), nil, alotwebhook.Config{TestsPerMinute: 1, ChangesPerMinute: 1})
	e := s.endpoint("https://hooks.example.com/alot")
	test := []string{"type", alotwebhook.EventCandidateInvited}
	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/test", test).status)
	got := s.post("/"+e.ID+"/test", test)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Contains(t, got.text, "That was too often")
	require.Regexp(t, `Try again in \d+ seconds?\.`, got.text)
	require.NotEmpty(t, got.header.Get("Retry-After"))

	require.Equal(t, http.StatusSeeOther, s.post("/"+e.ID+"/disable", nil).status)
	fields := append(hidden(t, s.get("/"+e.ID+"/edit").text), "url", "https://moved.example.com", "events", alotwebhook.EventCandidateInvited)
	got = s.post("/"+e.ID+"/edit", fields)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Contains(t, got.text, `value="https://moved.example.com"`, "the form keeps what was filled in")
	require.NotContains(t, s.log.String(), "ERROR")
}

// A delivery that was redelivered again and again is as quick to read as any other.
func TestManyAttemptsAreFolded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{}`)
	for range 130 {
		s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus})
		n, err := s.store.Redeliver(t.Context(), []string{d})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	page := s.get("/deliveries/" + d).text
	require.Contains(t, page, "attempt 130 ·")
	require.Contains(t, page, "attempt 81 ·")
	require.NotContains(t, page, "attempt 80 ·")
	require.Contains(t, page, "80 older attempts are not shown.")

	h := newHostOn(t, s.store)
	got := h.do("GET", "/v1/webhooks/deliveries/"+d, "").json
	require.EqualValues(t, 130, got["attemptCount"])
	require.EqualValues(t, 80, got["olderAttempts"])
	attempts := got["attempts"].([]any)
	require.Len(t, attempts, 50)
	require.EqualValues(t, 81, attempts[0].(map[string]any)["number"])
	require.EqualValues(t, 130, attempts[49].(map[string]any)["number"])

	few := s.event(e, `{}`)
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{StatusCode: 500, Reason: alotwebhook.ReasonStatus})
	require.NotContains(t, s.get("/deliveries/"+few).text, "not shown")
	require.NotContains(t, h.do("GET", "/v1/webhooks/deliveries/"+few, "").json, "olderAttempts")
}
