package settings_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// operator authenticates the requests of the tests: all but those with a header X-Nobody.
func operator(r *http.Request) (string, error) {
	if r.Header.Get("X-Nobody") != "" {
		return "ann", errNobody
	}
	return r.Header.Get("X-Operator"), nil
}

func everybody(*http.Request, settings.Action) bool { return true }

// newOperatorSite mounts the operators' pages, for somebody who may do everything.
func newOperatorSite(t testing.TB) *site { return newOperatorSiteOn(t, memory.New()) }

func newOperatorSiteOn(t testing.TB, store alotwebhook.Store) *site {
	t.Helper()
	s := newSiteOn(t, store, nil)
	s.letOperators(everybody)
	return s
}

// letOperators mounts the operators' pages anew, for those who may do what the function allows.
func (s *site) letOperators(may func(*http.Request, settings.Action) bool) {
	s.t.Helper()
	var err error
	s.handler, err = settings.NewOperatorPages(s.dispatcher, &settings.OperatorOptions{Operator: operator, May: may})
	require.NoError(s.t, err)
}

// ask sends a request as an operator does, whose name is ann.
func (s *site) ask(method, path string, fields ...string) shown {
	s.t.Helper()
	if method == http.MethodGet {
		return s.get(path, "X-Operator", "ann")
	}
	return s.post(path, fields, "X-Operator", "ann")
}

func (s *site) see(path string) shown {
	s.t.Helper()
	return s.ask(http.MethodGet, path)
}

func (s *site) endpointOf(organization, url string) alotwebhook.Endpoint {
	s.t.Helper()
	e, err := s.dispatcher.CreateEndpoint(s.t.Context(), alotwebhook.Endpoint{
		OrganizationID: organization, URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(s.t, err)
	return e
}

// eventOf emits an event of an organization, and returns its id.
func (s *site) eventOf(organization string) string {
	s.t.Helper()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, organization, []byte(`{"score":82}`))
	require.NoError(s.t, err)
	require.NoError(s.t, s.dispatcher.Emit(s.t.Context(), event))
	return event.ID
}

// allOfIt returns all that an operator's request could change.
func (s *site) allOfIt() string {
	s.t.Helper()
	pauses, err := s.dispatcher.Pauses(s.t.Context())
	require.NoError(s.t, err)
	return fmt.Sprintf("%s %+v %+v", everything(s.t, s.dispatcher), pauses, s.recoveries())
}

func (s *site) recoveries() []alotwebhook.Recovery {
	s.t.Helper()
	list, _, err := s.dispatcher.Recoveries(s.t.Context(), alotwebhook.RecoveryFilter{Many: true})
	require.NoError(s.t, err)
	return list
}

// trouble has something failed, something unfinished and something paused of org_a, a recovery of
// many and one that cancels.
func (s *site) trouble() (e alotwebhook.Endpoint, delivery, recovery, cancellation string) {
	s.t.Helper()
	e = s.endpoint("https://hooks.example.com/alot")
	delivery = s.private(e)
	s.event(e, `{}`)
	_, err := s.dispatcher.Pause(s.t.Context(), alotwebhook.Pause{OrganizationID: "org_a", Note: "moving"})
	require.NoError(s.t, err)
	r, err := s.dispatcher.RecoverMany(s.t.Context(), alotwebhook.Recovery{OrganizationID: "org_a", FailedSince: time.Now().Add(-time.Hour), Note: "ours"})
	require.NoError(s.t, err)
	c, err := s.dispatcher.CancelMany(s.t.Context(), alotwebhook.Recovery{OrganizationID: "org_a", Note: "twice"})
	require.NoError(s.t, err)
	return e, delivery, r.EndpointID, c.EndpointID
}

var (
	rowID    = regexp.MustCompile(`<(?:tr role="row"|a) id="((?:op|wh|dlv)_[0-9a-z]{26})"`)
	nextLink = regexp.MustCompile(`id="(more|older)" href="([^"]*)"`)
)

// rowsOf returns the ids of what a page lists.
func rowsOf(page string) (ids []string) {
	for _, m := range rowID.FindAllStringSubmatch(page, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// nextOf returns where the link with the id leads to, "" if the page has none.
func nextOf(page, id string) string {
	if m := nextLink.FindStringSubmatch(page); m != nil && m[1] == id {
		return html.UnescapeString(m[2])
	}
	return ""
}
