package settings_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// site mounts the pages.
type site struct {
	t          testing.TB
	store      alotwebhook.Store
	dispatcher *alotwebhook.Dispatcher
	handler    http.Handler
	log        *logged
	options    *settings.Options
}

func newSite(t testing.TB) *site { return newSiteOn(t, memory.New(), nil) }

func newSiteOn(t testing.TB, store alotwebhook.Store, opts *settings.Options) *site {
	return newSiteWith(t, store, opts, alotwebhook.Config{MaxEndpoints: -1})
}

func newSiteWith(t testing.TB, store alotwebhook.Store, opts *settings.Options, cfg alotwebhook.Config) *site {
	s := &site{t: t, store: store, log: &logged{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Logger, cfg.AllowHTTP, cfg.AllowNets, cfg.KeepResponseBody = logger, true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 1024
	var err error
	s.dispatcher, err = alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(t, err)
	if opts == nil {
		opts = &settings.Options{}
	}
	opts.Organization, opts.Logger = organization, logger
	s.options = opts
	s.handler, err = settings.NewPages(s.dispatcher, opts)
	require.NoError(t, err)
	return s
}

// shown is a response of the pages.
type shown struct {
	status int
	header http.Header
	text   string
}

// do sends a request. The organization is org_a, unless a header says otherwise. The
// headers are name and value in turn.
func (s *site) do(r *http.Request, header ...string) shown {
	s.t.Helper()
	r.Header.Set("X-Organization", "org_a")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	body := io.Reader(w.Result().Body)
	if w.Result().Header.Get("Content-Encoding") == "gzip" {
		var err error
		body, err = gzip.NewReader(body)
		require.NoError(s.t, err)
	}
	text, err := io.ReadAll(body)
	require.NoError(s.t, err)
	return shown{w.Code, w.Result().Header, string(text)}
}

func (s *site) get(path string, header ...string) shown {
	s.t.Helper()
	return s.do(httptest.NewRequest(http.MethodGet, path, nil), header...)
}

// post sends a form. The fields are name and value in turn.
func (s *site) post(path string, fields []string, header ...string) shown {
	s.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(r, header...)
}

// endpoint registers an endpoint of org_a.
func (s *site) endpoint(url string) alotwebhook.Endpoint {
	s.t.Helper()
	e, err := s.dispatcher.CreateEndpoint(s.t.Context(), alotwebhook.Endpoint{
		OrganizationID: "org_a", URL: url, EventTypes: []string{alotwebhook.EventCandidateCompleted},
	})
	require.NoError(s.t, err)
	return e
}

// event emits an event of org_a and returns the id of its delivery to e.
func (s *site) event(e alotwebhook.Endpoint, data string) string {
	s.t.Helper()
	event, err := alotwebhook.NewEvent(alotwebhook.EventCandidateCompleted, "org_a", []byte(data))
	require.NoError(s.t, err)
	require.NoError(s.t, s.dispatcher.Emit(s.t.Context(), event))
	return alotwebhook.DeliveryID(event.ID, e.ID)
}

// finish finishes every delivery that is due, as a dispatcher does after an attempt.
func (s *site) finish(state alotwebhook.DeliveryState, a alotwebhook.Attempt) {
	s.t.Helper()
	claimed, err := s.store.Claim(s.t.Context(), alotwebhook.ClaimRequest{Limit: 100, PerEndpoint: 100, Lease: 1e12})
	require.NoError(s.t, err)
	var outcomes []alotwebhook.Outcome
	for _, c := range claimed.Deliveries {
		a.Number = c.Attempt
		outcomes = append(outcomes, alotwebhook.Outcome{DeliveryID: c.DeliveryID, Token: c.Token, Attempt: a, State: state, NextAttemptIn: 1e11})
	}
	_, err = s.store.Finish(context.Background(), outcomes)
	require.NoError(s.t, err)
}

// hidden returns the hidden fields of the forms of a page, name and value in turn.
func hidden(t testing.TB, text string) (fields []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(text, -1) {
		fields = append(fields, m[1], m[2])
	}
	return fields
}

func TestEveryPageShows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Contains(t, s.get("/").text, "Add your first endpoint")
	require.Contains(t, s.get("/history").text, "No deliveries yet")
	e := s.endpoint("https://hooks.example.com/alot")
	d := s.event(e, `{"score":82}`)
	for path, words := range map[string]string{
		"/": "hooks.example.com", "/new": "Add endpoint", "/history": "candidate.completed", "/" + e.ID: "Send a test event",
		"/" + e.ID + "/edit": "Save changes", "/" + e.ID + "/rotate": "In 24 hours", "/" + e.ID + "/delete": "cannot be undone",
		"/deliveries/" + d: "&#34;score&#34;: 82",
	} {
		got := s.get(path)
		require.Equal(t, http.StatusOK, got.status, "%s: %s %s", path, got.text, s.log)
		require.Contains(t, got.text, words, path)
		require.Contains(t, got.text, "</html>", path)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	}
	require.NotContains(t, s.log.String(), "ERROR")
}
