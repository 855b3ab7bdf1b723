package settings_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// What operators say to each other.
const (
	privateNote  = "their lawyer called"
	privateActor = "olga@host.example.com"
)

// pause pauses as an operator does, and returns the function that resumes.
func pause(t testing.TB, d *alotwebhook.Dispatcher, p alotwebhook.Pause) (resume func()) {
	t.Helper()
	ctx := alotwebhook.WithActor(t.Context(), privateActor)
	p.Note = privateNote
	_, err := d.Pause(ctx, p)
	require.NoError(t, err)
	return func() { require.NoError(t, d.Resume(ctx, p)) }
}

// The customer reads which endpoints the host has paused, and neither who did it nor why.
func TestAPauseIsToldToWhomItConcerns(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := newSiteWith(t, h.store, &settings.Options{Product: "Acme <1>"}, alotwebhook.Config{})
	first, second := h.create(published), h.create(published)
	delivery := s.event(s.stored(first), `{}`)
	paused := func(id string) bool {
		is := h.do("GET", "/v1/webhooks/"+id, "").json["paused"]
		require.Contains(t, []any{true, nil}, is)
		return is == true
	}
	count := 2
	for name, c := range map[string]struct {
		pause         alotwebhook.Pause
		first, second bool
	}{
		"an endpoint":              {alotwebhook.Pause{EndpointID: first}, true, false},
		"the organization":         {alotwebhook.Pause{OrganizationID: "org_a"}, true, true},
		"everything":               {alotwebhook.Pause{}, true, true},
		"another organization":     {alotwebhook.Pause{OrganizationID: "org_b"}, false, false},
		"another's other endpoint": {alotwebhook.Pause{EndpointID: h.create(published, "X-Organization", "org_b")}, false, false},
	} {
		resume := pause(t, h.dispatcher, c.pause)
		require.Equal(t, c.first, paused(first), name)
		require.Equal(t, c.second, paused(second), name)
		list := h.do("GET", "/v1/webhooks", "").text
		want := boolean(c.first) + boolean(c.second)
		if want == 2 {
			want = count
		}
		require.Equal(t, want, strings.Count(list, `"paused":true`), name)
		require.Equal(t, c.first, strings.Contains(h.do("PATCH", "/v1/webhooks/"+first, `{"description":"`+name+`"}`).text, `"paused":true`), name)
		require.Equal(t, c.first, strings.Contains(h.do("POST", "/v1/webhooks/"+first+"/enable", "").text, `"paused":true`), name)
		require.Equal(t, c.first && c.second, strings.Contains(h.do("POST", "/v1/webhooks", published).text, `"paused":true`), name)
		count++
		require.Equal(t, c.second, strings.Contains(h.do("POST", "/v1/webhooks/"+second+"/rotate-secret", "").text, `"paused":true`), name)
		page, rows, one := s.get("/"+first).text, s.get("/").text, s.get("/deliveries/"+delivery).text
		require.Equal(t, c.first, strings.Contains(page, "Paused by Acme &lt;1&gt; since <time"), name)
		require.Equal(t, c.first, strings.Contains(page, "Events wait and are sent afterwards"), name)
		require.Equal(t, c.first, strings.Contains(rows, "paused by Acme &lt;1&gt; since <time"), name)
		require.Equal(t, c.first, strings.Contains(one, "paused by Acme &lt;1&gt; since <time"), name)
		for _, text := range []string{list, page, rows, one, h.do("GET", "/v1/webhooks/operations", "").text} {
			require.NotContains(t, text, privateNote, name)
			require.NotContains(t, text, privateActor, name)
		}
		resume()
		require.False(t, paused(first), name)
		require.NotContains(t, s.get("/"+first).text, "Paused by", name)
	}
	s = newSiteOn(t, h.store, nil)
	pause(t, h.dispatcher, alotwebhook.Pause{})
	require.Contains(t, s.get("/"+first).text, "Paused by the operator since")
	s.finish(alotwebhook.StateDelivered, alotwebhook.Attempt{StatusCode: 200})
	require.NotContains(t, s.get("/deliveries/"+delivery).text, "aused", "it was sent before")
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of several pauses the first counts: nothing was sent since then.
func TestAPauseIsAsOldAsTheFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e := s.endpoint("https://hooks.example.com/alot")
	pause(t, s.dispatcher, alotwebhook.Pause{OrganizationID: "org_a"})
	list, err := s.dispatcher.Pauses(t.Context())
	require.NoError(t, err)
	since := list[0].At.Format(`since <time datetime="2006-01-02T15:04:05.000Z"`)
	pause(t, s.dispatcher, alotwebhook.Pause{})
	pause(t, s.dispatcher, alotwebhook.Pause{EndpointID: e.ID})
	require.Contains(t, s.get("/"+e.ID).text, since)
}

// countingPauses counts how often the pauses are read.
type countingPauses struct {
	*memory.Store
	reads atomic.Int32
}

func (c *countingPauses) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	c.reads.Add(1)
	return c.Store.Pauses(ctx)
}

func TestOneRequestReadsThePausesOnce(t *testing.T) {
	t.Parallel()
	store := &countingPauses{Store: memory.New()}
	h, s := newHostOn(t, store), newSiteOn(t, store, nil)
	for range 3 {
		h.create(published)
	}
	e := s.endpoint("https://hooks.example.com/alot")
	delivery := s.event(e, `{}`)
	for path, want := range map[string]int32{"/": 1, "/" + e.ID: 1, "/deliveries/" + delivery: 1, "/history": 0, "/" + e.ID + "/edit": 0} {
		store.reads.Store(0)
		require.Equal(t, http.StatusOK, s.get(path).status, path)
		require.Equal(t, want, store.reads.Load(), path)
	}
	for _, c := range calls(h, e.ID, delivery) {
		store.reads.Store(0)
		h.do(c.method, c.path, c.body)
		require.LessOrEqual(t, store.reads.Load(), int32(1), c)
	}
}

// What operators write to each other about a recovery stays among them, while the customer reads
// that it began. What customers do themselves has their names.
func TestWhatOperatorsSayIsNotForCustomers(t *testing.T) {
	t.Parallel()
	h := newHostWithActor(t)
	s := newSiteOn(t, h.store, nil)
	id, delivery := h.withDelivery()
	ctx := alotwebhook.WithActor(t.Context(), privateActor)
	_, err := h.dispatcher.CancelMany(ctx, alotwebhook.Recovery{OrganizationID: "org_a", Note: privateNote})
	require.NoError(t, err)
	_, err = h.dispatcher.RecoverMany(ctx, alotwebhook.Recovery{EndpointID: id, Note: privateNote})
	require.NoError(t, err)
	_, err = h.dispatcher.StopRecovery(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, h.do("POST", "/v1/webhooks/"+id+"/recover", "", "X-User", "jane").status)
	got := h.do("GET", "/v1/webhooks/operations", "")
	for _, text := range []string{got.text, s.get("/" + id).text, s.get("/deliveries/" + delivery).text} {
		require.NotContains(t, text, privateNote)
		require.NotContains(t, text, privateActor)
		require.NotContains(t, text, "rec_")
	}
	var told []string
	for _, o := range got.json["operations"].([]any) {
		o := o.(map[string]any)
		actor, _ := o["actor"].(string)
		about, _ := o["endpointId"].(string)
		note, _ := o["note"].(string)
		word, _, _ := strings.Cut(note, ":")
		told = append(told, strings.TrimSpace(strings.Replace(about, id, "it", 1)+" "+o["type"].(string)+" "+word+" "+actor))
	}
	require.Equal(t, []string{
		"it recovery.begun running jane", "it recovery.ended stopped", "it recovery.begun running", "recovery.begun canceling", "it endpoint.created",
	}, told)
}
