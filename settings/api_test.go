package settings_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook"
	"github.com/alot/alotwebhook/settings"
	"github.com/alot/alotwebhook/store/memory"
)

// host mounts the API. It has a dispatcher, and an authentication that reads the
// organization from a header.
type host struct {
	t          testing.TB
	store      alotwebhook.Store
	dispatcher *alotwebhook.Dispatcher
	handler    http.Handler
	log        *logged
}

// logged is a log that can be read while it is written to.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newHost(t testing.TB) *host {
	return newHostOn(t, memory.New())
}

func newHostOn(t testing.TB, store alotwebhook.Store) *host {
	return newHostWith(t, store, alotwebhook.Config{})
}

func newHostWith(t testing.TB, store alotwebhook.Store, cfg alotwebhook.Config) *host {
	h := &host{t: t, store: store, log: &logged{}}
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Logger = logger
	var err error
	h.dispatcher, err = alotwebhook.NewDispatcher(store, &cfg)
	require.NoError(t, err)
	h.handler, err = settings.NewAPI(h.dispatcher, &settings.Options{Organization: organization, Logger: logger})
	require.NoError(t, err)
	return h
}

var errNobody = errors.New("a token that must not be shown: eyJhbGciOi")

func organization(r *http.Request) (string, error) {
	if r.Header.Get("X-Organization") == "nobody" {
		return "", errNobody
	}
	return r.Header.Get("X-Organization"), nil
}

// reply is a response of the API, with its body as text and decoded.
type reply struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// do sends a request and checks what every response has. The organization is org_a,
// unless a header says otherwise. The headers are name and value in turn.
func (h *host) do(method, path, body string, header ...string) reply {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Organization", "org_a")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(h.t, err)
	got := reply{status: w.Code, header: w.Result().Header, text: string(text)}
	bare := got.status == http.StatusNoContent || got.status == http.StatusNotModified
	if !bare {
		require.NoError(h.t, json.Unmarshal(text, &got.json), got.text)
	}
	require.Equal(h.t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(h.t, "nosniff", got.header.Get("X-Content-Type-Options"))
	if bare {
		require.Empty(h.t, got.header.Get("Content-Type"))
	} else if got.status < 400 {
		require.Equal(h.t, "application/json", got.header.Get("Content-Type"))
	} else {
		got.requireProblem(h.t)
	}
	return got
}

func (r reply) requireProblem(t testing.TB) {
	t.Helper()
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	require.Equal(t, http.StatusText(r.status), r.json["title"])
	require.EqualValues(t, r.status, r.json["status"])
	require.NotEmpty(t, r.json["detail"])
}

// fields returns the fields that a problem names.
func (r reply) fields() (names []string) {
	errs, _ := r.json["errors"].([]any)
	for _, e := range errs {
		names = append(names, e.(map[string]any)["field"].(string))
	}
	return names
}

// create registers an endpoint of org_a and returns its id.
func (h *host) create(body string, header ...string) string {
	h.t.Helper()
	got := h.do(http.MethodPost, "/v1/webhooks", body, header...)
	require.Equal(h.t, http.StatusCreated, got.status, got.text)
	return got.json["id"].(string)
}

const published = `{"url": "https://yourapp.example.com/alot/webhook", "events": ["candidate.completed"], "secret": "your-signing-secret"}`

func TestAnAPIThatCannotAuthenticateIsRefused(t *testing.T) {
	t.Parallel()
	d, err := alotwebhook.NewDispatcher(memory.New(), nil)
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		d     *alotwebhook.Dispatcher
		opts  *settings.Options
		field string
	}{
		"no dispatcher":     {nil, &settings.Options{Organization: organization}, "dispatcher"},
		"no options":        {d, nil, "Organization"},
		"no authentication": {d, &settings.Options{}, "Organization"},
	} {
		handler, err := settings.NewAPI(tc.d, tc.opts)
		require.Nil(t, handler, name)
		var field *alotwebhook.FieldError
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, tc.field, field.Field)
	}
}

func TestNobodyIsToldAnything(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	for _, who := range []string{"nobody", ""} {
		for _, request := range [][2]string{
			{"GET", "/v1/webhooks"}, {"POST", "/v1/webhooks"}, {"GET", "/v1/webhooks/" + id},
			{"GET", "/v1/webhooks/" + id + "/deliveries"}, {"GET", "/nothing"}, {"DELETE", "/v1/webhooks"},
		} {
			got := h.do(request[0], request[1], "", "X-Organization", who)
			require.Equal(t, http.StatusUnauthorized, got.status, request)
			require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
			require.NotContains(t, got.text, "eyJhbGciOi")
		}
	}
	require.NotContains(t, h.log.String(), "eyJhbGciOi")
}

func TestPathsWorkWithASlashAndUnderAPrefix(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	bare := h.handler
	mux := http.NewServeMux()
	mux.Handle("/v1/webhooks", bare)
	mux.Handle("/v1/webhooks/", bare)
	for _, tc := range []struct {
		name, prefix string
		handler      http.Handler
	}{
		{"itself", "", bare},
		{"on a mux", "", mux},
		{"under a prefix", "/public", http.StripPrefix("/public", bare)},
		{"under a prefix stripped with its slash", "/public", http.StripPrefix("/public/", bare)},
	} {
		h.handler = tc.handler
		for _, path := range []string{
			"/v1/webhooks", "/v1/webhooks/", "/v1/webhooks/" + id, "/v1/webhooks/" + id + "/",
			"/v1/webhooks/" + id + "/deliveries", "/v1/webhooks/" + id + "/deliveries/",
		} {
			got := h.do("GET", tc.prefix+path, "")
			require.Equal(t, http.StatusOK, got.status, "%s: %s: %s", tc.name, path, got.text)
		}
		got := h.do("POST", tc.prefix+"/v1/webhooks/", published)
		require.Equal(t, http.StatusCreated, got.status, tc.name)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	id := h.create(published)
	for _, path := range []string{
		"/", "/v1", "/v1/webhook", "/v1/webhooks/" + id + "/secret", "/v1/webhooks/" + id + "/deliveries/x",
		"/v1/webhooks/deliveries/deliveries", "/v1/webhooks//deliveries",
		"/v1/webhooks/wh_00000000000000000000000000", "/v1/webhooks/" + strings.ToUpper(id),
		"/v1/webhooks/%00", "/v1/webhooks/..", "/v1/webhooks/" + id + "%2Fdeliveries%2F",
		"/v1/webhooks/deliveries/dlv_00000000000000000000000000", "/v1/webhooks/events/" + id, "/v1/webhooks/evt_00000000000000000000000000",
	} {
		if strings.HasSuffix(path, "%2F") {
			require.Equal(t, http.StatusOK, h.do("GET", path, "").status) // the same path in another spelling
			continue
		}
		require.Equal(t, http.StatusNotFound, h.do("GET", path, "").status, path)
	}
	got := h.do("PUT", "/v1/webhooks", published)
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.Equal(t, "POST, GET, HEAD", got.header.Get("Allow"))
	require.Equal(t, "GET, HEAD", h.do("POST", "/v1/webhooks/"+id+"/deliveries", "").header.Get("Allow"))
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	server := httptest.NewServer(h.handler)
	defer server.Close()
	r, err := http.NewRequest(http.MethodHead, server.URL+"/v1/webhooks", nil)
	require.NoError(t, err)
	r.Header.Set("X-Organization", "org_a")
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Empty(t, body)
}

// broken is a store whose methods fail.
type broken struct{ alotwebhook.Store }

var errBroken = errors.New("no connection to db.internal.example.com")

func (broken) Discard(context.Context, string, time.Time, int) (int, error) { return 0, errBroken }
func (broken) PutEndpoint(context.Context, alotwebhook.Endpoint, ...alotwebhook.Operation) error {
	return errBroken
}

func (broken) Endpoint(context.Context, string) (alotwebhook.Endpoint, error) {
	return alotwebhook.Endpoint{}, errBroken
}

func (broken) Endpoints(context.Context, alotwebhook.EndpointFilter) ([]alotwebhook.Endpoint, string, error) {
	return nil, "", errBroken
}

func (broken) Delivery(context.Context, string) (alotwebhook.Delivery, error) {
	return alotwebhook.Delivery{}, errBroken
}

func TestFailuresOfTheStoreAreLoggedAndNotShown(t *testing.T) {
	t.Parallel()
	const suffix = "00000000000000000000000000"
	for _, request := range [][2]string{
		{"POST", "/v1/webhooks"}, {"GET", "/v1/webhooks"}, {"GET", "/v1/webhooks/wh_" + suffix},
		{"GET", "/v1/webhooks/wh_" + suffix + "/deliveries"}, {"GET", "/v1/webhooks/deliveries/dlv_" + suffix},
	} {
		h := newHostOn(t, broken{})
		body := ""
		if request[0] == "POST" {
			body = published
		}
		got := h.do(request[0], request[1], body)
		require.Equal(t, http.StatusInternalServerError, got.status, request)
		require.NotContains(t, got.text, "db.internal")
		require.Contains(t, h.log.String(), "db.internal")
		require.Contains(t, h.log.String(), "organization=org_a")
		require.NotContains(t, h.log.String(), "your-signing-secret")
	}
}

func TestAnOrganizationThatCannotBeIsTheHostsFault(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	got := h.do("POST", "/v1/webhooks", published, "X-Organization", strings.Repeat("x", 256))
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.Contains(t, h.log.String(), "organizationId")
}

// Whoever has set a logger for the dispatcher finds what goes wrong here in the same place.
func TestTheLoggerIsTheDispatchersByDefault(t *testing.T) {
	t.Parallel()
	h := newHostOn(t, broken{})
	api, err := settings.NewAPI(h.dispatcher, &settings.Options{Organization: organization})
	require.NoError(t, err)
	pages, err := settings.NewPages(h.dispatcher, &settings.Options{Organization: organization})
	require.NoError(t, err)
	for path, handler := range map[string]http.Handler{"/v1/webhooks": api, "/": pages} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("X-Organization", "org_a")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusInternalServerError, w.Code)
	}
	require.Contains(t, h.log.String(), "settings request failed")
	require.Contains(t, h.log.String(), "settings page failed")
}
