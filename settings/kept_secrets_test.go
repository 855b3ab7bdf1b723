package settings_test

import (
	"context"
	"errors"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/store/memory"
)

// failingReads is a store that fails to read once it has changed an endpoint or a delivery.
type failingReads struct {
	*memory.Store
	armed, changed bool
	before         func() // called before an endpoint is stored; nil for nothing
}

var errReset = errors.New("connection reset")

func (s *failingReads) fails() error {
	if s.armed && s.changed {
		return errReset
	}
	return nil
}

func (s *failingReads) PutEndpoint(ctx context.Context, e alotwebhook.Endpoint, ops ...alotwebhook.Operation) error {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	s.changed = true
	return s.Store.PutEndpoint(ctx, e, ops...)
}

func (s *failingReads) Redeliver(ctx context.Context, ids []string) (int, error) {
	s.changed = true
	return s.Store.Redeliver(ctx, ids)
}

func (s *failingReads) Endpoint(ctx context.Context, id string) (alotwebhook.Endpoint, error) {
	if err := s.fails(); err != nil {
		return alotwebhook.Endpoint{}, err
	}
	return s.Store.Endpoint(ctx, id)
}

func (s *failingReads) Endpoints(ctx context.Context, f alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	if err := s.fails(); err != nil {
		return nil, "", err
	}
	return s.Store.Endpoints(ctx, f)
}

func (s *failingReads) Delivery(ctx context.Context, id string) (alotwebhook.Delivery, error) {
	if err := s.fails(); err != nil {
		return alotwebhook.Delivery{}, err
	}
	return s.Store.Delivery(ctx, id)
}

func (s *failingReads) Pauses(ctx context.Context) ([]alotwebhook.Pause, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.Pauses(ctx)
}

var secretOnPage = regexp.MustCompile(`<code id="secret"[^>]*>([^<]+)</code>`)

// secretIn returns the secret that a page shows; "" if it shows none.
func secretIn(page string) string {
	if m := secretOnPage.FindStringSubmatch(page); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// A change that was made is answered with what it made, also if the store fails right after it: nobody can read
// a secret once more.
func TestASecretIsShownAlthoughTheStoreFailsThen(t *testing.T) {
	t.Parallel()
	issued := strconv.FormatInt(time.Now().UnixMicro(), 10)
	add := []string{"url", "https://b.example.com/x", "events", alotwebhook.EventCandidateCompleted, "issued", issued}
	rotate := []string{"when", "now", "version", "1"}
	for name, post := range map[string]func(s *site, id string) shown{
		"add":    func(s *site, _ string) shown { return s.post("/new", add) },
		"rotate": func(s *site, id string) shown { return s.post("/"+id+"/rotate", rotate) },
		"an operator adds": func(s *site, _ string) shown {
			s.letOperators(everybody)
			return s.ask("POST", "/organizations/org_a/new", add...)
		},
		"an operator rotates": func(s *site, id string) shown {
			s.letOperators(everybody)
			return s.ask("POST", "/organizations/org_a/"+id+"/rotate", rotate...)
		},
	} {
		store := &failingReads{Store: memory.New()}
		s := newSiteOn(t, store, nil)
		e := s.endpoint("https://a.example.com/x")
		store.armed, store.changed = true, false
		got := post(s, e.ID)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", name, got.text)
		shown := secretIn(got.text)
		require.NotEmpty(t, shown, name)
		store.armed = false
		found := false
		for e, err := range s.dispatcher.Endpoints(t.Context(), alotwebhook.EndpointFilter{OrganizationID: "org_a"}) {
			require.NoError(t, err)
			stored, err := store.Endpoint(t.Context(), e.ID)
			require.NoError(t, err)
			found = found || string(stored.Secret) == shown
		}
		require.True(t, found, name)
		if name != "rotate" { // which reads nothing more
			require.Contains(t, s.log.String(), errReset.Error(), name)
		}
	}
}

func TestTheAPIAnswersWhatWasDoneAlthoughTheStoreFailsThen(t *testing.T) {
	t.Parallel()
	store := &failingReads{Store: memory.New()}
	h := newHostOn(t, store)
	id, delivery := h.withDelivery()
	for _, from := range []string{"", `{"signsFrom":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`} {
		store.armed, store.changed = true, false
		got := h.do("POST", "/v1/webhooks/"+id+"/rotate-secret", from)
		store.armed = false
		require.Equal(t, http.StatusOK, got.status, got.text)
		require.Equal(t, id, got.json["id"])
		require.Empty(t, got.header.Get("ETag"), "it is not known")
		require.Equal(t, from != "", got.json["nextSecretFrom"] != nil)
		stored, err := store.Endpoint(t.Context(), id)
		require.NoError(t, err)
		if from == "" {
			require.Equal(t, string(stored.Secret), got.json["secret"])
		} else {
			require.Equal(t, string(stored.NextSecret), got.json["secret"])
		}
	}
	s := &site{t: t, store: store, dispatcher: h.dispatcher}
	s.finish(alotwebhook.StateFailed, alotwebhook.Attempt{Reason: alotwebhook.ReasonDNS, StartedAt: time.Now()})
	store.armed, store.changed = true, false
	got := h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/redeliver", "")
	store.armed = false
	require.Equal(t, http.StatusAccepted, got.status, got.text)
	require.Equal(t, "pending", got.json["status"])
	require.Contains(t, h.log.String(), errReset.Error())
}

// Of two who rotate a secret at the same moment, only one is shown a new one: it is in use.
func TestTwoRotateAtTheSameMoment(t *testing.T) {
	t.Parallel()
	for _, form := range [][]string{{"when", "now"}, {"when", "1h"}, {"when", "now", "secret", "a secret of my own, long enough"}} {
		store := &failingReads{Store: memory.New()}
		s := newSiteOn(t, store, nil)
		e := s.endpoint("https://a.example.com/x")
		var second shown
		store.before = func() { second = s.post("/"+e.ID+"/rotate", []string{"when", "now", "version", "1"}) }
		first := s.post("/"+e.ID+"/rotate", append(form, "version", "1"))
		require.Equal(t, http.StatusConflict, first.status)
		require.Contains(t, first.text, "The secret was not rotated")
		require.Equal(t, http.StatusOK, second.status)
		stored, err := store.Endpoint(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, string(stored.Secret), secretIn(second.text))
		require.EqualValues(t, 2, stored.Version)
	}
}
